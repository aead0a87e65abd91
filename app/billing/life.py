"""A customer's life as one state machine: which moves there are, who may be moved, and what each move brings about.

Every function expects the customer locked (`customers.locked`): whoever changes a status or a subscription holds that
lock, so of two who do the same at once the second sees what the first did. Nothing here commits. A move that is not
allowed raises `Conflict` with a sentence for people; `by` is an email or a name for the log, else whoever is signed in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import sqlalchemy as sa

from app import audit, clock
from app.accounts.models import Account
from app.billing import asking, customers, deciding, subscriptions
from app.billing.life_models import Aim, CustomerMove, Deed, PlannedMove
from app.billing.models import Customer, CustomerStatus
from app.billing.subscription_models import Cycle, Plan, Subscription
from app.db import db
from app.errors import Conflict, InvalidInput
from app.events import CustomerActivated
from app.installations.services import announce
from app.mailing.services import post
from app.typed import line

LEAD, INACTIVE, SCHEDULED, ACTIVE, LOCKED, CANCELLED = CustomerStatus
FURTHEST = timedelta(days=2 * 366)

# Who may be moved, where a move leads (None: nowhere), and the audit's word for it.
MOVES: dict[Deed, tuple[frozenset[CustomerStatus], CustomerStatus | None, str]] = {
    Deed.ACTIVATED: (frozenset({LEAD, INACTIVE, SCHEDULED, CANCELLED}), ACTIVE, "customer_activated"),
    Deed.SCHEDULED: (frozenset({LEAD, INACTIVE, SCHEDULED, CANCELLED}), SCHEDULED, "customer_scheduled"),
    Deed.UNSCHEDULED: (frozenset({SCHEDULED}), INACTIVE, "customer_unscheduled"),
    Deed.LOCKED: (frozenset({ACTIVE}), LOCKED, "customer_locked"),
    Deed.UNLOCKED: (frozenset({LOCKED}), ACTIVE, "customer_unlocked"),
    Deed.CANCELLATION_PLANNED: (frozenset({ACTIVE, LOCKED}), None, "cancellation_planned"),
    Deed.CANCELLATION_UNDONE: (frozenset({ACTIVE, LOCKED}), None, "cancellation_undone"),
    Deed.CANCELLED: (frozenset({ACTIVE, LOCKED}), CANCELLED, "customer_cancelled"),
    Deed.DEACTIVATED: (frozenset(CustomerStatus) - {INACTIVE}, INACTIVE, "customer_deactivated"),
    Deed.PLAN_CHANGED: (frozenset({ACTIVE, LOCKED}), None, "customer_plan_changed"),
}
STATUS_WORDS = {
    LEAD: "a lead",
    INACTIVE: "inactive",
    SCHEDULED: "scheduled",
    ACTIVE: "active",
    LOCKED: "locked",
    CANCELLED: "cancelled",
}
_REFUSALS = {
    Deed.ACTIVATED: "Change the plan instead.",
    Deed.SCHEDULED: "Only somebody without a running service can be activated later.",
    Deed.UNSCHEDULED: "No activation is planned.",
    Deed.LOCKED: "Only an active customer can be locked.",
    Deed.UNLOCKED: "Only a locked customer can be unlocked.",
    Deed.CANCELLATION_PLANNED: "There is no service to cancel.",
    Deed.CANCELLATION_UNDONE: "No cancellation is planned.",
    Deed.CANCELLED: "There is no service to cancel.",
    Deed.DEACTIVATED: "There is nothing to deactivate.",
    Deed.PLAN_CHANGED: "Activate first, and choose the plan with it.",
}


@dataclass(frozen=True, slots=True)
class Terms:
    """What a customer takes: a plan, how it is paid, from when, and whether the setup fee is billed or waived."""

    plan: Plan
    cycle: Cycle
    billing_starts_on: date
    setup_fee: bool = True


def may(customer: Customer, deed: Deed) -> bool:
    """Whether the customer's status allows a move."""
    return customer.status in MOVES[deed][0]


def planned(customer: Customer) -> PlannedMove | None:
    """What is planned for a customer, if anything."""
    return planned_of([customer]).get(customer.id)


def planned_of(several: Sequence[Customer]) -> dict[int, PlannedMove]:
    """The same for several customers in one go, by customer id."""
    query = sa.select(PlannedMove).where(PlannedMove.customer_id.in_([one.id for one in several]))
    return {row.customer_id: row for row in db.session.scalars(query)}


