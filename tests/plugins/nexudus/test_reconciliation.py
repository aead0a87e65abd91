"""What was closed here as handed over, against what stands in Nexudus: by a job, with sums, differences and a file."""

import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask

from app import clock
from app.billing.models import Customer, Invoice
from app.db import db, unit_of_work
from plugins.nexudus import differences, figures, jobs, periods
from plugins.nexudus.models import Connection, InvoiceExport
from plugins.nexudus.reconciliations import ReconciledInvoice, Reconciliation
from tests import make
from tests.cast import Cast
from tests.plugins.nexudus.conftest import There, export_of, mounted, newer_invoice, the_connection, work_again
from tests.visitors import HeardBell, Visitor

WAYS = [("current", "product_sale"), ("classic-2020", "document")]


@pytest.fixture(params=WAYS, ids=["product_sale", "document"])
def there(request: pytest.FixtureRequest, app: Flask, monkeypatch: pytest.MonkeyPatch) -> There:
    """Both a Nexudus of today and one that takes whole invoices."""
    return mounted(app, monkeypatch, request.param[0])


@pytest.fixture
def hand_over(ana: Visitor, customer: Customer, bell: HeardBell) -> Callable[..., list[Invoice]]:
    """`hand_over("A-1", "A-2")`: invoices of the customer that stand in Nexudus and are closed here."""

    def do(*numbers: str, whose: Customer = customer) -> list[Invoice]:
        made = [newer_invoice(whose, number=number) for number in numbers]
        ana.post("/acme/nexudus/exports/now")
        bell.answer()
        return made

    return do


@pytest.fixture
def compare(ana: Visitor, bell: HeardBell) -> Callable[..., str]:
    """Have this month compared, and look at the result; `show="customers"` for the sums."""

    def do(show: str = "differences") -> str:
        month = this_month()
        asked = ana.post("/acme/nexudus/reconciliation", data={"period": month})
        assert asked.location == f"/acme/nexudus/reconciliation/{month}", asked.text
        bell.answer()
        page: str = ana.get(f"{asked.location}?show={show}").text
        return page

    return do


def this_month() -> str:
    return f"{clock.local(clock.now(), the_connection().installation.account.timezone):%Y-%m}"


def the_report() -> Reconciliation:
    return db.session.scalars(sa.select(Reconciliation).execution_options(populate_existing=True)).one()


def found() -> dict[str, str]:
    """What differs, by the number there."""
    rows = db.session.scalars(sa.select(ReconciledInvoice).where(ReconciledInvoice.code > ""))
    return {row.remote_number: row.code for row in rows}


def remote(invoice: Invoice) -> tuple[int, str]:
    export = export_of(invoice)
    assert export is not None
    assert export.remote_id is not None
    return export.remote_id, export.remote_number


def test_what_was_handed_over_and_stands_there_adds_up(
    there: There, customer: Customer, hand_over: Callable[..., list[Invoice]], compare: Callable[..., str]
) -> None:
    invoices = hand_over("A-1", "A-2", "A-3")
    before = there.calls("GET /api/billing/coworkerinvoices")
    page = compare()
    report = the_report()
    total = sum(invoice.total_minor for invoice in invoices)
    assert (report.here_count, report.here_minor) == (report.there_count, report.there_minor) == (3, total)
    assert (report.differences, report.ended_at is not None) == (0, True)
    assert "It adds up: what was handed over stands in Nexudus." in page
    assert there.calls("GET /api/billing/coworkerinvoices") == before + 1, "one listing says it all"


def test_the_request_asks_nobody_and_the_page_follows(
    ana: Visitor, there: There, hand_over: Callable[..., list[Invoice]], bell: HeardBell
) -> None:
    hand_over("A-1")
    calls = there.calls()
    address = f"/acme/nexudus/reconciliation/{this_month()}"
    for _ in range(2):
        assert ana.post("/acme/nexudus/reconciliation", data={"period": this_month()}).location == address
    page = ana.get(address).text
    assert there.calls() == calls
    assert "Reading the invoices of Nexudus" in page
    assert f'hx-get="{address}"' in page
    assert ana.get(f"{address}.csv").status_code == 409
    assert len(db.session.scalars(sa.select(Reconciliation)).all()) == 1
    bell.answer()
    assert "hx-trigger" not in ana.get(address, htmx=True).text


Change = Callable[[There, int], None]


def _void(there: There, key: int) -> None:
    there.change("CoworkerInvoice", key, Void=True)


def _delete(there: There, key: int) -> None:
    there.forget("CoworkerInvoice", key)


def _other_total(there: There, key: int) -> None:
    record = there.space.need("CoworkerInvoice", key)
    there.change("CoworkerInvoice", key, TotalAmount=record["TotalAmount"] + 5)


def _other_member(there: There, key: int) -> None:
    there.change("CoworkerInvoice", key, CoworkerId=there.member("other@quill.example"))


def _credited(there: There, key: int) -> None:
    there.change("CoworkerInvoice", key, CreditedAmount=there.space.need("CoworkerInvoice", key)["TotalAmount"])


