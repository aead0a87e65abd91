"""Handing invoices over, slice by slice: each exactly once, read back, and closed here in the same breath."""

import time
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa
import structlog
from flask import current_app

from app import audit, clock
from app.billing.collecting import close_as_handed_over
from app.db import db, unit_of_work
from app.effects import Done, Subject, carry_out, finished_steps, open_step
from app.errors import Capped, NotSent, OutcomeUnknown, Outside, Refused, SignInNeeded
from plugins.nexudus import freezing, runs, tax_products, troubles
from plugins.nexudus.links import PLUGIN
from plugins.nexudus.models import ExportState, InvoiceExport
from plugins.nexudus.session import Turn
from plugins.nexudus.writers import next_step

log = structlog.get_logger()

KIND = "nexudus.invoice"
# When an invoice of unknown outcome is looked up again; after these at each window, for a week.
LOOK_UPS = (timedelta(minutes=1), timedelta(minutes=5), timedelta(hours=1))
GIVE_UP_AFTER = timedelta(days=7)
TRY_OTHERS_FIRST = timedelta(seconds=30)
MOST_BROKEN_OFF = 3
MOVING = (ExportState.WAITING, ExportState.SENDING, ExportState.UNKNOWN)
PRODUCT_FIELDS = frozenset({"Product", "ProductId"})


def work(turn: Turn) -> datetime | None:
    """A slice of handing over. Answers when it wants the next one, None when only the next window matters.

    Raises what concerns the whole connection (`Capped`, `SignInNeeded`, `NotSent`, `LeaseLost`); what concerns one
    invoice is written to its row, and the next one is taken.
    """
    runs.open_due_windows(turn)
    runs.drop_what_ended_here(turn)
    runs.plan(turn)
    tax_products.prepare(turn)
    while not turn.is_over:
        export_id = _next(turn.connection_id)
        if export_id is None:
            if runs.plan(turn):
                continue
            runs.end_finished(turn, troubles.tell_of_run)
            return _next_look_up(turn.connection_id)
        hand_over(turn, export_id)
    return clock.now()


def hand_over(turn: Turn, export_id: int) -> None:
    """Bring one invoice as far as it goes."""
    run_id = db.session.scalar(sa.select(InvoiceExport.run_id).where(InvoiceExport.id == export_id))
    if not _begin(turn, export_id):
        return
    begun, outcome = time.monotonic(), "waiting"
    try:
        frozen = freezing.take(turn, export_id)
        if frozen is None:
            return
        subject = subject_of(db.session.get_one(InvoiceExport, export_id))
        done = carry_out(subject, partial(next_step, frozen), turn.remote, turn.lease)
    except OutcomeUnknown as error:
        outcome = "unknown"
        _leave_unknown(turn, export_id, error)
    except Refused as error:
        outcome = "held"
        if error.details.get("field") in PRODUCT_FIELDS:
            tax_products.forget_products(turn)  # deleted there: the next try finds or makes another one
        hold(turn, export_id, error.code, error.sentence, error.details)
    except (NotSent, Capped, SignInNeeded) as error:
        _leave_for_later(turn, export_id, error)
        raise
    else:
        outcome = "exported"
        _close(turn, export_id, done)
    finally:
        ms = round((time.monotonic() - begun) * 1000)
        log.info("invoice_export", run_id=run_id, export_id=export_id, outcome=outcome, ms=ms)


def _begin(turn: Turn, export_id: int) -> bool:
    """Count the try before it is made; what broke off three times in a row is left to a person."""
    with unit_of_work() as session:
        turn.lease.renew()
        export = session.get_one(InvoiceExport, export_id)
        if export.broken_off < MOST_BROKEN_OFF:
            export.broken_off += 1
            return True
    sentence = "Handing it over broke off three times. The log says why; retry once that is mended."
    hold(turn, export_id, "broken_off", sentence, {})
    return False


def subject_of(export: InvoiceExport) -> Subject:
    """What the steps of an export are about."""
    return Subject(export.account_id, KIND, export.id)


def _next(connection_id: int) -> int | None:
    """What is taken next: first what was interrupted, then what is to be looked up, then what waits."""
    rank = sa.case(
        (InvoiceExport.state == ExportState.SENDING, 0), (InvoiceExport.state == ExportState.UNKNOWN, 1), else_=2
    )
    return db.session.scalar(
        sa.select(InvoiceExport.id)
        .where(
            InvoiceExport.connection_id == connection_id,
            InvoiceExport.state.in_(MOVING),
            sa.or_(InvoiceExport.next_try_at.is_(None), InvoiceExport.next_try_at <= clock.now()),
        )
        .order_by(rank, InvoiceExport.id)
        .limit(1)
    )


