"""Invoices go over once, are read back, and are closed here; what cannot go says why and waits for a person."""

from collections.abc import Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask

from app import clock, effects
from app.audit import AuditEntry
from app.billing import collecting, life
from app.billing.models import Customer, Invoice, InvoiceStatus
from app.db import db, unit_of_work
from app.effects import Effect
from plugins.nexudus import export_reports, windows
from plugins.nexudus.models import Connection, ExportRun, ExportState, InvoiceExport, Issue, RunKind, Writer
from tests import make
from tests.cast import Cast
from tests.plugins.nexudus.conftest import (
    There,
    export_of,
    fresh,
    mounted,
    newer_invoice,
    the_connection,
    the_installation,
    work_again,
)
from tests.visitors import HeardBell, Visitor

WAYS = [("current", "product_sale"), ("classic-2020", "document")]


@pytest.fixture(params=WAYS, ids=["product_sale", "document"])
def there(request: pytest.FixtureRequest, app: Flask, monkeypatch: pytest.MonkeyPatch) -> There:
    """Both a Nexudus of today and one that takes whole invoices."""
    return mounted(app, monkeypatch, request.param[0])


@pytest.fixture
def export_now(ana: Visitor, bell: HeardBell) -> Callable[[], ExportRun]:
    """Press "Export now", confirm, and let the worker work."""

    def run() -> ExportRun:
        assert ana.post("/acme/nexudus/exports/now").status_code == 303
        bell.answer()
        return db.session.scalars(sa.select(ExportRun).order_by(ExportRun.id.desc())).first() or pytest.fail("no run")

    return run


def look_now() -> None:
    """Let every invoice of unknown outcome be looked up at the next round instead of in a minute or an hour."""
    with unit_of_work() as session:
        session.execute(sa.update(InvoiceExport).values(next_try_at=clock.now()))


def test_an_invoice_stands_there_line_by_line_and_is_closed_here(
    there: There, customer: Customer, export_now: Callable[[], ExportRun]
) -> None:
    invoice = newer_invoice(
        customer,
        number="A-7",
        lines=[("Mailbox plan", "1", 3900, "23"), ("Scans", "3", 150, "23"), ("Stamps", "1", 90, "0")],
    )
    run = export_now()
    (record,) = there.invoices()
    assert record["PurchaseOrder"] == "acme:A-7"
    assert round(record["TotalAmount"] * 100) == invoice.total_minor
    lines = there.space.where("CoworkerInvoiceLine", CoworkerInvoiceId=record["Id"])
    assert [line["Description"].split(" (")[0] for line in lines] == ["Mailbox plan", "Scans", "Stamps"]
    assert all(f"(acme:A-7 #{place})" in line["Description"] for place, line in enumerate(lines, 1))
    invoice = fresh(invoice)
    assert (invoice.status, invoice.collector, invoice.handed_over_as) == (
        InvoiceStatus.CLOSED,
        "nexudus",
        record["InvoiceNumber"],
    )
    export = export_of(invoice)
    assert export is not None
    assert (export.state, export.remote_id) == (ExportState.EXPORTED, record["Id"])
    assert run.ended_at is not None


def test_product_sales_arrive_issued_and_documents_as_drafts_unless_chosen(
    there: There, ana: Visitor, connected: Connection, customer: Customer, export_now: Callable[[], ExportRun]
) -> None:
    newer_invoice(customer)
    export_now()
    is_document = the_connection().way == Writer.DOCUMENT
    assert [bool(record.get("Draft")) for record in there.invoices()] == [is_document]
    ana.post(
        "/acme/nexudus/arrival", data={"writer": "auto", "issue": "issued", "window_hour": "6", "may_add_products": "y"}
    )
    assert the_connection().issue == Issue.ISSUED
    newer_invoice(customer)
    export_now()
    assert not there.invoices()[-1].get("Draft")


def test_a_second_run_sends_nothing(there: There, customer: Customer, export_now: Callable[[], ExportRun]) -> None:
    newer_invoice(customer)
    export_now()
    before = there.calls("POST")
    run = export_now()
    assert there.calls("POST") == before
    assert run.ended_at is not None
    assert len(there.invoices()) == 1