@pytest.mark.parametrize(
    ("change", "code", "stands", "wants"),
    [
        (_void, "void_there", 1, 1),
        (_delete, "not_found", 1, 1),
        (_other_total, "total_differs", 2, 1),
        (_other_member, "other_customer", 1, 1),
        (_credited, "credited_there", 2, 0),
    ],
)
def test_a_difference_is_named_with_what_to_do(
    there: There,
    hand_over: Callable[..., list[Invoice]],
    compare: Callable[..., str],
    change: Change,
    code: str,
    stands: int,
    wants: int,
) -> None:
    first, _ = hand_over("A-1", "A-2")
    key, number = remote(first)
    change(there, key)
    page = compare()
    assert found() == {number: code}
    assert all(words in page for words in differences.in_words(code))
    assert "A-1" in page
    assert "A-2" not in page
    assert (the_report().there_count, the_report().differences) == (stands, wants)


def test_an_accepted_difference_is_listed_but_wants_nobody(
    there: There, hand_over: Callable[..., list[Invoice]], compare: Callable[..., str]
) -> None:
    (invoice,) = hand_over("A-1")
    key, number = remote(invoice)
    _other_total(there, key)
    with unit_of_work() as session:
        session.execute(sa.update(InvoiceExport).values(remote_total_minor=InvoiceExport.remote_total_minor + 500))
    page = compare()
    assert found() == {number: "accepted"}
    assert "somebody accepted it" in page
    assert the_report().differences == 0
    assert the_report().there_minor == the_report().here_minor + 500


def _copied(there: There, key: int, **fields: Any) -> str:
    """Another invoice there like the one with id `key`; answers its number."""
    record = {**there.space.need("CoworkerInvoice", key), "InvoiceNumber": "INV-77", **fields}
    there.space.create("CoworkerInvoice", {name: value for name, value in record.items() if name != "Id"})
    return str(record["InvoiceNumber"])


def test_what_carries_our_reference_and_is_not_closed_with_it_is_found(
    there: There,
    customer: Customer,
    hand_over: Callable[..., list[Invoice]],
    compare: Callable[..., str],
) -> None:
    (invoice,) = hand_over("A-1")
    key, _ = remote(invoice)
    make.invoice(customer, number="OLD-1", created_at=clock.now() - timedelta(days=400))
    twice = _copied(there, key)
    here = _copied(there, key, InvoiceNumber="INV-78", PurchaseOrder="acme:OLD-1")
    nobodys = _copied(there, key, InvoiceNumber="INV-79", PurchaseOrder="acme:NEVER")
    _copied(there, key, InvoiceNumber="INV-80", PurchaseOrder="their own")
    _copied(there, key, InvoiceNumber="INV-81", CreditNote=True)
    _copied(there, key, InvoiceNumber="INV-82", Void=True)
    page = compare()
    assert found() == {twice: "twice", here: "not_sent", nobodys: "nobodys"}
    assert "A-1 was closed with" in page
    assert "no invoice here has that number" in page
    assert (the_report().here_count, the_report().there_count, the_report().differences) == (1, 4, 3)


def test_an_invoice_whose_outcome_is_unknown_here_is_found_standing_there(
    there: There, ana: Visitor, customer: Customer, hand_over: Callable[..., list[Invoice]], compare: Callable[..., str]
) -> None:
    (invoice,) = hand_over("A-1")
    key, number = remote(invoice)
    with unit_of_work() as session:
        session.execute(
            sa.update(InvoiceExport).values(state="held", reason_code="line_missing", remote_id=None, exported_at=None)
        )
    assert key
    assert "is not closed here yet" in compare()
    assert found() == {number: "not_closed"}


