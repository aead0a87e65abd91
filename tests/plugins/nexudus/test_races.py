"""Gateway, hands and exporter after the same invoices at the same moment: each is collected once, by one of them."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from app import clock, create_app
from app.billing import collecting
from app.billing.collecting import PaidBy
from app.billing.models import BY_HAND, GATEWAY, Customer, Invoice, InvoiceStatus
from app.config import Settings
from app.db import db, end_reading, unit_of_work
from app.errors import Conflict
from app.installations.models import Installation
from app.payments import cards
from app.payments import jobs as payments
from app.payments.models import CardEntry, Collection, Gateway, SavedCard
from app.payments.test_gateway import TestGateway
from plugins.nexudus.links import PLUGIN
from plugins.nexudus.models import ExportRun, ExportState, InvoiceExport
from tests import make
from tests.app.payments.conftest import connect_test_gateway
from tests.cast import Cast
from tests.plugins.nexudus import over_the_wire
from tests.plugins.nexudus.over_the_wire import NexudusThere, work_to_quiet, workers

NEW, OLD = 24, 8  # invoices after and before the cut-over
LONGEST_S = 60


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NexudusThere]:
    """The sandbox, started once; each test empties it."""
    with over_the_wire.nexudus(tmp_path_factory.mktemp("nexudus")) as there:
        yield there


def export(connection_id: int, ids: list[int]) -> list[int]:
    """Work as a worker does; which invoices it handed over, their rows say."""
    work_to_quiet(connection_id)
    return []


def pay_by_hand(connection_id: int, ids: list[int]) -> list[int]:
    """A person marks the newest as paid first; meets the exporter, which takes the oldest first, on the way.

    Then those before the cut-over, among which the gateway has begun.
    """
    wait_for_the_exporter(connection_id)
    won = [one for one in reversed(ids[OLD:]) if is_paid_by_hand(one)]
    wait_for(sa.select(Invoice.id).where(Invoice.collector == GATEWAY))
    return won + [one for one in reversed(ids[:OLD]) if is_paid_by_hand(one)]


def is_paid_by_hand(invoice_id: int) -> bool:
    try:
        with unit_of_work() as session:
            collecting.mark_paid_by_hand(session.get_one(Invoice, invoice_id), PaidBy.CASH)
    except Conflict:
        return False
    return True


def charge(connection_id: int, ids: list[int]) -> list[int]:
    """The jobs of the gateway: everything is due, and only what is older than the cut-over is its own."""
    wait_for_the_exporter(connection_id)
    gateway_id = db.session.scalars(sa.select(Gateway.id)).one()
    end_reading()
    payments.look_for_due(gateway_id)
    begun = sa.select(Collection.id).order_by(Collection.id.desc())
    for _ in range(2):  # what the other one had in hand is looked at once more
        for collection_id in db.session.scalars(begun).all():
            end_reading()
            payments.collect_invoice(collection_id)
    return []


def wait_for_the_exporter(connection_id: int) -> None:
    """Until it has handed something over: a race that one side wins before the other starts is none."""
    exported = (InvoiceExport.connection_id == connection_id, InvoiceExport.state == ExportState.EXPORTED)
    wait_for(sa.select(InvoiceExport.id).where(*exported))


def wait_for(row: sa.Select[int]) -> None:
    """Until there is one."""
    until = time.monotonic() + LONGEST_S
    while db.session.scalar(row.limit(1)) is None and time.monotonic() < until:
        db.session.rollback()
        threading.Event().wait(0.01)
    end_reading()


Role = Callable[[int, list[int]], list[int]]
ROLES: tuple[Role, ...] = (*[export] * 4, *[pay_by_hand] * 2, *[charge] * 2)
PROCESSES = len(ROLES)


def take_part(
    settings: Settings, number: int, connection_id: int, ids: list[int], start: Barrier, out: "Queue[Any]"
) -> None:
    with create_app(settings).app_context():
        start.wait(LONGEST_S)
        out.put((ROLES[number].__name__, ROLES[number](connection_id, ids)))
        db.session.remove()
        db.engine.dispose()


def race(settings: Settings, connection_id: int, ids: list[int]) -> dict[str, list[int]]:
    """Let everybody at the invoices at once; answers what each kind of collector says it won."""
    end_reading()
    start, out = workers.Barrier(PROCESSES), workers.Queue()
    processes = [
        workers.Process(target=take_part, args=(settings, number, connection_id, ids, start, out))
        for number in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    won: dict[str, list[int]] = {}
    for _ in processes:
        role, mine = out.get(timeout=2 * LONGEST_S)
        won.setdefault(role, []).extend(mine)
    for process in processes:
        process.join(LONGEST_S)
    assert [process.exitcode for process in processes] == [0] * PROCESSES
    return won


@pytest.mark.processes
def test_a10_eight_processes_after_the_same_invoices_collect_each_once(
    app: Flask, cast: Cast, program: NexudusThere, monkeypatch: pytest.MonkeyPatch
) -> None:
    program.reset("current")
    settings = over_the_wire.settings_for(app, program)
    monkeypatch.setitem(app.config, "SETTINGS", settings)
    connection_id = over_the_wire.connect(cast.acme.id)
    customer = over_the_wire.new_customer(cast.acme.id)
    assert over_the_wire.in_a_process(settings, work_to_quiet, connection_id) == 0
    cutover = db.session.scalars(sa.select(Installation.cutover_at)).one()
    assert cutover is not None
    bank = leave_card(cast, customer, settings)
    due: dict[str, Any] = {"due_on": cutover.date(), "created_at": cutover}
    old = [make.invoice(customer, number=f"O-{os.urandom(4).hex()}", **due).id for _ in range(OLD)]
    new = [over_the_wire.newer_invoice(customer.id, f"N-{n}").id for n in range(NEW)]
    with unit_of_work() as session:
        session.execute(sa.update(Invoice).values(due_on=cutover.date()))
    over_the_wire.begin_run(connection_id)

    won = race(settings, connection_id, old + new)

    collectors = dict(db.session.execute(sa.select(Invoice.id, Invoice.collector)).all())
    by = {who: {one for one, collector in collectors.items() if collector == who} for who in (PLUGIN, BY_HAND, GATEWAY)}
    assert set().union(*by.values()) == set(old + new)
    assert sorted(won["pay_by_hand"]) == sorted(by[BY_HAND])
    check_bank(bank, by[GATEWAY])
    assert by[PLUGIN] <= set(new)
    assert by[GATEWAY] <= set(old)
    assert by[PLUGIN]
    assert by[GATEWAY]
    assert by[BY_HAND] & set(new)
    check_other_side(program, by[PLUGIN])
    assert db.session.scalar(sa.select(sa.func.count()).select_from(ExportRun)) == 1


def leave_card(cast: Cast, customer: Customer, settings: Settings) -> TestGateway:
    """A gateway for Acme, and a card of the customer's there."""
    connect_test_gateway(cast)
    bank = TestGateway(settings.data_dir, "")
    end_reading()
    bank.leave_card(cards.start_card_entry(customer.id, "/back").rpartition("/")[2], "good")
    card = cards.finish_card_entry(db.session.scalars(sa.select(CardEntry.id)).one())
    assert card is not None
    with unit_of_work() as session:  # long before anything was due
        session.get_one(SavedCard, card.id).added_at = clock.now() - timedelta(days=30)
    return bank


