"""Who collects an invoice: nobody yet, the card gateway, a person by hand, or a plugin; taken once and guarded.

Every taking is one UPDATE that only matches while nobody has the invoice: of any number of processes one wins.
"""

from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from app import audit, clock
from app.billing import printed
from app.billing.models import BY_HAND, GATEWAY, Customer, Invoice, InvoiceStatus
from app.db import changed_one, db
from app.errors import Conflict
from app.installations.models import Installation, InstallationState
from app.typed import line


class PaidBy(StrEnum):
    """How money came in when a person says so."""

    TRANSFER = "Bank transfer"
    CASH = "Cash"
    CARD = "Card"
    OTHER = "Other"


def claim(invoice_id: int, collector: str) -> bool:
    """Take a pending invoice for `collector` and answer whether it was still free."""
    return _take(invoice_id, collector=collector, collected_at=clock.now())


def give_back(invoice_id: int, collector: str) -> bool:
    """Let go of a pending invoice; only its collector can. False when it was not theirs."""
    given = changed_one(
        sa.update(Invoice)
        .where(
            Invoice.id == invoice_id,
            Invoice.collector == collector,
            Invoice.status == InvoiceStatus.PENDING,
        )
        .values(collector=None, collected_at=None)
        .execution_options(synchronize_session=False)
    )
    if given:
        audit.record("invoice_given_back", _reread(invoice_id), collector=collector)
    return given


def close_as_handed_over(invoice_id: int, plugin: str, number: str) -> None:
    """Close an invoice that `plugin` collects: it stands in the other system as `number`, and is not paid.

    Raises `Conflict` when the invoice is not pending or not the plugin's; nothing is changed then.
    """
    closed = changed_one(
        sa.update(Invoice)
        .where(
            Invoice.id == invoice_id,
            Invoice.collector == plugin,
            Invoice.status == InvoiceStatus.PENDING,
        )
        .values(status=InvoiceStatus.CLOSED, closed_at=clock.now(), handed_over_as=number[:80])
        .execution_options(synchronize_session=False)
    )
    if not closed:
        raise Conflict("The invoice is not this plugin's to close.", invoice=invoice_id, plugin=plugin)
    audit.record("invoice_handed_over", _reread(invoice_id), plugin=plugin, number=number[:80])


def collect(invoice_id: int) -> bool:
    """Take a pending invoice for the card gateway, which may charge it only when this answers True.

    An invoice that a plugin bills is left alone: its customer is billed by a plugin that is switched on and
    has taken over, and it was created after that moment. An older one stays with default billing.
    """
    return _take(invoice_id, ~not_collected_here(), collector=GATEWAY, collected_at=clock.now())


def charged(invoice_id: int, reference: str) -> None:
    """The gateway has the money for an invoice it took: paid. `reference` is the gateway's own."""
    paid = changed_one(
        sa.update(Invoice)
        .where(
            Invoice.id == invoice_id,
            Invoice.collector == GATEWAY,
            Invoice.status == InvoiceStatus.PENDING,
        )
        .values(
            status=InvoiceStatus.PAID,
            paid_at=clock.now(),
            paid_how=PaidBy.CARD.value,
            paid_note=reference[:300],
        )
        .execution_options(synchronize_session=False)
    )
    if not paid:
        raise Conflict("The gateway does not collect this invoice.", invoice=invoice_id)
    audit.record("invoice_charged", _reread(invoice_id), reference=reference[:300])


def mark_paid_by_hand(invoice: Invoice, how: PaidBy, note: str = "") -> None:
    """A person says that the money is here; `Conflict` when somebody else collects the invoice already."""
    note = line(note, 300, "note")
    paid = _take(
        invoice.id,
        collector=BY_HAND,
        collected_at=clock.now(),
        status=InvoiceStatus.PAID,
        paid_at=clock.now(),
        paid_how=how.value,
        paid_note=note,
    )
    if not paid:
        raise Conflict(f"{invoice.number} is collected by somebody else meanwhile, or is no longer pending.")
    audit.record("invoice_paid_by_hand", _reread(invoice.id), how=how.value)


def taken_over_by(customer: Customer) -> Installation | None:
    """The plugin that bills a customer since its cut-over; None while the host's own billing does."""
    if not customer.billed_by:
        return None
    return db.session.scalars(
        sa.select(Installation).where(
            Installation.account_id == customer.account_id,
            Installation.plugin == customer.billed_by,
            Installation.state != InstallationState.OFF,
            Installation.cutover_at.is_not(None),
        )
    ).one_or_none()


def goes_to(invoice: Invoice) -> Installation | None:
    """The plugin that an invoice belongs to; None when it stays with the host's own billing."""
    taken_over = taken_over_by(invoice.customer)
    if taken_over is None or taken_over.cutover_at is None or invoice.created_at <= taken_over.cutover_at:
        return None
    return taken_over


def statement_of(invoice: Invoice) -> str:
    """The plugin in whose system an invoice is the real one, or will be; "" while it is an invoice of the host."""
    if invoice.collector is not None:
        return "" if invoice.collector in {GATEWAY, BY_HAND} else invoice.collector
    if invoice.status not in {InvoiceStatus.DRAFT, InvoiceStatus.PENDING} or invoice.do_not_send:
        return ""
    taken_over = goes_to(invoice)
    return taken_over.plugin if taken_over else ""


def billed_by_plugin() -> sa.ColumnElement[bool]:
    """`goes_to` as part of a WHERE: the invoice belongs to a plugin, not to the host's own billing."""
    return (
        sa.select(Customer.id)
        .join(
            Installation,
            sa.and_(
                Installation.account_id == Customer.account_id,
                Installation.plugin == Customer.billed_by,
            ),
        )
        .where(
            Customer.id == Invoice.customer_id,
            Installation.state != InstallationState.OFF,
            Installation.cutover_at < Invoice.created_at,
        )
        .correlate(Invoice)
        .exists()
    )


def not_collected_here() -> sa.ColumnElement[bool]:
    """As part of a WHERE: the invoice belongs to a plugin, or whether it does is still open for its customer."""
    is_open = sa.select(Customer.id).where(
        Customer.id == Invoice.customer_id, Customer.billing_undecided_until > clock.now()
    )
    return sa.or_(billed_by_plugin(), is_open.correlate(Invoice).exists())


def _take(invoice_id: int, *further: sa.ColumnElement[bool], **values: Any) -> bool:
    """Take an invoice, and freeze the names and addresses that stand on it."""
    taken = changed_one(
        sa.update(Invoice)
        .where(
            Invoice.id == invoice_id,
            Invoice.collector.is_(None),
            Invoice.status == InvoiceStatus.PENDING,
            *further,
        )
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    if taken:
        printed.freeze(_reread(invoice_id))
    return taken


def _reread(invoice_id: int) -> Invoice:
    return db.session.get_one(Invoice, invoice_id, populate_existing=True)
