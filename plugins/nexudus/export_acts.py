"""What a person does about one invoice: send it again, hold it back, accept a difference, let it go."""

from datetime import datetime, timedelta

import sqlalchemy as sa

from app import audit, clock
from app.billing import collecting, invoices
from app.billing.models import Invoice, InvoiceStatus
from app.db import changed_one, db, end_reading, unit_of_work
from app.effects import finished_steps, forget, open_step
from app.errors import Conflict, Refused
from app.money import Money
from plugins.nexudus import exporting, runs
from plugins.nexudus.frozen import FrozenInvoice, thaw
from plugins.nexudus.links import PLUGIN
from plugins.nexudus.models import Connection, ExportState, InvoiceExport
from plugins.nexudus.session import Turn, turn
from plugins.nexudus.writers import LOOK_BACK

LOOK_S = 15
SOON = timedelta(minutes=1)  # what is looked up by then by itself needs nobody to ask
ASK_AGAIN = timedelta(minutes=5)  # whoever opens an invoice sooner than this after somebody else sees what came of it


def export_of(invoice_id: int) -> InvoiceExport | None:
    """What became of an invoice, None when no run took it."""
    return db.session.scalar(sa.select(InvoiceExport).where(InvoiceExport.invoice_id == invoice_id))


def retry(export: InvoiceExport, by: str) -> None:
    """Send a held invoice again, or look an unknown one up now; every open step is looked up first."""
    if export.state not in {ExportState.HELD, ExportState.UNKNOWN}:
        raise Conflict("This invoice is not held.")
    export.run_id = runs.begin_retry(export.connection, by).id
    _move_on(export)
    audit.record("export_retry", export, actor=by)


def is_looked_up_soon(export: InvoiceExport) -> bool:
    """Whether its unknown outcome is being looked up, or is within the minute."""
    is_soon = export.next_try_at is None or export.next_try_at <= clock.now() + SOON
    return export.state == ExportState.UNKNOWN and is_soon


def may_ask(export: InvoiceExport) -> bool:
    """Whether somebody who opens the invoice has it looked up: its outcome is unknown and nobody asked lately."""
    if export.state != ExportState.UNKNOWN or is_looked_up_soon(export):
        return False
    return export.asked_at is None or export.asked_at <= clock.now() - ASK_AGAIN


def look_up(export: InvoiceExport, by: str) -> bool:
    """Have an unknown outcome looked up now instead of at its next time; False when somebody asked lately."""
    now = clock.now()
    # Guarded by what was seen, so that of two who open it together one asks.
    asked = may_ask(export) and changed_one(
        sa.update(InvoiceExport)
        .where(InvoiceExport.id == export.id, InvoiceExport.next_try_at == export.next_try_at)
        .values(asked_at=now, next_try_at=now)
    )
    if asked:
        runs.hurry(export.connection)
        audit.record("export_looked_up", export, actor=by)
    return asked


def retry_all_held(connection: Connection, code: str, by: str) -> int:
    """The same for everything held for one cause; answers how many."""
    held = db.session.scalars(
        sa.select(InvoiceExport).where(
            InvoiceExport.connection_id == connection.id,
            InvoiceExport.state == ExportState.HELD,
            InvoiceExport.reason_code == code,
        )
    ).all()
    if held:
        run = runs.begin_retry(connection, by)
        for export in held:
            export.run_id = run.id
            _move_on(export)
        audit.record("export_retry_all", run, actor=by, code=code, invoices=len(held))
    return len(held)


def _move_on(export: InvoiceExport) -> None:
    if export.frozen and _nothing_was_sent(export):
        # Frozen anew, with what was mended here meanwhile.
        forget(exporting.subject_of(export))
        collecting.give_back(export.invoice_id, PLUGIN)
        export.frozen, export.frozen_hash, export.marker, export.sent_at = {}, "", None, None
    export.state = ExportState.SENDING if export.frozen else ExportState.WAITING
    export.reason_code, export.reason, export.next_try_at = "", "", None


