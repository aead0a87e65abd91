"""Writing: what goes over the wire, to the digit, and that an update never clears what it does not mean to."""

from datetime import date
from decimal import Decimal

import pytest

from app.errors import OutcomeUnknown
from plugins.nexudus.sent import NewMember, NewProduct, NewSale
from tests.plugins.nexudus.scripted import INTENT, Said, Wired, done

MEMBER = NewMember(
    full_name="Ada Example",
    email="ada@quill.example",
    country_id=1220,
    zone_id=2023,
    business_id=900,
    reference="acme:12",
    company="Ada Example Ltd",
)
INVOICE = {
    "Id": 55001,
    "CoworkerId": 4711,
    "InvoiceNumber": "INV-0042",
    "PurchaseOrder": None,
    "TotalAmount": 24.00,
    "Draft": True,
    "SystemId": "theirs",
    "LocalizationDetails": None,
}


def test_a_member_is_made_without_a_portal_login_and_in_its_business() -> None:
    wired = Wired(done(4711))
    assert wired.remote.create_member(INTENT, MEMBER) == 4711
    sent = wired.heard[0]
    assert (sent.method, sent.path) == ("POST", "/api/spaces/coworkers")
    assert sent.headers["Content-Type"] == "application/json"
    body = sent.json
    assert body["CreateUser"] is False
    assert (body["Businesses"], body["InvoicingBusinessId"]) == ([900], 900)
    assert (body["ReferenceNumber"], body["SystemId"]) == ("acme:12", "acme:12")
    assert (body["CountryId"], body["SimpleTimeZoneId"], body["CompanyName"]) == (1220, 2023, "Ada Example Ltd")
    assert (body["CoworkerType"], body["Gender"], body["TaxRateType"], body["SundayAttendance"]) == (1, 1, 1, 5)
    assert "MobilePhone" not in body


def test_a_create_that_answers_the_whole_record_is_understood() -> None:
    whole = {"Id": 4711, "FullName": "Ada Example"}
    assert Wired(done(Value=whole)).remote.create_member(INTENT, MEMBER) == 4711
    assert Wired(Said(whole)).remote.create_member(INTENT, MEMBER) == 4711


def test_a_create_that_names_no_record_is_looked_up() -> None:
    with pytest.raises(OutcomeUnknown):
        Wired(done()).remote.create_member(INTENT, MEMBER)


def test_amounts_go_out_digit_by_digit() -> None:
    wired = Wired(done(99001))
    sale = NewSale(
        member_id=4711,
        business_id=900,
        product_id=610,
        quantity=2,
        price=Decimal("12345678901.10"),
        description="Plan",
        reference="acme:INV-7",
        system_id="acme:INV-7#1",
        sold_on=date(2026, 1, 31),
        due_on=date(2026, 2, 5),
    )
    assert wired.remote.sell(INTENT, sale) == 99001
    assert '"Price":12345678901.10' in wired.heard[0].content
    body = wired.heard[0].json
    assert (body["Notes"], body["PurchaseOrder"]) == ("Plan", "acme:INV-7")
    assert (body["SaleDate"], body["DueDate"]) == ("2026-01-31T00:00:00Z", "2026-02-05T00:00:00Z")
    assert (body["RepeatCycle"], body["RegularCharge"], body["InvoiceThisCoworker"]) == (1, False, True)


def test_exactly_the_named_sales_are_invoiced() -> None:
    wired = Wired(done())
    wired.remote.invoice_sales(INTENT, (99001, 99002))
    assert wired.heard[0].path == "/api/billing/coworkerproducts/runcommand"
    assert wired.heard[0].json == {"Key": "COWORKER_PRODUCT_INVOICE", "Ids": [99001, 99002], "Parameters": []}


def test_a_product_for_lines_is_hidden_and_sold_once() -> None:
    wired = Wired(done(610))
    product = NewProduct(
        business_id=900, name="Line", description="Line", currency_id=3005, tax_rate_id=31, sku="SM-20"
    )
    assert wired.remote.create_product(INTENT, product) == 610
    body = wired.heard[0].json
    assert (body["Visible"], body["AvailableAs"], body["Price"], body["TaxRateId"]) == (False, 3, 0, 31)


def test_a_reference_is_written_with_everything_else_kept() -> None:
    wired = Wired(Said(INVOICE), done(55001))
    assert wired.remote.set_invoice_reference(INTENT, 55001, "acme:INV-7") == "written"
    put = wired.heard[1]
    assert (put.method, put.path) == ("PUT", "/api/billing/coworkerinvoices")
    assert put.json == {**INVOICE, "PurchaseOrder": "acme:INV-7"}
    assert put.json["SystemId"] == "theirs"


def test_a_number_is_written_only_when_it_is_given() -> None:
    wired = Wired(Said(INVOICE), done(55001))
    wired.remote.set_invoice_reference(INTENT, 55001, "acme:INV-7", "INV-7")
    assert wired.heard[1].json["InvoiceNumber"] == "INV-7"


def test_a_reference_that_stands_there_already_is_not_written_again() -> None:
    wired = Wired(Said({**INVOICE, "PurchaseOrder": "acme:INV-7"}))
    assert wired.remote.set_invoice_reference(INTENT, 55001, "acme:INV-7") == "kept"


def test_the_reference_of_somebody_else_is_left_alone() -> None:
    wired = Wired(Said({**INVOICE, "PurchaseOrder": "PO-1"}))
    assert wired.remote.set_invoice_reference(INTENT, 55001, "acme:INV-7", "INV-7") == "taken"
    assert [one.method for one in wired.heard] == ["GET"]


def test_issuing_clears_the_draft_flag_and_nothing_else() -> None:
    wired = Wired(Said(INVOICE), done(55001))
    wired.remote.issue_invoice(INTENT, 55001)
    assert wired.heard[1].json == {**INVOICE, "Draft": False}


def test_an_issued_invoice_is_not_issued_again() -> None:
    wired = Wired(Said({**INVOICE, "Draft": False}))
    wired.remote.issue_invoice(INTENT, 55001)
    assert [one.method for one in wired.heard] == ["GET"]
