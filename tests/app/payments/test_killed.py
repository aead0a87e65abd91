"""Processes killed with -9 at every point of a charge, lost answers, and eight processes that want the same."""

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from app import clock, effects
from app.billing import collecting
from app.billing.collecting import PaidBy
from app.billing.models import Customer, Invoice
from app.config import Settings
from app.db import db, end_reading, unit_of_work
from app.effects import CRASH_POINTS, Intent
from app.errors import Conflict, OutcomeUnknown
from app.money import Money
from app.payments import asking, charging, gateways, refunds
from app.payments.models import Charge, ChargeState, Collection, Gateway, Refund, RefundState, SavedCard
from app.payments.provider import Asked, Outcome
from app.payments.test_gateway import TestGateway
from tests import make
from tests.app.payments.conftest import charge_now, charges_of, collection_of
from tests.cast import Cast
from tests.visitors import HeardBell

PROCESSES, INVOICES = 8, 12
LeaveCard = Callable[..., SavedCard]
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
# A clean process that has imported the product; each worker is forked from it, as RQ forks its work horses.
workers = multiprocessing.get_context("forkserver")
workers.set_forkserver_preload(["app", __name__])


@pytest.fixture
def customer(cast: Cast) -> Customer:
    return make.customer(cast.acme)


def plain(app: Flask) -> Settings:
    settings: Settings = app.config["SETTINGS"]
    return settings.model_copy(update={"plugins": ()})


def die_at(settings: Settings, point: str, deed: Callable[[int], None], row_id: int) -> None:
    """What a worker does, until `kill -9`."""
    from app import create_app  # in a process of its own

    def kill(at: str) -> None:
        if at == point:
            os.kill(os.getpid(), signal.SIGKILL)

    with create_app(settings).app_context():
        effects.crash_point = kill  # type: ignore[assignment]  # its parameter has another name
        deed(row_id)


def killed_at(app: Flask, point: str, deed: Callable[[int], None], row_id: int) -> None:
    end_reading()
    process = workers.Process(target=die_at, args=(plain(app), point, deed, row_id))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    model = Collection if deed is charging.work_on else Refund
    with unit_of_work() as session:  # what a dead process held is free once its time is up
        session.execute(
            sa.update(model).where(model.id == row_id).values(lease_until=clock.now() - timedelta(seconds=1))
        )


def taken(bank: TestGateway, *invoices: Invoice) -> list[int]:
    """Every payment the gateway made for these, whatever we know of it."""
    numbers = [invoice.number for invoice in invoices]
    end_reading()
    found = [one for one in bank.payments() if one["verdict"] == "paid"]
    return [one["minor"] for one in found if one["description"].rpartition(" ")[2] in numbers]


@pytest.mark.processes
@pytest.mark.parametrize("point", CRASH_POINTS)
def test_killed_anywhere_in_a_charge_the_money_is_taken_once(
    app: Flask, customer: Customer, leave_card: LeaveCard, bank: TestGateway, point: str
) -> None:
    leave_card(customer)
    invoice = make.invoice(customer, number=f"K-{point}-{os.urandom(4).hex()}")
    collection_id = charge_now(invoice)

    killed_at(app, point, charging.work_on, collection_id)
    assert collection_of(invoice).due_at is not None, "the sweep finds it again"
    end_reading()
    charging.work_on(collection_id)

    db.session.rollback()
    assert (invoice.status, len(charges_of(invoice))) == ("paid", 1)
    assert taken(bank, invoice) == [1230]


@on_sqlite
@pytest.mark.processes
@pytest.mark.parametrize("point", CRASH_POINTS)
def test_killed_anywhere_in_a_refund_the_money_goes_back_once(
    app: Flask, customer: Customer, leave_card: LeaveCard, bank: TestGateway, point: str
) -> None:
    leave_card(customer)
    invoice = make.invoice(customer, number=f"R-{point}-{os.urandom(4).hex()}")
    collection_id = charge_now(invoice)
    charging.work_on(collection_id)
    charge_id = charges_of(invoice)[0].id
    with unit_of_work():
        refund_id = refunds.ask(refunds.locked_charge(charge_id), Money(500, "EUR"), "").id

    killed_at(app, point, refunds.work_on, refund_id)
    refunds.work_on(refund_id)

    charge = charges_of(invoice)[0]
    assert [one.state for one in charge.refunds] == [RefundState.DONE]
    ref = charge.ref
    end_reading()
    assert [one.amount_minor for one in bank.refunds_of(ref)] == [500]


