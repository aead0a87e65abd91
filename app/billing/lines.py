"""Lines of invoices: read from what people type, discounted, taxed, and added up."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Self

from app.billing.models import Invoice, InvoiceLine
from app.errors import InvalidInput
from app.money import LARGEST, Money, net_of_line, percent_of, shares_of, tax_of_line
from app.typed import decimal, dotted, line, plain, tidy

MOST_LINES = 200
LARGEST_QUANTITY = 1_000_000
QUANTITY_DECIMALS, RATE_DECIMALS = 4, 3


@dataclass(frozen=True, slots=True)
class Discount:
    """What is taken off: `rate` percent, or `minor` units where the rate is None. The default takes off nothing."""

    rate: Decimal | None = None
    minor: int = 0

    @classmethod
    def read(cls, text: str, currency: str, field: str = "discount") -> Self:
        """From "10%" or "5.00"; nothing typed is nothing taken off. `InvalidInput` for `field` where it is neither."""
        text = tidy(text)
        if text.endswith("%"):
            rate = decimal(text[:-1], field, RATE_DECIMALS)
            if not 0 <= rate <= 100:
                raise InvalidInput("A discount is between 0 and 100 percent.", field)
            return cls(rate) if rate else cls()
        if not text:
            return cls()
        try:
            minor = Money.read(dotted(text), currency).minor
        except InvalidInput as error:
            raise InvalidInput(error.sentence, field) from error
        if minor < 0:
            raise InvalidInput("Type what is taken off without a minus sign.", field)
        return cls(None, minor)

    def typed(self, currency: str) -> str:
        """As a person types it, which `read` reads."""
        if self.rate is not None:
            return f"{plain(self.rate)}%"
        return Money(self.minor, currency).typed if self.minor else ""

    def __bool__(self) -> bool:
        return self.rate is not None or self.minor != 0

    def of(self, minor: int) -> int:
        """What is taken off an amount; `InvalidInput` when there is less than that, or nothing to take from."""
        if not self:
            return 0
        if minor <= 0:
            raise InvalidInput("There is nothing to take a discount off.", "discount")
        if self.rate is None and self.minor > minor:
            raise InvalidInput("That takes off more than there is.", "discount")
        return self.minor if self.rate is None else percent_of(minor, self.rate)


NO_DISCOUNT = Discount()


@dataclass(frozen=True, slots=True)
class Line:
    """One line to be written: unit price in minor units, tax rate in percent."""

    description: str
    quantity: Decimal
    unit_minor: int
    tax_rate: Decimal
    discount: Discount = NO_DISCOUNT

    @classmethod
    def read(
        cls, description: str, quantity: str, unit_price: str, tax_rate: str, currency: str, discount: str = ""
    ) -> Self:
        """From typed text; raises `InvalidInput` for the field that cannot be taken."""
        description = line(description, 300, "description")
        if not description:
            raise InvalidInput("Say what is billed.", "description")
        if not tidy(unit_price):
            raise InvalidInput("Type a price.", "unit_price")
        amount = decimal(quantity, "quantity", QUANTITY_DECIMALS)
        if not 0 < amount <= LARGEST_QUANTITY:
            raise InvalidInput(f"A quantity is more than 0 and at most {LARGEST_QUANTITY:,}.", "quantity")
        rate = decimal(tax_rate or "0", "tax_rate", RATE_DECIMALS)
        if not 0 <= rate <= 100:
            raise InvalidInput("A tax rate is between 0 and 100.", "tax_rate")
        try:
            unit_minor = Money.read(dotted(unit_price), currency).minor
        except InvalidInput as error:
            raise InvalidInput(error.sentence, "unit_price") from error
        gross = net_of_line(amount, unit_minor)
        if abs(gross) >= LARGEST:
            raise InvalidInput("That is more than an invoice can hold.", "unit_price")
        taken_off = Discount.read(discount, currency)
        taken_off.of(gross)  # refuses what is more than the line comes to
        return cls(description, amount, unit_minor, rate, taken_off)


def append(invoice: Invoice, added: Line) -> None:
    """Write one more line at the end of an invoice; `reckon` adds up afterwards."""
    if len(invoice.lines) >= MOST_LINES:
        raise InvalidInput(f"An invoice has at most {MOST_LINES} lines.", "description")
    gross = net_of_line(added.quantity, added.unit_minor)
    taken_off = added.discount.of(gross)
    invoice.lines.append(
        InvoiceLine(
            position=len(invoice.lines) + 1,
            description=added.description,
            quantity=added.quantity,
            unit_minor=added.unit_minor,
            tax_rate=added.tax_rate,
            discount_rate=added.discount.rate,
            discount_minor=taken_off,
            share_minor=0,
            net_minor=gross - taken_off,
        )
    )


def reckon(invoice: Invoice, discount: Discount) -> None:
    """Take `discount` off the whole invoice, tax each line on what is left of it, and add up.

    The discount is shared out among the lines in proportion to their amounts, so each tax rate bears its part;
    a line that is a credit bears none. `InvalidInput` when an amount is more than the lines come to.
    """
    amounts = [max(0, one.net_minor + (one.share_minor or 0)) for one in invoice.lines]
    invoice.discount_rate = discount.rate
    invoice.discount_minor = discount.of(max(0, sum(one.net_minor + (one.share_minor or 0) for one in invoice.lines)))
    for one, share in zip(invoice.lines, shares_of(invoice.discount_minor, amounts), strict=True):
        one.net_minor += (one.share_minor or 0) - share
        one.share_minor = share
        one.tax_minor = tax_of_line(one.net_minor, one.tax_rate)
    invoice.net_minor = sum(one.net_minor for one in invoice.lines)
    invoice.tax_minor = sum(one.tax_minor for one in invoice.lines)
    invoice.total_minor = invoice.net_minor + invoice.tax_minor


def discount_of(invoice: Invoice) -> Discount:
    """What is taken off an invoice as a whole, as it was given."""
    return Discount(invoice.discount_rate, invoice.discount_minor if invoice.discount_rate is None else 0)


def as_written(invoice: Invoice) -> list[Line]:
    """The lines of an invoice, ready to be written on another one."""
    return [
        Line(
            one.description,
            one.quantity,
            one.unit_minor,
            one.tax_rate,
            Discount(one.discount_rate, one.discount_minor if one.discount_rate is None else 0),
        )
        for one in invoice.lines
    ]


@dataclass(frozen=True, slots=True)
class TaxSum:
    """What one tax rate of an invoice comes to: `rate` percent on `net` is `tax`, rounded on each line."""

    rate: Decimal
    net: Money
    tax: Money


def taxes_of(invoice: Invoice) -> list[TaxSum]:
    """The tax rates of an invoice, the lowest first."""
    sums: dict[Decimal, tuple[int, int]] = {}
    for one in invoice.lines:
        net, tax = sums.get(one.tax_rate, (0, 0))
        sums[one.tax_rate] = net + one.net_minor, tax + one.tax_minor
    currency = invoice.currency
    return [TaxSum(rate, Money(net, currency), Money(tax, currency)) for rate, (net, tax) in sorted(sums.items())]
