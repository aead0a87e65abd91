"""Customers and invoices out of CSV files: a bad row is skipped with its number and reason, the rest is taken.

A row's number is its line in the file as an editor counts, so the first row below the heading is 2.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from app import clock
from app.accounts.models import Account
from app.billing import customers, invoices, life, numbering
from app.billing.customers import Details
from app.billing.lines import Line
from app.billing.models import Customer, CustomerStatus, InvoiceStatus
from app.csv_out import plain_cell
from app.db import db
from app.errors import AppError, InvalidInput
from app.money import CURRENCIES
from app.typed import email_key, line, tidy

CUSTOMER_COLUMNS = (*Details.text_names(), "location", "status", "signed_up_at")
INVOICE_COLUMNS = (
    "number",
    "customer_email",
    "created_at",
    "due_on",
    "currency",
    "line_description",
    "quantity",
    "unit_price",
    "tax_rate",
    "status",
)
_OF_INVOICE = ("customer_email", "created_at", "due_on", "currency", "status")
EARLIEST_YEAR, LATEST_YEAR = 1970, 2200
Word = TypeVar("Word", CustomerStatus, InvoiceStatus)
IMPORTABLE = frozenset(InvoiceStatus) - {InvoiceStatus.CLOSED}  # only a plugin's hand-over closes an invoice


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its line in the file, and its cells by column; a column that the file lacks is empty."""

    number: int
    cells: Mapping[str, str]


@dataclass(slots=True)
class Outcome:
    """What became of the rows so far."""

    created: int = 0
    skipped: list[tuple[int, str]] = field(default_factory=list)

    def skip(self, row: int, reason: str) -> None:
        self.skipped.append((row, reason))

    def answer(self) -> dict[str, object]:
        """As the commands print it, the skipped rows in the order of the file."""
        return {
            "created": self.created,
            "skipped": [{"row": row, "reason": reason} for row, reason in sorted(self.skipped)],
        }


def read(path: Path, columns: Iterable[str], needed: Iterable[str], outcome: Outcome) -> list[Row]:
    """The rows of a UTF-8 file with a heading; rows that are not whole are skipped into `outcome`."""
    try:
        return read_bytes(path.read_bytes(), path.name, columns, needed, outcome)
    except OSError as error:
        raise InvalidInput(f"{path.name} cannot be read: {error.strerror}.") from error


def read_bytes(content: bytes, name: str, columns: Iterable[str], needed: Iterable[str], outcome: Outcome) -> list[Row]:
    """The same for what somebody sent; `name` is what the file is called in sentences."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{name} is not written in UTF-8.") from error
    return list(_rows(text, tuple(columns), tuple(needed), outcome))


def _rows(text: str, columns: tuple[str, ...], needed: tuple[str, ...], outcome: Outcome) -> Iterator[Row]:
    file = io.StringIO(text, newline="")
    # Where a comma stands before decimals, spreadsheets part cells by semicolons. The heading tells.
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    reader = csv.reader(file, delimiter=delimiter)
    heading = [tidy(name).lower() for name in next(reader, [])]
    missing = [name for name in needed if name not in heading]
    if missing:
        raise InvalidInput(f"The file has no column {missing[0]}.")
    while True:
        begins = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            outcome.skip(begins, f"The row cannot be read: {error}.")
            continue
        if len(cells) > len(heading):
            outcome.skip(begins, f"The row has {len(cells)} cells under {len(heading)} headings.")
        elif any(cells):
            typed = dict(zip(heading, cells, strict=False))
            yield Row(begins, {name: plain_cell(typed.get(name, "")) for name in columns})


def take_customers(account: Account, rows: Iterable[Row], outcome: Outcome) -> None:
    """Add the customers of some rows, inside the unit of work around the caller."""
    for row in rows:
        try:
            with db.session.begin_nested():
                _take_customer(account, row.cells)
        except AppError as error:
            outcome.skip(row.number, error.sentence)
        else:
            outcome.created += 1


def _take_customer(account: Account, cells: Mapping[str, str]) -> None:
    texts = {name: cells[name] for name in Details.text_names()}
    texts["country"] = texts["country"].strip().upper()
    details = Details(location_id=_location(account, cells["location"]), **texts)
    status = _word(cells["status"], CustomerStatus, CustomerStatus.INACTIVE)
    signed_up_at = _moment(cells["signed_up_at"], account, "signed_up_at")
    customer = customers.add(account, details)
    customer.signed_up_at = signed_up_at
    if status == CustomerStatus.ACTIVE:
        life.activate(customer)  # activated now, whenever that was where they come from
    else:
        customer.status = status


def _location(account: Account, name: str) -> int:
    name = tidy(name)
    for location in account.locations:
        if not name or location.name.casefold() == name.casefold():
            return location.id
    raise InvalidInput(f"There is no location “{name}”.", "location")


def by_invoice(rows: Iterable[Row]) -> list[list[Row]]:
    """The rows of each invoice, in the order in which the invoices begin."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        number = tidy(row.cells["number"])
        groups.setdefault(number or f"\0{row.number}", []).append(row)
    return list(groups.values())


