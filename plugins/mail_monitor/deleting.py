"""Deleting filed messages on their server: one at a time, looked at again right before, noted before and after.

Only what was filed gets here (see `removals`). Each deletion is an effect: its intent is committed first, then the
message under the number is compared with the one that was filed, then it goes, and what became of it is committed.
"""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
import structlog

from app import audit, clock
from app.db import db, unit_of_work
from app.effects import Intent, Result, Subject, carry_out
from app.errors import Refused
from plugins.mail_monitor import presets, removals
from plugins.mail_monitor.fetched import Fetched
from plugins.mail_monitor.folder_names import trash_folder
from plugins.mail_monitor.mailbox import Mailbox
from plugins.mail_monitor.models import DeletePolicy, EmailAccount, Folder
from plugins.mail_monitor.records import Sighting
from plugins.mail_monitor.relinking import key_of
from plugins.mail_monitor.turns import Turn
from plugins.mail_monitor.wishes import Cause, How, Removal, RemovalState, way_of_deleting

log = structlog.get_logger()

KIND = "mail_monitor.removal"
OPTION_OF = {Cause.AFTER_FILING: DeletePolicy.AFTER_FILING, Cause.DELETED_HERE: DeletePolicy.WHEN_DELETED_HERE}
REBUILT = "rebuilt"


@dataclass(frozen=True, slots=True)
class Taken:
    """One message that is to go: where it lies, and how it is recognised there."""

    folder: str
    uidvalidity: int
    uid: int
    message_key: str
    size: int
    received_at: datetime

    def is_it(self, one: Fetched) -> bool:
        """Whether what lies under the number is the message that was filed."""
        if one.size != self.size:
            return False
        return key_of(one) == self.message_key if self.message_key else one.received_at == self.received_at


@dataclass(frozen=True, slots=True)
class Remove:
    """The one step of a deletion."""

    taken: Taken
    to_trash_first: bool
    key: str = "remove"

    def call(self, remote: Turn, intent: Intent) -> Result:
        """Delete it, if it is still the same message; `Refused` when that cannot be."""
        one = self._look(remote)
        return {"how": (How.GONE if one is None else self._take_away(remote.mailbox)).value}

    def look_up(self, remote: Turn, intent: Intent) -> Result | None:
        """After an answer that got lost: whether it went."""
        return {"how": How.GONE.value} if self._look(remote) is None else None

    def _look(self, remote: Turn) -> Fetched | None:
        state = remote.open_to_delete(self.taken.folder)
        if not state.uidvalidity:
            raise Refused("This server's numbers cannot be relied on, so nothing is deleted there.", code="unstable")
        if state.uidvalidity != self.taken.uidvalidity:
            raise Refused("The mailbox was rebuilt; it is looked for under its new number.", code=REBUILT)
        one = remote.mailbox.header(self.taken.uid)
        if one is not None and not self.taken.is_it(one):
            raise Refused("Another message has its number there now, so nothing was deleted.", code="another")
        return one

    def _take_away(self, mailbox: Mailbox) -> How:
        trash = trash_folder(mailbox.folders())
        there = trash if trash is not None and trash.name != self.taken.folder else None
        how = way_of_deleting(mailbox.capabilities(), has_trash=there is not None, to_trash_first=self.to_trash_first)
        if how is How.MOVED and there is not None:
            mailbox.move(self.taken.uid, there.name)
            return how
        mailbox.mark_deleted(self.taken.uid)
        if how is How.EXPUNGED:
            mailbox.expunge(self.taken.uid)
        return how


def work(turn: Turn) -> None:
    """Delete what waits to be deleted in this mailbox; raises the `Outside` error that stands in the way of all."""
    removals.wish_filed(turn)
    ids = db.session.scalars(
        sa.select(Removal.id)
        .where(Removal.email_account_id == turn.email_account_id, Removal.state == RemovalState.WAITING)
        .order_by(Removal.id)
        .limit(removals.AT_ONCE)
    ).all()
    db.session.rollback()
    for removal_id in ids:
        if turn.is_over:
            return
        _remove(turn, removal_id)


def _remove(turn: Turn, removal_id: int) -> None:
    row = db.session.get_one(Removal, removal_id)
    account = db.session.get_one(EmailAccount, turn.email_account_id)
    sighting, folder = row.sighting, db.session.get_one(Folder, row.sighting.folder_id)
    moved_on = folder.relinking or sighting.uidvalidity != folder.uidvalidity
    still_wanted = account.deletes is OPTION_OF[row.cause]
    step = Remove(
        _taken(sighting, folder), to_trash_first=presets.goes_to_trash(account.provider, account.incoming_host)
    )
    subject = Subject(row.account_id, KIND, row.id, row.asked_at)
    is_linking = bool(folder.relinking)
    db.session.rollback()
    if not still_wanted:
        _keep_it(turn, removal_id, "The option was changed before it was deleted.")
    elif is_linking:
        return  # its new number is not known yet
    elif moved_on:
        _keep_it(turn, removal_id, "The mailbox was rebuilt, and it was not found in it again.")
    else:
        _carry_out(turn, removal_id, subject, step)


def _carry_out(turn: Turn, removal_id: int, subject: Subject, step: Remove) -> None:
    try:
        done = carry_out(subject, lambda done: None if step.key in done else step, turn, turn.lease)
    except Refused as error:
        if error.code != REBUILT:  # else the next scan notices, and finds it again
            _keep_it(turn, removal_id, error.sentence)
        return
    how = How(done[step.key]["how"])
    with unit_of_work() as session:
        turn.lease.renew()
        row = session.get_one(Removal, removal_id)
        row.state, row.how, row.ended_at, row.sentence = RemovalState.DONE, how, clock.now(), how.words
        row.sighting.deleted_there_at = row.ended_at
        audit.record(
            "deleted_on_server",
            row,
            actor=row.asked_by or None,
            how=how.value,
            cause=row.cause.value,
            folder=step.taken.folder,
            uid=step.taken.uid,
            message_id=row.sighting.message_id,
        )
    log.info("deleted_on_server", removal_id=removal_id, how=how.value, uid=step.taken.uid)


def _keep_it(turn: Turn, removal_id: int, sentence: str) -> None:
    with unit_of_work() as session:
        turn.lease.renew()
        row = session.get_one(Removal, removal_id)
        row.state, row.ended_at, row.sentence = RemovalState.KEPT, clock.now(), sentence[:300]
        audit.record("kept_on_server", row, actor=row.asked_by or None, outcome="failed", sentence=sentence)
    log.info("kept_on_server", removal_id=removal_id, sentence=sentence)


def _taken(sighting: Sighting, folder: Folder) -> Taken:
    return Taken(
        folder=folder.name,
        uidvalidity=sighting.uidvalidity,
        uid=sighting.uid,
        message_key=sighting.message_key,
        size=sighting.size,
        received_at=sighting.received_at,
    )
