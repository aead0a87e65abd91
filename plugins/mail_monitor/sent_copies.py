"""Copies of what was sent from here in the mailbox's folder of sent mail, and mails in doubt that are looked for there.

Done in the scan, which holds the mailbox's one connection. Providers that keep a copy by themselves get none; what
others keep is found before anything is put there, so that a mail stands once.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog

from app import clock
from app.db import db, unit_of_work
from app.effects import Intent, Result, Subject, carry_out
from app.errors import NotFound, OutcomeUnknown, Refused
from plugins.mail_monitor import outbox
from plugins.mail_monitor.message_rows import settle_seen
from plugins.mail_monitor.models import FolderKind
from plugins.mail_monitor.places import FolderPlace
from plugins.mail_monitor.sending_models import CopyState, Outgoing, OutgoingState
from plugins.mail_monitor.turns import Turn

log = structlog.get_logger()

LOOKED_FOR = timedelta(days=2)  # then only the scan itself still finds a mail in doubt
AT_ONCE = 20


@dataclass(frozen=True, slots=True)
class PutCopy:
    """The one step of a copy. It looks before it puts, so a second try never makes a second one."""

    folder: str
    message_id: str
    raw: bytes
    sent_at: datetime
    key: str = "put_copy"

    def call(self, remote: Turn, intent: Intent) -> Result:
        if _is_there(remote, self.folder, self.message_id):
            return {"put": False}
        remote.mailbox.append(self.folder, self.raw, self.sent_at)
        return {"put": True}

    def look_up(self, remote: Turn, intent: Intent) -> Result | None:
        return {"put": True} if _is_there(remote, self.folder, self.message_id) else None


def work(turn: Turn, places: list[FolderPlace]) -> None:
    """Put the copies that are asked for, and look for mails in doubt."""
    folder = next((place.name for place in places if place.kind is FolderKind.SENT), "")
    for outgoing_id in _ids(turn, Outgoing.copy_state == CopyState.WAITING):
        if turn.is_over:
            return
        _put(turn, folder, outgoing_id)
    in_doubt = sa.and_(Outgoing.state == OutgoingState.UNKNOWN, Outgoing.ended_at > clock.now() - LOOKED_FOR)
    for outgoing_id in _ids(turn, in_doubt) if folder else ():
        if turn.is_over:
            return
        _look_for(turn, folder, outgoing_id)


def _ids(turn: Turn, which: sa.ColumnElement[bool]) -> list[int]:
    ids = db.session.scalars(
        sa.select(Outgoing.id)
        .where(Outgoing.email_account_id == turn.email_account_id, which)
        .order_by(Outgoing.asked_at)
        .limit(AT_ONCE)
    ).all()
    db.session.rollback()
    return list(ids)


def _put(turn: Turn, folder: str, outgoing_id: int) -> None:
    row = db.session.get_one(Outgoing, outgoing_id)
    subject = Subject(row.account_id, outbox.PUT_COPY, row.id, made_at=row.saved_at)
    message_id, sent_at = row.message_id, row.ended_at or row.saved_at
    digest = row.record.raw_hash if row.record is not None else ""
    db.session.rollback()
    try:
        if not folder:
            raise Refused("The mailbox has no folder of sent mail that we could find.", code="folder")  # noqa: TRY301
        step = PutCopy(folder, message_id, turn.store.read(turn.account_id, digest), sent_at)
        carry_out(subject, lambda done: None if step.key in done else step, turn, turn.lease)
    except OutcomeUnknown:
        return  # not settled yet; the next scan looks
    except (Refused, NotFound) as error:
        log.warning("sent_copy_refused", outgoing_id=outgoing_id, **error.details)
        _note(turn, outgoing_id, CopyState.FAILED, error.sentence)
    else:
        _note(turn, outgoing_id, CopyState.DONE)


def _note(turn: Turn, outgoing_id: int, state: CopyState, problem: str = "") -> None:
    with unit_of_work() as session:
        turn.lease.renew()
        row = session.get_one(Outgoing, outgoing_id)
        row.copy_state, row.copy_problem = state, problem[:300]


def _look_for(turn: Turn, folder: str, outgoing_id: int) -> None:
    message_id = db.session.get_one(Outgoing, outgoing_id).message_id
    db.session.rollback()
    if _is_there(turn, folder, message_id):
        with unit_of_work() as session:
            turn.lease.renew()
            settle_seen(session, [outgoing_id])


def _is_there(turn: Turn, folder: str, message_id: str) -> bool:
    turn.examine(folder)
    return turn.mailbox.holds(message_id)