def take_invoices(account: Account, groups: Iterable[list[Row]], outcome: Outcome) -> None:
    """Add some invoices, inside the unit of work around the caller. One bad row keeps its whole invoice out."""
    numbering.hold(account)
    for group in groups:
        try:
            with db.session.begin_nested():
                _take_invoice(account, group)
        except _BadRow as bad:
            for row in group:
                reason = str(bad) if row.number == bad.row else f"Row {bad.row} of this invoice cannot be taken."
                outcome.skip(row.number, reason)
        else:
            outcome.created += 1


class _BadRow(Exception):
    """Which row of an invoice keeps it out, and why."""

    def __init__(self, row: int, reason: str) -> None:
        super().__init__(reason)
        self.row = row


def _take_invoice(account: Account, group: list[Row]) -> None:
    first, current = group[0].cells, group[0].number
    try:
        number = _free_number(account, first["number"])
        customer = _customer(account, first["customer_email"])
        currency = tidy(first["currency"]).upper() or account.currency
        if currency not in CURRENCIES:
            raise InvalidInput(f"“{currency}” is no currency code such as EUR.", "currency")
        created_at = _moment(first["created_at"], account, "created_at")
        due_on, status = _day(first["due_on"]), _word(first["status"], InvoiceStatus, InvoiceStatus.PENDING)
        if status not in IMPORTABLE:
            raise InvalidInput("An invoice is closed by handing it over, not by an import.", "status")
        lines = []
        for row in group:
            current = row.number
            lines.append(_line(row.cells, first, currency))
        invoice = invoices.create(
            account,
            customer,
            lines,
            due_on=due_on,
            currency=currency,
            number=number,
            created_at=created_at,
            status=status,
        )
    except AppError as error:
        raise _BadRow(current, error.sentence) from error
    if status == InvoiceStatus.PAID:
        invoice.paid_at, invoice.paid_note = created_at, "Paid before the import."
    elif status == InvoiceStatus.VOID:
        invoice.voided_at, invoice.void_reason = created_at, "Void before the import."


def _line(cells: Mapping[str, str], first: Mapping[str, str], currency: str) -> Line:
    for name in _OF_INVOICE:
        if tidy(cells[name]).casefold() not in {"", tidy(first[name]).casefold()}:
            raise InvalidInput(f"{name} differs from the invoice's first row.", name)
    return Line.read(
        cells["line_description"], cells["quantity"] or "1", cells["unit_price"], cells["tax_rate"], currency
    )


def _free_number(account: Account, text: str) -> str:
    """The number of an import, kept clear of the account's own numbering."""
    number = line(text, 40, "number")
    if not number:
        raise InvalidInput("An invoice needs a number.", "number")
    if numbering.is_taken(account, number):
        raise InvalidInput(f"There is an invoice {number} already.", "number")
    numbering.keep_clear(account, number)
    return number


def _customer(account: Account, email: str) -> Customer:
    customer = db.session.scalars(
        sa.select(Customer).where(Customer.account_id == account.id, Customer.email_key == email_key(email))
    ).one_or_none()
    if customer is None:
        raise InvalidInput(f"No customer has the email “{tidy(email)}”.", "customer_email")
    return customer


def _word(text: str, words: type[Word], usual: Word) -> Word:
    try:
        return words(text.strip().lower()) if text.strip() else usual
    except ValueError as error:
        raise InvalidInput(f"“{text.strip()}” is none of {', '.join(words)}.", "status") from error


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text.strip()) if text.strip() else None
    except ValueError as error:
        raise InvalidInput(f"“{text.strip()}” is no day such as 2026-11-25.", "due_on") from error


def _moment(text: str, account: Account, name: str) -> datetime:
    """A moment as written; a day alone is its first moment in the account's zone, nothing is now."""
    text = text.strip()
    if not text:
        return clock.now()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = datetime.min  # noqa: DTZ901  # refused just below
    if not EARLIEST_YEAR <= moment.year <= LATEST_YEAR:
        raise InvalidInput(f"“{text}” is no day or moment such as 2026-11-25 or 2026-11-25T14:30.", name)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=ZoneInfo(account.timezone))
    return moment.astimezone(UTC)
