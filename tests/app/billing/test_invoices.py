from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from app.billing import invoices
from app.billing.invoices import Search
from app.billing.lines import Line
from app.billing.models import Invoice, InvoiceStatus
from app.db import unit_of_work
from app.errors import Conflict, InvalidInput, NotFound
from app.money import Money
from tests import make
from tests.cast import Cast

STORAGE = Line("Storage", Decimal(1), 1000, Decimal(23))


class TestLines:
    def test_a_line_is_read_as_half_of_europe_types_it(self) -> None:
        assert Line.read(" Parcel ", "1,5", "4,50", "23", "EUR") == Line("Parcel", Decimal("1.5"), 450, Decimal(23))

    def test_no_tax_rate_is_no_tax(self) -> None:
        assert Line.read("Stamp", "1", "1", "", "EUR").tax_rate == 0

    @pytest.mark.parametrize(
        ("field", "typed"),
        [
            ("description", ("", "1", "1", "0")),
            ("description", ("x" * 301, "1", "1", "0")),
            ("description", ("a\0b", "1", "1", "0")),
            ("quantity", ("Stamp", "0", "1", "0")),
            ("quantity", ("Stamp", "-1", "1", "0")),
            ("quantity", ("Stamp", "many", "1", "0")),
            ("quantity", ("Stamp", "NaN", "1", "0")),
            ("quantity", ("Stamp", "1e9", "1", "0")),
            ("quantity", ("Stamp", "0.00001", "1", "0")),
            ("unit_price", ("Stamp", "1", "1.005", "0")),
            ("unit_price", ("Stamp", "1", "", "0")),
            ("unit_price", ("Stamp", "1000000", "99999999", "0")),
            ("tax_rate", ("Stamp", "1", "1", "101")),
            ("tax_rate", ("Stamp", "1", "1", "-1")),
        ],
    )
    def test_a_field_that_cannot_be_taken_is_named(self, field: str, typed: tuple[str, str, str, str]) -> None:
        with pytest.raises(InvalidInput) as refused:
            Line.read(*typed, currency="EUR")
        assert refused.value.field == field

    def test_yen_have_no_decimals(self) -> None:
        assert Line.read("Stamp", "1", "120", "10", "JPY").unit_minor == 120
        with pytest.raises(InvalidInput):
            Line.read("Stamp", "1", "1.5", "10", "JPY")


class TestCreating:
    def test_tax_is_rounded_half_up_on_each_line(self, cast: Cast) -> None:
        customer = make.customer(cast.acme)
        half = Line("Half a cent of tax", Decimal(1), 50, Decimal(23))  # 11.5 cents, twice

        with unit_of_work():
            invoice = invoices.create(cast.acme, customer, [half, half])

        assert [line.tax_minor for line in invoice.lines] == [12, 12]
        assert (invoice.net, invoice.tax, invoice.total) == (
            Money(100, "EUR"),
            Money(24, "EUR"),
            Money(124, "EUR"),
        )

    def test_numbers_follow_one_another_in_each_account(self, cast: Cast) -> None:
        here, there = make.customer(cast.acme), make.customer(cast.zenith)

        with unit_of_work():
            numbers = [
                invoices.create(account, customer, [STORAGE]).number
                for account, customer in ((cast.acme, here), (cast.zenith, there), (cast.acme, here))
            ]

        assert numbers == ["A-1001", "Z-1001", "A-1002"]

    def test_an_invoice_that_fails_leaves_no_gap(self, cast: Cast) -> None:
        customer = make.customer(cast.acme)
        with pytest.raises(InvalidInput), unit_of_work():
            invoices.create(cast.acme, customer, [STORAGE], note="a\0b")

        with unit_of_work():
            assert invoices.create(cast.acme, customer, [STORAGE]).number == "A-1001"

    def test_a_new_invoice_is_pending_and_nobody_has_it(self, cast: Cast) -> None:
        customer = make.customer(cast.acme)

        with unit_of_work():
            invoice = invoices.create(cast.acme, customer, [STORAGE])

        assert invoice.status == InvoiceStatus.PENDING
        assert invoice.collector is None

    def test_an_invoice_without_a_line_is_refused(self, cast: Cast) -> None:
        customer = make.customer(cast.acme)

        with pytest.raises(InvalidInput, match="needs a line"), unit_of_work():
            invoices.create(cast.acme, customer, [])