def _nothing_was_sent(export: InvoiceExport) -> bool:
    subject = exporting.subject_of(export)
    return not finished_steps(subject) and open_step(subject) is None


def hold_back(connection: Connection, invoice: Invoice, reason: str, by: str) -> InvoiceExport:
    """Keep an invoice from the next run until a person says otherwise; one that was begun cannot be held back."""
    export = export_of(invoice.id)
    if export is None:
        cutover = connection.installation.cutover_at
        if invoice.status != InvoiceStatus.PENDING or invoice.collector is not None:
            raise Conflict("Only a pending invoice that nobody collects yet can be held back.")
        if cutover is None or invoice.created_at <= cutover:
            raise Conflict("It was created before Nexudus was connected, so it stays here anyway.")
        export = InvoiceExport(
            account_id=connection.account_id,
            connection_id=connection.id,
            invoice_id=invoice.id,
            state=ExportState.WAITING,
        )
        db.session.add(export)
    if export.state != ExportState.WAITING or export.frozen:
        raise Conflict("It is on its way already, so it cannot be held back any more.")
    export.state, export.reason_code = ExportState.HELD, "by_hand"
    export.reason = f"Held back by {by}{': ' + reason if reason else ''}."[:400]
    db.session.flush()
    audit.record("export_held_back", export, actor=by, reason=reason)
    return export


def accept_their_total(export: InvoiceExport, by: str) -> None:
    """Close the invoice although the total over there differs; both totals stay on record."""
    if export.state != ExportState.HELD or export.reason_code != "total_differs" or export.remote_id is None:
        raise Conflict("There is no difference to accept.")
    there = {
        "invoice_id": export.remote_id,
        "number": export.remote_number,
        "total_minor": export.remote_total_minor,
        "draft": export.remote_is_draft,
    }
    audit.record("difference_accepted", export, actor=by, here=export.invoice.total_minor, there=there["total_minor"])
    exporting.close(export, there)


def release(export_id: int, by: str) -> None:
    """Give a held invoice back to default billing, once a look-up has said that nothing of it is over there.

    Asks Nexudus, so it is called outside a unit of work. `Refused` names what was found instead.
    """
    export = db.session.get_one(InvoiceExport, export_id)
    if export.state != ExportState.HELD:
        raise Conflict("Only a held invoice can be released.")
    connection_id, frozen = export.connection_id, thaw(export.frozen) if export.frozen else None
    since = (export.sent_at or clock.now()) - LOOK_BACK
    end_reading()
    with turn(connection_id, LOOK_S) as mine:
        if mine is None:
            raise Conflict("Nexudus is busy with another run. Try again in a minute.")
        if frozen is not None:
            _make_sure_it_is_not_there(mine, frozen, since)
        with unit_of_work() as session:
            mine.lease.renew()  # so nobody sent it between the look and this
            _let_go(session.get_one(InvoiceExport, export_id, with_for_update=True), by)


def _let_go(export: InvoiceExport, by: str) -> None:
    if export.state != ExportState.HELD:
        raise Conflict("It moved on meanwhile.")
    forget(exporting.subject_of(export))
    if export.frozen:
        collecting.give_back(export.invoice_id, PLUGIN)
    invoices.set_do_not_send(export.invoice, held_back=True)
    audit.record("export_released", export, actor=by)
    db.session.delete(export)


def _make_sure_it_is_not_there(mine: Turn, frozen: FrozenInvoice, since: datetime) -> None:
    sales = mine.remote.sales_with_reference(frozen.member_id, frozen.marker, since=since)
    found = mine.remote.invoices_with_reference(frozen.member_id, frozen.marker, since=since)
    if sales or found:
        raise Refused(
            f"{frozen.marker} stands in Nexudus. Delete it there first, or check again to close it here.", "is_there"
        )


def their_total(export: InvoiceExport) -> Money | None:
    """What the invoice comes to over there, as far as it is known."""
    if export.remote_total_minor is None:
        return None
    return Money(export.remote_total_minor, export.invoice.currency)
