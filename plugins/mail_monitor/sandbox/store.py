"""The sandbox's memory, kept in SQLite to survive a restart: mailboxes with their letters, and what was sent."""

import json
import sqlite3
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_TABLES = """
CREATE TABLE IF NOT EXISTS folder (
    mailbox TEXT, name TEXT, uidvalidity INTEGER, next_uid INTEGER, PRIMARY KEY (mailbox, name));
CREATE TABLE IF NOT EXISTS letter (
    mailbox TEXT, folder TEXT, uid INTEGER, received_at TEXT, flags TEXT, raw BLOB, PRIMARY KEY (mailbox, folder, uid));
CREATE TABLE IF NOT EXISTS sent (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT, sender TEXT, recipients TEXT, signed_in TEXT, raw BLOB);
"""


@dataclass(frozen=True, slots=True)
class Place:
    """A folder of a mailbox."""

    mailbox: str
    folder: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A letter in a folder. `flags` are as IMAP writes them, joined by blanks."""

    uid: int
    received_at: datetime
    flags: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Sent:
    """A mail that was handed in over SMTP; `signed_in` is the mailbox that signed in, "" for nobody."""

    id: int
    at: datetime
    sender: str
    recipients: tuple[str, ...]
    signed_in: str
    raw: bytes


class Store:
    """Every thread may use it; each change is on the disk when its method returns. `path` None: in memory."""

    def __init__(self, path: Path | None) -> None:
        self._lock = threading.Lock()
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._file = sqlite3.connect(path or ":memory:", check_same_thread=False, isolation_level=None)
        self._file.execute("PRAGMA journal_mode=WAL")
        self._file.execute("PRAGMA synchronous=NORMAL")
        self._file.executescript(_TABLES)

    def _do(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        with self._lock:
            return self._file.execute(statement, values).fetchall()

    def numbers(self, place: Place) -> tuple[int, int]:
        """UIDVALIDITY and next UID of a folder, which is made when it is new."""
        # Milliseconds: a folder that is made anew a moment later has other numbers all the same.
        made = (place.mailbox, place.folder, time.time_ns() // 1_000_000 % 2**32)
        self._do("INSERT OR IGNORE INTO folder VALUES (?, ?, ?, 1)", *made)
        rows = self._do("SELECT uidvalidity, next_uid FROM folder WHERE mailbox = ? AND name = ?", *made[:2])
        uidvalidity, next_uid = rows[0]
        return int(str(uidvalidity)), int(str(next_uid))

    def folders(self, mailbox: str) -> list[str]:
        """The folders of a mailbox in the order in which they came."""
        rows = self._do("SELECT name FROM folder WHERE mailbox = ? ORDER BY rowid", mailbox)
        return [str(name) for (name,) in rows]

    def rename_folder(self, before: Place, after: str) -> None:
        self._do("UPDATE folder SET name = ? WHERE mailbox = ? AND name = ?", after, before.mailbox, before.folder)
        self._do("UPDATE letter SET folder = ? WHERE mailbox = ? AND folder = ?", after, before.mailbox, before.folder)

    def drop_folder(self, place: Place) -> None:
        self._do("DELETE FROM letter WHERE mailbox = ? AND folder = ?", place.mailbox, place.folder)
        self._do("DELETE FROM folder WHERE mailbox = ? AND name = ?", place.mailbox, place.folder)

    def put(self, place: Place, letter: Kept) -> None:
        """Keep a letter under its UID, which is used up by that for all time."""
        row = (letter.received_at.isoformat(), letter.flags, letter.raw)
        self._do("INSERT INTO letter VALUES (?, ?, ?, ?, ?, ?)", place.mailbox, place.folder, letter.uid, *row)
        self._do(
            "UPDATE folder SET next_uid = max(next_uid, ?) WHERE mailbox = ? AND name = ?",
            letter.uid + 1,
            place.mailbox,
            place.folder,
        )

    def set_flags(self, place: Place, uid: int, flags: str) -> None:
        self._do(
            "UPDATE letter SET flags = ? WHERE mailbox = ? AND folder = ? AND uid = ?",
            flags,
            place.mailbox,
            place.folder,
            uid,
        )

    def remove(self, place: Place, uid: int) -> None:
        self._do("DELETE FROM letter WHERE mailbox = ? AND folder = ? AND uid = ?", place.mailbox, place.folder, uid)

    def letter(self, place: Place, uid: int) -> Kept | None:
        """The one under this UID, if it is there."""
        rows = self._do(
            "SELECT uid, received_at, flags, raw FROM letter WHERE mailbox = ? AND folder = ? AND uid = ?",
            place.mailbox,
            place.folder,
            uid,
        )
        return _kept(rows[0]) if rows else None

    def letters(self, place: Place) -> list[Kept]:
        """What lies in a folder, by UID."""
        rows = self._do(
            "SELECT uid, received_at, flags, raw FROM letter WHERE mailbox = ? AND folder = ? ORDER BY uid",
            place.mailbox,
            place.folder,
        )
        return [_kept(row) for row in rows]

    def add_sent(self, sender: str, recipients: list[str], signed_in: str, raw: bytes) -> int:
        """Keep a mail that was handed in; its number."""
        now = datetime.now(UTC).isoformat()  # noqa: TID251  # a program of its own, whose clock nobody stops
        rows = self._do(
            "INSERT INTO sent (at, sender, recipients, signed_in, raw) VALUES (?, ?, ?, ?, ?) RETURNING id",
            now,
            sender,
            json.dumps(recipients),
            signed_in,
            raw,
        )
        return int(str(rows[0][0]))

    def sent(self) -> list[Sent]:
        """Everything that was handed in, the newest first."""
        rows = self._do("SELECT id, at, sender, recipients, signed_in, raw FROM sent ORDER BY id DESC")
        return [
            Sent(
                int(str(number)),
                datetime.fromisoformat(str(at)),
                str(sender),
                tuple(json.loads(str(recipients))),
                str(signed_in),
                _bytes(raw),
            )
            for number, at, sender, recipients, signed_in, raw in rows
        ]

    def clear(self) -> None:
        """Forget everything; numbers of sent mails are not given again."""
        for table in ("letter", "folder", "sent"):
            self._do(f"DELETE FROM {table}")  # noqa: S608  # one of three names

    def close(self) -> None:
        with self._lock:
            self._file.close()


def _kept(row: tuple[object, ...]) -> Kept:
    uid, at, flags, raw = row
    return Kept(int(str(uid)), datetime.fromisoformat(str(at)), str(flags), _bytes(raw))


def _bytes(value: object) -> bytes:
    assert isinstance(value, bytes)
    return value
