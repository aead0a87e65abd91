import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import unescape
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine

from app import clock
from app.accounts.models import User
from app.billing import collecting, printing
from app.billing.models import Customer, Invoice, InvoiceStatus
from app.db import db, unit_of_work
from app.installations.models import InstallationState
from app.money import Money
from tests import make
from tests.cast import Cast
from tests.visitors import Visitor, counted_queries

LINE = {
    "lines-0-description": "Storage",
    "lines-0-quantity": "2",
    "lines-0-unit_price": "4,50",
    "lines-0-tax_rate": "23",
}


@pytest.fixture
def ana(cast: Cast, sign_in: Callable[[User], Visitor]) -> Visitor:
    return sign_in(cast.ana)


@pytest.fixture
def customer(cast: Cast) -> Customer:
    return make.customer(cast.acme, "Tamsin Quill")


def only_invoice() -> Invoice:
    return db.session.scalars(sa.select(Invoice)).one()


class TestTheList:
    def test_it_counts_each_status_and_sums_what_it_shows(self, ana: Visitor, customer: Customer) -> None:
        make.invoice(customer)
        make.invoice(customer, status=InvoiceStatus.PAID, collector="by_hand")

        everything, paid = ana.get("/acme/invoices").text, ana.get("/acme/invoices?status=paid").text

        assert "2 invoices, €24.60" in everything
        assert "1 invoice, €12.30" in paid
        assert re.search(r'<span>Handed over</span> <span class="sm-count">0<', everything)

    def test_who_collects_narrows_it(self, ana: Visitor, customer: Customer) -> None:
        make.invoice(customer, number="FREE")
        make.invoice(customer, number="TAKEN", collector="gateway")

        page = ana.get("/acme/invoices?collector=nobody").text

        assert "FREE" in page
        assert "TAKEN" not in page

    def test_the_number_of_queries_does_not_grow_with_the_list(self, ana: Visitor, cast: Cast) -> None:
        make.installation(cast.acme, "example")
        make.invoice(make.customer(cast.acme))
        with counted_queries() as few:
            ana.get("/acme/invoices")
        for _ in range(20):
            make.invoice(make.customer(cast.acme))
        with counted_queries() as many:
            ana.get("/acme/invoices")

        assert many.count == few.count

    def test_other_accounts_do_not_count(self, ana: Visitor, cast: Cast) -> None:
        make.invoice(make.customer(cast.zenith, "Canary Bird"), number="Z-1")

        page = ana.get("/acme/invoices").text

        assert "No invoices yet" in page
        assert "Canary" not in page


