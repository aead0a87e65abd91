"""What has served its time goes, once a night: tries at guessing, ended sign-ins, links nobody used, letters sent.

The audit is never pruned. What plugins let go is theirs to say (`Plugin.prune`).
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog
from flask import current_app

from app import audit, clock
from app.accounts.models import Attempt, Invitation, PasswordReset, SignIn
from app.db import changed_one, db, insert_missing, unit_of_work
from app.mailing.models import MailState, OutgoingAttachment, OutgoingMail
from app.plugin import registry
from app.work import Heartbeat, job_name, ring_after_commit

log = structlog.get_logger()

HOUR = 2  # UTC, when most accounts sleep
AT_ONCE = 5000  # rows per transaction: nobody waits long for the lock
# What was attached to sent mail: long enough for plugins to take a copy, also after an outage.
FILES_KEPT = timedelta(days=8)
NAME = "prune"


def is_due() -> bool:
    """Whether this night's pruning has not been asked for yet."""
    seen_at = db.session.scalar(sa.select(Heartbeat.seen_at).where(Heartbeat.name == NAME))
    return seen_at is None or seen_at < _last_night()


def ring_once_a_night() -> bool:
    """Ask for the pruning of this night, if no other sweep has; True when it was asked for."""
    if not is_due():
        return False
    night = _last_night()
    with unit_of_work() as session:
        insert_missing(session, Heartbeat, [{"name": NAME, "seen_at": night - timedelta(days=1)}])
        won = changed_one(
            sa.update(Heartbeat)
            .where(Heartbeat.name == NAME, Heartbeat.seen_at < night)
            .values(seen_at=clock.now())
            .execution_options(synchronize_session=False)
        )
        if won:
            ring_after_commit(job_name("host", prune))
    return won


def prune() -> None:
    """Let go of everything that is old enough, a piece at a time."""
    days = current_app.config["SETTINGS"]
    now = clock.now()
    kept = now - timedelta(days=days.keep_sign_ins_days)
    counts = {
        "attempts": _delete(Attempt, Attempt.at < now - timedelta(days=days.keep_tries_days)),
        "sign_ins": _delete(SignIn, sa.or_(SignIn.ended_at < kept, SignIn.begun_at < kept - timedelta(days=1))),
        "invitations": _delete(Invitation, Invitation.expires_at < kept),
        "password_resets": _delete(PasswordReset, PasswordReset.expires_at < kept),
        "letters": _empty_letters(now - timedelta(days=days.keep_letters_days)),
        "files": _let_files_go(now - FILES_KEPT),
    }
    for plugin in registry():
        if plugin.prune is not None:
            counts |= {f"{plugin.name}_{name}": count for name, count in plugin.prune(_delete).items()}
    gone = {name: count for name, count in counts.items() if count}
    if gone:
        with unit_of_work():
            audit.record("pruned", rows=gone)
    log.info("pruned", **gone)


def _delete(model: Any, old: sa.ColumnElement[bool]) -> int:
    """Delete the rows of `model` that are old, in pieces; answers how many."""

    def piece() -> int:
        ids = sa.select(model.id).where(old).limit(AT_ONCE)
        return len(db.session.scalars(sa.delete(model).where(model.id.in_(ids)).returning(model.id)).all())

    return _in_pieces(piece)


def _empty_letters(before: datetime) -> int:
    """Sent letters lose their text; that they were sent, when and to whom, stays."""

    def piece() -> int:
        ids = sa.select(OutgoingMail.id).where(
            OutgoingMail.state == MailState.SENT, OutgoingMail.created_at < before, OutgoingMail.html != ""
        )
        emptied = sa.update(OutgoingMail).where(OutgoingMail.id.in_(ids.limit(AT_ONCE))).values(html="", text="")
        return len(db.session.scalars(emptied.returning(OutgoingMail.id)).all())

    return _in_pieces(piece)


def _let_files_go(before: datetime) -> int:
    """What was attached to sent mail loses its bytes; its name and size stay."""

    def piece() -> int:
        ids = (
            sa.select(OutgoingAttachment.id)
            .join(OutgoingMail, OutgoingMail.id == OutgoingAttachment.outgoing_mail_id)
            .where(
                OutgoingMail.state == MailState.SENT,
                OutgoingMail.created_at < before,
                OutgoingAttachment.content.is_not(None),
            )
        )
        files = OutgoingAttachment.id.in_(ids.limit(AT_ONCE))
        emptied = sa.update(OutgoingAttachment).where(files).values(content=None)
        return len(db.session.scalars(emptied.returning(OutgoingAttachment.id)).all())

    return _in_pieces(piece)


def _in_pieces(piece: Callable[[], int]) -> int:
    total = 0
    while True:
        with unit_of_work():
            count = piece()
        total += count
        if count < AT_ONCE:
            return total


def _last_night() -> datetime:
    now = clock.now()
    tonight = now.replace(hour=HOUR, minute=0, second=0, microsecond=0)
    return tonight if now >= tonight else tonight - timedelta(days=1)
