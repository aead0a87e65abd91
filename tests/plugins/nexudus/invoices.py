"""Frozen invoices for tests: say what matters, the rest is made up."""

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Any

from app.money import net_of_line, tax_of_line
from plugins.nexudus.frozen import BillTo, FrozenInvoice, FrozenLine, described, marker_for

Line = tuple[str, str, int, str]  # text, quantity, unit price in minor units, tax rate in percent
ONE_LINE: tuple[Line, ...] = (("Mailbox plan, February", "1", 2000, "20"),)
TWO_LINES: tuple[Line, ...] = (*ONE_LINE, ("Parcel storage", "3", 150, "20"))
BILL_TO = BillTo("Ada Example Ltd", "1 Test Street", "London", "N1 1AA", 1220)


def frozen(
    lines: Iterable[Line] = ONE_LINE,
    *,
    number: str = "INV-7",
    member_id: int = 4711,
    business_id: int = 900,
    product_id: int = 610,
    tax_name: str = "VAT 20%",
    **fields: Any,
) -> FrozenInvoice:
    """An invoice of GBP 24.00 that goes out as product sales unless said otherwise."""
    marker = marker_for("acme", number)
    frozen_lines = []
    for position, (text, quantity, unit, rate) in enumerate(lines, 1):
        net = net_of_line(Decimal(quantity), unit)
        frozen_lines.append(
            FrozenLine(
                position=position,
                description=described(text, Decimal(quantity), net, marker, position),
                quantity=Decimal(quantity),
                net_minor=net,
                tax_minor=tax_of_line(net, Decimal(rate)),
                tax_rate=Decimal(rate),
                tax_name=tax_name,
                product_id=product_id,
            )
        )
    net, tax = sum(line.net_minor for line in frozen_lines), sum(line.tax_minor for line in frozen_lines)
    given: dict[str, Any] = {
        "invoice_id": 7,
        "way": "product_sale",
        "currency": "GBP",
        "currency_id": 3005,
        "dated_on": date(2026, 1, 31),
        "due_on": date(2026, 2, 5),
        "bill_to": BILL_TO,
        **fields,
    }
    return FrozenInvoice(
        number=number,
        marker=marker,
        member_id=member_id,
        business_id=business_id,
        net_minor=net,
        tax_minor=tax,
        total_minor=net + tax,
        lines=tuple(frozen_lines),
        **given,
    )
