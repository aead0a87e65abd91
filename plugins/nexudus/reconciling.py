"""Comparing what is closed here with what stands in Nexudus, slice by slice.

The invoices that Nexudus made in the period are listed once. What that listing does not settle is read by id: an
invoice of ours that it shows otherwise or not at all, and one that carries our reference and is not ours to close.
"""

from collections.abc import Iterable
from datetime import datetime

import sqlalchemy as sa

from app import audit, clock
from app.billing.models import Invoice
from app.db import db, unit_of_work
from app.money import Money
from plugins.nexudus import runs, second_looks
from plugins.nexudus.differences import CREDITED, NOT_COUNTED
from plugins.nexudus.models import BILLED_THERE, Connection, ExportState, InvoiceExport, MemberLink
from plugins.nexudus.payloads import InvoiceRow
from plugins.nexudus.periods import Period
from plugins.nexudus.reconciliations import Phase, ReconciledInvoice, Reconciliation
from plugins.nexudus.session import Turn

PAGE = 200


def start(connection: Connection, period: Period, by: str) -> Reconciliation:
    """Begin the reconciliation of a period, in place of an earlier one, or answer the one under way."""
    found = db.session.scalar(
        sa.select(Reconciliation).where(
            Reconciliation.connection_id == connection.id, Reconciliation.period == period.name
        )
    )
    if found is None or found.ended_at is not None:
        if found is not None:
            db.session.execute(sa.delete(ReconciledInvoice).where(ReconciledInvoice.reconciliation_id == found.id))
            db.session.delete(found)
            db.session.flush()
        found = Reconciliation(
            account_id=connection.account_id,
            connection_id=connection.id,
            period=period.name,
            begins=period.begins,
            ends=period.ends,
            asked_by=by,
        )
        db.session.add(found)
        db.session.flush()
    audit.record("reconciliation", found, actor=by, period=period.name)
    runs.hurry(connection)
    return found


def work(turn: Turn) -> datetime | None:
    """A slice of the oldest reconciliation under way. Answers when it wants the next one; None when there is none.

    Raises what concerns the whole connection (`Capped`, `SignInNeeded`, `NotSent`, `LeaseLost`).
    """
    while (report := _under_way(turn.connection_id)) is not None:
        if turn.is_over:
            return clock.now()
        if report.phase == Phase.GATHERING:
            _gather(turn, report.id)
        elif report.phase == Phase.LISTING:
            _list_a_page(turn, report.id)
        elif not second_looks.take_the_next(turn, report.id):
            _end(turn, report.id)
    return None


def _under_way(connection_id: int) -> Reconciliation | None:
    return db.session.scalar(
        sa.select(Reconciliation)
        .where(Reconciliation.connection_id == connection_id, Reconciliation.ended_at.is_(None))
        .order_by(Reconciliation.id)
        .limit(1)
        .execution_options(populate_existing=True)
    )


def _gather(turn: Turn, report_id: int) -> None:
    """Note every invoice that was handed over in the period."""
    with unit_of_work() as session:
        turn.lease.renew()
        report = session.get_one(Reconciliation, report_id)
        columns = ["account_id", "reconciliation_id", "invoice_id", "customer_id", "remote_id", "remote_number"]
        ours = (
            sa.select(
                InvoiceExport.account_id,
                sa.literal(report_id),
                InvoiceExport.invoice_id,
                Invoice.customer_id,
                InvoiceExport.remote_id,
                InvoiceExport.remote_number,
                Invoice.total_minor,
                sa.false(),
                sa.literal(""),
                sa.literal(""),
            )
            .join(Invoice, Invoice.id == InvoiceExport.invoice_id)
            .where(
                InvoiceExport.connection_id == report.connection_id,
                InvoiceExport.state == ExportState.EXPORTED,
                InvoiceExport.exported_at >= report.begins,
                InvoiceExport.exported_at < report.ends,
            )
            .order_by(InvoiceExport.id)
        )
        session.execute(
            sa.insert(ReconciledInvoice).from_select([*columns, "here_minor", "is_checked", "code", "note"], ours)
        )
        report.phase = Phase.LISTING


