"""Plans: what an account offers. Changes rows, never commits; a changed price holds for new subscriptions alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from flask_sqlalchemy.pagination import Pagination
from sqlalchemy.exc import IntegrityError

from app import audit, clock
from app.accounts.models import Account
from app.billing.subscription_models import Cycle, Plan, PlanKind, Subscription
from app.db import db
from app.errors import Conflict, InvalidInput, NotFound
from app.money import Money
from app.typed import decimal, dotted, line, tidy

PER_PAGE = 25
DEAREST = 10**9  # minor units; a slip of the finger, not a price
RATE_DECIMALS = 3


@dataclass(frozen=True, slots=True)
class PlanDetails:
    """What a person says about a plan, as typed: amounts in major units; an empty tax rate is the location's."""

    title: str
    kind: str
    monthly: str
    currency: str = ""
    subtitle: str = ""
    long_cycle: str = ""
    long: str = ""
    setup: str = ""
    recipient: str = ""
    tax_rate: str = ""


def find(account: Account, *, archived: bool = False, page: int = 1) -> Pagination:
    """One page of the plans in use, or of those archived, by title."""
    query = sa.select(Plan).where(Plan.account_id == account.id, _archived(archived)).order_by(Plan.title, Plan.id)
    return db.paginate(query, page=page, per_page=PER_PAGE, error_out=False)


def offered(account: Account, *, shown_only: bool = False, currency: str | None = None) -> Sequence[Plan]:
    """The plans that can be taken, business before personal, cheapest first; `shown_only` for the sign-up page."""
    query = sa.select(Plan).where(Plan.account_id == account.id, _archived(False))
    if shown_only:
        query = query.where(Plan.shown)
    if currency is not None:
        query = query.where(Plan.currency == currency)
    return db.session.scalars(query.order_by(Plan.kind, Plan.monthly_minor, Plan.title)).all()


def count(account: Account) -> tuple[int, int]:
    """How many plans are in use, and how many are archived."""
    counted = sa.select(sa.func.count(), sa.func.count(Plan.archived_at)).where(Plan.account_id == account.id)
    every, archived = db.session.execute(counted).one()
    return every - archived, archived


def customers_of(plans: Sequence[Plan]) -> dict[int, int]:
    """How many subscriptions without an end each plan has; plans without one are left out."""
    query = sa.select(Subscription.plan_id, sa.func.count()).where(
        Subscription.plan_id.in_([plan.id for plan in plans]), Subscription.ended_on.is_(None)
    )
    return dict(db.session.execute(query.group_by(Subscription.plan_id)).all())


def get(account: Account, plan_id: int) -> Plan:
    """The plan with this id in this account, or `NotFound`."""
    return _found(db.session.scalars(_one(account, plan_id)).one_or_none())


def locked(account: Account, plan_id: int) -> Plan:
    """As `get`, read anew inside a unit of work; nobody else changes the plan until that is committed."""
    query = _one(account, plan_id).with_for_update().execution_options(populate_existing=True)
    return _found(db.session.scalars(query).one_or_none())


def add(account: Account, details: PlanDetails) -> Plan:
    """A new plan, hidden until somebody shows it. Raises `InvalidInput` for the field that cannot be taken."""
    plan = Plan(account_id=account.id)
    _fill(account, plan, details)
    db.session.add(plan)
    _flush()
    audit.record("plan_added", plan, title=plan.title)
    return plan


def edit(account: Account, plan: Plan, details: PlanDetails) -> bool:
    """Take over what changed and answer whether anything did; whoever has the plan keeps name and prices."""
    _fill(account, plan, details)
    changed = sorted(one.key for one in sa.inspect(plan).attrs if one.history.has_changes())
    if not changed:
        return False
    _flush()
    audit.record("plan_changed", plan, fields=changed)
    return True


