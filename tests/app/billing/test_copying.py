from collections.abc import Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa

from app import clock
from app.accounts.models import User
from app.audit import AuditEntry
from app.billing import invoices
from app.billing.lines import Discount, Line
from app.billing.models import Customer, Invoice, InvoiceStatus
from app.db import db, unit_of_work
from tests import make
from tests.cast import Cast
from tests.visitors import Visitor


@pytest.fixture
def ben(cast: Cast, sign_in: Callable[[User], Visitor]) -> Visitor:
    return sign_in(cast.ben)


@pytest.fixture
def customer(cast: Cast) -> Customer:
    return make.customer(cast.acme, "Tamsin Quill")


def copy_of(invoice: Invoice) -> Invoice:
    return db.session.scalars(sa.select(Invoice).where(Invoice.copied_from_id == invoice.id)).one()


def test_a_void_invoice_is_written_anew_as_a_draft_with_its_lines_and_discounts(
    ben: Visitor, cast: Cast, customer: Customer
) -> None:
    with unit_of_work():
        lines = [
            Line.read("Storage", "2", "4.50", "23", "EUR", "10%"),
            Line.read("Parcels", "3", "2", "8", "EUR", "1.00"),
        ]
        wrong = invoices.create(cast.acme, customer, lines, discount=Discount.read("5%", "EUR"), note="Thank you")
        invoices.void(wrong, "Wrong address")
        db.session.merge(cast.acme).payment_days = 14

    answer = ben.post(f"/acme/invoices/{wrong.id}/copy")

    copy = copy_of(wrong)
    assert answer.location == f"/acme/invoices/{copy.id}"
    assert (copy.status, copy.number, copy.note) == (InvoiceStatus.DRAFT, "A-1002", "Thank you")
    assert copy.due_on == clock.today(cast.acme.timezone) + timedelta(days=14)
    assert [(one.description, one.net_minor, one.tax_minor) for one in copy.lines] == [
        (one.description, one.net_minor, one.tax_minor) for one in wrong.lines
    ]
    assert (copy.discount_rate, copy.total) == (wrong.discount_rate, wrong.total)
    assert db.session.scalars(sa.select(AuditEntry.action).order_by(AuditEntry.id)).all()[-1] == "invoice_created"


def test_both_pages_name_each_other(ben: Visitor, customer: Customer) -> None:
    wrong = make.invoice(customer, status=InvoiceStatus.CLOSED, collector="example", closed_at=clock.now())

    page = ben.get(f"/acme/invoices/{wrong.id}").text
    assert "Copy as new invoice" in page
    ben.post(f"/acme/invoices/{wrong.id}/copy")
    copy = copy_of(wrong)

    after = ben.get(f"/acme/invoices/{wrong.id}").text
    assert f'Replaced by <a href="/acme/invoices/{copy.id}">{copy.number}</a>' in after
    assert "Copy as new invoice" not in after
    assert (
        f'Written in place of <a href="/acme/invoices/{wrong.id}">{wrong.number}</a>'
        in ben.get(f"/acme/invoices/{copy.id}").text
    )


def test_a_second_press_makes_no_second_copy(ben: Visitor, customer: Customer) -> None:
    wrong = make.invoice(customer, status=InvoiceStatus.VOID)

    ben.post(f"/acme/invoices/{wrong.id}/copy")
    again = ben.post(f"/acme/invoices/{wrong.id}/copy")

    assert again.status_code == 409
    assert f"is a copy of {wrong.number} already" in again.text
    assert copy_of(wrong).number == "A-1001"


def test_after_a_void_copy_there_may_be_another(ben: Visitor, customer: Customer) -> None:
    wrong = make.invoice(customer, status=InvoiceStatus.VOID)
    ben.post(f"/acme/invoices/{wrong.id}/copy")
    first = copy_of(wrong)
    ben.post(f"/acme/invoices/{first.id}/void", data={"reason": "Wrong again"})

    page = ben.get(f"/acme/invoices/{wrong.id}").text
    assert "is void." in page
    assert "Copy as new invoice" in page
    assert ben.post(f"/acme/invoices/{wrong.id}/copy").status_code in {302, 303}


@pytest.mark.parametrize("status", [InvoiceStatus.PENDING, InvoiceStatus.PAID, InvoiceStatus.DRAFT])
def test_an_invoice_that_stands_has_no_copy(ben: Visitor, customer: Customer, status: InvoiceStatus) -> None:
    invoice = make.invoice(customer, status=status)

    assert "Copy as new invoice" not in ben.get(f"/acme/invoices/{invoice.id}").text
    assert ben.post(f"/acme/invoices/{invoice.id}/copy").status_code == 409
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Invoice)) == 1
