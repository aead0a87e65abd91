"""What became of messages that lie on a server: one sentence each, from what is stored here."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

from app.db import db
from plugins.mail_monitor.models import Folder
from plugins.mail_monitor.records import Filing, Message, Sighting
from plugins.mail_monitor.waiting import Choice, Quarantined, QuarantineState, Stub


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one message: a word of `WORDS`, why, and the message to open where there is one."""

    word: str
    why: str = ""
    message_id: int | None = None


WORDS = {
    "filed": "Filed",
    "stranger": "Unknown sender",
    "choice": "Needs a choice",
    "quarantined": "Quarantined",
    "deleted": "Deleted",
    "unwatched": "Folder not watched",
    "gone": "Not on the server",
    "coming": "Not read yet",
    "before": "From before",
    "left": "Left alone",
}


def of_messages(message_ids: Iterable[int]) -> dict[int, Fate]:
    """By message: in whose records it stands, that it waits, or that it was deleted."""
    ids = sorted(set(message_ids))
    filings: dict[int, list[Filing]] = {}
    for filing in db.session.scalars(
        sa.select(Filing)
        .where(Filing.message_id.in_(ids), Filing.deleted_at.is_(None))
        .options(joinedload(Filing.customer))
        .order_by(Filing.id)
    ):
        filings.setdefault(filing.message_id, []).append(filing)
    waiting = {
        choice.message_id: choice
        for choice in db.session.scalars(
            sa.select(Choice).where(Choice.message_id.in_(ids), Choice.decided_at.is_(None))
        )
    }
    rows = db.session.execute(sa.select(Message.id, Message.deleted_by).where(Message.id.in_(ids)))
    return {row_id: _of_message(row_id, by, filings.get(row_id, []), waiting.get(row_id)) for row_id, by in rows}


def _of_message(message_id: int, deleted_by: str, filings: Sequence[Filing], choice: Choice | None) -> Fate:
    if filings:
        said = "; ".join(f"with {one.customer.full_name}: {one.reason}" for one in filings[:3])
        return Fate("filed", said, message_id)
    if choice is not None:
        return Fate("choice", choice.sentence, message_id)
    return Fate("deleted", f"Deleted here by {deleted_by}." if deleted_by else "Deleted here.")


def in_watched(folder_id: int, uidvalidity: int, uids: Sequence[int], early: set[int]) -> dict[int, Fate]:
    """By UID in a watched folder; `early` are those that came before watching began."""
    folder = db.session.get_one(Folder, folder_id)
    if folder.uidvalidity != uidvalidity or folder.relinking:
        return {uid: Fate("coming", "The mailbox was rebuilt and is being linked again.") for uid in uids}
    messages: dict[int, int] = dict(db.session.execute(_at(Sighting, folder, uids, Sighting.message_id)).all())
    fates = of_messages(messages.values())
    found = {uid: fates[message_id] for uid, message_id in messages.items()}
    for uid in db.session.scalars(_at(Stub, folder, uids)):
        found.setdefault(uid, Fate("stranger", "Nobody with this address is a customer."))
    for row in db.session.scalars(
        sa.select(Quarantined).where(
            Quarantined.folder_id == folder.id,
            Quarantined.uidvalidity == folder.uidvalidity,
            Quarantined.uid.in_(uids),
        )
    ):
        found.setdefault(row.uid, _of_quarantined(row))
    for uid in uids:
        found.setdefault(uid, _of_unseen(folder, uid, is_early=uid in early))
    return found


def _of_quarantined(row: Quarantined) -> Fate:
    if row.state is QuarantineState.IGNORED:
        return Fate("quarantined", f"Ignored by {row.settled_by}. {row.reason}")
    return Fate("quarantined", row.reason)


def _of_unseen(folder: Folder, uid: int, *, is_early: bool) -> Fate:
    if uid > folder.cursor or str(uid) in folder.owed:
        return Fate("coming", "The next scan reads it.")
    if is_early:
        return Fate("before", "It came before this mailbox was watched. An import can fetch it.")
    return Fate("left", "Read and not kept: of an address of yours or one that was ignored, or long ago.")


def elsewhere(account_id: int, folder: str, keys: dict[int, str]) -> dict[int, Fate]:
    """By UID in a folder that is not watched; a message that is here all the same is known by its Message-ID."""
    wanted = sorted({key for key in keys.values() if key})
    here = dict(
        db.session.execute(
            sa.select(Message.message_key, sa.func.max(Message.id))
            .where(Message.account_id == account_id, Message.message_key.in_(wanted))
            .group_by(Message.message_key)
        ).all()
    )
    fates = of_messages(here.values())
    found = {}
    for uid, key in keys.items():
        known = fates.get(here.get(key, 0))
        unwatched = Fate("unwatched", f"Only INBOX and sent mail are read, not {folder}. Move it to INBOX there.")
        found[uid] = known or unwatched
    return found


def _at(model: Any, folder: Folder, uids: Sequence[int], *columns: Any) -> sa.Select[Any]:
    return sa.select(model.uid, *columns).where(
        model.folder_id == folder.id, model.uidvalidity == folder.uidvalidity, model.uid.in_(uids)
    )
