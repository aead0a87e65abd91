"""Subscriptions: taking a plan at today's prices, when its periods are billed, and how it ends. Never commits."""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal

import sqlalchemy as sa

from app import audit, clock
from app.billing import periods
from app.billing.models import Customer, CustomerStatus
from app.billing.subscription_models import Cycle, Plan, Subscription
from app.db import db
from app.errors import InvalidInput

FURTHEST = timedelta(days=366)  # how far from today a start or an end may be said


def of(customer: Customer) -> Subscription | None:
    """What a customer has now or is about to have; None without a plan."""
    return of_many([customer]).get(customer.id)


def of_many(customers: Sequence[Customer]) -> dict[int, Subscription]:
    """The same for several customers in one go, by customer id; those without a plan are left out."""
    query = sa.select(Subscription).where(Subscription.customer_id.in_([one.id for one in customers]))
    rows = db.session.scalars(query.order_by(Subscription.id)).all()
    today = {one.id: clock.today(one.location.timezone) for one in customers} if rows else {}
    return {row.customer_id: row for row in rows if row.ended_on is None or row.ended_on > today[row.customer_id]}


def take(
    customer: Customer, plan: Plan, cycle: Cycle, billing_starts_on: date, *, setup_fee: bool = True
) -> Subscription:
    """Give a customer a plan at the prices of now; not due before `begin`. What the customer had before ends.

    Raises `InvalidInput` for the field that cannot be taken.
    """
    if plan.archived_at is not None:
        raise InvalidInput(f"{plan.title} is archived. Choose another plan.", "plan")
    if cycle not in plan.cycles:
        raise InvalidInput(f"{plan.title} is not offered for such a cycle.", "cycle")
    if plan.currency != customer.location.currency:
        there = f"{customer.location.name} bills in {customer.location.currency}"
        raise InvalidInput(f"{plan.title} is priced in {plan.currency}, and {there}.", "plan")
    today = clock.today(customer.location.timezone)
    if abs(billing_starts_on - today) > FURTHEST:
        raise InvalidInput("Billing starts at most a year from today.", "billing_starts_on")
    before = of(customer)
    if before is not None:
        end(before, today)
    subscription = Subscription(
        account_id=customer.account_id,
        customer_id=customer.id,
        plan_id=plan.id,
        title=plan.title,
        cycle=cycle,
        currency=plan.currency,
        price_minor=plan.price(cycle).minor,
        setup_minor=plan.setup_minor if setup_fee else 0,
        recipient_minor=plan.recipient_minor,
        billing_starts_on=billing_starts_on,
        customer=customer,
        plan=plan,
    )
    db.session.add(subscription)
    db.session.flush()
    audit.record("plan_taken", customer, plan=plan.title, cycle=cycle.value, price=str(subscription.price))
    return subscription


def begin(subscription: Subscription) -> None:
    """The customer is active: the subscription falls due when its next period begins."""
    zone = subscription.customer.location.timezone
    subscription.nudged_at = None
    subscription.due_at = clock.start_of(subscription.next_period_on, zone) if subscription.bills_again else None


def pause(subscription: Subscription) -> None:
    """No period is billed until `resume`; the customer is locked."""
    subscription.due_at = None


def resume(subscription: Subscription) -> None:
    """Go on with the period that today belongs to; those that passed while it was paused are not billed."""
    today = clock.today(subscription.customer.location.timezone)
    current = periods.number_on(subscription.billing_starts_on, subscription.cycle.months, today)
    subscription.next_period = max(subscription.next_period, current)
    begin(subscription)


def period_ends_on(subscription: Subscription) -> date:
    """The first day after the period that is paid for: an end then costs nobody anything."""
    today = clock.today(subscription.customer.location.timezone)
    if today < subscription.billing_starts_on:
        return subscription.next_period_on
    current = periods.number_on(subscription.billing_starts_on, subscription.cycle.months, today)
    return max(subscription.starts_on(current + 1), subscription.next_period_on)


def end(subscription: Subscription, ended_on: date) -> None:
    """Bill no period that begins on `ended_on` or later. What was billed before stays as it is."""
    subscription.ended_on = ended_on
    if not subscription.bills_again:
        subscription.due_at = None


def keep(subscription: Subscription) -> None:
    """Take a planned end back; while the customer is not active, nothing is billed all the same."""
    subscription.ended_on = None
    if subscription.customer.status == CustomerStatus.ACTIVE:
        begin(subscription)


def tax_rate(subscription: Subscription) -> Decimal:
    """Percent that holds today: the plan's own rate, else that of the customer's location. Never frozen: it is law."""
    own = subscription.plan.tax_rate
    return subscription.customer.location.tax_rate if own is None else own
