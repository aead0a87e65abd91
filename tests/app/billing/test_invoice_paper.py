"""Invoices on paper and by mail: what the sheet says, and one mail per press."""

from collections.abc import Callable
from datetime import date
from typing import Any

import sqlalchemy as sa

from app import clock
from app.accounts.models import User
from app.billing import collecting, printing
from app.billing.models import Customer, InvoiceStatus
from app.db import db, unit_of_work
from app.mailing.models import OutgoingMail
from tests import make
from tests.cast import Cast
from tests.visitors import HeardBell, Visitor


def mails() -> list[OutgoingMail]:
    return list(db.session.scalars(sa.select(OutgoingMail)))


def test_an_invoice_is_drawn_whatever_the_customer_is_called(cast: Cast, sign_in: Callable[[User], Visitor]) -> None:
    customer = make.customer(cast.acme, "Ирина Ελένη 日本 *#$<@[", company="A#b(")
    row = make.invoice(customer, number="A-7", lines=[("*bold* #panic() $x$", "2", 450, "23")])

    answer = sign_in(cast.ana).get(f"/acme/invoices/{row.id}/pdf")

    assert answer.mimetype == "application/pdf"
    assert answer.data.startswith(b"%PDF-")
    assert 'filename="A-7.pdf"' in answer.headers["Content-Disposition"]


def test_names_stay_as_they_were_when_somebody_began_to_collect(cast: Cast) -> None:
    customer = make.customer(cast.acme, "Tamsin Quill")
    row = make.invoice(customer)
    with unit_of_work():
        assert collecting.claim(row.id, "gateway")
    with unit_of_work():
        db.session.get_one(Customer, customer.id).full_name = "Tamsin Rook"

    assert "Tamsin Quill" in printing.sheet_of(row).customer
    assert "Tamsin Rook" in printing.sheet_of(make.invoice(customer)).customer


def test_what_was_handed_over_is_a_statement_with_the_number_over_there(
    cast: Cast, sign_in: Callable[[User], Visitor]
) -> None:
    customer = make.customer(cast.acme)
    handed_over: dict[str, Any] = {"collector": "nexudus", "handed_over_as": "INV-3391", "closed_at": clock.now()}
    row = make.invoice(customer, status=InvoiceStatus.CLOSED, due_on=date(2026, 12, 5), **handed_over)
    ana = sign_in(cast.ana)

    sheet, page = printing.sheet_of(row), ana.get(f"/acme/invoices/{row.id}").text
    pressed = ana.post(f"/acme/invoices/{row.id}/mail", data={"seen": "0"})

    assert sheet.title == "Statement"
    assert "INV-3391" in sheet.verdict
    assert "Due" not in dict(sheet.facts), "that is the other system's to say"
    assert "A statement" in page
    assert "Mail to customer" not in page
    assert pressed.status_code == 409
    assert mails() == []


def test_one_press_is_one_mail_with_the_pdf(cast: Cast, sign_in: Callable[[User], Visitor], bell: HeardBell) -> None:
    customer = make.customer(cast.acme, email="tamsin@quill.example")
    row, ana = make.invoice(customer, number="A-7"), sign_in(cast.ana)

    first = ana.post(f"/acme/invoices/{row.id}/mail", data={"seen": "0"})
    second = ana.post(f"/acme/invoices/{row.id}/mail", data={"seen": "0"})
    bell.rings = [ring for ring in bell.rings if ring[0] == "host.mail_invoice"]
    ring = bell.rings[0]
    for _ in range(2):
        bell.rings = [ring]
        bell.answer()

    assert (first.status_code, second.status_code) == (303, 409)
    (mail,) = mails()
    assert (mail.recipient, mail.attachments[0].file_name) == ("tamsin@quill.example", "A-7.pdf")
    assert "A-7" in mail.subject
    assert "Mailed to the customer" in ana.get(f"/acme/invoices/{row.id}").text
