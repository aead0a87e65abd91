"""How much of its storage an account's messages take: told from 80 % on, and at the end nothing more is fetched.

Counted are the bytes in the store: originals and attachments, each once. The texts that the database keeps to read
and search in are not, and the page says so.

Nothing is lost by that: what is not fetched stays in the mailbox, and no cursor moves.
"""

from dataclasses import dataclass

import sqlalchemy as sa
from flask import current_app

from app.db import db
from app.errors import Refused
from plugins.mail_monitor.records import Blob

MB = 1024 * 1024
GB = 1024 * MB
TIGHT = 80  # percent


@dataclass(frozen=True, slots=True)
class Room:
    """What is taken of what there is, in bytes."""

    taken: int
    all: int

    @property
    def percent(self) -> int:
        return self.taken * 100 // self.all

    @property
    def is_tight(self) -> bool:
        return self.percent >= TIGHT

    @property
    def is_full(self) -> bool:
        return self.taken >= self.all

    @property
    def words(self) -> str:
        """Such as "16.4 of 20.0 GB", "32 MB of 20.0 GB" or "0.2 of 1.0 MB"."""
        size, unit = (MB, "MB") if self.all < GB else (GB, "GB")
        taken = f"{self.taken / size:.1f}"
        if size == GB and self.taken < GB // 10:
            taken = f"{-(-self.taken // MB)} MB"  # rounded up: something is not nothing
        return f"{taken} of {self.all / size:.1f} {unit}"


def room_of(account_id: int) -> Room:
    """How an account stands. Content that several messages share counts once."""
    taken = db.session.scalar(sa.select(sa.func.sum(Blob.size)).where(Blob.account_id == account_id))
    return Room(int(taken or 0), current_app.config["SETTINGS"].mail_quota_mb * MB)


def no_room(room: Room) -> Refused:
    """Why nothing more is fetched."""
    return Refused(
        f"The storage for messages is full ({room.words}). New mail waits in the mailbox and is filed once there is "
        "room. Delete messages that nobody needs, or ask whoever runs this installation for more.",
        code="storage",
    )
