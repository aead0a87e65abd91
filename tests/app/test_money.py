"""Money: what is added up is what is billed, to the cent."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidInput
from app.money import Money, net_of_line, round_half_up, tax_of_line

quantities = st.decimals(min_value=0, max_value=10_000, places=3)
prices = st.integers(min_value=-10_000_000, max_value=10_000_000)
rates = st.decimals(min_value=0, max_value=100, places=2)


@given(quantities, prices, rates)
def test_net_and_tax_of_any_line_are_whole_minor_units_nearest_to_the_exact_amount(
    quantity: Decimal, price: int, rate: Decimal
) -> None:
    net = net_of_line(quantity, price)
    assert abs(net - quantity * price) <= Decimal("0.5")
    assert abs(tax_of_line(net, rate) - net * rate / 100) <= Decimal("0.5")


@given(st.integers(min_value=-(10**12), max_value=10**12), st.sampled_from(["EUR", "JPY", "KWD", "USD"]))
def test_an_amount_survives_being_written_and_read(minor: int, currency: str) -> None:
    money = Money(minor, currency)
    assert Money.read(money.major, currency) == money


def test_halves_round_away_from_zero() -> None:
    assert [round_half_up(Decimal(half)) for half in ("0.5", "1.5", "-0.5", "-1.5", "2.49")] == [1, 2, -1, -2, 2]


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("12.345", "EUR"),
        ("1.5", "JPY"),
        ("twelve", "EUR"),
        ("NaN", "EUR"),
        ("Infinity", "EUR"),
        ("1e30", "EUR"),
        ("", "EUR"),
    ],
)
def test_what_is_no_amount_of_the_currency_is_refused(text: str, currency: str) -> None:
    with pytest.raises(InvalidInput):
        Money.read(text, currency)


def test_two_currencies_do_not_add_up() -> None:
    with pytest.raises(ValueError, match="do not add up"):
        Money(1, "EUR") + Money(1, "USD")


@pytest.mark.parametrize(
    ("money", "shown"),
    [
        (Money(410615, "EUR"), "€4,106.15"),
        (Money(-50, "EUR"), "-€0.50"),
        (Money(1200, "JPY"), "¥1,200"),
        (Money(0, "GBP"), "£0.00"),
    ],
)
def test_an_amount_is_shown_with_its_currency(money: Money, shown: str) -> None:
    assert str(money) == shown
