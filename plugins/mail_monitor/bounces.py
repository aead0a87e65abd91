"""Mails that came back: a report that names one of ours, in its mailbox, marks that mail as not delivered."""

from collections.abc import Iterable, Mapping
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app import audit
from plugins.mail_monitor import identity
from plugins.mail_monitor.batches import Batch
from plugins.mail_monitor.letters import Letter, Report
from plugins.mail_monitor.message_rows import Source
from plugins.mail_monitor.sending_models import Outgoing, OutgoingState

SENTENCE = "Reports that a message of yours was not delivered"


def matched(session: Session, source: Source, batch: Batch) -> dict[int, Outgoing]:
    """By UID, the mail of ours that a report in this batch is about."""
    reports = {
        uid: letter.report
        for uid, letter in batch.letters.items()
        if isinstance(letter, Letter) and letter.report is not None and not batch.place.is_sent
    }
    keys = {uid: [identity.message_key(one) for one in report.message_ids] for uid, report in reports.items()}
    wanted = sorted({key for some in keys.values() for key in some})
    if not wanted:
        return {}
    rows = session.scalars(
        sa.select(Outgoing).where(Outgoing.account_id == source.account_id, Outgoing.message_key.in_(wanted))
    )
    found = {row.message_key: row for row in rows}
    return {uid: found[key] for uid, some in keys.items() for key in reversed(some) if key in found}


def note(session: Session, returned: Mapping[int, Outgoing], batch: Batch) -> None:
    """Mark the mails that came back, inside the unit of work that files the reports."""
    for uid, row in returned.items():
        letter = batch.letters[uid]
        assert isinstance(letter, Letter)
        assert letter.report is not None
        at = next(item.received_at for item in batch.items if item.uid == uid)
        new = _new(row, letter.report, at)
        if not new:
            continue
        row.returned = [*row.returned, *new]
        if row.state is OutgoingState.UNKNOWN:
            row.state, row.problem = OutgoingState.SENT, ""  # what comes back was sent
        audit.record("mail_returned", row, outcome="failed", addresses=[one["address"] for one in new])
    session.flush()


def _new(row: Outgoing, report: Report, at: datetime) -> list[dict[str, str]]:
    known = {one["address"] for one in row.returned}
    fresh: Iterable[tuple[str, str]] = ((one.address, one.why) for one in report.failures)
    return [{"address": address, "why": why, "at": at.isoformat()} for address, why in fresh if address not in known]
