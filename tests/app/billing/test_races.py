"""What holds when many processes want the same: one collector per invoice, one number per invoice, no gap."""

import contextlib
import multiprocessing
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask

from app.accounts.models import Account
from app.billing import collecting, csv_files, invoices, life, plans
from app.billing.collecting import PaidBy
from app.billing.jobs import bill_subscription
from app.billing.life import Terms
from app.billing.life_models import CustomerMove
from app.billing.lines import Line
from app.billing.models import Customer, CustomerStatus, Invoice, InvoiceLine, InvoiceMail
from app.billing.plans import PlanDetails
from app.billing.subscription_models import Cycle, Subscription
from app.config import Settings
from app.db import db, end_reading, unit_of_work
from app.errors import Conflict
from tests import make
from tests.cast import Cast

PROCESSES, INVOICES = 8, 25
SUBSCRIPTIONS = 25
BEGUN = datetime(2026, 11, 22, 12, tzinfo=UTC)
LATER = BEGUN + timedelta(days=70)
Work = Callable[[int, list[int]], list[int]]


def take_what_is_free(number: int, ids: list[int]) -> list[int]:
    """Try for every invoice as gateway, as a person or as a plugin, each process in an order of its own."""
    won = []
    for invoice_id in ids[number:] + ids[:number]:
        with unit_of_work():
            if number % 3 == 0:
                mine = collecting.collect(invoice_id)
            elif number % 3 == 1:
                mine = pay_by_hand(invoice_id)
            else:
                mine = collecting.claim(invoice_id, "nexudus")
        if mine:
            won.append(invoice_id)
    return won


def pay_by_hand(invoice_id: int) -> bool:
    try:
        collecting.mark_paid_by_hand(db.session.get_one(Invoice, invoice_id), PaidBy.CASH)
    except Conflict:
        return False
    return True


def write_invoices(number: int, ids: list[int]) -> list[int]:
    """Write some invoices for the one customer; the first of three attempts fails after its number was taken."""
    for attempt in range(9):
        with contextlib.suppress(ZeroDivisionError), unit_of_work():
            account, customer = db.session.get_one(Account, ids[0]), db.session.get_one(Customer, ids[1])
            invoices.create(account, customer, [Line("Storage", Decimal(1), 1000, Decimal(23))])
            _ = 1 / (attempt % 3)
    return []


def import_or_write(number: int, ids: list[int]) -> list[int]:
    """Half the processes import numbers of the account's own kind, ahead of it; the others take the next ones."""
    for step in range(6):
        with unit_of_work():
            account, customer = db.session.get_one(Account, ids[0]), db.session.get_one(Customer, ids[1])
            if number % 2 == 0:
                invoices.create(account, customer, [Line("Storage", Decimal(1), 1000, Decimal(23))])
                continue
            take_number(account, customer, f"{account.invoice_prefix}-{2000 - 20 * step + number}")
    return []


def take_number(account: Account, customer: Customer, number: str) -> None:
    cells = dict.fromkeys(csv_files.INVOICE_COLUMNS, "")
    cells |= {"number": number, "customer_email": customer.email, "line_description": "Storage", "unit_price": "10"}
    csv_files.take_invoices(account, [[csv_files.Row(2, cells)]], csv_files.Outcome())


def add_lines_or_take(number: int, ids: list[int]) -> list[int]:
    """Half the processes add lines, the other half collect; nobody may add to what is collected."""
    won = []
    for invoice_id in ids:
        with unit_of_work():
            if number % 2 == 0:
                if collecting.claim(invoice_id, "nexudus"):
                    won.append(db.session.get_one(Invoice, invoice_id, populate_existing=True).total_minor)
                continue
            try:
                account = db.session.scalars(sa.select(Account).where(Account.slug == "acme")).one()
                row = invoices.locked(account, invoice_id)
                invoices.extend(row, Line("Parcel", Decimal(1), 100, Decimal(0)))
            except Conflict:
                continue
    return won


def activate_everybody(number: int, ids: list[int]) -> list[int]:
    """Activate all customers, each process in an order of its own; answers whom it activated."""
    won = []
    for customer_id in ids[number:] + ids[:number]:
        with unit_of_work() as session:
            if life.activate(session.get_one(Customer, customer_id, with_for_update=True)):
                won.append(customer_id)
    return won


def bill_fees(number: int, ids: list[int]) -> list[int]:
    """Run the job of every subscription, seventy days after all began, each process in an order of its own."""
    with time_machine.travel(LATER):
        for subscription_id in ids[number:] + ids[:number]:
            bill_subscription(subscription_id)
    return []


def run_apart(settings: Settings, work: Work, number: int, ids: list[int], start: Barrier, out: "Queue[Any]") -> None:
    from app import create_app  # in a process of its own

    with create_app(settings).app_context():
        start.wait(60)
        out.put(work(number, ids))
        db.engine.dispose()


