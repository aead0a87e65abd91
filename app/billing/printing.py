"""An invoice on paper: everything that stands on the sheet as plain text, and drawing it as PDF.

    pdf = printing.pdf_of(invoice)

Drawing takes some ten milliseconds and no database: `pdf_of` ends the reading transaction first. Whoever draws
inside a unit of work's two halves reads the `Sheet` in one and calls `draw` between them.
"""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time
from functools import cache
from pathlib import Path

import sqlalchemy as sa
import typst

from app import clock
from app.accounts.looks import look_of
from app.accounts.models import Account, AccountLogo
from app.billing import collecting, printed
from app.billing.lines import taxes_of
from app.billing.models import Invoice, InvoiceLine, InvoiceStatus
from app.billing.outlook import title_of
from app.db import db, end_reading
from app.formats import number

TEMPLATE = Path(__file__).with_name("invoice.typ")
ROUNDING = "Tax is reckoned on each line and rounded there, halves up."


@dataclass(frozen=True, slots=True)
class SheetLine:
    """One line as it is printed; `second` says what was taken off."""

    text: str
    second: str
    quantity: str
    price: str
    tax: str
    amount: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """All that stands on one print. Two that are equal look the same."""

    title: str
    number: str
    account: str
    issuer: tuple[str, ...]
    contact: tuple[str, ...]
    customer: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    lines: tuple[SheetLine, ...]
    sums: tuple[tuple[str, str], ...]
    total: str
    due: str
    verdict: str  # what has become of it, in the words of a customer; "" while it is to be paid
    notes: tuple[str, ...]
    accent: str
    created: date
    logo: bytes


def pdf_of(invoice: Invoice) -> bytes:
    """The PDF of an invoice. Ends the reading transaction: rows read before it are read anew when asked again."""
    sheet = sheet_of(invoice)
    end_reading()
    return draw(sheet)


def file_name(invoice: Invoice) -> str:
    """Such as "QW-1001.pdf", safe in a header whatever the number was imported as."""
    kept = "".join(
        letter if letter.isascii() and (letter.isalnum() or letter in "-_.") else "-" for letter in invoice.number
    )
    return f"{kept.strip('.-') or 'invoice'}.pdf"


def sheet_of(invoice: Invoice) -> Sheet:
    """What a print of an invoice says at this moment; reads the database."""
    names, account = printed.names_on(invoice), db.session.get_one(Account, invoice.account_id)
    plugin = collecting.statement_of(invoice)
    zone = invoice.customer.location.timezone
    created = clock.local(invoice.created_at, zone).date()
    logo = db.session.scalar(sa.select(AccountLogo.content).where(AccountLogo.account_id == account.id))
    return Sheet(
        title=_title(invoice, plugin),
        number=invoice.number,
        account=names["account"],
        issuer=tuple(names["issuer"]),
        contact=tuple(names["contact"]),
        customer=tuple(names["customer"]),
        facts=_facts(invoice, names["mailbox"], created, is_due=not plugin),
        lines=tuple(_lines(invoice)),
        sums=tuple(_sums(invoice)),
        total=str(invoice.total),
        due="" if plugin or invoice.due_on is None else _day(invoice.due_on),
        verdict=_verdict(invoice, plugin, zone),
        notes=_notes(invoice),
        accent=look_of(account.accent).on_paper,
        created=created,
        logo=logo or b"",
    )


def draw(sheet: Sheet) -> bytes:
    """The sheet as PDF (A4), the same bytes each time on one machine. Knows neither Flask nor the database."""
    said = asdict(sheet) | {"created": sheet.created.isoformat(), "logo": list(sheet.logo)}
    compiler = typst.Compiler(TEMPLATE.read_bytes(), font_paths=_fonts(), sys_inputs={"sheet": json.dumps(said)})
    made = datetime.combine(sheet.created, time(), UTC)
    pdf = compiler.compile(format="pdf", timestamp=made)
    if not isinstance(pdf, bytes):
        raise TypeError("a PDF is one piece of bytes")
    return pdf