def test_creating_an_invoice_sends_nothing(there: There, customer: Customer, bell: HeardBell) -> None:
    invoice = newer_invoice(customer)
    work_again(bell)
    assert there.invoices() == []
    assert export_of(invoice) is None


@pytest.mark.parametrize("offset_us", [-1, 0, 1])
def test_only_what_was_created_strictly_after_the_cut_over_goes(
    cast: Cast,
    ana: Visitor,
    there: There,
    customer: Customer,
    export_now: Callable[[], ExportRun],
    offset_us: int,
) -> None:
    cutover = the_installation(cast).cutover_at
    assert cutover is not None
    invoice = make.invoice(customer, created_at=cutover + timedelta(microseconds=offset_us))
    export_now()
    assert (fresh(invoice).status == InvoiceStatus.CLOSED) == (offset_us > 0)
    if offset_us <= 0:
        page = ana.get(f"/acme/invoices/{invoice.id}").text
        assert "when Nexudus was connected: stays with default billing" in page
        answer = ana.get(f"/acme/nexudus/invoices/{invoice.id}/hold")
        assert answer.status_code == 200


def test_what_was_created_before_its_customer_was_linked_goes_and_after_deactivation_too(
    cast: Cast, there: There, connected: Connection, bell: HeardBell, export_now: Callable[[], ExportRun]
) -> None:
    later = make.customer(cast.acme, address="Rua 1", city="Porto", postcode="4000")
    early = newer_invoice(later)
    work_again(bell)
    with unit_of_work():
        life.deactivate(db.session.get_one(Customer, later.id))
    export_now()
    assert fresh(early).status == InvoiceStatus.CLOSED


def test_customers_who_are_not_linked_are_billed_here(
    cast: Cast, ana: Visitor, there: There, customer: Customer, export_now: Callable[[], ExportRun]
) -> None:
    ana.post(f"/acme/nexudus/customers/{customer.id}/unlink", data={"reason": ""})
    invoice = newer_invoice(customer)
    export_now()
    assert fresh(invoice).status == InvoiceStatus.PENDING
    with unit_of_work():
        assert collecting.collect(invoice.id)


def test_the_gateway_never_takes_what_nexudus_will_export(customer: Customer, cast: Cast) -> None:
    cutover = the_installation(cast).cutover_at
    assert cutover is not None
    theirs = newer_invoice(customer)
    ours = make.invoice(customer, created_at=cutover)
    with unit_of_work():
        assert not collecting.collect(theirs.id)
        assert collecting.collect(ours.id)


def test_an_invoice_paid_by_hand_meanwhile_is_not_sent(
    there: There, ana: Visitor, bell: HeardBell, customer: Customer
) -> None:
    invoice = newer_invoice(customer)
    ana.post("/acme/nexudus/exports/now")
    with unit_of_work():
        collecting.mark_paid_by_hand(db.session.get_one(Invoice, invoice.id), collecting.PaidBy.CASH)
    bell.answer()
    assert there.invoices() == []
    assert export_of(invoice) is None


class TestWindows:
    """Runs that the calendar begins."""

    def travel_to_opening(self, cast: Cast, number: int = 0) -> time_machine.travel:
        account = cast.acme
        day = windows.next_window(clock.now(), 6, account.timezone)
        for _ in range(number):
            day = windows.next_window(windows.opening(day, 6, account.timezone), 6, account.timezone)
        return time_machine.travel(windows.opening(day, 6, account.timezone) + timedelta(seconds=1))

    def test_a_window_sends_what_waits_and_runs_once(
        self, cast: Cast, there: There, customer: Customer, bell: HeardBell
    ) -> None:
        invoice = newer_invoice(customer)
        with self.travel_to_opening(cast):
            work_again(bell, rounds=3)
            runs = db.session.scalars(sa.select(ExportRun)).all()
            assert [run.kind for run in runs] == [RunKind.WINDOW]
        assert fresh(invoice).status == InvoiceStatus.CLOSED

    def test_a_run_that_finds_nothing_is_recorded(self, cast: Cast, customer: Customer, bell: HeardBell) -> None:
        with self.travel_to_opening(cast):
            work_again(bell)
            run = db.session.scalars(sa.select(ExportRun)).one()
            assert run.ended_at is not None

    def test_missed_windows_are_made_up_in_one_run(
        self, cast: Cast, there: There, customer: Customer, bell: HeardBell
    ) -> None:
        newer_invoice(customer)
        with self.travel_to_opening(cast, 1):
            work_again(bell, rounds=2)
            run = db.session.scalars(sa.select(ExportRun)).one()
            assert len(run.makes_up) == 1
        assert len(there.invoices()) == 1

    def test_a_window_before_the_cut_over_is_not_missed(self, connected: Connection, bell: HeardBell) -> None:
        work_again(bell)
        assert db.session.scalars(sa.select(ExportRun)).all() == []

    def test_the_connection_asks_to_be_worked_on_when_a_window_opens(
        self, cast: Cast, connected: Connection, bell: HeardBell
    ) -> None:
        work_again(bell)
        due = the_connection().due_at
        assert due is not None
        assert due <= clock.now() + timedelta(seconds=61)