def _next_look_up(connection_id: int) -> datetime | None:
    return db.session.scalar(
        sa.select(sa.func.min(InvoiceExport.next_try_at)).where(
            InvoiceExport.connection_id == connection_id, InvoiceExport.state.in_(MOVING)
        )
    )


def _close(turn: Turn, export_id: int, done: Done) -> None:
    """Exported, the number over there and the invoice's end, all in one transaction."""
    with unit_of_work() as session:
        turn.lease.renew()
        close(session.get_one(InvoiceExport, export_id), done["verify"])


def close(export: InvoiceExport, there: Any) -> None:
    """Mark an export as done with what stands over there, and close its invoice, inside the caller's unit of work."""
    export.state, export.exported_at = ExportState.EXPORTED, clock.now()
    export.reason_code, export.reason, export.next_try_at, export.broken_off = "", "", None, 0
    export.remote_id, export.remote_number = int(there["invoice_id"]), str(there["number"])[:80]
    export.remote_total_minor, export.remote_is_draft = int(there["total_minor"]), bool(there.get("draft"))
    db.session.flush()
    close_as_handed_over(export.invoice_id, PLUGIN, export.remote_number)
    audit.record("exported", export, remote_id=export.remote_id, number=export.remote_number)


def hold(turn: Turn, export_id: int, code: str, sentence: str, found: dict[str, Any]) -> None:
    """Leave an invoice to a person, with the reason and what was found over there."""
    with unit_of_work() as session:
        turn.lease.renew()
        export = session.get_one(InvoiceExport, export_id)
        export.state, export.reason_code, export.reason = ExportState.HELD, code[:40], sentence[:400]
        export.next_try_at, export.broken_off = None, 0
        if found.get("invoice_id"):
            export.remote_id, export.remote_number = int(found["invoice_id"]), str(found.get("number", ""))[:80]
        if found.get("total_minor") is not None:
            export.remote_total_minor = int(found["total_minor"])
            export.remote_is_draft = bool(found.get("draft"))
        audit.record("export_held", export, code=code, reason=sentence)


def _leave_unknown(turn: Turn, export_id: int, error: Outside) -> None:
    with unit_of_work() as session:
        turn.lease.renew()
        export = session.get_one(InvoiceExport, export_id)
        step = open_step(subject_of(export)) or ""
        export.attempts = export.attempts + 1 if step == export.stuck_at else 1
        export.state, export.stuck_at, export.broken_off = ExportState.UNKNOWN, step, 0
        export.reason_code, export.reason = (
            "no_answer",
            "No answer. We check whether it arrived before sending anything again.",
        )
        export.next_try_at = _when_to_look(export, error)
        if export.next_try_at is None:
            export.state, export.reason_code = ExportState.HELD, "unknown_too_long"
            export.reason = "Nexudus did not say for a week whether it arrived. Look for it there, then check again."
        audit.record("export_unknown", export, step=step)


def _when_to_look(export: InvoiceExport, error: Outside) -> datetime | None:
    """Shortly after the first answer that got lost, then ever later; None when it is time to ask a person."""
    until = error.details.get("until")
    if isinstance(until, datetime):
        return until
    if export.attempts == 1:
        return clock.now() + timedelta(seconds=current_app.config["SETTINGS"].settle_s)
    if export.attempts - 2 < len(LOOK_UPS):
        return clock.now() + LOOK_UPS[export.attempts - 2]
    if export.sent_at is not None and clock.now() - export.sent_at > GIVE_UP_AFTER:
        return None
    return runs.next_opening(export.connection)


def _leave_for_later(turn: Turn, export_id: int, error: Outside) -> None:
    """Nothing is wrong with this invoice: it says what is known of it and goes on with the connection."""
    db.session.rollback()
    with unit_of_work() as session:
        turn.lease.renew()
        export = session.get_one(InvoiceExport, export_id)
        subject, export.broken_off = subject_of(export), 0
        if isinstance(error, NotSent):
            # Others go first: one that cannot be read there must not hold all of them up.
            export.next_try_at = clock.now() + TRY_OTHERS_FIRST
        if open_step(subject) is not None or error.details.get("still_unknown"):
            export.state = ExportState.UNKNOWN
        elif not finished_steps(subject):
            export.state = ExportState.WAITING