@cache
def _fonts() -> typst.Fonts:
    """The fonts that typst brings (Latin, Greek, Cyrillic), then what the machine has for all other writing."""
    return typst.Fonts(include_system_fonts=True, include_embedded_fonts=True)


def _title(invoice: Invoice, plugin: str) -> str:
    if plugin:
        return "Statement"
    return {InvoiceStatus.DRAFT: "Draft of an invoice", InvoiceStatus.VOID: "Void invoice"}.get(
        invoice.status, "Invoice"
    )


def _facts(invoice: Invoice, mailbox: str, created: date, *, is_due: bool) -> tuple[tuple[str, str], ...]:
    facts = [("Date", _day(created))]
    if invoice.due_on is not None and is_due:  # what another system bills is due as that system says
        facts.append(("Due", _day(invoice.due_on)))
    if invoice.period_from is not None and invoice.period_until is not None:
        facts.append(("Period", f"{_day(invoice.period_from)} to {_day(invoice.period_until)}"))
    if mailbox:
        facts.append(("Mailbox", mailbox))
    if invoice.copied_from is not None:
        facts.append(("Replaces", invoice.copied_from.number))
    return tuple(facts)


def _lines(invoice: Invoice) -> list[SheetLine]:
    return [
        SheetLine(
            line.description,
            taken_off(line),
            number(line.quantity),
            str(line.unit_price),
            f"{number(line.tax_rate)}%",
            str(line.amount),
        )
        for line in invoice.lines
    ]


def taken_off(line: InvoiceLine) -> str:
    """What was taken off a line by itself, such as "less 10% (€1.00)"; "" for nothing."""
    if not line.discount_minor:
        return ""
    return f"less {number(line.discount_rate)}% ({line.discount})" if line.discount_rate else f"less {line.discount}"


def rounding(invoice: Invoice) -> str:
    """How its tax was rounded; "" where there is none."""
    return ROUNDING if any(line.tax_minor for line in invoice.lines) else ""


def _sums(invoice: Invoice) -> list[tuple[str, str]]:
    sums = []
    if invoice.discount_minor:
        percent = "" if invoice.discount_rate is None else f" of {number(invoice.discount_rate)}%"
        sums += [
            ("Sum of lines", str(invoice.sum_of_lines)),
            (f"Discount{percent}", f"\N{MINUS SIGN}{invoice.discount}"),
        ]
    sums.append(("Net", str(invoice.net)))
    for one in taxes_of(invoice):
        sums.append((f"Tax {number(one.rate)}% on {one.net}", str(one.tax)))
    return sums


def _verdict(invoice: Invoice, plugin: str, zone: str) -> str:
    if plugin:
        return _statement(invoice, title_of(plugin), zone)
    if invoice.status == InvoiceStatus.VOID:
        return f"Void since {_local(invoice.voided_at, zone)}. Nothing is to be paid."
    if invoice.status == InvoiceStatus.PAID:
        how = f" ({invoice.paid_how.lower()})" if invoice.paid_how else ""
        return f"Paid on {_local(invoice.paid_at, zone)}{how}. Thank you."
    if invoice.status == InvoiceStatus.DRAFT:
        return "A draft. Nothing is to be paid yet."
    return ""


def _statement(invoice: Invoice, title: str, zone: str) -> str:
    told = "This is a statement of what was charged, not an invoice."
    if invoice.status != InvoiceStatus.CLOSED:
        return f"{told} The invoice comes from {title}."
    known_as = f" with the number {invoice.handed_over_as}" if invoice.handed_over_as else ""
    return f"{told} The invoice comes from {title}{known_as}, since {_local(invoice.closed_at, zone)}."


def _notes(invoice: Invoice) -> tuple[str, ...]:
    return tuple(note for note in (invoice.note, rounding(invoice)) if note)


def _local(moment: datetime | None, zone: str) -> str:
    return _day(clock.local(moment, zone).date()) if moment else "an unknown day"


def _day(value: date) -> str:
    return f"{value.day} {value:%B %Y}"