@pytest.mark.parametrize(
    ("invoice", "code"),
    [
        ({"lines": [("Storage", "1", 1000, "19")]}, "tax_rate_missing"),
        ({"currency": "USD"}, "currency"),
        ({"lines": [("Credit", "1", -1000, "23")]}, "credit"),
    ],
)
def test_what_cannot_go_is_held_with_its_reason_and_nothing_is_sent(
    there: There,
    ana: Visitor,
    customer: Customer,
    export_now: Callable[[], ExportRun],
    invoice: dict[str, object],
    code: str,
) -> None:
    row = newer_invoice(customer, **invoice)
    export_now()
    export = export_of(row)
    assert export is not None
    assert (export.state, export.reason_code) == (ExportState.HELD, code)
    assert fresh(row).collector is None
    assert there.invoices() == []
    page = ana.get(f"/acme/nexudus/exports/held?cause={code}").text
    assert row.number in page
    assert "Retry" in page


def test_a_held_invoice_goes_after_the_cause_is_mended_and_somebody_retries(
    there: There, ana: Visitor, bell: HeardBell, customer: Customer, export_now: Callable[[], ExportRun]
) -> None:
    invoice = newer_invoice(customer, lines=[("Storage", "1", 1000, "19")])
    export_now()
    home = there.space.where("Business", Name="Quayside Works Coworking")[0]
    there.space.create("TaxRate", {"BusinessId": home["Id"], "Name": "VAT 19%", "Rate": 19, "ExemptionReason": 1})
    export = export_of(invoice)
    assert export is not None
    ana.post(f"/acme/nexudus/exports/{export.id}/retry")
    bell.answer()
    assert fresh(invoice).status == InvoiceStatus.CLOSED


def test_a_zero_invoice_is_excluded(there: There, customer: Customer, export_now: Callable[[], ExportRun]) -> None:
    invoice = newer_invoice(customer, lines=[("Nothing", "1", 0, "23")])
    export_now()
    assert export_of(invoice) is None
    assert there.invoices() == []


def test_an_invoice_of_an_archived_member_is_held(
    there: There, ana: Visitor, customer: Customer, bell: HeardBell, export_now: Callable[[], ExportRun]
) -> None:
    member = there.members(Email="t@quill.example")[0]
    there.change("Coworker", member["Id"], Archived=True)
    ana.post("/acme/nexudus/members/connect")
    bell.answer()
    invoice = newer_invoice(customer)
    export_now()
    export = export_of(invoice)
    assert export is not None
    assert (export.state, export.reason_code) == (ExportState.HELD, "gone")
    assert there.invoices() == []


def test_held_back_by_hand_it_stays_and_released_it_is_collected_here(
    there: There, ana: Visitor, customer: Customer, export_now: Callable[[], ExportRun]
) -> None:
    invoice = newer_invoice(customer)
    ana.post(f"/acme/nexudus/invoices/{invoice.id}/hold", data={"reason": "Wrong month"})
    export_now()
    export = export_of(invoice)
    assert export is not None
    assert export.state == ExportState.HELD
    assert there.invoices() == []
    ana.post(f"/acme/nexudus/exports/{export.id}/release")
    assert export_of(invoice) is None
    assert fresh(invoice).do_not_send
    export_now()
    assert there.invoices() == []