class TestLostAnswers:
    def test_a_charge_that_arrived_is_found(
        self,
        customer: Customer,
        leave_card: LeaveCard,
        bank: TestGateway,
        bell: HeardBell,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        leave_card(customer)
        invoice = make.invoice(customer, number=f"L-{os.urandom(4).hex()}")
        charge = TestGateway.charge

        def arrive_and_lose(self: TestGateway, intent: Intent, asked: Asked) -> Outcome:
            charge(self, intent, asked)
            raise OutcomeUnknown("No whole answer came back.")

        monkeypatch.setattr(TestGateway, "charge", arrive_and_lose)
        collection_id = charge_now(invoice)
        bell.answer()
        db.session.rollback()
        assert (invoice.status, invoice.collector) == ("pending", "gateway")
        with pytest.raises(Conflict, match="collected"), unit_of_work():
            collecting.mark_paid_by_hand(db.session.get_one(Invoice, invoice.id), PaidBy.CASH)
        end_reading()
        charging.work_on(collection_id)

        db.session.rollback()
        assert invoice.status == "paid"
        assert taken(bank, invoice) == [1230]

    def test_a_charge_that_never_arrived_is_made_with_the_same_key(
        self,
        customer: Customer,
        leave_card: LeaveCard,
        bank: TestGateway,
        bell: HeardBell,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        leave_card(customer)
        invoice = make.invoice(customer, number=f"N-{os.urandom(4).hex()}")
        keys = []
        charge = TestGateway.charge

        def lose_the_first(self: TestGateway, intent: Intent, asked: Asked) -> Outcome:
            keys.append(asked.key)
            if len(keys) == 1:
                raise OutcomeUnknown("No whole answer came back.")
            return charge(self, intent, asked)

        monkeypatch.setattr(TestGateway, "charge", lose_the_first)
        collection_id = charge_now(invoice)
        bell.answer()
        end_reading()
        charging.work_on(collection_id)

        db.session.rollback()
        assert invoice.status == "paid"
        assert len(keys) == 2
        assert len(set(keys)) == 1
        assert taken(bank, invoice) == [1230]


def want_everything(number: int, ids: list[int]) -> list[int]:
    """As gateway (charging in earnest), as a person, or as a plugin, each in an order of its own."""
    won = []
    for invoice_id in ids[number:] + ids[:number]:
        if number % 3 == 0:
            with contextlib.suppress(Conflict), unit_of_work():
                asking.charge_now(db.session.get_one(Invoice, invoice_id))
            end_reading()
            collection_id = db.session.scalar(sa.select(Collection.id).where(Collection.invoice_id == invoice_id))
            end_reading()
            if collection_id is not None:
                charging.work_on(collection_id)
            continue
        with contextlib.suppress(Conflict), unit_of_work():
            if number % 3 == 1:
                collecting.mark_paid_by_hand(db.session.get_one(Invoice, invoice_id), PaidBy.CASH)
                won.append(invoice_id)
            elif collecting.claim(invoice_id, "nexudus"):
                won.append(invoice_id)
    return won


def run_apart(settings: Settings, number: int, ids: list[int], start: Barrier, out: "Queue[Any]") -> None:
    from app import create_app  # in a process of its own

    with create_app(settings).app_context():
        start.wait(60)
        out.put(want_everything(number, ids))
        db.session.remove()
        db.engine.dispose()


@pytest.mark.processes
def test_eight_processes_charge_mark_and_hand_over_and_each_invoice_is_collected_once(
    app: Flask, customer: Customer, leave_card: LeaveCard, bank: TestGateway, gateway: Gateway
) -> None:
    leave_card(customer)
    mark = os.urandom(4).hex()
    invoices = [make.invoice(customer, number=f"Q-{mark}-{number}") for number in range(INVOICES)]
    ids = [invoice.id for invoice in invoices]
    end_reading()
    context = multiprocessing.get_context("spawn")
    start, out = context.Barrier(PROCESSES), context.Queue()
    processes = [
        context.Process(target=run_apart, args=(plain(app), number, ids, start, out)) for number in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    won = [invoice_id for _ in processes for invoice_id in out.get(timeout=120)]
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * PROCESSES

    charged = list(db.session.scalars(sa.select(Charge.invoice_id).where(Charge.state == ChargeState.PAID)))
    assert sorted(won + charged) == sorted(ids)
    assert len(taken(bank, *invoices)) == len(charged)
    assert gateways.charges_in_the_air(db.session.get_one(Gateway, gateway.id)) == 0
