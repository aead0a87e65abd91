"""Taking an invoice for Nexudus: what it holds is written down once, and nobody else collects it from then on."""

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal, cast

from app import audit, clock
from app.billing import collecting
from app.billing.models import Invoice
from app.db import db, unit_of_work
from app.errors import Refused
from plugins.nexudus import tax_products
from plugins.nexudus.frozen import BillTo, FrozenInvoice, FrozenLine, described, marker_for, thaw
from plugins.nexudus.links import PLUGIN, link_of, seen_member
from plugins.nexudus.models import BILLED_THERE, ExportState, InvoiceExport, LinkState, Writer
from plugins.nexudus.session import Turn
from plugins.nexudus.tax_products import RateThere


@dataclass(frozen=True, slots=True)
class _Destination:
    """Where an invoice goes: which member, at which business, in which way."""

    member_id: int
    business_id: int
    way: Writer
    home_id: int
    currency: str


class _ChangedMeanwhile(Exception):
    """Somebody added a line while its tax rates were looked up."""


def take(turn: Turn, export_id: int) -> FrozenInvoice | None:
    """The frozen invoice, claimed and marked `sending`; None when somebody else collects it by now.

    `Refused` says why it cannot go, with nothing claimed and nothing sent. One that was frozen before stays so.
    """
    while True:
        try:
            return _take(turn, export_id)
        except _ChangedMeanwhile:
            continue  # nothing was claimed; what its new lines need is looked up as well


def _take(turn: Turn, export_id: int) -> FrozenInvoice | None:
    export = db.session.get_one(InvoiceExport, export_id)
    if export.frozen:
        frozen = thaw(export.frozen)
        _mark_sending(turn, export_id)
        return frozen
    destination = _destination(export)
    rates = {line.tax_rate for line in export.invoice.lines}
    country = export.invoice.customer.country or export.invoice.customer.location.country
    db.session.rollback()
    destination = _looked_at(turn, destination)
    products = tax_products.ready(turn, destination.business_id, rates, sells=destination.way == Writer.PRODUCT_SALE)
    country_id = turn.remote.country_id(country) if destination.way == Writer.DOCUMENT else None
    with unit_of_work() as session:
        turn.lease.renew()
        export = session.get_one(InvoiceExport, export_id)
        session.refresh(export.invoice)
        if export.invoice.do_not_send or not collecting.claim(export.invoice_id, PLUGIN):
            audit.record("export_dropped", export, invoice_id=export.invoice_id)
            session.delete(export)
            return None
        session.refresh(export.invoice)
        if {line.tax_rate for line in export.invoice.lines} - rates:
            raise _ChangedMeanwhile
        frozen = _freeze(export, destination, products, country_id)
        export.frozen, export.frozen_hash, export.marker = frozen.freeze(), frozen.fingerprint(), frozen.marker
        export.state, export.sent_at = ExportState.SENDING, clock.now()
        audit.record("export_frozen", export, invoice=frozen.number, marker=frozen.marker)
    return frozen


def _looked_at(turn: Turn, to: _Destination) -> _Destination:
    """The same, now that the member and a location other than the connection's were looked at over there."""
    try:
        member = turn.remote.member(to.member_id)
    except Refused as error:
        if error.code != "not_found":
            raise
        raise Refused("The member was deleted in Nexudus. We never make a new one on our own.", "gone") from error
    if member.archived:
        raise Refused("The member was archived in Nexudus. We never send to such a member.", "gone")
    business_id = member.invoicing_business_id or to.business_id
    if business_id != to.home_id and turn.remote.business(business_id).currency != to.currency:
        raise Refused(f"The member's location in Nexudus does not bill in {to.currency}.", "currency")
    return replace(to, business_id=business_id)


def _mark_sending(turn: Turn, export_id: int) -> None:
    with unit_of_work() as session:
        turn.lease.renew()
        export = session.get_one(InvoiceExport, export_id)
        export.state = ExportState.SENDING
        export.sent_at = export.sent_at or clock.now()


def _destination(export: InvoiceExport) -> _Destination:
    connection, invoice = export.connection, export.invoice
    link = link_of(connection, invoice.customer_id)
    if link is None or link.state not in BILLED_THERE:
        raise Refused("The customer is not linked any more. Link the customer, or release the invoice.", "unlinked")
    member = seen_member(connection, cast("int", link.member_id))
    if link.state == LinkState.GONE or (member is not None and member.archived):
        raise Refused(f"{link.reason or 'The member was archived in Nexudus.'} We never send to such a member.", "gone")
    if invoice.currency != connection.currency:
        raise Refused(
            f"The invoice is in {invoice.currency}, and {connection.business_name} bills in {connection.currency}.",
            "currency",
        )
    if invoice.total_minor < 0:
        raise Refused("It is a credit, and Nexudus takes no negative invoices. Settle it with the customer.", "credit")
    business = member.invoicing_business_id if member is not None else None
    return _Destination(
        cast("int", link.member_id),
        business or connection.business_id,
        connection.way,
        connection.business_id,
        connection.currency,
    )


def _freeze(
    export: InvoiceExport, to: _Destination, products: dict[Decimal, RateThere], country_id: int | None
) -> FrozenInvoice:
    connection, invoice, customer = export.connection, export.invoice, export.invoice.customer
    account = connection.installation.account
    marker = marker_for(account.slug, invoice.number)
    return FrozenInvoice(
        invoice_id=invoice.id,
        number=invoice.number,
        marker=marker,
        way=cast("Literal['product_sale', 'document']", to.way.value),
        member_id=to.member_id,
        business_id=to.business_id,
        currency=invoice.currency,
        currency_id=connection.currency_id,
        dated_on=clock.local(invoice.created_at, account.timezone).date(),
        due_on=invoice.due_on,
        net_minor=invoice.net_minor,
        tax_minor=invoice.tax_minor,
        total_minor=invoice.total_minor,
        lines=tuple(_frozen_line(invoice, marker, products, position) for position in range(len(invoice.lines))),
        bill_to=BillTo(
            name=customer.company or customer.full_name,
            address=customer.address,
            city=customer.city,
            postcode=customer.postcode,
            country_id=country_id,
        ),
        issue=connection.issue.value,
        use_own_number=connection.uses_own_numbers,
    )


def _frozen_line(invoice: Invoice, marker: str, products: dict[Decimal, RateThere], index: int) -> FrozenLine:
    line, position = invoice.lines[index], index + 1
    product = products[line.tax_rate]
    return FrozenLine(
        position=position,
        description=described(line.description, line.quantity, line.net_minor, marker, position),
        quantity=line.quantity,
        net_minor=line.net_minor,
        tax_minor=line.tax_minor,
        tax_rate=line.tax_rate,
        tax_name=product.name,
        product_id=product.product_id,
    )