def test_an_invoice_that_stands_there_is_not_released(
    there: There, ana: Visitor, customer: Customer, export_now: Callable[[], ExportRun]
) -> None:
    invoice = newer_invoice(customer)
    export_now()
    export = export_of(invoice)
    assert export is not None
    with unit_of_work() as session:
        row = session.get_one(InvoiceExport, export.id)
        row.state, row.reason_code, row.reason = ExportState.HELD, "total_differs", "?"
        session.get_one(Invoice, invoice.id).status = InvoiceStatus.PENDING
    ana.post(f"/acme/nexudus/exports/{export.id}/release")
    assert export_of(invoice) is not None
    assert fresh(invoice).collector == "nexudus"
    tries = db.session.scalars(sa.select(AuditEntry.outcome).where(AuditEntry.action == "export_released")).all()
    assert tries == ["refused"]


def test_a_difference_holds_it_and_a_person_may_accept_their_total(
    there: There, ana: Visitor, customer: Customer, export_now: Callable[[], ExportRun]
) -> None:
    invoice = newer_invoice(customer)
    home = there.space.where("Business", Name="Quayside Works Coworking")[0]
    export_now()
    assert home
    export = export_of(invoice)
    assert export is not None
    with unit_of_work() as session:
        row = session.get_one(InvoiceExport, export.id)
        row.state, row.reason_code, row.reason = ExportState.HELD, "total_differs", "The total there is €1.00 lower."
        row.remote_total_minor = invoice.total_minor - 100
        session.get_one(Invoice, invoice.id).status = InvoiceStatus.PENDING
    page = ana.get(f"/acme/invoices/{invoice.id}").text
    assert "Accept their total and close" in page
    ana.post(f"/acme/nexudus/exports/{export.id}/accept")
    assert fresh(invoice).status == InvoiceStatus.CLOSED


@pytest.mark.parametrize(("switch", "nth"), [("lost_answer_every", 3), ("dropped_every", 7)])
def test_lost_answers_and_lost_requests_make_one_invoice_each(
    there: There, bell: HeardBell, customer: Customer, export_now: Callable[[], ExportRun], switch: str, nth: int
) -> None:
    rows = [newer_invoice(customer) for _ in range(8)]
    there.faults(only="/api/billing", **{switch: nth})
    export_now()
    for _ in range(12):
        look_now()
        work_again(bell)
    assert {fresh(row).status for row in rows} == {InvoiceStatus.CLOSED}
    records = there.invoices()
    assert len(records) == len(rows)
    assert len({record["PurchaseOrder"] for record in records}) == len(rows)
    assert round(sum(record["TotalAmount"] for record in records) * 100) == sum(row.total_minor for row in rows)


class Crash(BaseException):
    """Stands for kill -9."""


def steps_of_a_clean_run(way: str) -> int:
    return 5 if way == "product_sale" else 4


@pytest.mark.parametrize("point", effects.CRASH_POINTS)
@pytest.mark.parametrize("nth", range(5))
def test_a_crash_at_any_point_of_any_step_leaves_one_invoice(
    there: There,
    bell: HeardBell,
    ana: Visitor,
    customer: Customer,
    monkeypatch: pytest.MonkeyPatch,
    point: str,
    nth: int,
) -> None:
    seen = 0

    def crash(at: str) -> None:
        nonlocal seen
        if at == point:
            seen += 1
            if seen == nth + 1:
                raise Crash

    invoice = newer_invoice(customer, lines=[("Plan", "1", 3900, "23"), ("Scan", "2", 150, "23")])
    ana.post("/acme/nexudus/exports/now")
    with monkeypatch.context() as patch:
        patch.setattr(effects, "crash_point", crash)
        try:
            bell.answer()
        except Crash:
            bell.rings.clear()
        else:
            pytest.fail("there is no such step") if nth < steps_of_a_clean_run(the_connection().way.value) else None
    work_again(bell, rounds=3)
    assert fresh(invoice).status == InvoiceStatus.CLOSED
    (record,) = there.invoices()
    assert round(record["TotalAmount"] * 100) == invoice.total_minor
    assert len(there.space.where("CoworkerInvoiceLine", CoworkerInvoiceId=record["Id"])) == 2


