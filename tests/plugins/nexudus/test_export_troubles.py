"""Troubles between two systems that are both worked on: what is noticed in time, and what holds up nobody else."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from app import effects
from app.accounts.models import Account
from app.billing import invoices
from app.billing.lines import Line
from app.billing.models import Customer, InvoiceStatus
from app.db import db, unit_of_work
from plugins.nexudus import export_reports, freezing, runs, tax_products
from plugins.nexudus.models import ExportRun, ExportState, InvoiceExport, TaxProduct
from tests import make
from tests.cast import Cast
from tests.plugins.nexudus.conftest import There, export_of, fresh, mounted, newer_invoice, the_connection, work_again
from tests.visitors import HeardBell, Visitor

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def press(ana: Visitor, bell: HeardBell, rounds: int = 1) -> None:
    ana.post("/acme/nexudus/exports/now")
    for _ in range(rounds):
        try:
            bell.answer()
        except ValueError:
            bell.rings.clear()
        due_now()
        bell.ring("nexudus.work_on_connection", the_connection().id)


def due_now() -> None:
    with unit_of_work() as session:
        session.execute(
            sa.update(InvoiceExport)
            .where(InvoiceExport.state == "unknown")
            .values(next_try_at=sa.func.coalesce(None, InvoiceExport.sent_at))
        )


def test_a_line_of_another_tax_rate_added_while_we_asked(
    ana: Visitor, there: There, customer: Customer, bell: HeardBell, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoice, real = newer_invoice(customer), tax_products.ready
    once: list[int] = []
    invoice_id, account_id = invoice.id, customer.account_id
    db.session.rollback()

    def ready(*args: Any, **options: Any) -> Any:
        found = real(*args, **options)
        if not once:
            once.append(1)
            with unit_of_work() as session:
                invoices.extend(
                    invoices.locked(session.get_one(Account, account_id), invoice_id),
                    Line("Tea", Decimal(1), 100, Decimal(6)),
                )
        return found

    monkeypatch.setattr(tax_products, "ready", ready)
    press(ana, bell)
    assert fresh(invoice).status == InvoiceStatus.CLOSED


def customer_account(customer: Customer) -> Any:
    return db.session.get_one(Account, customer.account_id)


def test_one_invoice_that_cannot_be_read_there_does_not_stop_the_others(
    ana: Visitor, there: There, customer: Customer, bell: HeardBell
) -> None:
    class Crash(BaseException):
        pass

    passed = 0

    def crash(at: str) -> None:
        nonlocal passed
        passed += at == "before_intent"
        if passed == 4:  # the product, the sale and its invoice are there; its reference is not
            raise Crash

    newer_invoice(customer)
    ana.post("/acme/nexudus/exports/now")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Crash):
        patch.setattr(effects, "crash_point", crash)
        bell.answer()
    bell.rings.clear()
    (sale,) = there.space.where("CoworkerProduct")
    there.faults(only=f"/coworkerproducts/{sale['Id']}", error_next=10**6)
    second = newer_invoice(customer)
    press(ana, bell)
    with unit_of_work() as session:
        runs.begin_retry(the_connection(), "x")  # an own run, so that the second is planned
        session.execute(sa.update(ExportRun).values(planned_at=None))
    for _ in range(6):
        work_again(bell)
    assert export_of(second) is not None  # it has its row and waits
    assert fresh(second).status == InvoiceStatus.CLOSED


def test_a11_an_invoice_on_which_the_job_always_crashes_does_not_stop_the_others(
    ana: Visitor, there: There, customer: Customer, bell: HeardBell, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer_invoice(customer, number="BAD")
    good, real = newer_invoice(customer), freezing._freeze

    def freeze(export: InvoiceExport, *rest: Any) -> Any:
        if export.invoice.number == "BAD":
            raise ValueError("a bug")
        return real(export, *rest)

    monkeypatch.setattr(freezing, "_freeze", freeze)
    press(ana, bell, rounds=6)
    assert fresh(good).status == InvoiceStatus.CLOSED


def test_a_customer_completed_after_field_missing_goes_on_retry(
    app: Flask, cast: Cast, ana: Visitor, bell: HeardBell, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = mounted(app, monkeypatch, "classic-2020")
    ana.post(
        "/acme/nexudus/connect",
        data={"email": "ops@quayside.example", "password": "quayside-demo", "issue": "draft", "may_add_products": "y"},
    )
    bell.answer()
    customer = make.customer(cast.acme, address="R 1", city="Porto", country="PT")
    work_again(bell)
    invoice = newer_invoice(customer)
    press(ana, bell)
    export = export_of(invoice)
    assert export is not None
    assert export.reason_code == "field_missing", (export.state, export.reason_code)
    with unit_of_work() as session:
        session.get_one(Customer, customer.id).postcode = "4000"
    ana.post(f"/acme/nexudus/exports/{export.id}/retry")
    bell.answer()
    assert fresh(invoice).status == InvoiceStatus.CLOSED
    assert len(there.invoices()) == 1


def test_what_waited_when_the_connection_ended_stays_before_the_next_cut_over(
    ana: Visitor, there: There, customer: Customer, bell: HeardBell
) -> None:
    invoice = newer_invoice(customer)
    there.faults(only="/api/spaces/coworkers/", error_next=2)
    ana.post("/acme/nexudus/exports/now")
    bell.answer()
    export = export_of(invoice)
    assert export is not None
    assert export.state == ExportState.WAITING
    assert not export.frozen
    ana.post("/acme/settings/integrations/systems/nexudus/toggle", data={"on": "0"})
    ana.post("/acme/settings/integrations/systems/nexudus/toggle", data={"on": "1"})
    ana.post(
        "/acme/nexudus/connect",
        data={"email": "ops@quayside.example", "password": "quayside-demo", "issue": "draft", "may_add_products": "y"},
    )
    bell.answer()
    work_again(bell, rounds=2)
    assert fresh(invoice).status == InvoiceStatus.PENDING
    assert there.invoices() == []


def test_b11_a_member_archived_since_the_last_listing_gets_nothing(
    ana: Visitor, there: There, customer: Customer, bell: HeardBell
) -> None:
    invoice = newer_invoice(customer)
    there.change("Coworker", there.members()[0]["Id"], Archived=True)
    press(ana, bell)
    export = export_of(invoice)
    assert there.invoices() == []
    assert export is not None
    assert (export.state, export.reason_code) == (ExportState.HELD, "gone")


def test_a_product_deleted_there_is_found_or_made_again(
    ana: Visitor, there: There, customer: Customer, bell: HeardBell
) -> None:
    newer_invoice(customer)
    press(ana, bell)
    row = db.session.scalars(sa.select(TaxProduct)).one()
    there.forget("Product", row.product_id or 0)
    second = newer_invoice(customer)
    press(ana, bell)
    export = export_of(second)
    assert export is not None
    if export.state == ExportState.HELD:
        ana.post(f"/acme/nexudus/exports/{export.id}/retry")
        bell.answer()
    assert fresh(second).status == InvoiceStatus.CLOSED, (export.reason_code, export.reason)


def test_a_held_invoice_that_is_voided_here_waits_for_nobody(
    ana: Visitor, there: There, customer: Customer, bell: HeardBell
) -> None:
    invoice = newer_invoice(customer, currency="USD")
    press(ana, bell)
    assert export_reports.counts(the_connection())["held"] == 1
    with unit_of_work():
        invoices.void(invoices.locked(customer_account(customer), invoice.id), "mistake")
    work_again(bell, rounds=2)
    assert export_reports.counts(the_connection())["held"] == 0


def test_tax_rates_to_come_are_shown_before_the_first_export(
    ana: Visitor, there: There, customer: Customer, bell: HeardBell
) -> None:
    newer_invoice(customer)
    work_again(bell)
    page = ana.get("/acme/settings/integrations/systems").text
    assert "23% tax" in page


def test_the_command_survives_a_short_outage(there: There, customer: Customer, run_command: Callable[..., Any]) -> None:
    newer_invoice(customer)
    there.faults(only="/taxrates", error_next=1)
    done = run_command("nexudus", "export", "--account", "acme", "--json")
    assert done.exit_code == 0, done.output
    assert '"exported": 1' in done.output


def test_a_location_that_bills_in_another_currency_is_noticed_before_anything_is_written(
    ana: Visitor, there: There, customer: Customer, bell: HeardBell
) -> None:
    second = there.space.where("Business", Name="Quayside Mill Lane")[0]
    there.change("Business", second["Id"], CurrencyId=3005)
    with unit_of_work() as session:
        from plugins.nexudus.models import SeenMember

        session.execute(sa.update(SeenMember).values(invoicing_business_id=second["Id"]))
        session.execute(sa.update(SeenMember).values(invoicing_business_id=second["Id"]))
    there.change("Coworker", there.members()[0]["Id"], InvoicingBusinessId=second["Id"])
    newer_invoice(customer)
    press(ana, bell)
    assert there.space.where("CoworkerProduct") == []
