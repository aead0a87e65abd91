"""Speaks IMAP and answers in our words: plain data in, plain data out, one of the five errors otherwise.

Folders are examined, not selected, and no flag changes (https://www.rfc-editor.org/rfc/rfc3501); only deleting what was
filed opens one for writing, and touches the one message it is about. Sender-controlled text never goes into a command.
"""

import contextlib
import imaplib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Self

from imap_tools.consts import MailMessageFlags
from imap_tools.errors import ImapToolsError, MailboxAppendError, MailboxFolderSelectError, MailboxLoginError
from imap_tools.utils import encode_folder

from app.errors import NotSent, Outside, Refused
from plugins.mail_monitor import refusals
from plugins.mail_monitor.egress import Guard
from plugins.mail_monitor.fetched import Fetched, read_answers
from plugins.mail_monitor.folder_names import FolderName
from plugins.mail_monitor.imap_client import LARGEST_ANSWER, Server, Tell, WatchedMailBox

COMMAND_S = 40.0
GOODBYE_S = 3.0
_OURS = re.compile(r"[0-9a-f]{32}\.[0-9a-f]{24}@[A-Za-z0-9.-]{1,253}")
LITTLE = 8 * 1024 * 1024
LARGEST_HEADER = 256 * 1024
BEGINNING = 64 * 1024
MOST_DIGITS = 10  # of a number of 32 bits, the widest there is in IMAP


@dataclass(frozen=True, slots=True)
class FolderState:
    """How a folder stands. `uidvalidity` 0: the server gives none, so its UIDs cannot be relied on."""

    uidvalidity: int
    uidnext: int
    messages: int


def told_nobody(step: str, detail: str) -> None:
    """For callers who need no news of the way in."""


