"""What an invoice held when it was handed to the exporter: plain data that nothing changes afterwards."""

import hashlib
import json
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Literal

from pydantic import TypeAdapter

from app.money import Money
from plugins.nexudus.sent import NewInvoice, NewLine, NewSale

LONGEST_MARKER = 40
HASH_DIGITS = 8
# Room for the text and the tag at its end; what Nexudus itself allows is documented nowhere.
LONGEST_DESCRIPTION = 250


@dataclass(frozen=True, slots=True)
class BillTo:
    """Whom the bill names; Nexudus demands every part of it on an invoice document."""

    name: str = ""
    address: str = ""
    city: str = ""
    postcode: str = ""
    country_id: int | None = None


@dataclass(frozen=True, slots=True)
class FrozenLine:
    """One line. `description` ends in the tag that finds it again; amounts in minor units, rate in percent."""

    position: int
    description: str
    quantity: Decimal
    net_minor: int
    tax_minor: int
    tax_rate: Decimal
    tax_name: str = ""
    product_id: int | None = None
    account_code: str = ""
    account_name: str = ""

    @property
    def pieces(self) -> int:
        """How many pieces it is sold as: the quantity, or 1 where the net does not split into whole pieces."""
        return _pieces(self.quantity, self.net_minor)


@dataclass(frozen=True, slots=True)
class FrozenInvoice:
    """One invoice of ours on its way to a member. `marker` is what it is looked up by."""

    invoice_id: int
    number: str
    marker: str
    way: Literal["product_sale", "document"]
    member_id: int
    business_id: int
    currency: str
    currency_id: int
    dated_on: date
    due_on: date | None
    net_minor: int
    tax_minor: int
    total_minor: int
    lines: tuple[FrozenLine, ...]
    bill_to: BillTo = BillTo()
    issue: Literal["draft", "issued"] = "draft"
    use_own_number: bool = False

    def freeze(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return _adapter.dump_python(self, mode="json")  # type: ignore[no-any-return]

    def fingerprint(self) -> str:
        """SHA-256 over everything in it, in hexadecimal."""
        written = json.dumps(self.freeze(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(written.encode()).hexdigest()

    def tag(self, line: FrozenLine) -> str:
        return tag(self.marker, line.position)

    def sale(self, line: FrozenLine) -> NewSale:
        """`line` as a product sold to the member."""
        if line.product_id is None:
            raise ValueError(f"line {line.position} has no product to be sold as")
        return NewSale(
            member_id=self.member_id,
            business_id=self.business_id,
            product_id=line.product_id,
            quantity=line.pieces,
            price=self._major(line.net_minor // line.pieces),
            description=line.description,
            reference=self.marker,
            system_id=f"{self.marker}#{line.position}",
            sold_on=self.dated_on,
            due_on=self.due_on,
        )

    def head(self) -> NewInvoice:
        """The head of the document. Nexudus demands a number: without leave to use ours it is the marker."""
        return NewInvoice(
            member_id=self.member_id,
            business_id=self.business_id,
            number=self.number if self.use_own_number else self.marker,
            bill_to_name=self.bill_to.name,
            bill_to_address=self.bill_to.address,
            bill_to_city=self.bill_to.city,
            bill_to_post_code=self.bill_to.postcode,
            bill_to_country_id=self.bill_to.country_id,
            currency_id=self.currency_id,
            reference=self.marker,
            system_id=self.marker,
            due_on=self.due_on,
        )

    def document_line(self, remote_id: int, line: FrozenLine) -> NewLine:
        """`line` as a line of the document with id `remote_id`."""
        return NewLine(
            invoice_id=remote_id,
            description=line.description,
            quantity=line.pieces,
            net=self._major(line.net_minor),
            tax=self._major(line.tax_minor),
            tax_rate=line.tax_rate,
            tax_name=line.tax_name or None,
            account_code=line.account_code or None,
            account_name=line.account_name or None,
        )

    def _major(self, minor: int) -> Decimal:
        return Money(minor, self.currency).major


_adapter = TypeAdapter(FrozenInvoice)


def thaw(stored: dict[str, Any]) -> FrozenInvoice:
    """The invoice that `freeze` made `stored` of."""
    return _adapter.validate_python(stored)


def marker_for(account_slug: str, number: str) -> str:
    """`<account>:<number>`, the reference that an invoice carries in Nexudus: ASCII, 40 characters at most.

    A longer one, or one with other characters, is cut and ends in a hash, so that no two become the same.
    """
    whole = f"{account_slug}:{number}"
    if len(whole) <= LONGEST_MARKER and whole.isascii() and whole.isprintable() and whole == whole.strip():
        return whole
    plain = "".join(sign if sign.isascii() and sign.isprintable() else "-" for sign in whole)
    digest = hashlib.sha256(whole.encode()).hexdigest()[:HASH_DIGITS]
    return f"{plain[: LONGEST_MARKER - HASH_DIGITS - 1]}-{digest}"


def marker_start(account_slug: str) -> str:
    """What every marker of an account begins with, a cut one too."""
    return f"{account_slug}:"[: LONGEST_MARKER - HASH_DIGITS - 1]


def tag(marker: str, position: int) -> str:
    """What the description of a line ends in."""
    return f"({marker} #{position})"


def described(text: str, quantity: Decimal, net_minor: int, marker: str, position: int) -> str:
    """A line's text as it goes to Nexudus: one printable line, a quantity that cannot be sold as pieces, the tag."""
    end = f" {tag(marker, position)}"
    if _pieces(quantity, net_minor) != quantity:
        end = f", quantity {quantity.normalize():f}{end}"
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    return line[: LONGEST_DESCRIPTION - len(end)] + end


def _pieces(quantity: Decimal, net_minor: int) -> int:
    if quantity >= 1 and quantity == quantity.to_integral_value() and net_minor % int(quantity) == 0:
        return int(quantity)
    return 1