def test_a_failing_nexudus_is_told_and_everything_goes_on_by_itself(
    there: There, ana: Visitor, bell: HeardBell, customer: Customer
) -> None:
    invoice = newer_invoice(customer)
    there.faults(only="/api/", error_next=6)
    ana.post("/acme/nexudus/exports/now")
    bell.answer()
    assert fresh(invoice).status == InvoiceStatus.PENDING
    assert the_connection().problem
    for _ in range(8):
        look_now()
        work_again(bell)
    assert fresh(invoice).status == InvoiceStatus.CLOSED
    assert the_connection().problem == ""


@pytest.mark.parametrize("status", [409, 429])
def test_throttling_parks_the_connection_without_sending_twice(
    there: There, ana: Visitor, bell: HeardBell, customer: Customer, status: int
) -> None:
    invoice = newer_invoice(customer)
    there.faults(throttle_next=1, throttle_status=status)
    ana.post("/acme/nexudus/exports/now")
    bell.answer()
    due = the_connection().due_at
    assert due is not None
    assert due > clock.now() - timedelta(seconds=5)
    work_again(bell, rounds=2)
    assert fresh(invoice).status == InvoiceStatus.CLOSED
    assert len(there.invoices()) == 1


def test_everything_adds_up(cast: Cast, there: There, customer: Customer, export_now: Callable[[], ExportRun]) -> None:
    make.invoice(customer, created_at=clock.now() - timedelta(days=400))
    newer_invoice(customer)
    newer_invoice(customer, currency="USD")
    newer_invoice(make.customer(cast.acme))
    export_now()
    newer_invoice(customer)
    found = export_reports.counts(the_connection())
    assert found["created"] == sum(
        found[key] for key in ("exported", "waiting", "sending", "unknown", "held", "excluded")
    )
    assert (found["created"], found["exported"], found["held"]) >= (5, 1, 1)


def test_few_calls_are_made_for_an_invoice_of_one_line(
    there: There, customer: Customer, export_now: Callable[[], ExportRun]
) -> None:
    newer_invoice(customer)
    export_now()
    newer_invoice(customer)
    there.space.calls.reset()
    export_now()
    assert there.calls() <= 8
    assert there.calls("POST") + there.calls("PUT") <= 3


def test_an_invoice_deleted_there_afterwards_stays_closed(
    there: There, customer: Customer, export_now: Callable[[], ExportRun]
) -> None:
    invoice = newer_invoice(customer)
    export_now()
    there.forget("CoworkerInvoice", there.invoices()[0]["Id"])
    export_now()
    assert fresh(invoice).status == InvoiceStatus.CLOSED
    assert there.invoices() == []


def test_every_step_that_was_written_has_its_outcome(
    there: There, customer: Customer, export_now: Callable[[], ExportRun]
) -> None:
    newer_invoice(customer)
    export_now()
    steps = sa.select(Effect.state).where(Effect.kind.startswith("nexudus."))
    assert set(db.session.scalars(steps)) == {effects.EffectState.DONE}


def test_commands_export_and_tell_how_it_stands(
    there: There, customer: Customer, run_command: Callable[..., object]
) -> None:
    invoice = newer_invoice(customer)
    planned = run_command("nexudus", "export", "--account", "acme", "--dry-run", "--json")
    assert '"waiting": 1' in planned.output  # type: ignore[attr-defined]
    assert there.invoices() == []
    done = run_command("nexudus", "export", "--account", "acme", "--json")
    assert '"exported": 1' in done.output  # type: ignore[attr-defined]
    assert fresh(invoice).status == InvoiceStatus.CLOSED
    status = run_command("nexudus", "status", "--account", "acme", "--json")
    assert '"state": "connected"' in status.output  # type: ignore[attr-defined]
    assert '"exported": 1' in status.output  # type: ignore[attr-defined]


@pytest.mark.parametrize("who", ["ben", "mia"])
def test_export_now_and_the_way_of_writing_are_the_operators(
    cast: Cast, sign_in: Callable[..., Visitor], customer: Customer, who: str
) -> None:
    browser = sign_in(getattr(cast, who))
    assert browser.post("/acme/nexudus/exports/now").status_code == 403
    assert browser.post("/acme/nexudus/arrival").status_code == 403
    assert browser.get("/acme/nexudus/exports").status_code == (200 if who == "ben" else 403)
