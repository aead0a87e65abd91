import re
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from app.accounts.models import User
from app.billing.models import Customer, CustomerStatus
from app.db import db
from tests import make
from tests.cast import Cast
from tests.visitors import Visitor, counted_queries

NEW = {"full_name": "Tamsin Quill", "email": "tamsin@quill.example"}


@pytest.fixture
def ana(cast: Cast, sign_in: Callable[[User], Visitor]) -> Visitor:
    return sign_in(cast.ana)


@pytest.fixture
def typed(cast: Cast) -> dict[str, str]:
    """What somebody types who adds Tamsin Quill."""
    return {**NEW, "location_id": str(cast.acme.locations[0].id)}


def only_customer() -> Customer:
    return db.session.scalars(sa.select(Customer)).one()


class TestTheList:
    def test_it_begins_with_the_active_ones_and_counts_the_rest(self, ana: Visitor, cast: Cast) -> None:
        make.customer(cast.acme, "Tamsin Quill")
        make.customer(cast.acme, "Viktor Longmeadow", status=CustomerStatus.INACTIVE)

        page = ana.get("/acme/customers").text

        assert "Tamsin Quill" in page
        assert "Viktor Longmeadow" not in page
        assert re.search(r'aria-current="page">\s*<span>Active</span> <span class="sm-count">1<', page)
        assert re.search(r'<span>Inactive</span> <span class="sm-count">1<', page)

    def test_a_search_looks_through_every_status(self, ana: Visitor, cast: Cast) -> None:
        make.customer(cast.acme, "Viktor Longmeadow", status=CustomerStatus.INACTIVE)

        assert "Viktor Longmeadow" in ana.get("/acme/customers?q=longmeadow").text

    def test_a_search_in_a_tab_stays_in_it(self, ana: Visitor, cast: Cast) -> None:
        make.customer(cast.acme, "Viktor Longmeadow", status=CustomerStatus.INACTIVE)

        assert "Viktor Longmeadow" not in ana.get("/acme/customers?q=longmeadow&status=active").text

    def test_htmx_gets_the_list_and_the_tabs_but_no_page(self, ana: Visitor, cast: Cast) -> None:
        make.customer(cast.acme, "Tamsin Quill")

        piece = ana.get("/acme/customers?q=quill", htmx=True).text

        assert "<html" not in piece
        assert piece.count('hx-swap-oob="true"') == 2
        assert piece.index('id="customer-list"') < piece.index('id="customer-tabs"')

    def test_one_address_answers_both_and_says_that_it_varies(self, ana: Visitor) -> None:
        assert "HX-Request" in ana.get("/acme/customers").headers["Vary"]

    def test_the_number_of_an_invoice_leads_to_the_invoice(self, ana: Visitor, cast: Cast) -> None:
        invoice = make.invoice(make.customer(cast.acme), number="A-1184")

        answer = ana.get("/acme/customers?q=a-1184")

        assert answer.location == f"/acme/invoices/{invoice.id}"

    def test_a_search_that_finds_nothing_says_for_what_and_offers_to_clear_it(self, ana: Visitor, cast: Cast) -> None:
        make.customer(cast.acme)

        page = ana.get("/acme/customers?q=nobody").text

        assert "“nobody”" in page
        assert "Clear the search" in page

    def test_an_account_without_customers_is_shown_the_first_act(self, ana: Visitor) -> None:
        assert "Add the first one" in ana.get("/acme/customers").text

    def test_a_plugin_adds_its_column(self, ana: Visitor, cast: Cast) -> None:
        customer = make.customer(cast.acme)
        make.installation(cast.acme, "example")

        page = ana.get("/acme/customers").text

        assert '<th scope="col">Example</th>' in page
        assert f"thing {customer.id}" in page

    def test_the_biller_narrows_the_list(self, ana: Visitor, cast: Cast) -> None:
        make.installation(cast.acme, "example")
        make.customer(cast.acme, "Billed There", billed_by="example")
        make.customer(cast.acme, "Billed Here")

        there = ana.get("/acme/customers?billed_by=example").text
        here = ana.get("/acme/customers?billed_by=here").text

        assert "Billed There" in there
        assert "Billed Here" not in there
        assert "Billed Here" in here
        assert "Billed There" not in here

    @pytest.mark.parametrize(
        "query", ["page=0", "page=-1", "page=x", "page=999", "status=asleep", "location=x", "q=%00"]
    )
    def test_a_strange_address_is_no_fault(self, ana: Visitor, cast: Cast, query: str) -> None:
        make.customer(cast.acme)

        assert ana.get(f"/acme/customers?{query}").status_code == 200

    def test_long_lists_come_in_pages(self, ana: Visitor, cast: Cast) -> None:
        for number in range(26):
            make.customer(cast.acme, f"Customer {number:02}")

        first, second = ana.get("/acme/customers").text, ana.get("/acme/customers?page=2").text

        assert "1 to 25 of 26" in first
        assert "Customer 25" not in first
        assert "Customer 25" in second

    def test_the_number_of_queries_does_not_grow_with_the_list(self, ana: Visitor, cast: Cast) -> None:
        make.invoice(make.customer(cast.acme))
        with counted_queries() as few:
            ana.get("/acme/customers")
        for _ in range(20):
            make.invoice(make.customer(cast.acme))
        with counted_queries() as many:
            ana.get("/acme/customers")

        assert many.count == few.count

    def test_names_are_text_and_never_markup(self, ana: Visitor, cast: Cast) -> None:
        make.customer(cast.acme, "<img src=x onerror=alert(1)>", company="<script>")

        page = ana.get("/acme/customers?status=all").text

        assert "<img src=x" not in page
        assert "&lt;img src=x" in page


