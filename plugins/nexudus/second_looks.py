"""What a listing does not settle, read by id: ours that it shows otherwise or not at all, and what may be ours too."""

import sqlalchemy as sa

from app.billing.models import Invoice
from app.db import db, unit_of_work
from app.effects import finished_steps
from app.errors import Refused
from app.money import Money
from plugins.nexudus import exporting
from plugins.nexudus.differences import ACCEPTED, NOT_THERE, STANDS_ALL_THE_SAME
from plugins.nexudus.frozen import marker_start, thaw
from plugins.nexudus.models import ExportState, InvoiceExport, MemberLink
from plugins.nexudus.payloads import InvoiceThere
from plugins.nexudus.reconciliations import ReconciledInvoice, Reconciliation
from plugins.nexudus.session import Turn
from plugins.nexudus.verifying import Verify


def take_the_next(turn: Turn, report_id: int) -> bool:
    """Read one invoice by id that the listing did not settle; False when none is left."""
    one = db.session.scalar(
        sa.select(ReconciledInvoice)
        .where(ReconciledInvoice.reconciliation_id == report_id, ReconciledInvoice.is_checked.is_(False))
        .order_by(ReconciledInvoice.id)
        .limit(1)
    )
    if one is None:
        return False
    if one.here_minor is None:
        _look_at_a_stray(turn, report_id, one.id, one.remote_id)
    else:
        _look_at_ours(turn, one)
    return True


def _look_at_ours(turn: Turn, one: ReconciledInvoice) -> None:
    row_id, remote_id = one.id, one.remote_id
    export = db.session.scalars(sa.select(InvoiceExport).where(InvoiceExport.invoice_id == one.invoice_id)).one()
    accepted, frozen = export.remote_total_minor, thaw(export.frozen)
    reference = finished_steps(exporting.subject_of(export)).get("reference", {})
    db.session.rollback()
    there_minor: int | None = None
    code, note, number = "", "", ""
    try:
        found = Verify(frozen, remote_id, tuple(reference.get("origins", ()))).compare(turn.remote)
    except Refused as error:
        code, number = error.code, str(error.details.get("number", ""))
        note = error.sentence if code != NOT_THERE else ""
        if code == "total_differs":
            there_minor = int(error.details["total_minor"])
            code = ACCEPTED if there_minor == accepted else code
        elif code in STANDS_ALL_THE_SAME:
            there_minor = error.details.get("stands_at")
    else:
        there_minor, number = int(found["total_minor"]), str(found["number"])
    with unit_of_work() as session:
        turn.lease.renew()
        one = session.get_one(ReconciledInvoice, row_id)
        one.there_minor, one.code, one.note, one.is_checked = there_minor, code, note[:400], True
        one.remote_number = number[:80] or one.remote_number


def _look_at_a_stray(turn: Turn, report_id: int, row_id: int, remote_id: int) -> None:
    """An invoice there that nothing here was closed with: say what it is, or forget it when it is none of ours."""
    db.session.rollback()
    there = _invoice_there(turn, remote_id)
    with unit_of_work() as session:
        turn.lease.renew()
        report, one = session.get_one(Reconciliation, report_id), session.get_one(ReconciledInvoice, row_id)
        if there is None or there.void or not there.reference.startswith(our_start(report)):
            session.delete(one)
            return
        export = session.scalar(
            sa.select(InvoiceExport).where(
                InvoiceExport.account_id == report.account_id, InvoiceExport.marker == there.reference
            )
        )
        invoice = export.invoice if export is not None else _invoice_called(report, there.reference)
        one.invoice_id = invoice.id if invoice is not None else None
        one.customer_id = invoice.customer_id if invoice is not None else _customer_of(report, there.member_id)
        one.there_minor = Money.nearest(there.total, report.connection.currency).minor
        one.remote_number, one.is_checked = there.number[:80], True
        one.code, one.note = _what_it_is(export, invoice, there)


def _invoice_there(turn: Turn, remote_id: int) -> InvoiceThere | None:
    try:
        return turn.remote.invoice(remote_id)
    except Refused as error:
        if error.code != NOT_THERE:
            raise
        return None


def _what_it_is(export: InvoiceExport | None, invoice: Invoice | None, there: InvoiceThere) -> tuple[str, str]:
    if invoice is None:
        return "nobodys", f"It carries {there.reference}, and no invoice here has that number."
    if export is None:
        return "not_sent", f"{invoice.number} was not handed over."
    if export.state == ExportState.EXPORTED:
        return "twice", f"{invoice.number} was closed with {export.remote_number}."
    return "not_closed", f"{invoice.number} is not closed here yet."


def _invoice_called(report: Reconciliation, reference: str) -> Invoice | None:
    number = reference.removeprefix(our_start(report))
    return db.session.scalar(
        sa.select(Invoice).where(Invoice.account_id == report.account_id, Invoice.number == number)
    )


def _customer_of(report: Reconciliation, member_id: int) -> int | None:
    return db.session.scalar(
        sa.select(MemberLink.customer_id).where(
            MemberLink.connection_id == report.connection_id, MemberLink.member_id == member_id
        )
    )


def our_start(report: Reconciliation) -> str:
    """What every reference of this account begins with."""
    return marker_start(report.connection.installation.account.slug)