def test_rows_of_a_listing_that_leave_the_reference_out_are_read_by_id(
    there: There,
    hand_over: Callable[..., list[Invoice]],
    compare: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (invoice,) = hand_over("A-1")
    twice = _copied(there, remote(invoice)[0])
    _copied(there, remote(invoice)[0], InvoiceNumber="INV-80", PurchaseOrder="their own")
    shown = there.space.shown

    def without(entity: Any, record: Any, *fields: Any) -> Any:
        row = shown(entity, record, *fields)
        if fields:
            row.pop("PurchaseOrder", None)
        return row

    monkeypatch.setattr(there.space, "shown", without)
    compare()
    assert found() == {twice: "twice"}


def test_sums_stand_by_customer_and_every_invoice_is_in_the_file(
    there: There,
    cast: Cast,
    ana: Visitor,
    bell: HeardBell,
    customer: Customer,
    hand_over: Callable[..., list[Invoice]],
    compare: Callable[..., str],
) -> None:
    other = make.customer(
        cast.acme, "=Zed", email="zed@quill.example", address="R 2", city="Porto", postcode="4", country="PT"
    )
    work_again(bell)
    (gone,) = hand_over("A-1")
    (kept,) = hand_over("B-1", whose=other)
    _delete(there, remote(gone)[0])
    page = compare("customers")
    assert page.index("=Zed") < page.index(customer.full_name)
    rows = list(csv.DictReader(io.StringIO(ana.get(f"/acme/nexudus/reconciliation/{this_month()}.csv").text)))
    assert [(row["invoice"], row["total_here"], row["total_in_nexudus"], row["what_differs"]) for row in rows] == [
        ("A-1", str(gone.total.major), "", "Gone from Nexudus"),
        ("B-1", str(kept.total.major), str(kept.total.major), ""),
    ]
    assert rows[1]["customer"] == "'=Zed"
    assert rows[0]["what_to_do"].startswith("If it is still owed, copy the invoice")


def test_comparing_again_replaces_what_was_found(
    there: There, hand_over: Callable[..., list[Invoice]], compare: Callable[..., str]
) -> None:
    (invoice,) = hand_over("A-1")
    key, number = remote(invoice)
    there.change("CoworkerInvoice", key, Void=True)
    compare()
    assert found() == {number: "void_there"}
    there.change("CoworkerInvoice", key, Void=False)
    compare()
    assert found() == {}
    assert the_report().differences == 0


def test_a_slice_that_is_cut_short_goes_on_where_it_stopped(
    there: There,
    ana: Visitor,
    bell: HeardBell,
    hand_over: Callable[..., list[Invoice]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = hand_over("A-1", "A-2", "A-3")
    for invoice in made:
        there.change("CoworkerInvoice", remote(invoice)[0], Void=True)
    monkeypatch.setattr("plugins.nexudus.reconciling.PAGE", 1)
    monkeypatch.setattr(jobs, "SLICE_S", 0)
    ana.post("/acme/nexudus/reconciliation", data={"period": this_month()})
    bell.answer()
    assert the_report().ended_at is None
    assert the_connection().due_at is not None
    there.faults(only="/coworkerinvoices", dropped_next=1)
    monkeypatch.setattr(jobs, "SLICE_S", 45)
    work_again(bell)
    assert the_connection().problem in ana.get(f"/acme/nexudus/reconciliation/{this_month()}").text
    work_again(bell)
    assert set(found().values()) == {"void_there"}
    assert the_report().differences == 3


def test_a_page_that_shifts_is_read_again(
    there: There, hand_over: Callable[..., list[Invoice]], compare: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *_ = hand_over("A-1", "A-2", "A-3")
    key, number = remote(first)
    monkeypatch.setattr("plugins.nexudus.reconciling.PAGE", 1)
    shown, once = there.space.shown, [key]

    def shifting(entity: Any, record: Any, *fields: Any) -> Any:
        row = shown(entity, record, *fields)
        if fields and once:
            there.forget("CoworkerInvoice", once.pop())
        return row

    monkeypatch.setattr(there.space, "shown", shifting)
    compare()
    assert found() in ({}, {number: "not_found"})
    assert the_report().there_count >= 2


@pytest.mark.parametrize("period", ["", "2019-01", "2026-11-24", "nonsense", "2026-11\0"])
def test_only_periods_on_offer_are_taken(ana: Visitor, there: There, connected: Connection, period: str) -> None:
    assert ana.post("/acme/nexudus/reconciliation", data={"period": period}).status_code == 422
    assert db.session.scalars(sa.select(Reconciliation)).all() == []
    assert ana.get("/acme/nexudus/reconciliation/2019-01").status_code == 404
    assert ana.get("/acme/nexudus/reconciliation/2019-01.csv").status_code == 404


def test_a_window_ends_where_the_next_one_opens() -> None:
    since, now = datetime(2026, 10, 29, 12, tzinfo=UTC), datetime(2026, 11, 11, tzinfo=UTC)
    offered = {one.name: one for one in periods.offered(since, now, 6, "Europe/Lisbon")}
    assert list(offered) == ["2026-11", "2026-10", "2026-11-10", "2026-11-05", "2026-10-30"]
    assert offered["2026-10-30"].begins == datetime(2026, 10, 30, 6, tzinfo=UTC)
    assert offered["2026-10-30"].ends == offered["2026-11-05"].begins
    assert offered["2026-11"].begins == offered["2026-10"].ends == datetime(2026, 11, 1, tzinfo=UTC)
    assert periods.title("2026-10-30") == "Window of 30 October 2026"


def test_a_month_takes_what_was_handed_over_in_it_by_the_clock_of_the_account(
    there: There, hand_over: Callable[..., list[Invoice]], compare: Callable[..., str]
) -> None:
    hand_over("A-1")
    with unit_of_work() as session:
        session.execute(sa.update(InvoiceExport).values(exported_at=clock.now() - timedelta(days=32)))
    compare()
    assert (the_report().here_count, the_report().there_count, found()) == (0, 0, {})


def test_old_comparisons_go_at_night(
    there: There, hand_over: Callable[..., list[Invoice]], compare: Callable[..., str]
) -> None:
    hand_over("A-1")
    compare()

    def delete(model: Any, old: Any) -> int:
        with unit_of_work() as session:
            return int(session.execute(sa.delete(model).where(old)).rowcount)  # type: ignore[attr-defined]

    assert figures.prune(delete) == {"reconciled_invoices": 0, "reconciliations": 0}
    with time_machine.travel(clock.now() + timedelta(days=91)):
        assert figures.prune(delete) == {"reconciled_invoices": 1, "reconciliations": 1}
