"""Whatever stands on an invoice: it adds up to the unit, and no discount makes less than nothing of it."""

from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from math import floor

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from app.billing.lines import Discount, Line, append, as_written, discount_of, reckon, taxes_of
from app.billing.models import Invoice
from app.errors import InvalidInput
from app.money import Money, net_of_line, shares_of

bounded = settings(max_examples=150, deadline=None)
quantities = st.decimals(min_value="0.0001", max_value=1_000_000, places=4)
rates = st.decimals(min_value=0, max_value=100, places=3)
prices = st.integers(min_value=0, max_value=1_000_000)
parts = st.one_of(st.none(), st.builds(Discount, rates), st.fractions(min_value=0, max_value=1))
priced = st.tuples(quantities, prices, rates, parts)
credits_too = st.tuples(quantities, st.integers(min_value=-1_000_000, max_value=1_000_000), rates, st.none())
Priced = tuple[Decimal, int, Decimal, "Discount | Fraction | None"]


def off(part: Discount | Fraction | None, minor: int) -> Discount:
    """A discount that an amount can bear: percent as they are, else that part of the amount."""
    if part is None or minor <= 0:
        return Discount()
    return part if isinstance(part, Discount) else Discount(None, floor(minor * part))


def written(rows: list[Priced], part: Discount | Fraction | None) -> Invoice:
    """An invoice with such lines, discounted as a whole."""
    invoice = Invoice(currency="EUR")
    for quantity, unit, rate, of_line in rows:
        append(invoice, Line("Storage", quantity, unit, rate, off(of_line, net_of_line(quantity, unit))))
    reckon(invoice, off(part, sum(one.net_minor for one in invoice.lines)))
    return invoice


def half_up(exact: Fraction) -> int:
    """To the nearest whole number, halves away from zero; not by way of `Decimal`, as the product does it."""
    return floor(exact + Fraction(1, 2)) if exact >= 0 else -floor(-exact + Fraction(1, 2))


@bounded
@given(st.lists(priced, min_size=1, max_size=8), parts)
def test_lines_and_tax_are_the_total_and_nothing_is_below_zero(
    rows: list[Priced], part: Discount | Fraction | None
) -> None:
    invoice = written(rows, part)

    for one, (quantity, unit, rate, _) in zip(invoice.lines, rows, strict=True):
        gross = half_up(Fraction(quantity) * unit)
        assert one.net_minor + one.share_minor + one.discount_minor == gross
        assert one.tax_minor == half_up(Fraction(one.net_minor) * Fraction(rate) / 100)
        assert min(one.net_minor, one.tax_minor, one.share_minor, one.discount_minor) >= 0
    assert invoice.total_minor == sum(one.net_minor + one.tax_minor for one in invoice.lines)
    assert invoice.total_minor == invoice.net_minor + invoice.tax_minor >= 0


@bounded
@given(st.lists(st.one_of(priced, credits_too), min_size=1, max_size=8), parts)
@example([(Decimal(1), 10_000, Decimal(0), None), (Decimal(1), -5_000, Decimal(0), None)], Discount(Decimal(100)))
def test_the_shares_are_the_discount_and_it_leaves_nothing_below_zero(
    rows: list[Priced], part: Discount | Fraction | None
) -> None:
    invoice = written(rows, part)
    lines_come_to = sum(one.amount.minor for one in invoice.lines)

    assert sum(one.share_minor for one in invoice.lines) == invoice.discount_minor
    assert all(0 <= one.share_minor <= max(0, one.amount.minor) for one in invoice.lines)
    assert invoice.sum_of_lines.minor == lines_come_to
    assert invoice.net_minor == lines_come_to - invoice.discount_minor
    assert invoice.discount_minor == 0 or invoice.net_minor >= 0
    if invoice.discount_rate is not None:
        assert invoice.discount_minor == half_up(Fraction(lines_come_to) * Fraction(invoice.discount_rate) / 100)


@bounded
@given(st.lists(st.one_of(priced, credits_too), min_size=1, max_size=8), parts)
def test_the_sums_by_tax_rate_on_paper_are_the_invoice(rows: list[Priced], part: Discount | Fraction | None) -> None:
    invoice = written(rows, part)
    taxes = taxes_of(invoice)

    assert [one.rate for one in taxes] == sorted({rate for _, _, rate, _ in rows})
    assert sum((one.net for one in taxes), Money(0, "EUR")) == invoice.net
    assert sum((one.tax for one in taxes), Money(0, "EUR")) == invoice.tax
    assert sum(one.net.minor + one.tax.minor for one in taxes) == invoice.total_minor


@bounded
@given(st.lists(priced, min_size=1, max_size=8), parts, parts)
def test_reckoned_again_or_copied_it_comes_to_the_same(
    rows: list[Priced], part: Discount | Fraction | None, earlier: Discount | Fraction | None
) -> None:
    invoice, copy = written(rows, part), Invoice(currency="EUR")
    before = [(one.net_minor, one.tax_minor, one.share_minor) for one in invoice.lines]
    kept = discount_of(invoice)

    for one in as_written(invoice):
        append(copy, one)
    reckon(copy, kept)
    reckon(invoice, off(earlier, sum(one.amount.minor for one in invoice.lines)))
    reckon(invoice, kept)

    for again in (invoice, copy):
        assert [(one.net_minor, one.tax_minor, one.share_minor) for one in again.lines] == before


@bounded
@given(st.lists(st.integers(min_value=0, max_value=10**9), min_size=1, max_size=20), st.fractions(0, 1))
def test_shares_add_up_and_lie_within_a_unit_of_the_exact_ones(weights: list[int], part: Fraction) -> None:
    whole = sum(weights)
    assume(whole)
    total = floor(whole * part)

    shares = shares_of(total, weights)

    assert sum(shares) == total
    assert all(abs(share - Fraction(total * weight, whole)) < 1 for share, weight in zip(shares, weights, strict=True))


@bounded
@given(st.lists(st.one_of(priced, credits_too), min_size=1, max_size=8), st.integers(min_value=1, max_value=10**6))
def test_more_than_the_lines_come_to_is_refused(rows: list[Priced], more: int) -> None:
    invoice = written(rows, None)

    with pytest.raises(InvalidInput) as refused:
        reckon(invoice, Discount(None, max(0, invoice.net_minor) + more))
    assert refused.value.field == "discount"


@bounded
@given(quantities, prices, rates, rates)
def test_a_typed_line_is_the_line_that_is_billed(quantity: Decimal, price: int, rate: Decimal, less: Decimal) -> None:
    assume(quantity * price >= 1)
    typed = Line.read("Storage", str(quantity), str(Money(price, "EUR").major), str(rate), "EUR", f"{less}%")
    invoice = Invoice(currency="EUR")

    append(invoice, typed)
    reckon(invoice, Discount())

    gross = int((quantity * price).quantize(Decimal(1), ROUND_HALF_UP))
    assert invoice.net_minor == gross - half_up(Fraction(gross) * Fraction(less) / 100)
    assert invoice.total_minor == invoice.net_minor + half_up(Fraction(invoice.net_minor) * Fraction(rate) / 100)
