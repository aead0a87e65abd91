"""Invoices: finding them, writing them with their lines, and withdrawing them. Changes rows, never commits."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TypeVarTuple

import sqlalchemy as sa
from flask_sqlalchemy.pagination import Pagination
from sqlalchemy.orm import selectinload

from app import audit, clock
from app.accounts.models import Account
from app.billing import asking, numbering
from app.billing.lines import NO_DISCOUNT, Discount, Line, append, discount_of, reckon
from app.billing.models import Customer, Invoice, InvoiceStatus
from app.db import db
from app.errors import Conflict, InvalidInput, NotFound
from app.money import Money
from app.typed import fold, line, paragraphs, tidy

PER_PAGE = 25
NOBODY = "nobody"
_ENDED = {
    InvoiceStatus.PAID: "is paid",
    InvoiceStatus.CLOSED: "was handed over",
    InvoiceStatus.VOID: "is void",
}
Columns = TypeVarTuple("Columns")


@dataclass(frozen=True, slots=True)
class Search:
    """What a list of invoices is narrowed to. `collector` is a plugin's name, `NOBODY`, …; None for any.

    `since` and `until` are the first and last day of the account's calendar on which they were created.
    """

    text: str = ""
    status: InvoiceStatus | None = None
    collector: str | None = None
    customer_id: int | None = None
    since: date | None = None
    until: date | None = None
    oldest_first: bool = False


@dataclass(frozen=True, slots=True)
class Period:
    """What a subscription fee is for: first and last day. A subscription has one invoice for each."""

    subscription_id: int
    first: date
    last: date


def find(account: Account, wanted: Search, page: int = 1) -> Pagination:
    """One page of invoices by creation; every word must occur in the number or in the customer's data."""
    return db.paginate(_sorted(account, wanted), page=page, per_page=PER_PAGE, error_out=False)


def each(account: Account, wanted: Search, most: int) -> Iterator[Invoice]:
    """The same without pages, at most `most`, read in pieces."""
    return db.session.scalars(_sorted(account, wanted).limit(most).execution_options(yield_per=500))


def sums(account: Account, wanted: Search) -> list[Money]:
    """What the invoices of a search come to, per currency."""
    query = _matching(sa.select(Invoice.currency, sa.func.sum(Invoice.total_minor)), account, wanted)
    found: dict[str, int] = {}
    # By status too, as the index is sorted; by currency alone every invoice would have to be sorted first.
    for currency, minor in db.session.execute(query.group_by(Invoice.status, Invoice.currency)):
        found[currency] = found.get(currency, 0) + int(minor)
    return [Money(minor, currency) for currency, minor in sorted(found.items())]


def count_by_status(account: Account) -> dict[InvoiceStatus, int]:
    """How many invoices are in each status."""
    rows = db.session.execute(
        sa.select(Invoice.status, sa.func.count()).where(Invoice.account_id == account.id).group_by(Invoice.status)
    )
    counts = dict(rows.all())
    return {status: counts.get(status, 0) for status in InvoiceStatus}


def count_of(customer: Customer) -> dict[InvoiceStatus, int]:
    """How many invoices a customer has in each status; statuses without one are left out."""
    query = sa.select(Invoice.status, sa.func.count()).where(Invoice.customer_id == customer.id)
    return dict(db.session.execute(query.group_by(Invoice.status)).all())


def open_of(customer_ids: Sequence[int]) -> dict[int, list[Money]]:
    """What pending invoices come to, per customer and currency; customers without one are left out."""
    rows = db.session.execute(
        sa.select(Invoice.customer_id, Invoice.currency, sa.func.sum(Invoice.total_minor))
        .where(Invoice.customer_id.in_(customer_ids), Invoice.status == InvoiceStatus.PENDING)
        .group_by(Invoice.customer_id, Invoice.currency)
        .order_by(Invoice.currency)
    )
    found: dict[int, list[Money]] = {}
    for customer_id, currency, minor in rows:
        found.setdefault(customer_id, []).append(Money(int(minor), currency))
    return found


def get(account: Account, invoice_id: int) -> Invoice:
    """The invoice with this id in this account, or `NotFound`."""
    return _found(db.session.scalars(_one(account, invoice_id)).one_or_none())


def by_number(account: Account, number: str) -> Invoice | None:
    """The invoice with this number, typed as it stands or in small letters."""
    query = sa.select(Invoice).where(Invoice.account_id == account.id, Invoice.number.in_({number, number.upper()}))
    return db.session.scalars(query).first()


def locked(account: Account, invoice_id: int) -> Invoice:
    """As `get`, read anew inside a unit of work; nobody else changes or collects it until that is committed."""
    query = _one(account, invoice_id).with_for_update().execution_options(populate_existing=True)
    return _found(db.session.scalars(query).one_or_none())


def create(
    account: Account,
    customer: Customer,
    lines: Iterable[Line],
    *,
    due_on: date | None = None,
    note: str = "",
    currency: str | None = None,
    number: str | None = None,
    created_at: datetime | None = None,
    status: InvoiceStatus = InvoiceStatus.PENDING,
    discount: Discount = NO_DISCOUNT,
    copied_from: Invoice | None = None,
    period: Period | None = None,
) -> Invoice:
    """A new invoice with its lines; the next number of the account unless one is given. Nothing is sent by this.

    `copied_from` is the invoice that it puts right.
    """
    invoice = Invoice(
        account_id=account.id,
        customer_id=customer.id,
        number=number or numbering.next_number(account),
        status=status,
        currency=currency or customer.location.currency,
        created_at=created_at or clock.now(),
        due_on=due_on,
        note=paragraphs(note, 500, "note"),
        copied_from_id=copied_from.id if copied_from else None,
        customer=customer,
    )
    if period is not None:
        invoice.subscription_id = period.subscription_id
        invoice.period_from, invoice.period_until = period.first, period.last
    _write(invoice, lines, discount)
    db.session.add(invoice)
    db.session.flush()
    asking.look_now(customer.id)
    audit.record("invoice_created", invoice, number=invoice.number, total=str(invoice.total))
    return invoice


