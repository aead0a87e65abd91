"""What the page of the day shows, from billing and from every plugin that is on; and the first steps of an account."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, TypeVar

import sqlalchemy as sa
import structlog

from app import clock
from app.access import Role
from app.accounts.models import Account, Membership
from app.billing.models import Customer, Invoice, InvoiceStatus
from app.billing.subscription_models import Plan, Subscription
from app.charts import Bar, BarChart, Chart, Series
from app.db import db, end_reading
from app.installations.services import active_installations, blocks
from app.money import Money
from app.plugin import Coming

log = structlog.get_logger()

MONTHS = 6
FIRST_STEPS_TAKE = timedelta(days=30)
INVOICES = (
    Series("closed", "handed over", "there"),
    Series("paid", "paid here", "paid"),
    Series("pending", "waiting", "waiting"),
)
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Step:
    """One of the first steps in a new account."""

    title: str
    text: str
    is_done: bool
    label: str
    endpoint: str
    values: dict[str, Any]


def coming(account: Account, role: Role) -> list[Coming]:
    """What happens next, the soonest first."""
    found = _renewals(account)
    for plugin, installation in active_installations(account.id):
        if plugin.coming is not None:
            found += _asked(plugin.coming, installation, plugin.name)
    return sorted((one for one in found if role in one.roles), key=lambda one: one.at)


def charts(account: Account) -> list[Chart]:
    """How things stand: invoices by month, then what the plugins draw."""
    found: list[Chart] = [_invoices_by_month(account)]
    for plugin, installation in active_installations(account.id):
        if plugin.charts is not None:
            found += _asked(plugin.charts, installation, plugin.name)
    return found


def first_steps(account: Account, role: Role) -> list[Step]:
    """What a new account does first, each ticked once it is done.

    Empty when all of it is, for an account that has worked for a month without, and for who may not.
    """
    if role != Role.OPERATOR or _is_settled(account):
        return []
    steps = [
        Step(
            "Offer a plan",
            "What customers take: a price a month, and one for longer.",
            _any(Plan, account),
            "Add a plan",
            "billing.new_plan",
            {},
        ),
        Step(
            "Add a customer",
            "By hand, or many at once from a CSV file.",
            _any(Customer, account),
            "Add a customer",
            "billing.new_customer",
            {},
        ),
        Step(
            "Write an invoice", "From a customer's page.", _any(Invoice, account), "Customers", "billing.customers", {}
        ),
        *(
            Step(
                f"Set up {block.plugin.title}",
                block.plugin.summary,
                block.state.word not in {"off", "not_set_up"},
                "Set up",
                "installations.choose",
                {"name": block.plugin.name},
            )
            for block in blocks(account)
        ),
        Step(
            "Invite somebody",
            "Another Operator can help when you are away.",
            _count(Membership, account) > 1,
            "Staff",
            "accounts.staff",
            {},
        ),
    ]
    return [] if all(step.is_done for step in steps) else steps


def _renewals(account: Account) -> list[Coming]:
    """The next day on which subscriptions renew: how many, and what they come to without tax."""
    first = db.session.scalar(
        sa.select(sa.func.min(Subscription.due_at)).where(
            Subscription.account_id == account.id, Subscription.due_at.is_not(None)
        )
    )
    if first is None:
        return []
    day = clock.local(first, account.timezone).date()
    rows = db.session.execute(
        sa.select(Subscription.currency, sa.func.count(), sa.func.sum(Subscription.price_minor))
        .where(
            Subscription.account_id == account.id,
            Subscription.due_at < clock.start_of(day + timedelta(days=1), account.timezone),
        )
        .group_by(Subscription.currency)
        .order_by(Subscription.currency)
    ).all()
    count = sum(row[1] for row in rows)
    return [
        Coming(
            first,
            "Subscriptions renew",
            ", ".join(str(Money(int(total), currency)) for currency, _, total in rows),
            "1 invoice is made, without tax" if count == 1 else f"{count} invoices are made, without tax",
            "See the plans",
            "billing.plans",
        )
    ]


def _invoices_by_month(account: Account) -> BarChart:
    zone = account.timezone
    months = _last_months(clock.today(zone))
    starts = [clock.start_of(month, zone) for month in months]
    bucket = sa.case(
        *((Invoice.created_at < following, number) for number, following in enumerate(starts[1:])),
        else_=MONTHS - 1,
    )
    rows = db.session.execute(
        sa.select(bucket, Invoice.status, sa.func.count())
        .where(
            Invoice.account_id == account.id,
            Invoice.created_at >= starts[0],
            Invoice.status.in_([InvoiceStatus(series.key) for series in INVOICES]),
        )
        .group_by(bucket, Invoice.status)
    )
    counts: list[dict[str, int]] = [dict.fromkeys((series.key for series in INVOICES), 0) for _ in months]
    for number, status, count in rows:
        counts[number][status.value] = count
    return BarChart(
        "Invoices by month",
        INVOICES,
        [
            Bar(f"{month:%b}", values, str(sum(values.values()) or ""), is_open=month == months[-1])
            for month, values in zip(months, counts, strict=True)
        ],
    )


def _last_months(today: date) -> list[date]:
    """The first days of the last months, this one included, the oldest first."""
    month = today.replace(day=1)
    found = [month]
    while len(found) < MONTHS:
        month = (month - timedelta(days=1)).replace(day=1)
        found.append(month)
    return found[::-1]


def _asked(tell: Callable[[Any], Sequence[Item]], installation: Any, plugin: str) -> Sequence[Item]:
    """What a plugin tells; its fault leaves a gap and a log line, not a broken page."""
    try:
        return tell(installation)
    except Exception:
        log.exception("plugin_tells_nothing", plugin=plugin)
        end_reading()
        return ()


def _is_settled(account: Account) -> bool:
    return _any(Invoice, account, Invoice.created_at < clock.now() - FIRST_STEPS_TAKE)


def _any(model: Any, account: Account, *conditions: sa.ColumnElement[bool]) -> bool:
    query = sa.select(model.id).where(model.account_id == account.id, *conditions).limit(1)
    return db.session.scalar(query) is not None


def _count(model: Any, account: Account) -> int:
    return int(db.session.scalar(sa.select(sa.func.count()).where(model.account_id == account.id)) or 0)