class TestWriting:
    def test_a_written_invoice_has_the_next_number_and_its_sums(self, ana: Visitor, customer: Customer) -> None:
        answer = ana.post(f"/acme/customers/{customer.id}/invoices/new", data={**LINE, "due_on": "2026-12-05"})

        invoice = only_invoice()
        assert answer.location == f"/acme/invoices/{invoice.id}"
        assert (invoice.number, invoice.status, str(invoice.due_on)) == ("A-1001", "pending", "2026-12-05")
        assert invoice.total == Money(1107, "EUR")
        assert "A-1001 is created. Nothing was sent." in ana.get(answer.location).text

    def test_another_line_is_asked_for_without_losing_what_was_typed(self, ana: Visitor, customer: Customer) -> None:
        for htmx in (False, True):
            answer = ana.post(f"/acme/customers/{customer.id}/invoices/new", data={**LINE, "add_line": "1"}, htmx=htmx)

            assert answer.status_code == 200
            assert 'value="Storage"' in answer.text
            assert 'name="lines-1-description"' in answer.text
        assert db.session.scalar(sa.select(sa.func.count()).select_from(Invoice)) == 0

    def test_a_line_is_taken_away_and_the_others_stay(self, ana: Visitor, customer: Customer) -> None:
        second = {"lines-1-description": "Parcel", "lines-1-quantity": "1", "lines-1-unit_price": "3"}

        page = ana.post(f"/acme/customers/{customer.id}/invoices/new", data={**LINE, **second, "remove_line": "0"}).text

        assert 'value="Parcel"' in page
        assert 'value="Storage"' not in page

    def test_blank_lines_are_left_out(self, ana: Visitor, customer: Customer) -> None:
        blank = {"lines-1-description": "", "lines-1-quantity": "1", "lines-1-unit_price": ""}

        ana.post(f"/acme/customers/{customer.id}/invoices/new", data={**LINE, **blank})

        assert len(only_invoice().lines) == 1

    def test_an_error_stands_beside_its_field(self, ana: Visitor, customer: Customer) -> None:
        answer = ana.post(
            f"/acme/customers/{customer.id}/invoices/new", data={**LINE, "lines-0-quantity": "many", "due_on": "soon"}
        )

        assert answer.status_code == 422
        assert re.search(r'id="lines-0-quantity-note">.*“many” is not a number', answer.text, re.DOTALL)
        assert 'id="due_on-note"' in answer.text
        assert 'value="Storage"' in answer.text

    def test_a_form_without_any_line_is_refused(self, ana: Visitor, customer: Customer) -> None:
        answer = ana.post(f"/acme/customers/{customer.id}/invoices/new", data={})

        assert answer.status_code == 422
        assert "Say what is billed." in answer.text

    def test_tax_and_currency_are_the_locations(self, ana: Visitor, cast: Cast) -> None:
        there = make.location(cast.acme, "Leith", currency="GBP", tax_rate=Decimal(20))
        customer = make.customer(cast.acme, location=there)

        page = ana.get(f"/acme/customers/{customer.id}/invoices/new").text
        ana.post(f"/acme/customers/{customer.id}/invoices/new", data=LINE)

        assert 'value="20"' in page
        assert "Amounts are in GBP." in page
        assert only_invoice().total == Money(1107, "GBP")

    def test_it_is_due_after_the_days_that_the_account_gives(
        self, ana: Visitor, cast: Cast, customer: Customer
    ) -> None:
        with unit_of_work():
            db.session.merge(cast.acme).payment_days = 14

        page = ana.get(f"/acme/customers/{customer.id}/invoices/new").text

        assert (clock.today(cast.acme.timezone) + timedelta(days=14)).isoformat() in page

    def test_discounts_of_lines_and_of_the_whole_are_taken_off_before_tax(
        self, ana: Visitor, customer: Customer
    ) -> None:
        second = {"lines-1-description": "Parcel", "lines-1-quantity": "1", "lines-1-unit_price": "3"}
        discounts = {"lines-0-discount": "10%", "lines-1-discount": "1,00", "discount": "5 %"}
        address = f"/acme/customers/{customer.id}/invoices/new"

        answer = ana.post(address, data={**LINE, **second, **discounts})

        invoice = only_invoice()
        assert [line.discount_minor for line in invoice.lines] == [90, 100]
        assert (invoice.discount_minor, invoice.net_minor) == (51, 959)
        page = ana.get(answer.location).text
        for words in ("less 10% (€0.90)", "less €1.00", "Discount of 5%", "Sum of lines", printing.ROUNDING):
            assert words in page

    @pytest.mark.parametrize(
        ("field", "typed", "sentence"),
        [
            ("lines-0-discount", "half", "is not an amount"),
            ("lines-0-discount", "101%", "between 0 and 100 percent"),
            ("lines-0-discount", "9.01", "takes off more than there is"),
            ("discount", "-1", "without a minus sign"),
            ("discount", "nan%", "is not a number"),
            ("discount", "9.01", "takes off more than there is"),
            ("lines-0-unit_price", "1,000", "can be read in two ways. Type 1000 or 1.000."),
            ("lines-0-quantity", "1,000", "can be read in two ways. Type 1000 or 1.000."),
        ],
    )
    def test_what_cannot_be_taken_off_is_refused_at_its_field(
        self, ana: Visitor, customer: Customer, field: str, typed: str, sentence: str
    ) -> None:
        answer = ana.post(f"/acme/customers/{customer.id}/invoices/new", data={**LINE, field: typed})

        assert answer.status_code == 422
        assert re.search(rf'id="{field}-note">(?:(?!</p>).)*{re.escape(sentence)}', answer.text, re.DOTALL)
        assert db.session.scalar(sa.select(sa.func.count()).select_from(Invoice)) == 0