def check_bank(bank: TestGateway, charged: set[int]) -> None:
    """The bank took the money of what the gateway collected, once each, and of nothing else."""
    ours = {one.number: one for one in db.session.scalars(sa.select(Invoice)) if one.id in charged}
    assert {invoice.status for invoice in ours.values()} == {InvoiceStatus.PAID}
    numbers = set(db.session.scalars(sa.select(Invoice.number)))
    end_reading()
    taken = [one["description"].rpartition(" ")[2] for one in bank.payments() if one["verdict"] == "paid"]
    assert sorted(number for number in taken if number in numbers) == sorted(ours)


def check_other_side(there: NexudusThere, handed_over: set[int]) -> None:
    """There stands what was handed over and nothing else; here it is closed, and nothing else has a row."""
    ours = {one.id: one for one in db.session.scalars(sa.select(Invoice)) if one.id in handed_over}
    assert {invoice.status for invoice in ours.values()} == {InvoiceStatus.CLOSED}
    references = [one["PurchaseOrder"] for one in there.records("billing/coworkerinvoices")]
    assert sorted(references) == sorted(f"acme:{invoice.number}" for invoice in ours.values())
    assert len(there.records("billing/coworkerproducts")) == sum(len(invoice.lines) for invoice in ours.values())
    rows = db.session.execute(sa.select(InvoiceExport.invoice_id, InvoiceExport.state)).all()
    assert dict(rows) == dict.fromkeys(handed_over, ExportState.EXPORTED)
