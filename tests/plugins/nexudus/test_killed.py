"""Worker processes killed with -9 wherever it hurts: afterwards one record there, closed here, and equal sums."""

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal

import pytest
import sqlalchemy as sa
from flask import Flask

from app.billing.models import Customer, Invoice, InvoiceStatus
from app.config import Settings
from app.db import db
from app.effects import CRASH_POINTS, Effect
from app.money import Money
from plugins.nexudus.models import Connection, ExportState, How, LinkState
from tests.cast import Cast
from tests.plugins.nexudus import over_the_wire
from tests.plugins.nexudus.conftest import There, export_of, link_of, mounted, work_again
from tests.plugins.nexudus.over_the_wire import NexudusThere, be_killed, in_a_process, work_to_quiet
from tests.visitors import HeardBell, Visitor

MOST_STEPS = 12  # more than any strategy takes for two lines
WAYS = {
    "product_sale": ("current", ["sale:1", "sale:2", "invoice", "reference", "verify"]),
    "document": ("classic-2020", ["invoice", "line:1", "line:2", "check", "issue", "reference", "verify"]),
}
# What is stored when a process dies is the database's promise; one of them is enough for every step.
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NexudusThere]:
    """The sandbox, started once; each test empties it."""
    with over_the_wire.nexudus(tmp_path_factory.mktemp("nexudus")) as there:
        yield there


@dataclass
class World:
    """An account connected over a socket, and the processes that work for it."""

    there: NexudusThere
    settings: Settings
    account_id: int
    connection_id: int

    def kill(self, point: str, passes: int = 1) -> bool:
        """Let a worker die at `point`; False when it came through, because it never passed there that often."""
        code = in_a_process(self.settings, be_killed, self.connection_id, point, passes)
        assert code in (0, -signal.SIGKILL)
        over_the_wire.let_the_lease_run_out(self.connection_id)
        return code != 0

    def work_to_quiet(self) -> None:
        """Let a worker that nobody kills finish what the dead one left."""
        assert in_a_process(self.settings, work_to_quiet, self.connection_id) == 0


@pytest.fixture
def begin(app: Flask, cast: Cast, program: NexudusThere, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], World]:
    """`begin("document")`: an empty Nexudus that takes invoices this way, connected."""

    def world(way: str) -> World:
        program.reset(WAYS[way][0])
        settings = over_the_wire.settings_for(app, program)
        monkeypatch.setitem(app.config, "SETTINGS", settings)
        account_id = cast.acme.id
        return World(program, settings, account_id, over_the_wire.connect(account_id))

    return world


def check_handed_over(world: World, ids: list[int]) -> None:
    """One invoice there for each of ours, with its lines and sums; ours closed with its number."""
    there = world.there.records("billing/coworkerinvoices")
    assert sorted(one["PurchaseOrder"] for one in there) == sorted(f"acme:{number_of(one)}" for one in ids)
    for invoice_id in ids:
        ours = db.session.get_one(Invoice, invoice_id)
        (theirs,) = [one for one in there if one["PurchaseOrder"] == f"acme:{ours.number}"]
        export = export_of(ours)
        assert export is not None
        assert (export.state, export.remote_id) == (ExportState.EXPORTED, theirs["Id"])
        assert (ours.status, ours.collector, ours.handed_over_as) == (
            InvoiceStatus.CLOSED,
            "nexudus",
            theirs["InvoiceNumber"],
        )
        assert minor(theirs["TotalAmount"]) == ours.total_minor
        assert len(world.there.lines(theirs)) == len(ours.lines)
    assert sum(minor(one["TotalAmount"]) for one in there) == db.session.scalar(
        sa.select(sa.func.sum(Invoice.total_minor))
    )


def check_nothing_is_left_over(world: World) -> None:
    """Every sale there is on an invoice: none was made twice and forgotten."""
    assert all(sale["CoworkerInvoiceId"] for sale in world.there.records("billing/coworkerproducts"))


def number_of(invoice_id: int) -> str:
    return db.session.get_one(Invoice, invoice_id).number


def minor(amount: float) -> int:
    return Money.nearest(Decimal(str(amount)), "EUR").minor


