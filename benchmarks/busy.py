"""Two workers that have their hands full: they write the fees of an account's subscriptions, one after the other."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta

import sqlalchemy as sa

from app import clock
from app.billing.models import Customer, Invoice
from app.billing.subscription_models import Cycle, Plan, PlanKind, Subscription
from app.db import db, unit_of_work
from app.embedded import embedded_server
from benchmarks.programs import environment, listening, program, stamped, wait
from benchmarks.stage import Stage, customer_rows, insert

WORKERS = 2
SUBSCRIPTIONS = 2_000
PERIODS = 36  # a ring writes all that are owed: three years of months


@contextmanager
def busy_workers(stage: Stage) -> Iterator[None]:
    """Workers that write invoices of another account on the same database while the block lasts."""
    _fill(stage)
    with ExitStack() as stack:
        stack.enter_context(stamped())
        redis = stack.enter_context(embedded_server())
        around = environment(stage, redis.url)
        for _ in range(WORKERS):
            stack.enter_context(program(around, "worker", "default"))
        wait(lambda: listening(redis.url) >= WORKERS)
        stack.enter_context(program(around, "sweep"))
        before = _written(stage)
        wait(lambda: _written(stage) > before)
        yield
        assert _owed(stage), "the workers ran out of work: nobody was busy in the end"


def _fill(stage: Stage) -> None:
    account, location = stage.cast.zenith, stage.cast.zenith.locations[0]
    insert(
        Customer,
        (
            {**row, "account_id": account.id, "location_id": location.id}
            for row in customer_rows(stage.cast, SUBSCRIPTIONS)
        ),
    )
    with unit_of_work() as session:
        prices = {"currency": location.currency, "monthly_minor": 1900}
        plan = Plan(account_id=account.id, title="Desk", kind=PlanKind.BUSINESS, **prices)
        session.add(plan)
        session.flush()
        plan_id, currency = plan.id, plan.currency
    ids = list(db.session.scalars(sa.select(Customer.id).where(Customer.account_id == account.id)))
    db.session.rollback()
    now = clock.now()
    insert(
        Subscription,
        (
            {
                "account_id": account.id,
                "customer_id": customer_id,
                "plan_id": plan_id,
                "title": "Desk",
                "cycle": Cycle.MONTHLY,
                "currency": currency,
                "price_minor": 1900,
                "setup_minor": 0,
                "recipient_minor": 0,
                "billing_starts_on": (now - timedelta(days=PERIODS * 30)).date(),
                "due_at": now,
            }
            for customer_id in ids
        ),
    )


def _written(stage: Stage) -> int:
    found = db.session.scalar(sa.select(sa.func.count(Invoice.id)).where(Invoice.account_id == stage.cast.zenith.id))
    db.session.rollback()
    return int(found or 0)


def _owed(stage: Stage) -> int:
    found = db.session.scalar(sa.select(sa.func.count(Subscription.id)).where(Subscription.due_at <= clock.now()))
    db.session.rollback()
    return int(found or 0)