def activate(
    customer: Customer,
    terms: Terms | None = None,
    *,
    by: str = "",
    why: str = "",
    welcome: bool = False,
    fell_due: datetime | None = None,
) -> bool:
    """Make a customer active now, with a mailbox number if there is none yet; False when that is so already.

    Without `terms` a plan that was chosen before begins, if there is one; a locked customer is unlocked. `fell_due`:
    since when a job was to do it.
    Raises `InvalidInput` for the field of `terms` that cannot be taken.
    """
    if customer.status == ACTIVE and terms is None:
        return False
    if customer.status == LOCKED and terms is None:
        return unlock(customer, by=by, why=why)
    _refuse_unless_allowed(customer, Deed.ACTIVATED)
    _drop_plan(customer)
    if terms is not None and customer.status == SCHEDULED:
        _never_mind(subscriptions.of(customer))
    subscription = _take(customer, terms) if terms else subscriptions.of(customer)
    customer.activated_at = clock.now()
    if customer.mailbox_number is None:
        customer.mailbox_number = customers.next_mailbox_number(customer.location_id)
    if subscription is not None:
        subscriptions.begin(subscription)
    _move(customer, Deed.ACTIVATED, by, why)
    customers.flush()
    deciding.begin(customer)
    asking.begin(customer)
    announce(CustomerActivated(customer.account_id, customer.id))
    if welcome:
        _welcome(customer, subscription, fell_due)
    return True


def schedule(
    customer: Customer, day: date, terms: Terms | None = None, *, by: str = "", why: str = "", welcome: bool = False
) -> PlannedMove:
    """Let a customer become active when `day` begins at the location; an earlier plan is replaced.

    A plan is taken at the prices of today. Raises `InvalidInput` for `activates_on` or a field of `terms`.
    """
    _refuse_unless_allowed(customer, Deed.SCHEDULED)
    _refuse_day(customer, day, "activates_on")
    if terms is not None:
        _never_mind(subscriptions.of(customer))
        _take(customer, terms)
    _move(customer, Deed.SCHEDULED, by, why, day)
    return _plan(customer, Aim.ACTIVATE, day, by, why, welcome=welcome)


def unschedule(customer: Customer, *, by: str = "", why: str = "") -> None:
    """Take a planned activation back; the plan that was taken for it is never billed."""
    _refuse_unless_allowed(customer, Deed.UNSCHEDULED)
    _drop_plan(customer)
    _never_mind(subscriptions.of(customer))
    _move(customer, Deed.UNSCHEDULED, by, why)


def lock(customer: Customer, why: str, *, by: str = "") -> bool:
    """Suspend the service: no period is billed until it is unlocked. False when that is so already."""
    if customer.status == LOCKED:
        return False
    _refuse_unless_allowed(customer, Deed.LOCKED)
    subscription = subscriptions.of(customer)
    if subscription is not None:
        subscriptions.pause(subscription)
    _move(customer, Deed.LOCKED, by, why)
    return True


def unlock(customer: Customer, *, by: str = "", why: str = "") -> bool:
    """Let the service go on; periods that passed meanwhile are not billed. False when it runs already."""
    if customer.status == ACTIVE:
        return False
    _refuse_unless_allowed(customer, Deed.UNLOCKED)
    subscription = subscriptions.of(customer)
    customer.activated_at = customer.activated_at or clock.now()
    _move(customer, Deed.UNLOCKED, by, why)
    if subscription is not None:
        subscriptions.resume(subscription)
    announce(CustomerActivated(customer.account_id, customer.id))
    return True


def cancel(customer: Customer, day: date | None = None, *, by: str = "", why: str = "") -> PlannedMove | None:
    """End the service now (None), or when `day`, the first one without service, begins at the location.

    A period that begins on that day or later is not billed; what was billed before stays due, and invoices, number
    and link stay. Answers what is planned, None when the service ended at once. An earlier plan is replaced.
    """
    today = clock.today(customer.location.timezone)
    subscription = subscriptions.of(customer)
    if day is None or day == today:
        _refuse_unless_allowed(customer, Deed.CANCELLED)
        _drop_plan(customer)
        _end(subscription, today)
        _move(customer, Deed.CANCELLED, by, why, today)
        return None
    _refuse_unless_allowed(customer, Deed.CANCELLATION_PLANNED)
    _refuse_day(customer, day, "day")
    if subscription is not None:
        subscriptions.keep(subscription)
        subscriptions.end(subscription, day)
    _move(customer, Deed.CANCELLATION_PLANNED, by, why, day)
    return _plan(customer, Aim.CANCEL, day, by, why)


def keep(customer: Customer, *, by: str = "", why: str = "") -> None:
    """Take a planned cancellation back: the service and its billing go on as if nothing had been said."""
    _refuse_unless_allowed(customer, Deed.CANCELLATION_UNDONE)
    if _drop_plan(customer) is None:
        raise _refusal(customer, Deed.CANCELLATION_UNDONE)
    subscription = subscriptions.of(customer)
    if subscription is not None:
        subscriptions.keep(subscription)
    _move(customer, Deed.CANCELLATION_UNDONE, by, why)


def deactivate(customer: Customer, *, by: str = "", why: str = "") -> bool:
    """Put a customer aside, whatever the status: no service, nothing planned, nothing further billed.

    Number, invoices and links stay. False when the customer is inactive already.
    """
    if customer.status == INACTIVE:
        return False
    _drop_plan(customer)
    _end(subscriptions.of(customer), clock.today(customer.location.timezone))
    _move(customer, Deed.DEACTIVATED, by, why)
    return True