class Mailbox:
    """One signed-in connection. Every method raises one of the five `Outside` errors, and nothing else of the wire."""

    def __init__(self, server: Server, guard: Guard, ends: float, tell: Tell = told_nobody) -> None:
        """Connect and sign in, all before `ends` (monotonic clock)."""
        self._server = server
        self._is_broken = False
        with self._translated():
            self._box = WatchedMailBox(server, guard, ends, tell)
        tell("speaks", "")
        try:
            self._sign_in()
        except Outside:
            self.close()
            raise
        tell("signed_in", server.user)

    def _sign_in(self) -> None:
        if "LOGINDISABLED" in self._box.client.capabilities:
            raise Refused("The server takes no password without encryption.", code="encryption")
        plain = self._server.user.isascii() and self._server.password.isascii()
        sign_in = self._box.login if plain else self._box.login_utf8
        with self._translated():
            # Without this both would select the inbox for writing.
            sign_in(self._server.user, self._server.password, initial_folder=None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Say goodbye, unless the connection is broken: nobody would hear it."""
        with contextlib.suppress(OSError, imaplib.IMAP4.error, ImapToolsError):
            if not self._is_broken:
                self._box.client.allow(GOODBYE_S, LITTLE)
                self._box.logout()
        with contextlib.suppress(OSError):
            self._box.client.shutdown()

    @property
    def bytes_read(self) -> int:
        """Everything that came over the wire so far."""
        return self._box.client.bytes_read

    def folders(self) -> list[FolderName]:
        """Every folder that can be opened."""
        with self._asking():
            found = self._box.folder.list()
        names = [FolderName(one.name, frozenset(flag.lower() for flag in one.flags), one.delim) for one in found]
        return [one for one in names if not one.flags & {"\\noselect", "\\nonexistent"}]

    def capabilities(self) -> frozenset[str]:
        """What the server can do for somebody who is signed in; before that it may have said less."""
        with self._asking():
            _, data = self._box.client.capability()
        return frozenset(b" ".join(part for part in data if part).decode("ascii", errors="replace").upper().split())

    def examine(self, folder: str) -> FolderState:
        """Open a folder for reading, and say how it stands."""
        with self._asking(folder):
            _, exists = self._box.folder.set(folder, readonly=True)
            client = self._box.client
            uidvalidity, uidnext = (_number(client.response(word)[1]) for word in ("UIDVALIDITY", "UIDNEXT"))
            if not uidnext:
                state = self._box.folder.status(folder, ["UIDNEXT", "UIDVALIDITY"])
                uidnext, uidvalidity = state.get("UIDNEXT", 0), uidvalidity or state.get("UIDVALIDITY", 0)
            if not uidnext:  # then the newest message says it
                newest = [int(uid) for uid in self._box.uids("UID *", charset=None) if uid.isdecimal()]
                uidnext = max(newest, default=0) + 1
        return FolderState(uidvalidity, uidnext, _number(exists))

    def uids(self, first: int, last: int, since: date | None = None, before: date | None = None) -> list[int]:
        """UIDs from `first` to `last` in the open folder, in order; days (by the server's own dates) narrow.

        A range always answers with the newest message, whatever its UID; that one is left out here.
        """
        if first > last:
            return []
        words = f"UID {first}:{last}"
        for word, day in (("SINCE", since), ("BEFORE", before)):
            if day is not None:
                words += f" {word} {day.day}-{_MONTHS[day.month - 1]}-{day.year}"
        with self._asking():
            found = self._box.uids(words, charset=None)
        return sorted({int(uid) for uid in found if uid.isdecimal() and first <= int(uid) <= last})

    def headers(self, uids: Sequence[int]) -> dict[int, Fetched]:
        """Size, date and header of messages. Gone ones are missing; `bodies["HEADER"]` holds the block."""
        return self._fetch(uids, "(UID RFC822.SIZE INTERNALDATE BODY.PEEK[HEADER])")

    def header(self, uid: int) -> Fetched | None:
        """The same for one message, however long its header says it is."""
        items = f"(UID RFC822.SIZE INTERNALDATE BODY.PEEK[HEADER]<0.{LARGEST_HEADER}>)"
        return self._fetch([uid], items).get(uid)

    def newest(self, state: FolderState, count: int) -> list[Fetched]:
        """Size, date and header of the newest messages of the open folder, newest last."""
        if not state.messages:
            return []
        numbers = f"{max(1, state.messages - count + 1)}:{state.messages}"
        with self._asking():
            _, data = self._box.client.fetch(numbers, "(UID RFC822.SIZE INTERNALDATE BODY.PEEK[HEADER])")
        return sorted(read_answers(data), key=lambda one: one.uid)

    def whole(self, uids: Sequence[int]) -> dict[int, bytes]:
        """Messages as they are; gone ones are missing.

        So are empty ones: that is how some servers speak of a message that a colleague has deleted a moment ago.
        """
        found = self._fetch(uids, "(UID BODY.PEEK[])")
        return {uid: one.bodies[""] for uid, one in found.items() if one.bodies.get("")}

    def beginning(self, uid: int) -> bytes:
        """The first bytes of a message's text, b"" when it is gone."""
        found = self._fetch([uid], f"(UID BODY.PEEK[TEXT]<0.{BEGINNING}>)").get(uid)
        return found.bodies.get("TEXT", b"")[:BEGINNING] if found else b""

    def open_to_delete(self, folder: str) -> FolderState:
        """Open a folder for writing. It is never closed by CLOSE, which would delete what others have marked."""
        with self._asking(folder):
            client = self._box.client
            try:
                _, exists = self._box.folder.set(folder, readonly=False)
            except imaplib.IMAP4.readonly as error:
                raise Refused(
                    "The server lets this mailbox only be read: nothing can be deleted.", "read_only"
                ) from error
            uidvalidity, uidnext = (_number(client.response(word)[1]) for word in ("UIDVALIDITY", "UIDNEXT"))
        return FolderState(uidvalidity, uidnext, _number(exists))

    def mark_deleted(self, uid: int) -> None:
        """Mark one message as deleted, and nothing else; `Refused` when the server does not allow it."""
        self._change("STORE", str(uid), "+FLAGS.SILENT", r"(\Deleted)")

    def expunge(self, uid: int) -> None:
        """Take one marked message away for good (https://www.rfc-editor.org/rfc/rfc4315)."""
        self._change("EXPUNGE", str(uid))

    def move(self, uid: int, folder: str) -> None:
        """Move one message to another folder (https://www.rfc-editor.org/rfc/rfc6851)."""
        self._change("MOVE", str(uid), encode_folder(folder))

    def _change(self, command: str, *arguments: Any) -> None:
        with self._asking():
            kind, data = self._box.client.uid(command, *arguments)
        if kind != "OK":
            raise Refused("The server does not allow deleting this message.", code="no_delete", said=_said(data))

    def holds(self, message_id: str) -> bool:
        """Whether the open folder has a message with this id. Only for ids of ours: it becomes part of a command."""
        if not _OURS.fullmatch(message_id):
            raise ValueError("this id was not made here")
        with self._asking():
            return bool(self._box.uids(f'HEADER Message-ID "{message_id}"', charset=None))

    def append(self, folder: str, raw: bytes, at: datetime) -> None:
        """Put a message that counts as read into a folder (https://www.rfc-editor.org/rfc/rfc3501#section-6.3.11)."""
        with self._asking():
            try:
                self._box.append(raw, folder, at, {MailMessageFlags.SEEN})
            except MailboxAppendError as error:
                raise Refused(f"The server takes no copy in {folder}.", code="append", said=str(error)[:300]) from error

    def _fetch(self, uids: Sequence[int], items: str) -> dict[int, Fetched]:
        if not uids:
            return {}
        with self._asking(most=LARGEST_ANSWER):
            kind, data = self._box.client.uid("FETCH", _as_set(uids), items)
            if kind != "OK":
                raise imaplib.IMAP4.error(_said(data))
        asked = set(uids)
        found: dict[int, Fetched] = {}
        for one in read_answers(data):
            # Nobody asked for this one, or it is news of a flag that somebody changed, or says again what was said.
            if one.uid in asked and one.bodies and one.uid not in found:
                found[one.uid] = one
        return found

    @contextmanager
    def _asking(self, folder: str = "", most: int = LITTLE) -> Iterator[None]:
        self._box.client.allow(COMMAND_S, most)
        with self._translated(folder):
            yield

    @contextmanager
    def _translated(self, folder: str = "") -> Iterator[None]:
        """Errors of the wire in our words."""
        try:
            yield
        except MailboxLoginError as error:
            raise refusals.about_sign_in(str(error)) from error
        except MailboxFolderSelectError as error:
            raise refusals.about_folder(folder, str(error)) from error
        except imaplib.IMAP4.abort as error:
            raise self._broken(error) from error
        except (imaplib.IMAP4.error, ImapToolsError) as error:
            said = str(error)
            if "AUTHENTICATIONFAILED" in said:
                raise refusals.about_sign_in(said) from error
            if folder:
                raise refusals.about_folder(folder, said) from error
            raise self._broken(error) from error
        except (OSError, ValueError, UnicodeError) as error:
            # ValueError: an answer that cannot be read as what was asked for.
            raise self._broken(error) from error

    def _broken(self, error: Exception) -> Outside:
        self._is_broken = True
        waiting = refusals.about_waiting(str(error))
        if waiting:
            return waiting
        return NotSent(
            f"The connection to {self._server.host} broke off. We try again on our own.",
            code="broken",
            cause=repr(error)[:300],
        )


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _as_set(uids: Sequence[int]) -> str:
    """UIDs as IMAP writes a set: neighbours as a range, which keeps the command short."""
    parts: list[list[int]] = []
    for uid in sorted(set(uids)):
        if parts and parts[-1][1] == uid - 1:
            parts[-1][1] = uid
        else:
            parts.append([uid, uid])
    return ",".join(str(first) if first == last else f"{first}:{last}" for first, last in parts)


def _number(data: Sequence[object]) -> int:
    for part in reversed(data):
        if isinstance(part, bytes) and part.isdigit() and len(part) <= MOST_DIGITS:
            return int(part)
    return 0


def _said(data: Sequence[object]) -> str:
    return " ".join(part.decode("utf-8", errors="replace") for part in data if isinstance(part, bytes))[:300]