class TestDrafts:
    @pytest.fixture
    def draft(self, ana: Visitor, customer: Customer) -> Invoice:
        typed = {
            **LINE,
            "lines-0-discount": "10%",
            "discount": "1",
            "due_on": "2026-12-05",
            "note": "Hello",
            "draft": "1",
        }
        ana.post(f"/acme/customers/{customer.id}/invoices/new", data=typed)
        return only_invoice()

    def test_an_invoice_can_be_kept_as_a_draft(self, ana: Visitor, draft: Invoice) -> None:
        assert (draft.number, draft.status) == ("A-1001", InvoiceStatus.DRAFT)
        assert f"/acme/invoices/{draft.id}/edit" in ana.get(f"/acme/invoices/{draft.id}").text

    def test_its_form_holds_what_stands_on_it_and_saving_that_changes_nothing(
        self, ana: Visitor, draft: Invoice
    ) -> None:
        page = ana.get(f"/acme/invoices/{draft.id}/edit").text

        typed = {name: unescape(text) for name, text in re.findall(r'name="([^"]+)"[^>]*? value="([^"]*)"', page)}
        assert (typed["lines-0-quantity"], typed["lines-0-unit_price"], typed["lines-0-discount"]) == (
            "2",
            "4.50",
            "10%",
        )
        assert (typed["discount"], typed["due_on"], typed["lines-0-tax_rate"]) == ("1.00", "2026-12-05", "23")
        before = draft.total
        kept = {name: text for name, text in typed.items() if not name.endswith("_line")}
        assert ana.post(f"/acme/invoices/{draft.id}/edit", data={**kept, "note": "Hello"}).status_code == 303
        db.session.refresh(draft)
        assert (draft.total, draft.note, len(draft.lines)) == (before, "Hello", 1)

    @pytest.mark.parametrize("htmx", [False, True])
    def test_lines_come_and_go_before_anything_is_saved(self, ana: Visitor, draft: Invoice, htmx: bool) -> None:
        address = f"/acme/invoices/{draft.id}/edit"
        grown = ana.post(address, data={**LINE, "add_line": "1"}, htmx=htmx)
        second = {"lines-1-description": "Parcel", "lines-1-quantity": "1", "lines-1-unit_price": "3"}
        shrunk = ana.post(address, data={**LINE, **second, "remove_line": "0"}, htmx=htmx)

        assert (grown.status_code, shrunk.status_code) == (200, 200)
        assert 'name="lines-1-description"' in grown.text
        assert "Storage" not in shrunk.text
        assert [line.description for line in only_invoice().lines] == ["Storage"]

        ana.post(address, data={"lines-0-description": "Parcel", "lines-0-quantity": "1", "lines-0-unit_price": "3"})
        assert [(line.position, line.description) for line in only_invoice().lines] == [(1, "Parcel")]
        assert only_invoice().total == Money(300, "EUR")

    def test_an_error_stands_beside_its_field_and_changes_nothing(self, ana: Visitor, draft: Invoice) -> None:
        answer = ana.post(f"/acme/invoices/{draft.id}/edit", data={**LINE, "lines-0-unit_price": "much"})

        assert answer.status_code == 422
        assert re.search(r'id="lines-0-unit_price-note">.*“much” is not an amount', answer.text, re.DOTALL)
        assert only_invoice().lines[0].unit_minor == 450

    def test_a_note_keeps_the_lines_it_was_typed_in(self, ana: Visitor, draft: Invoice) -> None:
        answer = ana.post(f"/acme/invoices/{draft.id}/edit", data={**LINE, "note": "Thank you.\r\n\r\nSee you "})

        assert answer.status_code == 303
        assert only_invoice().note == "Thank you.\n\nSee you"
        assert "Thank you.\n\nSee you</p>" in ana.get(f"/acme/invoices/{draft.id}").text

    def test_what_was_issued_is_no_longer_rewritten(self, ana: Visitor, draft: Invoice) -> None:
        ana.post(f"/acme/invoices/{draft.id}/issue")

        asked, pressed = (
            ana.get(f"/acme/invoices/{draft.id}/edit"),
            ana.post(f"/acme/invoices/{draft.id}/edit", data=LINE),
        )

        assert (asked.status_code, pressed.status_code) == (409, 409)
        assert "is no draft any more" in asked.text
        assert only_invoice().discount_minor == 100