class TestAdding:
    def test_a_new_customer_has_a_page_and_the_next_number(self, ana: Visitor, typed: dict[str, str]) -> None:
        answer = ana.post("/acme/customers/new", data=typed)

        assert answer.status_code == 303
        customer = only_customer()
        assert answer.location == f"/acme/customers/{customer.id}"
        assert (customer.mailbox_number, customer.status) == ("1001", "inactive")
        assert "Tamsin Quill is added and inactive." in ana.get(answer.location).text

    def test_a_refused_form_comes_back_with_what_was_typed(self, ana: Visitor, typed: dict[str, str]) -> None:
        answer = ana.post("/acme/customers/new", data={**typed, "email": "tamsin", "company": "Quill & Yarrow"})

        assert answer.status_code == 422
        assert "“tamsin” is not an email address." in answer.text
        assert 'value="Quill &amp; Yarrow"' in answer.text
        assert 'aria-invalid="true"' in answer.text

    def test_a_taken_email_is_said_beside_its_field(self, ana: Visitor, cast: Cast, typed: dict[str, str]) -> None:
        make.customer(cast.acme, "Oskar Penhallow", email="TAMSIN@quill.example")

        answer = ana.post("/acme/customers/new", data=typed)

        assert answer.status_code == 422
        assert re.search(r'id="email-note">.*Oskar Penhallow has this email already\.', answer.text, re.DOTALL)

    def test_htmx_gets_the_form_back_and_on_success_a_new_page(self, ana: Visitor, typed: dict[str, str]) -> None:
        refused = ana.post("/acme/customers/new", data={**typed, "full_name": ""}, htmx=True)
        added = ana.post("/acme/customers/new", data=typed, htmx=True)

        assert refused.status_code == 422
        assert "<html" not in refused.text
        assert added.headers["HX-Redirect"] == f"/acme/customers/{only_customer().id}"

    @pytest.mark.parametrize("name", ["x" * 10_000, "Tamsin\0Quill", "Tamsin \u200fQuill", "   "])
    def test_names_that_cannot_be_stored_are_refused(self, ana: Visitor, typed: dict[str, str], name: str) -> None:
        answer = ana.post("/acme/customers/new", data={**typed, "full_name": name})

        assert answer.status_code == 422
        assert 'id="full_name-note"' in answer.text

    def test_fields_that_the_form_does_not_have_change_nothing(
        self, ana: Visitor, cast: Cast, typed: dict[str, str]
    ) -> None:
        ana.post(
            "/acme/customers/new",
            data={**typed, "account_id": cast.zenith.id, "status": "active", "billed_by": "example"},
        )

        customer = only_customer()
        assert (customer.account_id, customer.status, customer.billed_by) == (cast.acme.id, "inactive", "")

    def test_another_accounts_location_is_refused(self, ana: Visitor, cast: Cast, typed: dict[str, str]) -> None:
        answer = ana.post("/acme/customers/new", data={**typed, "location_id": str(cast.zenith.locations[0].id)})

        assert answer.status_code == 422


