"""A mailbox in memory: the real class with its wire replaced, and a server that can be told to misbehave."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from app import clock
from app.errors import NotSent, Outside, Refused, SignInNeeded
from plugins.mail_monitor.fetched import Fetched
from plugins.mail_monitor.folder_names import FolderName
from plugins.mail_monitor.mailbox import BEGINNING, FolderState, Mailbox
from plugins.mail_monitor.mime import split_head


@dataclass
class Stored:
    """One message on the server."""

    raw: bytes
    received_at: datetime


@dataclass
class FakeFolder:
    """UIDs are given out in order and never twice, as long as nobody rebuilds the folder."""

    uidvalidity: int = 7
    uidnext: int = 1
    messages: dict[int, Stored] = field(default_factory=dict)
    marked: set[int] = field(default_factory=set)  # as deleted

    def put(self, raw: bytes, received_at: datetime | None = None) -> int:
        """Store a message, received now unless said otherwise; answers its UID."""
        uid, self.uidnext = self.uidnext, self.uidnext + 1
        self.messages[uid] = Stored(raw, received_at or clock.now())
        return uid

    def rebuild(self) -> None:
        """As after a restored backup: the same messages under other numbers."""
        kept = list(self.messages.values())
        self.uidvalidity, self.uidnext, self.messages = self.uidvalidity + 1, 1, {}
        for one in kept:
            self.put(one.raw, one.received_at)


@dataclass
class FakeServer:
    """What a mailbox holds and how it behaves; `opens` is given to the app in place of the real mailbox."""

    password: str = "right"
    folders: dict[str, FakeFolder] = field(default_factory=lambda: {"INBOX": FakeFolder(), "Sent": FakeFolder()})
    breaks_on: set[int] = field(default_factory=set)  # fetching the body of such a UID breaks the connection
    empty_for: set[int] = field(default_factory=set)  # their bodies never come
    faults: list[Outside | None] = field(default_factory=list)  # raised by the coming commands, None for none
    commands: list[str] = field(default_factory=list)
    opened: int = 0
    capabilities: frozenset[str] = frozenset({"IMAP4REV1", "UIDPLUS"})
    refuses_changes: bool = False
    deleted: list[bytes] = field(default_factory=list)  # what the product took away

    @property
    def inbox(self) -> FakeFolder:
        return self.folders["INBOX"]

    @property
    def sent(self) -> FakeFolder:
        return self.folders["Sent"]

    def opens(self, server: Any, guard: Any, ends: float) -> "FakeMailbox":
        self.opened += 1
        if server.password != self.password:
            raise SignInNeeded("The server does not accept this user and password.", code="credentials")
        self._maybe_fail("open")
        return FakeMailbox(self)

    def _maybe_fail(self, command: str) -> None:
        self.commands.append(command)
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            raise fault


class FakeMailbox(Mailbox):
    """Answers from a `FakeServer`."""

    def __init__(self, server: FakeServer) -> None:
        self._fake = server
        self._name = ""
        self._read = 0

    def close(self) -> None:
        self._name = "closed"

    @property
    def bytes_read(self) -> int:
        return self._read

    def folders(self) -> list[FolderName]:
        self._fake._maybe_fail("folders")
        flags = {"Sent": frozenset({"\\sent"}), "Trash": frozenset({"\\trash"})}
        return [FolderName(name, flags.get(name, frozenset()), "/") for name in self._fake.folders]

    def examine(self, folder: str) -> FolderState:
        self._fake._maybe_fail(f"examine {folder}")
        if folder not in self._fake.folders:
            raise Refused(f"The folder {folder} is not there any more.", code="folder")
        self._name = folder
        found = self._fake.folders[folder]
        return FolderState(found.uidvalidity, found.uidnext, len(found.messages))

    def uids(self, first: int, last: int, since: date | None = None, before: date | None = None) -> list[int]:
        self._fake._maybe_fail("uids")
        found = self._folder.messages.items()
        return sorted(
            uid
            for uid, one in found
            if first <= uid <= last
            and (since is None or one.received_at.date() >= since)
            and (before is None or one.received_at.date() < before)
        )

    def headers(self, uids: Sequence[int]) -> dict[int, Fetched]:
        self._fake._maybe_fail(f"headers {len(uids)}")
        return {uid: self._header(uid) for uid in uids if uid in self._folder.messages}

    def header(self, uid: int) -> Fetched | None:
        return self.headers([uid]).get(uid)

    def newest(self, state: FolderState, count: int) -> list[Fetched]:
        self._fake._maybe_fail("newest")
        return [self._header(uid) for uid in sorted(self._folder.messages)[-count:]]

    def whole(self, uids: Sequence[int]) -> dict[int, bytes]:
        if not uids:
            return {}
        self._fake._maybe_fail(f"whole {len(uids)}")
        if self._fake.breaks_on.intersection(uids):
            raise NotSent("The connection broke off.", code="broken")
        found = {
            uid: self._folder.messages[uid].raw
            for uid in uids
            if uid in self._folder.messages and uid not in self._fake.empty_for
        }
        self._read += sum(map(len, found.values()))
        return found

    def beginning(self, uid: int) -> bytes:
        self._fake._maybe_fail("beginning")
        return split_head(self._folder.messages[uid].raw)[1][:BEGINNING]

    def holds(self, message_id: str) -> bool:
        self._fake._maybe_fail("holds")
        wanted = f"message-id: <{message_id}>".encode()
        return any(wanted in one.raw.lower() for one in self._folder.messages.values())

    def append(self, folder: str, raw: bytes, at: datetime) -> None:
        self._fake._maybe_fail(f"append {folder}")
        self._fake.folders[folder].put(raw, at)

    def capabilities(self) -> frozenset[str]:
        return self._fake.capabilities

    def open_to_delete(self, folder: str) -> FolderState:
        self._fake._maybe_fail(f"select {folder}")
        self._name = folder
        found = self._fake.folders[folder]
        return FolderState(found.uidvalidity, found.uidnext, len(found.messages))

    def mark_deleted(self, uid: int) -> None:
        self._change(f"mark {uid}")
        self._folder.marked.add(uid)

    def expunge(self, uid: int) -> None:
        self._change(f"expunge {uid}")
        if uid in self._folder.marked and uid in self._folder.messages:
            self._fake.deleted.append(self._folder.messages.pop(uid).raw)

    def move(self, uid: int, folder: str) -> None:
        self._change(f"move {uid}")
        one = self._folder.messages.pop(uid)
        self._fake.deleted.append(one.raw)
        self._fake.folders[folder].put(one.raw, one.received_at)

    def _change(self, command: str) -> None:
        self._fake._maybe_fail(command)
        if self._fake.refuses_changes:
            raise Refused("The server does not allow deleting this message.", code="no_delete")

    @property
    def _folder(self) -> FakeFolder:
        if self._name not in self._fake.folders:
            raise NotSent("No folder is open.", code="broken")
        return self._fake.folders[self._name]

    def _header(self, uid: int) -> Fetched:
        one = self._folder.messages[uid]
        head = split_head(one.raw)[0]
        self._read += len(head)
        return Fetched(uid, len(one.raw), one.received_at, {"HEADER": head})


def moment(day: int, hour: int = 12) -> datetime:
    """A moment in November 2026, in UTC."""
    return datetime(2026, 11, day, hour, tzinfo=UTC)