def race(app: Flask, work: Work, ids: list[int]) -> list[list[int]]:
    """Let all processes do `work` at the same moment; answers what each brought back."""
    end_reading()
    context = multiprocessing.get_context("spawn")
    start, out = context.Barrier(PROCESSES), context.Queue()
    settings = app.config["SETTINGS"].model_copy(update={"plugins": ()})
    processes = [
        context.Process(target=run_apart, args=(settings, work, number, ids, start, out)) for number in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    results = [out.get(timeout=120) for _ in processes]
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * PROCESSES
    return results


@pytest.mark.processes
def test_eight_processes_collect_each_invoice_once(app: Flask, cast: Cast) -> None:
    customer = make.customer(cast.acme)
    ids = [make.invoice(customer).id for _ in range(INVOICES)]

    won = race(app, take_what_is_free, ids)

    assert sorted(invoice_id for mine in won for invoice_id in mine) == sorted(ids)
    assert db.session.scalar(sa.select(sa.func.count()).where(Invoice.collector.is_(None))) == 0


@pytest.mark.processes
def test_eight_processes_number_invoices_without_gap_or_repeat(app: Flask, cast: Cast) -> None:
    customer = make.customer(cast.acme)

    race(app, write_invoices, [cast.acme.id, customer.id])

    numbers = sorted(int(number.split("-")[1]) for number in db.session.scalars(sa.select(Invoice.number)))
    assert numbers == list(range(1001, 1001 + PROCESSES * 6))


@pytest.mark.processes
def test_eight_processes_bill_each_period_of_each_subscription_once(app: Flask, cast: Cast) -> None:
    ids = [make.customer(cast.acme, status=CustomerStatus.INACTIVE).id for _ in range(SUBSCRIPTIONS)]
    with time_machine.travel(BEGUN), unit_of_work() as session:
        plan = plans.add(session.merge(cast.acme), PlanDetails(title="Business 12", kind="business", monthly="39.00"))
        for customer_id in ids:
            life.activate(session.get_one(Customer, customer_id), Terms(plan, Cycle.MONTHLY, BEGUN.date()))
    subscriptions = list(db.session.scalars(sa.select(Subscription.id).order_by(Subscription.id)))

    race(app, bill_fees, subscriptions)

    billed = db.session.execute(sa.select(Invoice.subscription_id, Invoice.period_from, Invoice.total_minor)).all()
    firsts = (date(2026, 11, 22), date(2026, 12, 22), date(2027, 1, 22))
    assert sorted(billed) == sorted((one, first, 3900) for one in subscriptions for first in firsts)
    numbers = sorted(int(number.split("-")[1]) for number in db.session.scalars(sa.select(Invoice.number)))
    assert numbers == list(range(1001, 1001 + 3 * SUBSCRIPTIONS))
    mailed = db.session.scalars(sa.select(InvoiceMail.invoice_id)).all()
    assert len(mailed) == len(set(mailed)) == 3 * SUBSCRIPTIONS


@pytest.mark.processes
def test_imports_and_new_invoices_never_meet_at_a_number(app: Flask, cast: Cast) -> None:
    customer = make.customer(cast.acme)

    race(app, import_or_write, [cast.acme.id, customer.id])

    db.session.rollback()
    numbers = [int(number.split("-")[1]) for number in db.session.scalars(sa.select(Invoice.number))]
    assert len(numbers) == len(set(numbers)) > PROCESSES // 2 * 6
    assert cast.acme.next_invoice_number == max(numbers) + 1


@pytest.mark.parametrize("database_url", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True)
def test_an_import_that_had_to_wait_counts_on_from_what_others_imported_meanwhile(app: Flask, cast: Cast) -> None:
    customer_id, account_id = make.customer(cast.acme).id, cast.acme.id

    def import_one(number: str) -> None:
        with app.app_context(), unit_of_work() as session:
            take_number(session.get_one(Account, account_id), session.get_one(Customer, customer_id), number)

    with unit_of_work() as session:
        account, customer = session.get_one(Account, account_id), session.get_one(Customer, customer_id)
        elsewhere = threading.Thread(target=import_one, args=("A-3000",))
        elsewhere.start()
        elsewhere.join()
        take_number(account, customer, "A-2000")

    assert db.session.get_one(Account, account_id).next_invoice_number == 3001


@pytest.mark.processes
def test_no_line_is_added_once_somebody_collects(app: Flask, cast: Cast) -> None:
    customer = make.customer(cast.acme)
    ids = [make.invoice(customer).id for _ in range(INVOICES)]

    frozen = race(app, add_lines_or_take, ids)

    assert sum(map(len, frozen)) == INVOICES
    assert sum(sum(totals) for totals in frozen) == db.session.scalar(sa.select(sa.func.sum(Invoice.total_minor)))
    lines = sa.select(sa.func.sum(InvoiceLine.net_minor + InvoiceLine.tax_minor))
    assert db.session.scalar(lines) == db.session.scalar(sa.select(sa.func.sum(Invoice.total_minor)))


@pytest.mark.processes
def test_eight_processes_activate_each_customer_once_with_a_number_of_its_own(app: Flask, cast: Cast) -> None:
    ids = [make.customer(cast.acme, status=CustomerStatus.INACTIVE).id for _ in range(INVOICES)]

    won = race(app, activate_everybody, ids)

    assert sorted(customer_id for mine in won for customer_id in mine) == sorted(ids)
    numbers = list(db.session.scalars(sa.select(Customer.mailbox_number)))
    assert sorted(map(str, numbers)) == [str(1001 + place) for place in range(INVOICES)]
    assert db.session.scalar(sa.select(sa.func.count()).select_from(CustomerMove)) == INVOICES