class TestADiscountLater:
    def test_it_is_taken_off_a_pending_invoice_and_takes_the_place_of_an_earlier_one(
        self, ana: Visitor, customer: Customer
    ) -> None:
        invoice = make.invoice(customer)
        for typed in ("50%", "2"):
            assert ana.post(f"/acme/invoices/{invoice.id}/discount", data={"discount": typed}).status_code == 303

        db.session.refresh(invoice)
        assert (invoice.discount_minor, invoice.net_minor, invoice.total_minor) == (200, 800, 984)
        assert 'value="2.00"' in ana.get(f"/acme/invoices/{invoice.id}/discount").text
        ana.post(f"/acme/invoices/{invoice.id}/discount", data={"discount": ""})
        db.session.refresh(invoice)
        assert invoice.total_minor == 1230

    def test_more_than_there_is_is_refused(self, ana: Visitor, customer: Customer) -> None:
        invoice = make.invoice(customer)

        answer = ana.post(f"/acme/invoices/{invoice.id}/discount", data={"discount": "10.01"})

        assert answer.status_code == 422
        assert "takes off more than there is" in answer.text

    def test_a_credit_that_leaves_less_than_the_discount_is_refused_at_its_price(
        self, ana: Visitor, customer: Customer
    ) -> None:
        invoice = make.invoice(customer)
        ana.post(f"/acme/invoices/{invoice.id}/discount", data={"discount": "5"})

        typed = {"description": "Credit", "quantity": "1", "unit_price": "-6", "tax_rate": "23"}
        answer = ana.post(f"/acme/invoices/{invoice.id}/lines/new", data=typed)

        assert answer.status_code == 422
        assert re.search(r'id="unit_price-note">.*more than is left', answer.text, re.DOTALL)
        assert len(only_invoice().lines) == 1


class TestOneInvoice:
    def test_a_pending_one_can_be_changed(self, ana: Visitor, customer: Customer) -> None:
        invoice = make.invoice(customer)

        page = ana.get(f"/acme/invoices/{invoice.id}").text

        for deed in ("Add a line…", "Mark as paid…", "Void…"):
            assert deed in page
        assert "nobody yet" in page

    @pytest.mark.parametrize("state", [{"status": InvoiceStatus.VOID}, {"collector": "example"}])
    def test_a_frozen_one_offers_nothing(self, ana: Visitor, customer: Customer, state: dict[str, Any]) -> None:
        invoice = make.invoice(customer, **state)

        page = ana.get(f"/acme/invoices/{invoice.id}").text

        assert "Add a line…" not in page
        assert "Mark as paid…" not in page

    @time_machine.travel(datetime(2026, 11, 22, 9, tzinfo=UTC), tick=False)
    def test_a_closed_one_is_handed_over_and_never_looks_paid(
        self, sign_in: Callable[[User], Visitor], cast: Cast, customer: Customer
    ) -> None:
        invoice = make.invoice(customer)
        with unit_of_work():
            collecting.claim(invoice.id, "example")
            collecting.close_as_handed_over(invoice.id, "example", "INV-3391")

        page = sign_in(cast.ana).get(f"/acme/invoices/{invoice.id}").text

        assert "Closed: handed over to Example on 22 November as INV-3391. Not paid yet." in page
        assert "Handed over" in page
        assert 'class="sm-postmark"' in page
        assert "sm-square-stamp" not in page
        assert ">Paid<" not in page

    @time_machine.travel(datetime(2026, 11, 22, 9, tzinfo=UTC), tick=False)
    def test_a_paid_one_bears_the_stamp(
        self, sign_in: Callable[[User], Visitor], cast: Cast, customer: Customer
    ) -> None:
        invoice, ana = make.invoice(customer), sign_in(cast.ana)
        ana.post(f"/acme/invoices/{invoice.id}/paid", data={"how": "Cash", "note": "At the desk."})

        page = ana.get(f"/acme/invoices/{invoice.id}").text

        assert "Marked as paid by hand (cash) on 22 November." in page
        assert "sm-square-stamp" in page
        assert "Payment: At the desk." in page

    def test_a_plugin_has_its_place_on_the_page(self, ana: Visitor, cast: Cast, customer: Customer) -> None:
        make.installation(cast.acme, "example")
        invoice = make.invoice(customer)

        assert f"Example says hello to Invoice {invoice.id}" in ana.get(f"/acme/invoices/{invoice.id}").text


