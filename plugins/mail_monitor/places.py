"""Where a slice reads: one folder and what it has in hand there, what is settled, and what is owed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from app.db import db, unit_of_work
from plugins.mail_monitor.models import EmailAccount, Folder, FolderKind
from plugins.mail_monitor.records import Sighting
from plugins.mail_monitor.turns import Turn
from plugins.mail_monitor.waiting import Quarantined, Stub


@dataclass(frozen=True, slots=True)
class FolderPlace:
    """One folder of one email account."""

    folder_id: int
    kind: FolderKind
    name: str
    uidvalidity: int
    cursor: int
    quiet_before: datetime  # what arrived earlier is filed without telling anybody
    watched_from: datetime
    was_rebuilt: bool = False
    is_unstable: bool = False

    @classmethod
    def of(cls, folder: Folder) -> "FolderPlace":
        # What a rebuilt folder brings is old; one that is rebuilt all the time would never bring anything new.
        rebuilt_at = folder.rebuilt_at if not folder.is_unstable else None
        return cls(
            folder.id,
            folder.kind,
            folder.name,
            folder.uidvalidity,
            folder.cursor,
            max(folder.began_at, rebuilt_at or folder.began_at),
            folder.watched_from,
            folder.rebuilt_at is not None,
            folder.is_unstable,
        )

    @property
    def is_sent(self) -> bool:
        return self.kind == FolderKind.SENT


def places_of(email_account_id: int) -> list[FolderPlace]:
    """The watched folders, the inbox first; the one of sent mail only while it is there and wanted."""
    account = db.session.get_one(EmailAccount, email_account_id, populate_existing=True)
    reads_sent = account.sent_folder != "" and account.sent_missing_since is None
    rows = db.session.scalars(sa.select(Folder).where(Folder.email_account_id == email_account_id))
    places = [FolderPlace.of(row) for row in rows if reads_sent or row.kind is not FolderKind.SENT]
    found = sorted(places, key=lambda place: place.is_sent)
    db.session.rollback()
    return found


def take_in_hand(turn: Turn, place: FolderPlace, uids: Sequence[int]) -> None:
    """Note a chunk before it is fetched, in one UPDATE and with proof of the lease."""
    with unit_of_work() as session:
        turn.lease.renew()
        folder = session.get_one(Folder, place.folder_id)
        folder.in_hand = [*folder.in_hand, *uids]


def put_down(folder: Folder, uids: Iterable[int], *, settled: bool) -> None:
    """Take UIDs out of the hand, inside the unit of work around the caller: settled, or owed one at a time."""
    done = set(uids)
    folder.in_hand = [uid for uid in folder.in_hand if uid not in done]
    owed: dict[str, Any] = dict(folder.owed)
    for uid in done:
        if settled:
            owed.pop(str(uid), None)
        else:
            owed.setdefault(str(uid), 0)
    folder.owed = owed


def own_up(turn: Turn) -> None:
    """What a killed worker still had in hand is owed one at a time; the cursor goes on past it."""
    with unit_of_work() as session:
        turn.lease.renew()
        rows = session.scalars(sa.select(Folder).where(Folder.email_account_id == turn.email_account_id)).all()
        for folder in rows:
            if folder.in_hand:
                folder.cursor = max(folder.cursor, *folder.in_hand)
                put_down(folder, list(folder.in_hand), settled=False)


def settled_among(place: FolderPlace, uids: Sequence[int]) -> set[int]:
    """Those of `uids` that were seen before, whatever became of them."""
    found: set[int] = set()
    for start in range(0, len(uids), 500):
        some = uids[start : start + 500]
        for model in (Sighting, Stub, Quarantined):
            found.update(
                db.session.scalars(
                    sa.select(model.uid).where(
                        model.folder_id == place.folder_id,
                        model.uidvalidity == place.uidvalidity,
                        model.uid.in_(some),
                    )
                )
            )
    db.session.rollback()
    return found
