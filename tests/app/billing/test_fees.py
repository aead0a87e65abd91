"""Fees of subscriptions: each period once, at the right prices, for those alone who are served."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine
from sqlalchemy.exc import IntegrityError

from app import clock
from app.billing import fees, invoice_mails, life, plans, subscriptions
from app.billing.jobs import bill_subscription
from app.billing.life import Terms
from app.billing.life_models import Recipient, Standing
from app.billing.models import Customer, CustomerStatus, Invoice
from app.billing.plans import PlanDetails
from app.billing.subscription_models import Cycle, Plan, Subscription
from app.db import db, unit_of_work
from app.work import sweep_once
from tests import make
from tests.cast import Cast
from tests.visitors import HeardBell

NOON = "2026-11-22T12:00:00Z"


def plan(cast: Cast, **said: Any) -> Plan:
    usual = {"title": "Business 12", "kind": "business", "monthly": "39.00", "long_cycle": "yearly", "long": "420"}
    with unit_of_work():
        return plans.add(cast.acme, PlanDetails(**{**usual, **said}))


def activate(
    customer: Customer, plan: Plan, starts_on: date, cycle: Cycle = Cycle.MONTHLY, *, setup_fee: bool = True
) -> Subscription:
    with unit_of_work():
        row = db.session.get_one(Customer, customer.id)
        life.activate(row, Terms(plan, cycle, starts_on, setup_fee))
        subscription = subscriptions.of(row)
    assert subscription
    return subscription


@pytest.fixture
def customer(cast: Cast) -> Customer:
    return make.customer(cast.acme, status=CustomerStatus.INACTIVE)


def periods() -> list[tuple[date | None, date | None]]:
    rows = db.session.execute(sa.select(Invoice.period_from, Invoice.period_until).order_by(Invoice.period_from))
    return [(first, last) for first, last in rows]


@time_machine.travel(NOON, tick=False)
def test_a_period_is_billed_once_however_often_the_job_runs(cast: Cast, customer: Customer, bell: HeardBell) -> None:
    subscription = activate(customer, plan(cast), date(2026, 11, 22))

    for _ in range(3):
        sweep_once()
        bell.answer()
        bill_subscription(subscription.id)

    assert periods() == [(date(2026, 11, 22), date(2026, 12, 21))]
    invoice = db.session.scalars(sa.select(Invoice)).one()
    assert (invoice.number, invoice.due_on, str(invoice.total)) == ("A-1001", date(2026, 11, 22), "€39.00")
    assert [line.description for line in invoice.lines] == ["Business 12, 22 November to 21 December 2026"]
    assert subscription.due_at == clock.start_of(date(2026, 12, 22), "Europe/Lisbon")


def test_gaps_are_made_up_with_an_invoice_per_period(cast: Cast, customer: Customer) -> None:
    with time_machine.travel(NOON, tick=False):
        subscription = activate(customer, plan(cast), date(2027, 1, 31))

    with time_machine.travel("2027-04-01T00:00:00Z", tick=False):
        bill_subscription(subscription.id)

    assert periods() == [
        (date(2027, 1, 31), date(2027, 2, 27)),
        (date(2027, 2, 28), date(2027, 3, 30)),
        (date(2027, 3, 31), date(2027, 4, 29)),
    ]
    dues = set(db.session.scalars(sa.select(Invoice.due_on)))
    assert dues == {date(2027, 4, 1)}  # nobody is late before they were told


def test_a_long_gap_is_made_up_in_slices(cast: Cast, customer: Customer) -> None:
    with time_machine.travel(NOON, tick=False):
        subscription = activate(customer, plan(cast), date(2026, 11, 22))
    with time_machine.travel("2029-11-22T12:00:00Z", tick=False):
        bill_subscription(subscription.id)
        assert len(periods()) == fees.AT_ONCE
        assert subscription.due_at
        assert subscription.due_at < clock.now()
        bill_subscription(subscription.id)

    assert len(periods()) == 37
    assert len(set(periods())) == 37


@time_machine.travel(NOON, tick=False)
def test_the_database_itself_refuses_a_second_invoice_for_a_period(cast: Cast, customer: Customer) -> None:
    subscription = activate(customer, plan(cast), date(2026, 11, 22))
    bill_subscription(subscription.id)

    with pytest.raises(IntegrityError), unit_of_work():
        subscription.next_period, subscription.due_at = 0, clock.now()
        fees.bill(subscription)


@time_machine.travel(NOON, tick=False)
def test_the_setup_fee_comes_with_the_first_period_alone(cast: Cast, customer: Customer) -> None:
    subscription = activate(customer, plan(cast, setup="25", tax_rate="23"), date(2026, 10, 22))

    bill_subscription(subscription.id)

    totals = db.session.scalars(sa.select(Invoice).order_by(Invoice.period_from)).all()
    assert [[line.description for line in one.lines][:1] for one in totals] == [
        ["Setup of Business 12"],
        ["Business 12, 22 November to 21 December 2026"],
    ]
    assert [str(one.total) for one in totals] == ["€78.72", "€47.97"]


@time_machine.travel(NOON, tick=False)
def test_a_waived_setup_fee_is_not_billed(cast: Cast, customer: Customer) -> None:
    subscription = activate(customer, plan(cast, setup="25"), date(2026, 11, 22), setup_fee=False)

    bill_subscription(subscription.id)

    assert str(db.session.scalars(sa.select(Invoice)).one().total) == "€39.00"


@time_machine.travel(NOON, tick=False)
def test_paid_recipients_are_billed_for_each_month_of_the_period(cast: Cast, customer: Customer) -> None:
    subscription = activate(customer, plan(cast), date(2026, 11, 22), Cycle.YEARLY)
    with unit_of_work() as rows:
        for name, standing, price in (
            ("Ada", Standing.PAID, 500),
            ("Bo", Standing.PAID, 500),
            ("Cy", Standing.FREE, 0),
            ("Di", Standing.INACTIVE, 0),
        ):
            rows.add(
                Recipient(
                    account_id=cast.acme.id,
                    customer_id=customer.id,
                    name=name,
                    standing=standing,
                    price_minor=price,
                    currency="EUR",
                )
            )

    bill_subscription(subscription.id)

    invoice = db.session.scalars(sa.select(Invoice)).one()
    assert [(line.quantity, line.unit_minor) for line in invoice.lines] == [(Decimal(1), 42000), (Decimal(24), 500)]
    assert "Ada, Bo" in invoice.lines[1].description


@time_machine.travel(NOON, tick=False)
def test_a_recipient_who_came_during_a_period_is_billed_from_the_next_one(cast: Cast, customer: Customer) -> None:
    subscription = activate(customer, plan(cast), date(2026, 10, 22))
    with unit_of_work() as rows:
        rows.add(
            Recipient(
                account_id=cast.acme.id,
                customer_id=customer.id,
                name="Ada",
                standing=Standing.PAID,
                price_minor=500,
                currency="EUR",
                added_at=clock.now(),
            )
        )

    bill_subscription(subscription.id)

    invoices = db.session.scalars(sa.select(Invoice).order_by(Invoice.period_from)).all()
    assert [len(one.lines) for one in invoices] == [1, 2]


@pytest.mark.parametrize("rate", [None, "0", "9.5"])
@time_machine.travel(NOON, tick=False)
def test_tax_is_the_plans_own_or_the_locations(cast: Cast, rate: str | None, customer: Customer) -> None:
    with unit_of_work():
        db.session.merge(customer.location).tax_rate = Decimal(23)
    subscription = activate(customer, plan(cast, tax_rate=rate or ""), date(2026, 11, 22))

    bill_subscription(subscription.id)

    line = db.session.scalars(sa.select(Invoice)).one().lines[0]
    assert line.tax_rate == Decimal(rate or "23")


@pytest.mark.parametrize(
    "status",
    [
        CustomerStatus.LEAD,
        CustomerStatus.INACTIVE,
        CustomerStatus.SCHEDULED,
        CustomerStatus.LOCKED,
        CustomerStatus.CANCELLED,
    ],
)
@time_machine.travel(NOON, tick=False)
def test_nobody_is_billed_who_is_not_active(cast: Cast, customer: Customer, status: CustomerStatus) -> None:
    subscription = activate(customer, plan(cast), date(2026, 11, 22))
    with unit_of_work():
        db.session.get_one(Customer, customer.id).status = status

    bill_subscription(subscription.id)

    assert periods() == []
    assert subscription.due_at is None


def test_a_locked_time_is_not_billed_and_unlocking_goes_on(cast: Cast, customer: Customer, bell: HeardBell) -> None:
    with time_machine.travel(NOON, tick=False):
        subscription = activate(customer, plan(cast), date(2026, 11, 22))
        bill_subscription(subscription.id)
        with unit_of_work():
            life.lock(db.session.get_one(Customer, customer.id), "four attempts failed")
    with time_machine.travel("2027-02-25T12:00:00Z", tick=False):
        bill_subscription(subscription.id)
        with unit_of_work():
            life.unlock(db.session.get_one(Customer, customer.id))
        bill_subscription(subscription.id)

    assert [first for first, _ in periods()] == [date(2026, 11, 22), date(2027, 2, 22)]


def test_a_cancelled_subscription_ends_with_its_day(cast: Cast, customer: Customer) -> None:
    with time_machine.travel(NOON, tick=False):
        subscription = activate(customer, plan(cast), date(2026, 11, 22))
        with unit_of_work():
            life.cancel(db.session.get_one(Customer, customer.id), date(2027, 1, 22))
    with time_machine.travel("2027-06-01T12:00:00Z", tick=False):
        bill_subscription(subscription.id)

    assert [first for first, _ in periods()] == [date(2026, 11, 22), date(2026, 12, 22)]
    assert subscription.due_at is None


@time_machine.travel(NOON, tick=False)
def test_a_period_that_costs_nothing_has_no_invoice(cast: Cast, customer: Customer) -> None:
    subscription = activate(customer, plan(cast, monthly="0"), date(2026, 11, 22))

    bill_subscription(subscription.id)

    assert periods() == []
    assert subscription.next_period == 1
    assert db.session.get_one(type(cast.acme), cast.acme.id).next_invoice_number == 1001


def test_the_day_begins_where_the_customers_location_is(cast: Cast) -> None:
    far = make.location(cast.acme, "Auckland", timezone="Pacific/Auckland", currency="NZD", country="NZ")
    customer = make.customer(cast.acme, status=CustomerStatus.INACTIVE, location=far)
    with time_machine.travel(NOON, tick=False):
        subscription = activate(customer, plan(cast, currency="NZD"), date(2026, 12, 1))
        assert subscription.due_at == clock.start_of(date(2026, 12, 1), "Pacific/Auckland")
    with time_machine.travel("2026-11-30T11:30:00Z", tick=False):
        bill_subscription(subscription.id)

    invoice = db.session.scalars(sa.select(Invoice)).one()
    assert (invoice.currency, invoice.period_from) == ("NZD", date(2026, 12, 1))


@time_machine.travel(NOON, tick=False)
def test_a_new_fee_is_mailed_unless_the_account_does_not_want_it(cast: Cast, bell: HeardBell) -> None:
    business = plan(cast)
    bill_subscription(activate(make.customer(cast.acme, status=CustomerStatus.LEAD), business, date(2026, 11, 22)).id)
    with unit_of_work():
        db.session.merge(cast.acme).mails_invoices = False
    bill_subscription(activate(make.customer(cast.acme, status=CustomerStatus.LEAD), business, date(2026, 11, 22)).id)

    first, second = db.session.scalars(sa.select(Invoice).order_by(Invoice.id)).all()
    assert [len(invoice_mails.of(one)) for one in (first, second)] == [1, 0]