def extend(invoice: Invoice, added: Line) -> None:
    """One more line on an invoice that nobody collects yet."""
    _refuse_frozen(invoice)
    append(invoice, added)
    try:
        reckon(invoice, discount_of(invoice))
    except InvalidInput as error:
        raise InvalidInput("With this line the discount on the whole is more than is left.", "unit_price") from error
    audit.record("invoice_line_added", invoice, description=added.description, total=str(invoice.total))


def take_off(invoice: Invoice, discount: Discount) -> None:
    """Give a discount on the whole of an invoice that nobody collects yet, in place of an earlier one."""
    _refuse_frozen(invoice)
    reckon(invoice, discount)
    audit.record("invoice_discounted", invoice, discount=str(invoice.discount), total=str(invoice.total))


def rewrite(
    invoice: Invoice, lines: Iterable[Line], *, due_on: date | None, note: str, discount: Discount = NO_DISCOUNT
) -> None:
    """Write a draft anew; what was issued only takes further lines."""
    refuse_issued(invoice)
    invoice.due_on, invoice.note = due_on, paragraphs(note, 500, "note")
    invoice.lines.clear()
    db.session.flush()  # the places of the lines are free before the new ones take them
    _write(invoice, lines, discount)
    audit.record("invoice_rewritten", invoice, total=str(invoice.total))


def refuse_issued(invoice: Invoice) -> None:
    """Raise `Conflict` for what is no draft any more."""
    if invoice.status != InvoiceStatus.DRAFT:
        raise Conflict(f"{invoice.number} is no draft any more. What was issued only takes further lines.")


def issue(invoice: Invoice) -> None:
    """Turn a draft into a pending invoice."""
    if invoice.status != InvoiceStatus.DRAFT:
        raise Conflict("Only a draft can be issued.")
    invoice.status = InvoiceStatus.PENDING
    audit.record("invoice_issued", invoice)


def void(invoice: Invoice, reason: str) -> None:
    """Withdraw an invoice that nobody collects yet; the number stays taken."""
    reason = line(reason, 300, "reason")
    if not reason:
        raise InvalidInput("Say why; it stays with the invoice.", "reason")
    _refuse_frozen(invoice)
    invoice.status, invoice.void_reason, invoice.voided_at = InvoiceStatus.VOID, reason, clock.now()
    audit.record("invoice_voided", invoice, reason=reason)


def set_do_not_send(invoice: Invoice, *, held_back: bool) -> None:
    """Keep an invoice from every plugin that hands invoices over, or let it go again."""
    _refuse_frozen(invoice)
    if invoice.do_not_send != held_back:
        invoice.do_not_send = held_back
        audit.record("invoice_do_not_send", invoice, held_back=held_back)


def _write(invoice: Invoice, lines: Iterable[Line], discount: Discount) -> None:
    for one in lines:
        append(invoice, one)
    if not invoice.lines:
        raise InvalidInput("An invoice needs a line.", "lines")
    reckon(invoice, discount)


def _sorted(account: Account, wanted: Search) -> sa.Select[Invoice]:
    # The customers come in a query of their own: a join would be made for every row of the pages before, too.
    query = _matching(sa.select(Invoice), account, wanted).options(selectinload(Invoice.customer))
    order = (Invoice.created_at, Invoice.id)
    return query.order_by(*(order if wanted.oldest_first else (column.desc() for column in order)))


def _matching(query: sa.Select[*Columns], account: Account, wanted: Search) -> sa.Select[*Columns]:
    query = query.where(Invoice.account_id == account.id)
    if wanted.status is not None:
        query = query.where(Invoice.status == wanted.status)
    if wanted.collector is not None:
        query = query.where(Invoice.collector == (None if wanted.collector == NOBODY else wanted.collector))
    if wanted.customer_id is not None:
        query = query.where(Invoice.customer_id == wanted.customer_id)
    if wanted.since is not None:
        query = query.where(Invoice.created_at >= clock.start_of(wanted.since, account.timezone))
    if wanted.until is not None:
        query = query.where(Invoice.created_at < clock.start_of(wanted.until + timedelta(days=1), account.timezone))
    for word in fold(tidy(wanted.text)).split()[:10]:
        by_number = sa.func.lower(Invoice.number).contains(word, autoescape=True)
        # Not a join: the customers are looked through once, not once for each of their invoices.
        customers = sa.select(Customer.id).where(
            Customer.account_id == account.id, Customer.search_key.contains(word, autoescape=True)
        )
        query = query.where(by_number | Invoice.customer_id.in_(customers))
    return query


def _one(account: Account, invoice_id: int) -> sa.Select[Invoice]:
    return sa.select(Invoice).where(Invoice.account_id == account.id, Invoice.id == invoice_id)


def _found(invoice: Invoice | None) -> Invoice:
    if invoice is None:
        raise NotFound("There is no such invoice.")
    return invoice


def _refuse_frozen(invoice: Invoice) -> None:
    if not invoice.can_change:
        why = "is being collected" if invoice.status == InvoiceStatus.PENDING else _ENDED[invoice.status]
        raise Conflict(f"{invoice.number} cannot be changed any more: it {why}.")
