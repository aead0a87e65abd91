"""Bytes that no row refers to leave the store: once a day, and not before they have lain there for a day."""

from collections.abc import Sequence
from datetime import timedelta

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from app import clock
from app.db import db, unit_of_work
from plugins.mail_monitor.models import EmailAccount
from plugins.mail_monitor.records import Attachment, Blob, Message
from plugins.mail_monitor.sending_models import OutgoingFile
from plugins.mail_monitor.turns import Turn
from plugins.mail_monitor.waiting import Quarantined

log = structlog.get_logger()

# A row follows its bytes within a minute; the rest is for clocks and for a restored backup.
LIES_FOR = timedelta(days=1)


def sweep_once_a_day(turn: Turn) -> None:
    """Sweep the account's store if this is the first whole scan of the day; `LeaseLost` ends it in between."""
    last = db.session.get_one(EmailAccount, turn.email_account_id).last_success_at
    db.session.rollback()
    if last is not None and last.date() < clock.now().date():
        sweep(turn)


def sweep(turn: Turn) -> None:
    """Take away what no message, attachment, draft or quarantined original needs any more."""
    before = clock.now() - LIES_FOR
    removed = 0
    for digests in turn.store.old(turn.account_id, before):
        with unit_of_work() as session:
            turn.lease.renew()
            unused = sorted(set(digests) - _used(session, turn.account_id, digests))
            session.execute(sa.delete(Blob).where(Blob.account_id == turn.account_id, Blob.hash.in_(unused)))
        removed += turn.store.remove_old(turn.account_id, unused, before)
    if removed:
        log.info("store_swept", account_id=turn.account_id, removed=removed)


def _used(session: Session, account_id: int, digests: Sequence[str]) -> set[str]:
    columns = (
        (Message.account_id, Message.raw_hash),
        (Attachment.account_id, Attachment.blob_hash),
        (Quarantined.account_id, Quarantined.raw_hash),
        (OutgoingFile.account_id, OutgoingFile.blob_hash),
    )
    return {
        digest
        for account, column in columns
        for digest in session.scalars(sa.select(column).where(account == account_id, column.in_(digests)))
    }
