"""Two people at one form: the second is told what the first changed, and nobody's typing is lost."""

import re
from collections.abc import Callable
from html.parser import HTMLParser

import pytest
import sqlalchemy as sa

from app.accounts.models import User
from app.billing.models import Customer, Invoice, InvoiceStatus
from app.billing.subscription_models import Plan, PlanKind
from app.db import db, unit_of_work
from tests import make
from tests.cast import Cast
from tests.visitors import Visitor

SignIn = Callable[[User], Visitor]


class _Typed(HTMLParser):
    """What a browser would send of a form."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.values: dict[str, str] = {}
        self._select = self._textarea = ""
        self.feed(form)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name, value = given.get("name") or "", given.get("value") or ""
        if tag == "textarea":
            self._textarea = name
        elif tag == "select":
            self._select = name
        elif tag == "option" and ("selected" in given or self._select not in self.values):
            self.values[self._select] = value
        elif tag == "input" and name and (given.get("type") not in {"checkbox", "radio"} or "checked" in given):
            self.values[name] = value

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._textarea = ""

    def handle_data(self, data: str) -> None:
        if self._textarea:
            self.values[self._textarea] = data.removeprefix("\r").removeprefix("\n")


def form_at(visitor: Visitor, address: str) -> dict[str, str]:
    return form_of(visitor.get(address).text)


def form_of(page: str) -> dict[str, str]:
    form = next(one for one in re.findall(r"<form.*?</form>", page, re.DOTALL) if "drawn_from" in one)
    return _Typed(form).values


def words_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split()).replace("&#39;", "'")


@pytest.fixture
def ana(cast: Cast, sign_in: SignIn) -> Visitor:
    return sign_in(cast.ana)


@pytest.fixture
def ben(cast: Cast, sign_in: SignIn) -> Visitor:
    return sign_in(cast.ben)


@pytest.fixture
def customer(cast: Cast) -> Customer:
    return make.customer(cast.acme, "Tamsin Quill", phone="+351 1", city="Porto")


@pytest.fixture
def draft(cast: Cast, customer: Customer) -> Invoice:
    return make.invoice(customer, status=InvoiceStatus.DRAFT, note="Hello")


class TestADraft:
    def test_the_second_is_told_what_the_first_changed_and_nothing_is_overwritten(
        self, ana: Visitor, ben: Visitor, cast: Cast, draft: Invoice
    ) -> None:
        address = f"/acme/invoices/{draft.id}/edit"
        of_ana, of_ben = form_at(ana, address), form_at(ben, address)

        assert ben.post(address, data={**of_ben, "lines-0-unit_price": "12"}).status_code == 303
        refused = ana.post(address, data={**of_ana, "note": "Thank you"})

        assert refused.status_code == 422
        assert f"{cast.ben.email} changed this today at" in words_of(refused.text)
        assert "Nothing is saved yet" in words_of(refused.text)
        db.session.rollback()
        assert (draft.lines[0].unit_minor, draft.note) == (1200, "Hello")
        # The price that was left alone is the new one now; the note that was typed is still there.
        again = form_of(refused.text)
        assert (again["lines-0-unit_price"], again["note"]) == ("12.00", "Thank you")

    def test_saving_again_means_it(self, ana: Visitor, ben: Visitor, draft: Invoice) -> None:
        address = f"/acme/invoices/{draft.id}/edit"
        of_ana, of_ben = form_at(ana, address), form_at(ben, address)
        ben.post(address, data={**of_ben, "lines-0-unit_price": "12", "note": "From Ben"})

        refused = ana.post(address, data={**of_ana, "lines-0-unit_price": "8"})
        assert "Lines became what is billed Storage (quantity 1, price 12.00, tax % 23)" in words_of(refused.text)
        assert "Note to the customer is now “From Ben”" in words_of(refused.text)
        answer = ana.post(address, data=form_of(refused.text))

        assert answer.status_code == 303
        db.session.rollback()
        assert (draft.lines[0].unit_minor, draft.note) == (800, "From Ben")

    def test_a_third_who_saves_in_between_is_told_of_as_well(self, ana: Visitor, ben: Visitor, draft: Invoice) -> None:
        address = f"/acme/invoices/{draft.id}/edit"
        of_ana, of_ben = form_at(ana, address), form_at(ben, address)
        ben.post(address, data={**of_ben, "note": "One"})
        refused = ana.post(address, data={**of_ana, "note": "Mine"})
        ben.post(address, data={**form_at(ben, address), "note": "Two"})

        answer = ana.post(address, data=form_of(refused.text))

        assert answer.status_code == 422
        assert "Meanwhile it became “Two”" in words_of(answer.text)

    def test_a_line_more_is_asked_for_without_forgetting_what_the_form_was_drawn_from(
        self, ana: Visitor, ben: Visitor, draft: Invoice
    ) -> None:
        address = f"/acme/invoices/{draft.id}/edit"
        of_ana, of_ben = form_at(ana, address), form_at(ben, address)
        ben.post(address, data={**of_ben, "note": "From Ben"})

        grown = ana.post(address, data={**of_ana, "add_line": "1"})
        typed = {**form_of(grown.text), "lines-1-description": "Parcel", "lines-1-unit_price": "3"}
        answer = ana.post(address, data=typed)

        assert answer.status_code == 422
        db.session.rollback()
        assert (draft.note, len(draft.lines)) == ("From Ben", 1)

    def test_what_comes_to_the_same_is_no_quarrel(self, ana: Visitor, ben: Visitor, draft: Invoice) -> None:
        address = f"/acme/invoices/{draft.id}/edit"
        of_ana, of_ben = form_at(ana, address), form_at(ben, address)
        ben.post(address, data={**of_ben, "note": "The same"})

        assert ana.post(address, data={**of_ana, "note": "The same"}).status_code == 303

    def test_a_draft_that_was_issued_meanwhile_is_not_written_anew(
        self, ana: Visitor, ben: Visitor, draft: Invoice
    ) -> None:
        address = f"/acme/invoices/{draft.id}/edit"
        of_ana = form_at(ana, address)
        ben.post(f"/acme/invoices/{draft.id}/issue")

        answer = ana.post(address, data={**of_ana, "note": "Late"})

        assert (answer.status_code, "no draft any more" in answer.text) == (409, True)


class TestACustomer:
    def test_a_field_left_alone_takes_over_what_came_and_one_typed_into_says_what_stands_there(
        self, ana: Visitor, ben: Visitor, customer: Customer
    ) -> None:
        address = f"/acme/customers/{customer.id}/edit"
        of_ana, of_ben = form_at(ana, address), form_at(ben, address)
        ben.post(address, data={**of_ben, "phone": "+351 2", "city": "Braga"})

        refused = ana.post(address, data={**of_ana, "city": "Lisboa"}, htmx=True)

        said = words_of(refused.text)
        assert (refused.status_code, refused.text.count('id="customer-form"')) == (422, 1)
        assert "Telephone is now “+351 2”." in said
        assert "Meanwhile it became “Braga”. Save again to put yours in its place." in said
        db.session.rollback()
        assert (customer.phone, customer.city) == ("+351 2", "Braga")

        ana.post(address, data=form_of(refused.text))
        db.session.rollback()
        assert (customer.phone, customer.city) == ("+351 2", "Lisboa")

    def test_what_happened_to_the_customer_otherwise_is_no_quarrel(
        self, ana: Visitor, ben: Visitor, customer: Customer
    ) -> None:
        address = f"/acme/customers/{customer.id}/edit"
        of_ana = form_at(ana, address)
        ben.post(f"/acme/customers/{customer.id}/lock", data={"why": "Bees."})

        assert ana.post(address, data={**of_ana, "city": "Lisboa"}).status_code == 303

    def test_customers_are_told_too_without_a_name(
        self, client: Visitor, ben: Visitor, cast: Cast, customer: Customer
    ) -> None:
        client.enter_portal(customer)
        address = "/portal/acme/details/edit"
        own = form_at(client, address)
        of_ben = form_at(ben, f"/acme/customers/{customer.id}/edit")
        ben.post(f"/acme/customers/{customer.id}/edit", data={**of_ben, "phone": "+351 2"})

        refused = client.post(address, data={**own, "city": "Lisboa"})

        assert "This was changed while you had it open." in words_of(refused.text)
        assert "Telephone is now “+351 2”." in words_of(refused.text)
        assert cast.ben.email not in refused.text
        db.session.rollback()
        assert (customer.phone, customer.city) == ("+351 2", "Porto")


class TestSettings:
    @pytest.fixture
    def other(self, cast: Cast, sign_in: SignIn) -> Visitor:
        """Ana in another window."""
        return sign_in(cast.ana)

    def test_a_plan(self, ana: Visitor, other: Visitor, cast: Cast) -> None:
        with unit_of_work() as rows:
            plan = Plan(
                account_id=cast.acme.id, title="Solo", kind=PlanKind.PERSONAL, currency="EUR", monthly_minor=1000
            )
            rows.add(plan)
        address = f"/acme/settings/plans/{plan.id}"
        first, second = form_at(ana, address), form_at(other, address)
        ana.post(address, data={**first, "monthly": "12"})

        refused = other.post(address, data={**second, "subtitle": "For one"})

        assert refused.status_code == 422
        assert "You changed this in another window today at" in words_of(refused.text)
        db.session.rollback()
        assert (plan.monthly_minor, plan.subtitle) == (1200, "")

    def test_a_location(self, ana: Visitor, other: Visitor, cast: Cast) -> None:
        location = cast.acme.locations[0]
        address = f"/acme/settings/locations/{location.id}"
        first, second = form_at(ana, address), form_at(other, address)
        ana.post(address, data={**first, "city": "Braga"})

        refused = other.post(address, data={**second, "address": "Cais 1"})

        assert refused.status_code == 422
        assert "City is now “Braga”." in words_of(refused.text)
        db.session.rollback()
        assert (location.city, location.address) == ("Braga", second["address"])

    def test_the_account(self, ana: Visitor, other: Visitor, cast: Cast) -> None:
        address = "/acme/settings"
        first, second = form_at(ana, address), form_at(other, address)
        del first["mails_invoices"]
        ana.post(address, data={**first, "payment_days": "30"})

        refused = other.post(address, data={**second, "contact_phone": "+351 3"})

        said = words_of(refused.text)
        assert refused.status_code == 422
        assert "Days to pay is now “30”." in said
        assert "Mailed by itself is now off." in said
        db.session.rollback()
        assert (cast.acme.payment_days, cast.acme.contact_phone) == (30, "")
        assert "mails_invoices" not in form_of(refused.text)


@pytest.mark.parametrize("marks", ["", "{", "[1]", '{"city": 7}', "[" * 100_000])
def test_marks_that_no_page_of_ours_sends_break_nothing(ana: Visitor, customer: Customer, marks: str) -> None:
    address = f"/acme/customers/{customer.id}/edit"

    answer = ana.post(address, data={**form_at(ana, address), "drawn_from": marks})

    assert answer.status_code in {303, 422}
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Customer)) == 1