@on_sqlite
@pytest.mark.processes
@pytest.mark.parametrize("point", CRASH_POINTS)
@pytest.mark.parametrize("way", WAYS)
def test_a1_a2_a3_killed_at_every_step_of_an_invoice_leaves_one_record_there(
    begin: Callable[[str], World], way: str, point: str
) -> None:
    """Killed at the first step, the next invoice at the second, and so on, until a worker comes through."""
    world = begin(way)
    customer_id = over_the_wire.new_customer(world.account_id).id
    first = over_the_wire.newer_invoice(customer_id, "A-0").id
    over_the_wire.begin_run(world.connection_id)
    world.work_to_quiet()  # the member and the product are there now, so only the invoice takes steps
    ids = [first]
    for step in range(1, MOST_STEPS):
        ids.append(over_the_wire.newer_invoice(customer_id, f"A-{step}").id)
        over_the_wire.begin_run(world.connection_id)
        was_killed = world.kill(point, step)
        world.work_to_quiet()
        if not was_killed:
            break
    steps = WAYS[way][1]
    assert over_the_wire.steps_of(first) == steps
    assert len(ids) - 2 == len(steps)  # without the first, which nobody disturbed, and the last, which came through
    check_handed_over(world, ids)
    check_nothing_is_left_over(world)


@on_sqlite
@pytest.mark.processes
@pytest.mark.parametrize("point", CRASH_POINTS)
def test_killed_while_the_product_of_a_tax_rate_is_added_leaves_one_product(
    begin: Callable[[str], World], point: str
) -> None:
    world = begin("product_sale")
    customer_id = over_the_wire.new_customer(world.account_id).id
    world.work_to_quiet()
    invoice_id = over_the_wire.newer_invoice(customer_id, "A-1").id
    over_the_wire.begin_run(world.connection_id)
    before = len(world.there.records("billing/products"))

    assert world.kill(point)
    world.work_to_quiet()

    assert len(world.there.records("billing/products")) == before + 1
    check_handed_over(world, [invoice_id])


@pytest.mark.processes
@pytest.mark.parametrize("point", CRASH_POINTS)
def test_killed_while_a_member_is_created_leaves_one_member(begin: Callable[[str], World], point: str) -> None:
    world = begin("product_sale")
    customer = over_the_wire.new_customer(world.account_id, "tamsin@quill.example")

    assert world.kill(point)
    world.work_to_quiet()

    (member,) = world.there.records("spaces/coworkers")
    assert (member["Email"], member["ReferenceNumber"]) == ("tamsin@quill.example", f"acme:{customer.id}")
    link = link_of(customer)
    assert link is not None
    assert (link.state, link.member_id, link.how) == (LinkState.LINKED, member["Id"], How.CREATED)
    assert db.session.get_one(Customer, customer.id).billed_by == "nexudus"


@pytest.fixture
def there(request: pytest.FixtureRequest, app: Flask, monkeypatch: pytest.MonkeyPatch) -> There:
    """A Nexudus in process, of the profile that the test names."""
    return mounted(app, monkeypatch, request.param)


@on_sqlite
@pytest.mark.slow
@pytest.mark.parametrize("there", ["current", "classic-2020"], indirect=True)
def test_b1_two_hundred_invoices_with_every_tenth_answer_lost_arrive_once_each(
    there: There, cast: Cast, connected: Connection, ana: Visitor, bell: HeardBell
) -> None:
    customers = [over_the_wire.new_customer(cast.acme.id).id for _ in range(10)]
    work_again(bell)
    ids = [over_the_wire.newer_invoice(customers[n % len(customers)], f"B-{n}").id for n in range(200)]
    there.faults(lost_answer_every=10)

    ana.post("/acme/nexudus/exports/now")
    bell.answer()
    while over_the_wire.moves(connected.id):
        work_again(bell)

    ours, theirs = [db.session.get_one(Invoice, invoice_id) for invoice_id in ids], there.invoices()
    assert {invoice.status for invoice in ours} == {InvoiceStatus.CLOSED}
    assert {one["PurchaseOrder"]: one["InvoiceNumber"] for one in theirs} == {
        f"acme:{invoice.number}": invoice.handed_over_as for invoice in ours
    }
    assert len(theirs) == len(ids)
    assert len(there.space.where("CoworkerInvoiceLine")) == sum(len(invoice.lines) for invoice in ours)
    assert sum(minor(one["TotalAmount"]) for one in theirs) == sum(invoice.total_minor for invoice in ours)
    assert (
        db.session.scalar(sa.select(sa.func.max(Effect.calls))) == 1
    )  # an answer that got lost is never asked for again
