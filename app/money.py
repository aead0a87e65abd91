"""Money: whole minor units and a currency; the only place that multiplies, rounds, shares out and taxes."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Self

from babel.numbers import format_currency, get_currency_precision, list_currencies

from app.errors import InvalidInput

CURRENCIES = frozenset(list_currencies())
LARGEST = 10**13  # minor units; far above any bill, far below what a 64-bit column holds


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in minor units (cents) of one ISO 4217 currency. Adding two currencies is an error."""

    minor: int
    currency: str

    @classmethod
    def read(cls, text: str | Decimal, currency: str) -> Self:
        """From major units, "12.30"; refuses more decimals than the currency has, and what is no number."""
        try:
            amount = Decimal(text)
        except InvalidOperation as error:
            raise InvalidInput(f"“{text}” is not an amount.") from error
        if not amount.is_finite() or abs(amount) >= LARGEST:
            raise InvalidInput(f"“{text}” is not an amount.")
        minor = amount.scaleb(get_currency_precision(currency))
        if minor != minor.to_integral_value():
            raise InvalidInput(f"{currency} has {get_currency_precision(currency)} decimals.")
        return cls(int(minor), currency)

    @classmethod
    def nearest(cls, amount: Decimal, currency: str) -> Self:
        """From major units as another system counted them, rounded half-up to whole minor units."""
        return cls(round_half_up(amount.scaleb(get_currency_precision(currency))), currency)

    @property
    def major(self) -> Decimal:
        """The amount in major units with the currency's number of decimals."""
        digits = get_currency_precision(self.currency)
        return Decimal(self.minor).scaleb(-digits).quantize(Decimal(1).scaleb(-digits))

    @property
    def typed(self) -> str:
        """Such as "4.50", which `read` reads."""
        return format(self.major, "f")

    def __add__(self, other: "Money") -> "Money":
        self._same(other)
        return Money(self.minor + other.minor, self.currency)

    def __sub__(self, other: "Money") -> "Money":
        self._same(other)
        return Money(self.minor - other.minor, self.currency)

    def __bool__(self) -> bool:
        return self.minor != 0

    def __str__(self) -> str:
        return format_currency(self.major, self.currency, locale="en")

    def _same(self, other: "Money") -> None:
        if self.currency != other.currency:
            raise ValueError(f"{self.currency} and {other.currency} do not add up")


def round_half_up(amount: Decimal) -> int:
    """To the nearest whole minor unit, halves away from zero."""
    return int(amount.quantize(Decimal(1), rounding=ROUND_HALF_UP))


def net_of_line(quantity: Decimal, unit_minor: int) -> int:
    """Net of one invoice line in minor units: quantity times unit price, rounded half-up."""
    return round_half_up(quantity * unit_minor)


def tax_of_line(net_minor: int, rate: Decimal) -> int:
    """Tax of one invoice line in minor units; `rate` in percent, rounded half-up per line."""
    return percent_of(net_minor, rate)


def percent_of(minor: int, rate: Decimal) -> int:
    """`rate` percent of an amount in minor units, rounded half-up."""
    return round_half_up(minor * rate / 100)


def shares_of(total: int, weights: Sequence[int]) -> list[int]:
    """Share out `total` minor units in proportion to `weights`, to the unit: the shares add up to `total`.

    Units that do not divide go to the largest remainders, the first of equal ones. With `total` between 0 and
    the sum of the weights no share is below 0 or above its weight. Weights are not negative.
    """
    whole = sum(weights)
    if whole == 0:
        return [0 for _ in weights]
    shares, remainders = [total * weight // whole for weight in weights], [total * weight % whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda index: (-remainders[index], index))
    for index in by_remainder[: total - sum(shares)]:
        shares[index] += 1
    return shares
