"""A frozen invoice: what goes to Nexudus is what was stored, whatever anybody typed."""

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.money import Money
from plugins.nexudus.frozen import LONGEST_DESCRIPTION, described, marker_for, tag, thaw
from tests.plugins.nexudus.invoices import TWO_LINES, frozen


def test_it_survives_being_stored_as_json() -> None:
    invoice = frozen(TWO_LINES, issue="issued", use_own_number=True)
    assert thaw(json.loads(json.dumps(invoice.freeze()))) == invoice


def test_its_fingerprint_changes_with_any_amount() -> None:
    invoice = frozen()
    assert thaw(invoice.freeze()).fingerprint() == invoice.fingerprint()
    assert len(invoice.fingerprint()) == 64
    assert replace(invoice, tax_minor=invoice.tax_minor + 1).fingerprint() != invoice.fingerprint()


def test_the_marker_is_the_account_and_the_number() -> None:
    assert marker_for("acme", "INV-7") == "acme:INV-7"


@given(st.text(max_size=60), st.text(max_size=60))
def test_a_marker_is_short_plain_and_different_for_different_numbers(one: str, other: str) -> None:
    markers = [marker_for("acme", number) for number in (one, other)]
    for marker in markers:
        assert len(marker) <= 40
        assert marker.isascii()
        assert marker.isprintable()
    assert (markers[0] == markers[1]) == (one == other)


@given(st.text(max_size=400))
def test_a_description_is_one_printable_line_that_ends_in_its_tag(text: str) -> None:
    line = described(text, Decimal(1), 1000, "acme:INV-7", 3)
    assert line.endswith(" (acme:INV-7 #3)")
    assert len(line) <= LONGEST_DESCRIPTION
    assert line.isprintable()


@pytest.mark.parametrize(
    ("quantity", "unit", "pieces", "price", "words"),
    [
        ("3", 150, 3, "1.50", "Storage (acme:INV-7 #1)"),
        ("2.5", 400, 1, "10.00", "Storage, quantity 2.5 (acme:INV-7 #1)"),
        ("0.5", 401, 1, "2.01", "Storage, quantity 0.5 (acme:INV-7 #1)"),
        ("100", 1, 100, "0.01", "Storage (acme:INV-7 #1)"),
        ("3.00", 150, 3, "1.50", "Storage (acme:INV-7 #1)"),
        ("1", -500, 1, "-5.00", "Storage (acme:INV-7 #1)"),
    ],
)
def test_a_quantity_that_cannot_be_sold_as_pieces_goes_as_one_and_stands_in_the_text(
    quantity: str, unit: int, pieces: int, price: str, words: str
) -> None:
    invoice = frozen([("Storage", quantity, unit, "20")])
    sale = invoice.sale(invoice.lines[0])
    assert (sale.quantity, sale.price, sale.description) == (pieces, Decimal(price), words)
    assert Money.nearest(sale.price * sale.quantity, "GBP").minor == invoice.net_minor


def test_a_currency_without_decimals_goes_out_in_whole_units() -> None:
    invoice = frozen([("Storage", "1", 1500, "10")], currency="JPY", currency_id=3010)
    assert invoice.sale(invoice.lines[0]).price == Decimal(1500)


@pytest.mark.parametrize(
    ("fields", "number"), [({"use_own_number": True}, "INV-7"), ({"use_own_number": False}, "acme:INV-7")]
)
def test_a_document_carries_our_number_only_with_leave(fields: dict[str, Any], number: str) -> None:
    head = frozen(way="document", **fields).head().body()
    assert (head["InvoiceNumber"], head["PurchaseOrder"], head["SystemId"]) == (number, "acme:INV-7", "acme:INV-7")
    assert (head["Draft"], head["CurrencyId"], head["BillToPostCode"]) == (True, 3005, "N1 1AA")


def test_a_line_of_a_document_carries_its_tax() -> None:
    invoice = frozen(TWO_LINES)
    body = invoice.document_line(55001, invoice.lines[1]).body()
    assert body == {
        "CoworkerInvoiceId": 55001,
        "Description": f"Parcel storage {tag('acme:INV-7', 2)}",
        "Quantity": 3,
        "SubTotal": Decimal("4.50"),
        "TaxAmount": Decimal("0.90"),
        "TaxRate": Decimal(20),
        "TaxCategoryName": "VAT 20%",
    }