def change_plan(customer: Customer, terms: Terms, *, by: str = "", why: str = "") -> Subscription:
    """Give a customer with a running service a plan, or another one; what was taken before ends today."""
    _refuse_unless_allowed(customer, Deed.PLAN_CHANGED)
    if planned(customer) is not None:
        raise Conflict(f"A cancellation of {customer.full_name} is planned. Undo it first.")
    subscription = _take(customer, terms)
    if customer.status == ACTIVE:
        subscriptions.begin(subscription)
    _move(customer, Deed.PLAN_CHANGED, by, why or terms.plan.title)
    return subscription


def carry_out(customer: Customer, move: PlannedMove) -> bool:
    """Make a planned move if its day has come at the location; else say when to look again, and answer False."""
    if clock.today(customer.location.timezone) < move.day:
        move.due_at, move.nudged_at = clock.start_of(move.day, customer.location.timezone), None
        return False
    by, why = move.by, move.why
    if move.aim == Aim.ACTIVATE:
        fell_due = clock.start_of(move.day, customer.location.timezone)
        return activate(customer, by=by, why=why, welcome=move.welcome, fell_due=fell_due)
    day = move.day
    _drop_plan(customer)
    _end(subscriptions.of(customer), day)
    _move(customer, Deed.CANCELLED, by, why, day)
    return True


def moves_of(customer: Customer, most: int = 50) -> Sequence[CustomerMove]:
    """A customer's moves, newest first."""
    query = sa.select(CustomerMove).where(CustomerMove.customer_id == customer.id)
    return db.session.scalars(query.order_by(CustomerMove.at.desc(), CustomerMove.id.desc()).limit(most)).all()


def _refuse_unless_allowed(customer: Customer, deed: Deed) -> None:
    if not may(customer, deed):
        raise _refusal(customer, deed)


def _refusal(customer: Customer, deed: Deed) -> Conflict:
    return Conflict(f"{customer.full_name} is {STATUS_WORDS[customer.status]}. {_REFUSALS[deed]}")


def _refuse_day(customer: Customer, day: date, field: str) -> None:
    today = clock.today(customer.location.timezone)
    if day <= today:
        raise InvalidInput("Choose a day after today.", field)
    if day - today > FURTHEST:
        raise InvalidInput("Choose a day within the next two years.", field)


def _move(customer: Customer, deed: Deed, by: str, why: str, day: date | None = None) -> None:
    """Set the status and note the move."""
    before, (_, after, action) = customer.status, MOVES[deed]
    customer.status = after or before
    why = line(why, 300, "why")
    db.session.add(
        CustomerMove(
            account_id=customer.account_id,
            customer_id=customer.id,
            deed=deed,
            status=customer.status,
            day=day,
            by=by or audit.current_actor(),
            why=why,
        )
    )
    said = day.isoformat() if day else None
    audit.record(action, customer, actor=by or None, before=before.value, why=why, day=said)


def _plan(customer: Customer, aim: Aim, day: date, by: str, why: str, *, welcome: bool = False) -> PlannedMove:
    _drop_plan(customer)
    move = PlannedMove(
        account_id=customer.account_id,
        customer_id=customer.id,
        aim=aim,
        day=day,
        welcome=welcome,
        by=by or audit.current_actor(),
        why=line(why, 300, "why"),
        due_at=clock.start_of(day, customer.location.timezone),
    )
    db.session.add(move)
    db.session.flush()
    return move


def _drop_plan(customer: Customer) -> PlannedMove | None:
    """Forget what was planned, and answer it."""
    move = db.session.scalars(sa.select(PlannedMove).where(PlannedMove.customer_id == customer.id)).one_or_none()
    if move is not None:
        db.session.delete(move)
        db.session.flush()
    return move


def _take(customer: Customer, terms: Terms) -> Subscription:
    return subscriptions.take(customer, terms.plan, terms.cycle, terms.billing_starts_on, setup_fee=terms.setup_fee)


def _end(subscription: Subscription | None, day: date) -> None:
    """End a subscription on `day`, or before anything of it was billed if nothing has been yet."""
    if subscription is None:
        return
    if subscription.due_at is None and subscription.next_period == 0:
        _never_mind(subscription)
    else:
        subscriptions.end(subscription, day)


def _never_mind(subscription: Subscription | None) -> None:
    """A subscription that was taken for an activation that does not happen: no period of it is ever billed."""
    if subscription is not None:
        today = clock.today(subscription.customer.location.timezone)
        subscriptions.end(subscription, min(today, subscription.starts_on(subscription.next_period)))


def _welcome(customer: Customer, subscription: Subscription | None, came_about: datetime | None) -> None:
    account = db.session.get_one(Account, customer.account_id)
    post(
        account,
        to=customer.email,
        template="welcome",
        context={"customer": customer, "location": customer.location, "subscription": subscription},
        customer=customer,
        came_about=came_about,
    )
