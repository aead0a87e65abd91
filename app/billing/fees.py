"""Subscription fees: one invoice per period, in advance, however often and in how many processes billing runs.

A period is billed when its first day begins at the customer's location, at the prices that the customer took the
plan at. What was missed is made up, one invoice per period. Nothing here commits.
"""

from datetime import date, timedelta
from decimal import Decimal

import sqlalchemy as sa

from app import clock
from app.accounts.models import Account
from app.billing import invoice_mails, invoices, subscriptions
from app.billing.life_models import Recipient, Standing
from app.billing.lines import Line
from app.billing.models import Customer, CustomerStatus, Invoice
from app.billing.subscription_models import Subscription
from app.db import changed_one, db

AT_ONCE = 24  # periods in one unit of work; the subscription stays due for the rest
NAMES_SHOWN = 200  # characters


def bill(subscription: Subscription) -> list[Invoice]:
    """Write the invoices of all periods that have begun and were not billed, and say when to look again.

    The customer must be locked. Somebody who is not active is billed nothing: who is activated or unlocked
    later is due again then.
    """
    if subscription.customer.status != CustomerStatus.ACTIVE:
        subscriptions.pause(subscription)
        return []
    today, written = clock.today(subscription.customer.location.timezone), []
    for _ in range(AT_ONCE):
        if not subscription.bills_again or subscription.next_period_on > today:
            break
        invoice = _bill_next(subscription, today)
        if invoice is not None:
            written.append(invoice)
    subscriptions.begin(subscription)
    return written


def _bill_next(subscription: Subscription, today: date) -> Invoice | None:
    """Take the next period and write its invoice; None where it costs nothing."""
    number, begins = subscription.next_period, subscription.next_period_on
    if not _taken(subscription, number):
        return None
    ends = subscription.starts_on(number + 1) - timedelta(days=1)
    lines = _lines(subscription, begins, ends)
    if not lines:
        return None
    account = db.session.get_one(Account, subscription.account_id)
    invoice = invoices.create(
        account,
        subscription.customer,
        lines,
        currency=subscription.currency,
        due_on=max(begins, today) + timedelta(days=account.payment_days),
        period=invoices.Period(subscription.id, begins, ends),
    )
    if account.mails_invoices:
        invoice_mails.ask_by_itself(invoice)
    return invoice


def _taken(subscription: Subscription, number: int) -> bool:
    """Count on from period `number`, which only one can; the customer's lock should see to that already."""
    won = changed_one(
        sa.update(Subscription)
        .where(Subscription.id == subscription.id, Subscription.next_period == number)
        .values(next_period=number + 1)
        .execution_options(synchronize_session=False)
    )
    db.session.refresh(subscription, ["next_period"])
    return won


def _lines(subscription: Subscription, begins: date, ends: date) -> list[Line]:
    rate, days = subscriptions.tax_rate(subscription), span(begins, ends)
    lines = []
    if subscription.setup_minor and not _was_billed(subscription):
        lines.append(Line(f"Setup of {subscription.title}", Decimal(1), subscription.setup_minor, rate))
    if subscription.price_minor:
        lines.append(Line(f"{subscription.title}, {days}", Decimal(1), subscription.price_minor, rate))
    for price, names in _paid_recipients(subscription, begins).items():
        who = ", ".join(names)
        shown = who if len(who) <= NAMES_SHOWN else f"{len(names)} recipients"
        months = Decimal(len(names) * subscription.cycle.months)
        lines.append(Line(f"Extra recipients ({shown}), per month, {days}", months, price, rate))
    return lines


def _was_billed(subscription: Subscription) -> bool:
    billed = sa.select(Invoice.id).where(Invoice.subscription_id == subscription.id).limit(1)
    return db.session.scalar(billed) is not None


def _paid_recipients(subscription: Subscription, begins: date) -> dict[int, list[str]]:
    """Names by price per month; who was added after the first day of a period is billed from the next one on."""
    customer: Customer = subscription.customer
    rows = db.session.scalars(
        sa.select(Recipient)
        .where(
            Recipient.customer_id == customer.id,
            Recipient.standing == Standing.PAID,
            Recipient.currency == subscription.currency,
            Recipient.price_minor > 0,
            Recipient.added_at < clock.start_of(begins + timedelta(days=1), customer.location.timezone),
        )
        .order_by(Recipient.price_minor, Recipient.id)
    )
    found: dict[int, list[str]] = {}
    for row in rows:
        found.setdefault(row.price_minor, []).append(row.name)
    return found


def span(begins: date, ends: date) -> str:
    """Such as "1 March to 31 March 2026", with both years where they differ."""
    first = f"{begins.day} {begins:%B}" if begins.year == ends.year else f"{begins.day} {begins:%B %Y}"
    return f"{first} to {ends.day} {ends:%B %Y}"