def _list_a_page(turn: Turn, report_id: int) -> None:
    report = db.session.get_one(Reconciliation, report_id)
    number, expected, begins, ends = report.next_page, report.listing, report.begins, report.ends
    db.session.rollback()
    page = turn.remote.invoices_page(number, size=PAGE, since=begins, until=ends)
    with unit_of_work() as session:
        turn.lease.renew()
        report = session.get_one(Reconciliation, report_id)
        report.listing = page.total
        if expected is not None and page.total < expected:
            # Something was deleted there meanwhile and the pages shifted: read again, so that nothing is missed.
            report.next_page, report.listed = 1, 0
            return
        _note(report, page.records)
        report.next_page, report.listed = number + 1, report.listed + len(page.records)
        if number >= page.pages or not page.records:
            report.phase = Phase.CHECKING


def _note(report: Reconciliation, rows: Iterable[InvoiceRow]) -> None:
    """Settle what a page of the listing shows as it was handed over; keep what may be ours and was not."""
    shown = {row.id: row for row in rows}
    ours = db.session.execute(
        sa.select(ReconciledInvoice, InvoiceExport)
        .outerjoin(InvoiceExport, InvoiceExport.invoice_id == ReconciledInvoice.invoice_id)
        .where(ReconciledInvoice.reconciliation_id == report.id, ReconciledInvoice.remote_id.in_(shown))
    ).all()
    for one, export in ours:
        row = shown[one.remote_id]
        if one.here_minor is not None and _is_as_handed_over(row, export):
            one.there_minor, one.remote_number, one.is_checked = one.here_minor, row.number[:80], True
            one.code = CREDITED if row.credited else ""
    known = {one.remote_id for one, _ in ours} | set(
        db.session.scalars(
            sa.select(InvoiceExport.remote_id).where(
                InvoiceExport.connection_id == report.connection_id,
                InvoiceExport.state == ExportState.EXPORTED,
                InvoiceExport.remote_id.in_(shown),
            )
        )
    )
    members = _linked_among(report, {row.member_id for row in shown.values()})
    for row in shown.values():
        if row.id not in known and _may_be_ours(report, row, members):
            db.session.add(
                ReconciledInvoice(
                    account_id=report.account_id,
                    reconciliation_id=report.id,
                    remote_id=row.id,
                    remote_number=row.number[:80],
                )
            )


def _is_as_handed_over(row: InvoiceRow, export: InvoiceExport) -> bool:
    """Whether a row of the listing alone says that the invoice stands there as frozen, in money and member."""
    frozen = export.frozen
    return (
        not row.void
        and row.total is not None
        and row.member_id == frozen["member_id"]
        and Money.nearest(row.total, frozen["currency"]).minor == frozen["total_minor"]
    )


def _may_be_ours(report: Reconciliation, row: InvoiceRow, members: set[int]) -> bool:
    """Whether an invoice that is closed nowhere here has to be read by id: it carries our reference, or may.

    A voided one bills nobody, and a credit note takes back what stands elsewhere.
    """
    if row.void or row.is_credit_note:
        return False
    if row.created_at is not None and not report.begins <= row.created_at < report.ends:
        return False
    if row.says_reference:
        return row.reference.startswith(second_looks.our_start(report))
    return row.member_id in members


def _linked_among(report: Reconciliation, member_ids: set[int]) -> set[int]:
    rows = db.session.scalars(
        sa.select(MemberLink.member_id).where(
            MemberLink.connection_id == report.connection_id,
            MemberLink.member_id.in_(member_ids),
            MemberLink.state.in_(BILLED_THERE),
        )
    )
    return {member_id for member_id in rows if member_id is not None}


def _end(turn: Turn, report_id: int) -> None:
    """Keep how it ended, so that lists of reconciliations need not count."""
    with unit_of_work() as session:
        turn.lease.renew()
        report = session.get_one(Reconciliation, report_id)
        wanting = sa.case((ReconciledInvoice.code.not_in(NOT_COUNTED), 1), else_=0)
        row = session.execute(
            sa.select(
                sa.func.count(ReconciledInvoice.here_minor),
                sa.func.coalesce(sa.func.sum(ReconciledInvoice.here_minor), 0),
                sa.func.count(ReconciledInvoice.there_minor),
                sa.func.coalesce(sa.func.sum(ReconciledInvoice.there_minor), 0),
                sa.func.coalesce(sa.func.sum(wanting), 0),
            ).where(ReconciledInvoice.reconciliation_id == report_id)
        ).one()
        report.here_count, report.here_minor, report.there_count, report.there_minor, report.differences = map(int, row)
        report.phase, report.ended_at = Phase.DONE, clock.now()
        audit.record("reconciled", report, period=report.period, differences=report.differences)
