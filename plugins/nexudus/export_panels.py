"""What the plugin says of invoices on host pages, and how invoices arrive, in Systems."""

from collections.abc import Sequence

import sqlalchemy as sa
from flask import render_template
from markupsafe import Markup

from app import audit
from app.billing.models import Invoice, InvoiceStatus
from app.db import db, end_reading
from app.errors import NotFound, Outside
from app.installations.models import Installation
from plugins.nexudus import causes, connecting, export_acts, links, runs
from plugins.nexudus.addresses import remote_invoice_url
from plugins.nexudus.forms import ArrivalForm
from plugins.nexudus.models import BILLED_THERE, Connection, ExportState, InvoiceExport, TaxProduct
from plugins.nexudus.session import turn

LOOK_S = 12


def draw_invoice_panel(installation: Installation, invoice: Invoice) -> str:
    """Where an invoice stands with Nexudus, why, and what can be done about it."""
    connection = connecting.current(installation)
    export = export_acts.export_of(invoice.id)
    if connection is None or (invoice.status != InvoiceStatus.PENDING and export is None):
        return ""
    there = export_acts.their_total(export) if export else None
    return render_template(
        "nexudus/_export_panel.html",
        invoice=invoice,
        export=export,
        connection=connection,
        stays=_why_it_stays(installation, connection, invoice) if export is None else "",
        opening=runs.next_opening(connection),
        url=remote_invoice_url(connection, export.remote_id) if export and export.remote_id else None,
        there=there,
        next_step=causes.in_words(export.reason_code)[1] if export else "",
        moves=export is not None and export.state in {ExportState.WAITING, ExportState.SENDING},
        looks=export is not None and export_acts.is_looked_up_soon(export),
        asks=export is not None and export.connection_id == connection.id and export_acts.may_ask(export),
    )


def _why_it_stays(installation: Installation, connection: Connection, invoice: Invoice) -> str:
    """Why an invoice without an export does not go to Nexudus; "" when it does at the next window."""
    if installation.cutover_at is None or invoice.created_at <= installation.cutover_at:
        return "before"
    if invoice.collector is not None:
        return "collected"
    if invoice.do_not_send:
        return "do_not_send"
    if invoice.total_minor == 0:
        return "zero"
    link = links.link_of(connection, invoice.customer_id)
    if link is None or link.state not in BILLED_THERE:
        return "not_linked"
    return ""


def invoice_cells(installation: Installation, ids: Sequence[int]) -> dict[int, Markup]:
    """The state of handing over of every invoice of a list page that has one."""
    rows = db.session.execute(
        sa.select(InvoiceExport.invoice_id, InvoiceExport.state).where(InvoiceExport.invoice_id.in_(ids))
    )
    drawn = {state: drawn_chip("invoice_export", state.value) for state in ExportState}
    return {invoice_id: drawn[state] for invoice_id, state in rows}


def drawn_chip(kind: str, state: str) -> Markup:
    """A state as lists of the host show it."""
    return Markup(render_template("nexudus/_chip.html", kind=kind, state=state))  # noqa: S704  # a rendered template


def held_waiting(installation: Installation) -> tuple[int, str]:
    """How many invoices wait for a person, for the menu."""
    # By connection, because that is what the index of states begins with; this is asked for on every page.
    connections = sa.select(Connection.id).where(Connection.installation_id == installation.id)
    count = db.session.scalar(
        sa.select(sa.func.count()).where(
            InvoiceExport.connection_id.in_(connections), InvoiceExport.state == ExportState.HELD
        )
    )
    return int(count or 0), "stop" if count else ""


def how_invoices_arrive(connection: Connection) -> str:
    """The settings of writing as a form, and the product of each tax rate."""
    form = ArrivalForm(
        formdata=None,
        writer=connection.writer.value,
        issue=connection.issue.value,
        uses_own_numbers=connection.uses_own_numbers,
        may_add_products=connection.may_add_products,
        window_hour=connection.window_hour,
    )
    products = db.session.scalars(
        sa.select(TaxProduct).where(TaxProduct.connection_id == connection.id).order_by(TaxProduct.id)
    ).all()
    return render_template("nexudus/_export_arrival.html", form=form, connection=connection, products=products)


def note_arrival(connection: Connection, by: str) -> None:
    """Write down how invoices are to arrive from now on."""
    audit.record(
        "arrival_changed",
        connection,
        actor=by,
        writer=connection.writer.value,
        issue=connection.issue.value,
        window_hour=connection.window_hour,
    )


def tax_product_of(connection: Connection, row_id: int) -> TaxProduct:
    """The row of a tax rate of this connection, or `NotFound`."""
    row = db.session.scalar(
        sa.select(TaxProduct).where(TaxProduct.id == row_id, TaxProduct.connection_id == connection.id)
    )
    if row is None:
        raise NotFound
    return row


def products_there(row: TaxProduct) -> tuple[dict[int, str], str]:
    """Products over there that carry the row's tax rate, by id, and why they could not be read, if so."""
    connection_id, business_id, tax_rate_id = row.connection_id, row.business_id, row.tax_rate_id
    end_reading()
    with turn(connection_id, LOOK_S) as mine:
        if mine is None:
            return {}, "Nexudus is busy with another run. Try again in a minute."
        try:
            found = mine.remote.products(business_id)
        except Outside as error:
            return {}, error.sentence
    return {one.id: one.name for one in found if not one.archived and one.tax_rate_id == tax_rate_id}, ""