class TestTheRecord:
    def test_it_shows_the_invoices_and_what_plugins_say(self, ana: Visitor, cast: Cast) -> None:
        customer = make.customer(cast.acme, company="Quill & Yarrow", mailbox_number="1042")
        make.invoice(customer, number="A-7")
        make.installation(cast.acme, "example")

        page = ana.get(f"/acme/customers/{customer.id}").text

        for words in ("A-7", "1042", "€12.30", "Quill &amp; Yarrow", f"Example says hello to Customer {customer.id}"):
            assert words in page

    def test_a_plugin_with_a_fault_leaves_a_line_and_not_a_broken_page(self, ana: Visitor, cast: Cast) -> None:
        customer = make.customer(cast.acme, "Breaks The Panel")
        make.installation(cast.acme, "example")

        answer = ana.get(f"/acme/customers/{customer.id}")

        assert answer.status_code == 200
        assert "Example could not be shown here." in answer.text

    def test_the_details_have_an_address_of_their_own(self, ana: Visitor, cast: Cast) -> None:
        customer = make.customer(cast.acme, phone="+351 210", country="PT")

        page = ana.get(f"/acme/customers/{customer.id}/details").text

        assert "+351 210" in page
        assert "Portugal" in page

    def test_a_change_is_kept(self, ana: Visitor, cast: Cast, typed: dict[str, str]) -> None:
        customer = make.customer(cast.acme, email="tamsin@quill.example")

        answer = ana.post(f"/acme/customers/{customer.id}/edit", data={**typed, "phone": "+351 210"})

        assert answer.status_code == 303
        assert customer.phone == "+351 210"


class TestActivating:
    def test_the_question_says_what_happens_and_changes_nothing(self, ana: Visitor, cast: Cast) -> None:
        customer = make.customer(cast.acme, status=CustomerStatus.INACTIVE)

        page = ana.get(f"/acme/customers/{customer.id}/activate").text

        assert "The next free mailbox number" in page
        assert customer.status == "inactive"

    def test_a_press_activates(self, ana: Visitor, cast: Cast) -> None:
        customer = make.customer(cast.acme, "Tamsin Quill", status=CustomerStatus.INACTIVE)

        answer = ana.post(f"/acme/customers/{customer.id}/activate")

        assert answer.location == f"/acme/customers/{customer.id}"
        assert "Tamsin Quill is active, with mailbox number 1001." in ana.get(answer.location).text

    def test_a_press_deactivates(self, ana: Visitor, cast: Cast) -> None:
        customer = make.customer(cast.acme)

        ana.post(f"/acme/customers/{customer.id}/deactivate", htmx=True)

        assert customer.status == "inactive"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("GET", "/details"),
        ("GET", "/edit"),
        ("POST", "/edit"),
        ("GET", "/activate"),
        ("POST", "/activate"),
        ("POST", "/deactivate"),
        ("GET", "/invoices/new"),
        ("POST", "/invoices/new"),
    ],
)
def test_another_accounts_customer_is_not_found(
    ana: Visitor, cast: Cast, typed: dict[str, str], method: str, path: str
) -> None:
    theirs = make.customer(cast.zenith, "Canary Bird", status=CustomerStatus.INACTIVE)

    answer = ana.open(f"/acme/customers/{theirs.id}{path}", method=method, data=typed if method == "POST" else None)

    assert answer.status_code == 404
    assert "Canary" not in answer.text
    assert (theirs.full_name, theirs.status) == ("Canary Bird", "inactive")
