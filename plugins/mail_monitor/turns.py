"""A worker's turn with a mailbox: its lease, its one connection, the child that reads mail, and when it must end."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timedelta
from math import inf
from typing import Any, Protocol

from flask import current_app

from app import clock
from app.config import Settings
from app.db import db, unit_of_work
from app.errors import NotSent
from app.work import Lease
from plugins.mail_monitor import accounts, credentials
from plugins.mail_monitor.egress import Guard
from plugins.mail_monitor.imap_client import Server
from plugins.mail_monitor.mailbox import FolderState, Mailbox
from plugins.mail_monitor.models import EmailAccount
from plugins.mail_monitor.parser import Parser
from plugins.mail_monitor.storage import Store

HOLD_AGAIN = timedelta(seconds=10)  # well within a lease
GRACE_S = 20.0  # what was begun when the turn is over may still end


@dataclass(slots=True)
class Tally:
    """What a scan came to."""

    seen: int = 0
    filed: int = 0
    stubs: int = 0
    choices: int = 0
    duplicates: int = 0
    quarantined: int = 0
    bytes: int = 0

    def add(self, other: "Tally") -> None:
        """Count what another one came to as well."""
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))


@dataclass(slots=True)
class Limits:
    """What a turn may still take: of the day's volume, and of the storage."""

    bytes: float = inf
    messages: float = inf
    stored: float = inf


class Open(Protocol):
    """How a mailbox is opened; tests open another kind."""

    def __call__(self, server: Server, guard: Guard, ends: float) -> Mailbox: ...


@dataclass(slots=True)
class Turn:
    """What a slice of work holds. The connection is made when it is first needed, and again after it was dropped."""

    email_account_id: int
    account_id: int
    lease: Lease
    parser: Parser
    store: Store
    ends: float  # by the monotonic clock
    tally: Tally = field(default_factory=Tally)
    limits: Limits = field(default_factory=Limits)
    stored: int = 0  # bytes, those that were there already included
    _counted: int = 0
    _held_at: datetime = field(default_factory=clock.now)
    _mailbox: Mailbox | None = None
    _folder: tuple[str, int] | None = None

    @property
    def is_over(self) -> bool:
        """Whether the time is up, or a limit is reached; the next turn looks exactly, and says so if it is a limit."""
        limits = self.limits
        if self.bytes_read >= limits.bytes or self.tally.seen >= limits.messages or self.stored >= limits.stored:
            return True
        return time.monotonic() >= self.ends

    @property
    def bytes_read(self) -> int:
        """Everything that came over the wire in this turn."""
        return self.tally.bytes + (self._mailbox.bytes_read if self._mailbox is not None else 0)

    def count_today(self, messages: int = 0) -> dict[str, Any]:
        """What is added to the day's volume since this was asked last, as changes of the account's row."""
        new = self.bytes_read - self._counted
        self._counted += new
        return {
            "bytes_today": EmailAccount.bytes_today + new,
            "messages_today": EmailAccount.messages_today + messages,
        }

    def hold(self) -> None:
        """Renew the lease before a long step, with no transaction open; raises `LeaseLost`."""
        if clock.now() - self._held_at > HOLD_AGAIN:
            with unit_of_work():
                self.lease.renew()
            self._held_at = clock.now()

    @property
    def mailbox(self) -> Mailbox:
        """The connection; raises one of the five `Outside` errors when none can be had."""
        if self._mailbox is None:
            row = db.session.get_one(EmailAccount, self.email_account_id)
            server = credentials.incoming_server(accounts.settings_of(row), credentials.kept(row))
            db.session.rollback()
            opens: Open = current_app.extensions.get("mail_monitor_opens", Mailbox)
            self._mailbox = opens(server, accounts.guard(), self.ends + GRACE_S)
        return self._mailbox

    def examine(self, folder: str) -> FolderState:
        """Open a folder for reading and say how it stands now."""
        self._folder = None  # one that cannot be opened closes the one before
        state = self.mailbox.examine(folder)
        self._folder = folder, state.uidvalidity
        return state

    def at(self, folder: str, uidvalidity: int) -> Mailbox:
        """The connection with this folder open, also when it had to be made anew meanwhile."""
        mailbox = self.mailbox
        if self._folder != (folder, uidvalidity) and self.examine(folder).uidvalidity != uidvalidity:
            raise NotSent("The mailbox was rebuilt while it was read. We look at it again.", code="rebuilt")
        return mailbox

    def open_to_delete(self, folder: str) -> FolderState:
        """Open a folder so that messages in it can be deleted; reading in it goes on with a folder opened anew."""
        self._folder = None
        return self.mailbox.open_to_delete(folder)

    def counts(self) -> dict[str, int]:
        """What the turn came to so far, by name."""
        return {**asdict(self.tally), "bytes": self.bytes_read}

    def drop(self) -> None:
        """Give the connection up: it broke, or the turn is over."""
        if self._mailbox is not None:
            self.tally.bytes += self._mailbox.bytes_read
            self._mailbox.close()
        self._mailbox = self._folder = None


@contextmanager
def turn(email_account_id: int, seconds: float) -> Iterator[Turn | None]:
    """The turn of this process with a mailbox for `seconds`, or None while another process has it."""
    lease = Lease.take(EmailAccount, email_account_id)
    if lease is None:
        yield None
        return
    account_id = db.session.get_one(EmailAccount, email_account_id).account_id
    db.session.rollback()
    with Parser() as parser:
        mine = Turn(email_account_id, account_id, lease, parser, store(), time.monotonic() + seconds)
        try:
            yield mine
        finally:
            db.session.rollback()
            mine.drop()
            mine.store.close()
            lease.give_back()


def store() -> Store:
    """Where the bytes of messages lie."""
    settings: Settings = current_app.config["SETTINGS"]
    return Store(settings.files / "mail")