class TestWhatComesNext:
    @pytest.fixture
    def invoice(self, cast: Cast) -> Invoice:
        """An invoice of a customer whom the example plugin bills since ten o'clock."""
        make.installation(cast.acme, "example", cutover_at=datetime(2026, 11, 22, 10, tzinfo=UTC))
        customer = make.customer(cast.acme, billed_by="example")
        return make.invoice(customer, created_at=datetime(2026, 11, 22, 10, 0, 1, tzinfo=UTC))

    def test_a_newer_one_goes_to_the_plugin(self, ana: Visitor, invoice: Invoice) -> None:
        assert "It goes to Example with the next export." in ana.get(f"/acme/invoices/{invoice.id}").text

    @time_machine.travel(datetime(2026, 12, 24, tzinfo=UTC), tick=False)
    def test_an_older_one_stays_and_says_why(
        self, sign_in: Callable[[User], Visitor], cast: Cast, invoice: Invoice
    ) -> None:
        older = make.invoice(invoice.customer, created_at=datetime(2026, 11, 22, 10, tzinfo=UTC))

        page = sign_in(cast.ana).get(f"/acme/invoices/{older.id}").text

        assert "Created before 22 November, 10:00, when Example was connected: stays with default billing." in page
        assert "Do not send" not in page

    def test_one_that_is_not_to_be_sent_says_so_and_can_be_let_go(self, ana: Visitor, invoice: Invoice) -> None:
        ana.post(f"/acme/invoices/{invoice.id}/do-not-send", data={"held_back": "1"})

        page = ana.get(f"/acme/invoices/{invoice.id}").text
        assert "It is not sent to Example" in page
        assert "Let it be sent" in page
        ana.post(f"/acme/invoices/{invoice.id}/do-not-send", data={"held_back": "0"})
        assert not invoice.do_not_send

    def test_it_is_collected_here_while_the_plugin_is_off(self, ana: Visitor, cast: Cast) -> None:
        make.installation(cast.acme, "example", state=InstallationState.OFF)
        invoice = make.invoice(make.customer(cast.acme, billed_by="example"))

        page = ana.get(f"/acme/invoices/{invoice.id}").text

        assert "Collected here. It stays pending: no payment gateway is connected." in page
        assert "Example" not in page


class TestDeeds:
    def test_a_line_is_added_in_a_dialog(self, ana: Visitor, customer: Customer) -> None:
        invoice = make.invoice(customer)
        address = f"/acme/invoices/{invoice.id}/lines/new"

        refused = ana.post(address, data={"description": "", "quantity": "1", "unit_price": "2"}, htmx=True)
        added = ana.post(address, data={"description": "Stamp", "quantity": "1", "unit_price": "2"}, htmx=True)

        assert refused.status_code == 422
        assert "Say what is billed." in refused.text
        assert added.headers["HX-Redirect"] == f"/acme/invoices/{invoice.id}"
        assert invoice.total == Money(1430, "EUR")

    def test_a_void_needs_its_reason(self, ana: Visitor, customer: Customer) -> None:
        invoice = make.invoice(customer)

        assert ana.post(f"/acme/invoices/{invoice.id}/void", data={"reason": " "}).status_code == 422
        assert invoice.status == "pending"
        ana.post(f"/acme/invoices/{invoice.id}/void", data={"reason": "Written twice."})
        assert (invoice.status, invoice.void_reason) == ("void", "Written twice.")

    def test_a_draft_is_issued(self, ana: Visitor, customer: Customer) -> None:
        invoice = make.invoice(customer, status=InvoiceStatus.DRAFT)

        ana.post(f"/acme/invoices/{invoice.id}/issue")

        assert invoice.status == "pending"

    @pytest.mark.parametrize(
        ("deed", "typed"),
        [
            ("lines/new", {"description": "Stamp", "quantity": "1", "unit_price": "2"}),
            ("void", {"reason": "Written twice."}),
            ("paid", {"how": "Cash"}),
            ("do-not-send", {"held_back": "1"}),
        ],
    )
    def test_what_somebody_collects_meanwhile_is_refused_with_a_sentence(
        self, ana: Visitor, customer: Customer, deed: str, typed: dict[str, str]
    ) -> None:
        invoice = make.invoice(customer, number="A-7", collector="example")

        answer = ana.post(f"/acme/invoices/{invoice.id}/{deed}", data=typed)

        assert answer.status_code == 409
        assert "A-7" in answer.text
        assert (invoice.status, invoice.total) == ("pending", Money(1230, "EUR"))

    @pytest.mark.parametrize("deed", ["", "/lines/new", "/void", "/paid", "/issue", "/do-not-send"])
    def test_another_accounts_invoice_is_not_found(self, ana: Visitor, cast: Cast, deed: str) -> None:
        theirs = make.invoice(make.customer(cast.zenith, "Canary Bird"), status=InvoiceStatus.DRAFT)
        typed = {"reason": "x", "how": "Cash", "description": "x", "quantity": "1", "unit_price": "1"}

        answers = [
            ana.get(f"/acme/invoices/{theirs.id}{deed}"),
            ana.post(f"/acme/invoices/{theirs.id}{deed}", data=typed),
        ]

        assert {answer.status_code for answer in answers} <= {404, 405}
        assert not any("Canary" in answer.text for answer in answers)
        assert (theirs.status, theirs.do_not_send, len(theirs.lines)) == ("draft", False, 1)