def show(plan: Plan, *, shown: bool) -> None:
    """Put a plan on the sign-up page, or take it away; an archived one cannot be shown."""
    if shown and plan.archived_at is not None:
        raise Conflict(f"{plan.title} is archived. Bring it back first.")
    if plan.shown != shown:
        plan.shown = shown
        audit.record("plan_shown" if shown else "plan_hidden", plan)


def archive(plan: Plan) -> None:
    """Let nobody take a plan any more; who has it keeps it."""
    if plan.archived_at is None:
        plan.archived_at, plan.shown = clock.now(), False
        audit.record("plan_archived", plan)


def bring_back(plan: Plan) -> None:
    """Undo archiving; the plan comes back hidden."""
    if plan.archived_at is not None:
        plan.archived_at = None
        audit.record("plan_brought_back", plan)


def _fill(account: Account, plan: Plan, details: PlanDetails) -> None:
    plan.title = line(details.title, 80, "title")
    if not plan.title:
        raise InvalidInput("A plan needs a title.", "title")
    plan.subtitle = line(details.subtitle, 160, "subtitle")
    try:
        plan.kind = PlanKind(details.kind)
        plan.long_cycle = Cycle(details.long_cycle) if details.long_cycle else None
    except ValueError as error:
        raise InvalidInput("Choose one of those offered.", "kind") from error
    plan.currency = details.currency or account.currency
    if plan.currency not in {one.currency for one in account.locations}:
        raise InvalidInput("Choose a currency that one of your locations bills in.", "currency")
    plan.monthly_minor = _price(details.monthly, plan.currency, "monthly")
    plan.setup_minor = _price(details.setup or "0", plan.currency, "setup")
    plan.recipient_minor = _price(details.recipient or "0", plan.currency, "recipient")
    if plan.long_cycle == Cycle.MONTHLY:
        raise InvalidInput("The longer cycle is half-yearly or yearly.", "long_cycle")
    if plan.long_cycle is None and tidy(details.long):
        raise InvalidInput("Choose how long this price holds.", "long_cycle")
    plan.long_minor = _price(details.long, plan.currency, "long") if plan.long_cycle else None
    plan.tax_rate = decimal(details.tax_rate, "tax_rate", RATE_DECIMALS) if tidy(details.tax_rate) else None
    if plan.tax_rate is not None and not 0 <= plan.tax_rate <= 100:
        raise InvalidInput("A tax rate is between 0 and 100.", "tax_rate")
    _refuse_taken(plan)


def _price(text: str, currency: str, field: str) -> int:
    if not tidy(text):
        raise InvalidInput("Type a price.", field)
    try:
        minor = Money.read(dotted(text), currency).minor
    except InvalidInput as error:
        raise InvalidInput(error.sentence, field) from error
    if not 0 <= minor <= DEAREST:
        raise InvalidInput(f"A price is between 0 and {Money(DEAREST, currency)}.", field)
    return minor


def _refuse_taken(plan: Plan) -> None:
    query = sa.select(Plan).where(Plan.account_id == plan.account_id, Plan.title == plan.title)
    if plan.id is not None:
        query = query.where(Plan.id != plan.id)
    with db.session.no_autoflush:
        other = db.session.scalars(query).first()
    if other is not None:
        which = "An archived plan" if other.archived_at else "Another plan"
        raise InvalidInput(f"{which} has this title already.", "title")


def _flush() -> None:
    try:
        db.session.flush()
    except IntegrityError as error:
        raise Conflict("Somebody else took this title a moment ago. Save again.") from error


def _one(account: Account, plan_id: int) -> sa.Select[Plan]:
    return sa.select(Plan).where(Plan.account_id == account.id, Plan.id == plan_id)


def _found(plan: Plan | None) -> Plan:
    if plan is None:
        raise NotFound("There is no such plan.")
    return plan


def _archived(archived: bool) -> sa.ColumnElement[bool]:  # noqa: FBT001  # read as "archived or not"
    return Plan.archived_at.is_not(None) if archived else Plan.archived_at.is_(None)
