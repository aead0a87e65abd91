"""What customers see and change of their own."""

import io
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest
import sqlalchemy as sa
from pypdf import PdfReader

from app import clock
from app.accounts import logos
from app.billing.models import Customer, InvoiceStatus
from app.db import db, unit_of_work
from app.mailing.models import OutgoingMail
from app.payments import letters
from tests import make
from tests.app.payments.conftest import path_of
from tests.cast import Cast
from tests.visitors import HeardBell, Visitor, counted_queries

CONTACT = {
    "full_name": "Tamsin Quill",
    "company": "Quill & Yarrow",
    "email": "tamsin@quill.example",
    "phone": "+351 210 000 000",
    "address": "Rua do Porto 4",
    "postcode": "1100-040",
    "city": "Lisboa",
    "country": "PT",
}


@pytest.fixture
def tamsin(cast: Cast) -> Customer:
    return make.customer(cast.acme, email="tamsin@quill.example")


@pytest.fixture
def browser(tamsin: Customer, enter_portal: Callable[[Customer], Visitor]) -> Visitor:
    return enter_portal(tamsin)


def test_the_list_says_what_is_to_pay_and_shows_no_draft(browser: Visitor, tamsin: Customer) -> None:
    make.invoice(tamsin, number="A-1", due_on=date(2026, 12, 4))
    make.invoice(tamsin, number="A-2", status=InvoiceStatus.PAID, paid_at=datetime(2026, 11, 1, tzinfo=UTC))
    draft = make.invoice(tamsin, number="ACME-0003", status=InvoiceStatus.DRAFT)

    page = browser.get("/portal/acme/invoices").text

    assert "€12.30" in page.replace('<span class="sm-minor">', "").replace("</span>", "")
    assert "A-1" in page
    assert "A-2" in page
    assert "ACME-0003" not in page
    assert browser.get(f"/portal/acme/invoices/{draft.id}").status_code == 404


def test_each_page_shows_the_accounts_mark_website_and_how_to_reach_it(
    browser: Visitor, client: Visitor, tamsin: Customer, cast: Cast
) -> None:
    with unit_of_work() as session:
        account = session.merge(cast.acme)
        account.website, account.contact_email, account.accent = "https://acme.example", "hi@acme.example", "#8a2be2"
        logos.put(account, logos.Drawn(b"png", "0123456789abcdef"))
        card_link = letters.card_link(account, tamsin)
    invoice = make.invoice(tamsin)
    own = ["invoices", f"invoices/{invoice.id}", "billing", "details", "details/edit", "invoices/999999"]
    pages = [browser.get(f"/portal/acme/{path}").text for path in own]
    pages += [client.get(f"/portal/acme/{path}").text for path in ("login", "sign-up", "forgotten")]
    pages.append(client.get(path_of(card_link)).text)

    for page in pages:
        for part in (
            "0123456789abcdef.png",
            "/look/",
            'href="https://acme.example"',
            "hi@acme.example",
            "Acme</strong>",
        ):
            assert part in page


def test_what_was_handed_over_reads_who_bills_it_and_asks_for_nothing(
    browser: Visitor, tamsin: Customer, cast: Cast
) -> None:
    make.installation(cast.acme, cutover_at=clock.now() - timedelta(days=9))
    closed = make.invoice(
        tamsin,
        status=InvoiceStatus.CLOSED,
        collector="nexudus",
        closed_at=clock.now(),
        handed_over_as="INV-3391",
    )

    page = browser.get(f"/portal/acme/invoices/{closed.id}").text

    assert "Acme bills this through Nexudus." in page
    assert "INV-3391" in page
    assert "you need no card here" in page
    assert "Paid" not in page


def test_contact_data_is_changed_and_announced(browser: Visitor, tamsin: Customer, cast: Cast, bell: HeardBell) -> None:
    installation = make.installation(cast.acme, "example")

    answer = browser.post("/portal/acme/details/edit", data=CONTACT)

    assert answer.status_code == 303
    assert db.session.get_one(Customer, tamsin.id).city == "Lisboa"
    assert bell.rings == [("example.greet", installation.id, tamsin.id)]


def test_a_new_email_is_told_to_the_old_address(browser: Visitor, tamsin: Customer) -> None:
    browser.post("/portal/acme/details/edit", data={**CONTACT, "email": "t.quill@quill.example"})

    mail = db.session.scalars(sa.select(OutgoingMail)).one()
    assert mail.recipient == "tamsin@quill.example"
    assert "t.quill@quill.example" in mail.text


def test_somebody_elses_email_is_refused_without_saying_whose(browser: Visitor, tamsin: Customer, cast: Cast) -> None:
    make.customer(cast.acme, "Wren Winter", email="taken@quill.example")

    answer = browser.post("/portal/acme/details/edit", data={**CONTACT, "email": "taken@quill.example"})

    assert answer.status_code == 422
    assert "This email cannot be taken here." in answer.text
    assert "Wren" not in answer.text
    assert db.session.get_one(Customer, tamsin.id).email == "tamsin@quill.example"


def test_what_cannot_be_taken_is_said_at_its_field(browser: Visitor, tamsin: Customer) -> None:
    answer = browser.post("/portal/acme/details/edit", data={**CONTACT, "full_name": " "})

    assert answer.status_code == 422
    assert "A customer needs a name." in answer.text
    assert "Quill &amp; Yarrow" in answer.text


def test_a_long_list_costs_as_much_as_a_short_one(browser: Visitor, tamsin: Customer) -> None:
    make.invoice(tamsin)
    browser.get("/portal/acme/invoices")
    with counted_queries() as short:
        browser.get("/portal/acme/invoices")
    for _ in range(30):
        make.invoice(tamsin)
    with counted_queries() as long:
        page = browser.get("/portal/acme/invoices").text

    assert long.count == short.count
    assert "1 to 25 of 31" in page


def test_an_invoice_can_be_had_as_pdf_and_one_of_somebody_else_cannot(
    browser: Visitor, tamsin: Customer, cast: Cast
) -> None:
    mine = make.invoice(tamsin, number="A-1")
    others = make.invoice(make.customer(cast.acme))

    answer = browser.get(f"/portal/acme/invoices/{mine.id}/pdf")

    assert answer.mimetype == "application/pdf"
    assert "A-1" in PdfReader(io.BytesIO(answer.data)).pages[0].extract_text()
    assert f"/portal/acme/invoices/{mine.id}/pdf" in browser.get(f"/portal/acme/invoices/{mine.id}").text
    assert browser.get(f"/portal/acme/invoices/{others.id}/pdf").status_code == 404