class TestChanging:
    def test_a_pending_invoice_takes_another_line(self, cast: Cast) -> None:
        invoice = make.invoice(make.customer(cast.acme))

        with unit_of_work():
            invoices.extend(invoices.locked(cast.acme, invoice.id), STORAGE)

        assert [line.position for line in invoice.lines] == [1, 2]
        assert invoice.total == Money(2460, "EUR")

    def test_a_voided_invoice_keeps_number_and_reason(self, cast: Cast) -> None:
        invoice = make.invoice(make.customer(cast.acme), number="A-7")

        with unit_of_work():
            invoices.void(invoices.locked(cast.acme, invoice.id), " Written twice. ")

        assert (invoice.status, invoice.number, invoice.void_reason) == ("void", "A-7", "Written twice.")

    def test_a_void_needs_a_reason(self, cast: Cast) -> None:
        invoice = make.invoice(make.customer(cast.acme))

        with pytest.raises(InvalidInput) as refused, unit_of_work():
            invoices.void(invoices.locked(cast.acme, invoice.id), "  ")
        assert refused.value.field == "reason"

    @pytest.mark.parametrize(
        "state",
        [
            {"collector": "nexudus"},
            {"status": InvoiceStatus.PAID},
            {"status": InvoiceStatus.CLOSED, "collector": "nexudus"},
            {"status": InvoiceStatus.VOID},
        ],
    )
    def test_what_somebody_collects_or_what_has_ended_is_frozen(self, cast: Cast, state: dict[str, Any]) -> None:
        invoice = make.invoice(make.customer(cast.acme), **state)

        changes: list[Callable[[Invoice], None]] = [
            lambda row: invoices.extend(row, STORAGE),
            lambda row: invoices.void(row, "No longer wanted."),
            lambda row: invoices.set_do_not_send(row, held_back=True),
        ]
        for change in changes:
            with pytest.raises(Conflict), unit_of_work():
                change(invoices.locked(cast.acme, invoice.id))
        assert len(invoice.lines) == 1

    def test_a_draft_is_issued_once(self, cast: Cast) -> None:
        invoice = make.invoice(make.customer(cast.acme), status=InvoiceStatus.DRAFT)

        with unit_of_work():
            invoices.issue(invoices.locked(cast.acme, invoice.id))
        assert invoice.status == InvoiceStatus.PENDING
        with pytest.raises(Conflict), unit_of_work():
            invoices.issue(invoices.locked(cast.acme, invoice.id))


class TestFinding:
    def test_the_newest_comes_first(self, cast: Cast) -> None:
        customer = make.customer(cast.acme)
        make.invoice(customer, number="OLD", created_at=datetime(2026, 1, 1, tzinfo=UTC))
        make.invoice(customer, number="NEW", created_at=datetime(2026, 2, 1, tzinfo=UTC))

        assert numbers(invoices.find(cast.acme, Search()).items) == ["NEW", "OLD"]

    @pytest.mark.parametrize("typed", ["a-7", "QUILL", "tamsin a-7"])
    def test_number_and_customer_are_looked_through(self, cast: Cast, typed: str) -> None:
        make.invoice(make.customer(cast.acme, "Tamsin Quill"), number="A-7")
        make.invoice(make.customer(cast.acme, "Oskar Penhallow", email="o@penhallow.example"), number="A-8")

        assert numbers(invoices.find(cast.acme, Search(typed)).items) == ["A-7"]

    def test_a_search_is_narrowed_by_status_collector_and_customer(self, cast: Cast) -> None:
        tamsin, oskar = make.customer(cast.acme), make.customer(cast.acme)
        make.invoice(tamsin, number="A-1")
        make.invoice(tamsin, number="A-2", collector="nexudus")
        make.invoice(oskar, number="A-3", status=InvoiceStatus.PAID, collector="by_hand")

        def found(wanted: Search) -> list[str]:
            return numbers(invoices.find(cast.acme, wanted).items)

        assert found(Search(status=InvoiceStatus.PAID)) == ["A-3"]
        assert found(Search(collector="nexudus")) == ["A-2"]
        assert found(Search(collector=invoices.NOBODY)) == ["A-1"]
        assert sorted(found(Search(customer_id=tamsin.id))) == ["A-1", "A-2"]

    def test_sums_are_kept_apart_by_currency(self, cast: Cast) -> None:
        customer = make.customer(cast.acme)
        make.invoice(customer)
        make.invoice(customer)
        make.invoice(customer, currency="GBP")

        assert invoices.sums(cast.acme, Search()) == [Money(2460, "EUR"), Money(1230, "GBP")]

    def test_only_pending_invoices_are_open(self, cast: Cast) -> None:
        tamsin, oskar = make.customer(cast.acme), make.customer(cast.acme)
        make.invoice(tamsin)
        make.invoice(tamsin, status=InvoiceStatus.CLOSED, collector="nexudus")

        assert invoices.open_of([tamsin.id, oskar.id]) == {tamsin.id: [Money(1230, "EUR")]}

    def test_another_accounts_invoice_is_not_there(self, cast: Cast) -> None:
        invoice = make.invoice(make.customer(cast.zenith), number="Z-1")

        with pytest.raises(NotFound):
            invoices.get(cast.acme, invoice.id)
        assert invoices.by_number(cast.acme, "Z-1") is None
        assert invoices.by_number(cast.zenith, "z-1") == invoice


def numbers(found: list[Invoice]) -> list[str]:
    return [invoice.number for invoice in found]
