"""Scanning mailboxes beside programs that do part of the same: mbsync, django-mailbox, imap-tools."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any, ClassVar
from unittest.mock import patch

import sqlalchemy as sa

from app.billing.models import Customer
from app.db import db, unit_of_work
from benchmarks.mailroom import Mailroom, add_account, django_python, mailroom
from benchmarks.stage import Sizes, Stage, Stages, customer_rows, insert
from benchmarks.table import Measured
from plugins.mail_monitor import imap_client, scanning, turns
from plugins.mail_monitor.imap_client import GuardedClient
from plugins.mail_monitor.jobs import SLICE_S
from plugins.mail_monitor.mailbox import Mailbox
from plugins.mail_monitor.models import Folder, FolderKind
from plugins.mail_monitor.records import Filing
from plugins.mail_monitor.waiting import Stub
from tests import make

CUSTOMERS = 500
SPARSE = 20  # every twentieth letter is from a customer


def measure(sizes: Sizes, stages: Stages) -> Iterator[Measured]:
    with mailroom() as room:
        yield from _all_from_customers(sizes, stages, room)
        yield _few_from_customers(sizes, stages, room)
        yield _nothing_new(sizes, stages, room)


def _all_from_customers(sizes: Sizes, stages: Stages, room: Mailroom) -> Iterator[Measured]:
    user = room.fill(sizes.mails, CUSTOMERS)
    room.read_uids(user)
    ours, theirs = [], []
    for _ in range(sizes.pairs):
        theirs.append(room.mbsync(user))
        ours.append(_scan(stages, room, user, sizes.mails)[0])
    what = f"mail: file {sizes.mails:,} messages, all from customers"
    python = django_python(room.folder)
    note = "" if python else "; django-mailbox could not be installed"
    yield Measured(what, median(ours), "mbsync, FSync yes", median(theirs), sizes.mails, f"ratio at most 1.6{note}")
    if python:
        slow = room.django_mailbox(python, room.fill(sizes.mails, CUSTOMERS))
        note = f"it takes {slow / median(ours):.1f} times as long (at least 6)"
        yield Measured(what, median(ours), "django-mailbox, default settings", slow, sizes.mails, note)


def _few_from_customers(sizes: Sizes, stages: Stages, room: Mailroom) -> Measured:
    user = room.fill(sizes.mails, CUSTOMERS, every=SPARSE)
    room.read_uids(user)
    least = _least_bytes(room, user)
    ours, theirs, share = [], [], 0.0
    for _ in range(sizes.pairs):
        theirs.append(room.headers_by_imap_tools(user))
        seconds, fetched = _scan(stages, room, user, sizes.mails, every=SPARSE)
        ours.append(seconds)
        share = fetched / least
    what = f"mail: file {sizes.mails:,} messages, 5 % from customers"
    note = f"ratio at most 2; bytes {share:.2f} x headers of all and bodies of the 5 % (at most 1.1)"
    return Measured(what, median(ours), "imap-tools, headers in bulk", median(theirs), sizes.mails, note)


def _least_bytes(room: Mailroom, user: str) -> int:
    """What has to come over the wire: every header, and the whole of what customers wrote."""
    least = 0
    for number, path in enumerate(sorted((room.dovecot.maildir(user)).glob("???/*"), key=_number)):
        raw = path.read_bytes()
        least += len(raw.partition(b"\r\n\r\n")[0]) + 4 + (len(raw) if number % SPARSE == 0 else 0)
    return least


def _number(path: object) -> int:
    return int(str(path).rpartition(".M")[2].partition(".")[0])


def _nothing_new(sizes: Sizes, stages: Stages, room: Mailroom) -> Measured:
    user = room.fill_alike(sizes.folder)
    room.read_uids(user)
    with stages() as stage, _watching(stage, room, user) as email_account_id:
        _work(email_account_id)  # the first look at both folders
        begun = time.perf_counter()
        talk = _work(email_account_id)
        ours = time.perf_counter() - begun
    begun = time.perf_counter()
    room.read_uids(user)
    theirs = time.perf_counter() - begun
    what = f"mail: nothing new among {sizes.folder:,} messages"
    note = f"{talk.commands} commands (at most 8), {talk.bytes / 1024:.1f} KiB (at most 16)"
    return Measured(what, ours, "imap-tools, all UIDs", theirs, sizes.folder, note)


def _scan(stages: Stages, room: Mailroom, user: str, count: int, every: int = 1) -> tuple[float, int]:
    """Seconds and bytes until all is filed and committed, from an empty start."""
    with stages() as stage, _watching(stage, room, user, cursor=0) as email_account_id:
        insert(Customer, customer_rows(stage.cast, CUSTOMERS))
        begun = time.perf_counter()
        talk = _work(email_account_id)
        spent = time.perf_counter() - begun
        filed = db.session.scalar(sa.select(sa.func.count(Filing.id)))
        stubs = db.session.scalar(sa.select(sa.func.count(Stub.id)))
        db.session.rollback()
        assert filed == len(range(0, count, every)), filed
        assert stubs == count - filed, stubs
    return spent, talk.bytes


@dataclass
class Talk:
    """What was said on the wire, in both directions."""

    commands: int = 0
    bytes: int = 0


class _Overheard(Mailbox):
    """A mailbox that tells what it said when it is closed."""

    talk: ClassVar[Talk] = Talk()

    def close(self) -> None:
        super().close()
        client = self._box.client
        self.talk.commands += client.tagnum  # imaplib counts its commands there
        self.talk.bytes += client.bytes_read


class _CountingClient(GuardedClient):
    """Counts what is sent as well."""

    def send(self, data: Any) -> None:
        super().send(data)
        _Overheard.talk.bytes += len(data)


def _work(email_account_id: int) -> Talk:
    """Slice after slice, as a worker does, until all is done; what was said."""
    _Overheard.talk = talk = Talk()
    all_done = False
    while not all_done:
        with turns.turn(email_account_id, SLICE_S) as mine:
            assert mine is not None
            all_done = scanning.work(mine)
    return talk


@contextmanager
def _watching(stage: Stage, room: Mailroom, user: str, cursor: int | None = None) -> Iterator[int]:
    """An email account on `user`'s mailbox; with `cursor` 0 all that lies there is new."""
    settings = stage.app.config["SETTINGS"]
    changes = {"mail_private_hosts": ("127.0.0.0/8", "localhost"), "mail_ca_file": room.dovecot.ca_file}
    stage.app.config["SETTINGS"] = settings.model_copy(update=changes)
    stage.app.extensions["mail_monitor_opens"] = _Overheard
    installation = make.installation(stage.cast.acme, "mail_monitor")
    email_account_id = add_account(stage.cast.acme, installation, room, user)
    if cursor is not None:
        with room.signed_in(user) as mailbox, unit_of_work() as session:
            uidvalidity = mailbox.folder.status("INBOX", ["UIDVALIDITY"])["UIDVALIDITY"]
            place = {"account_id": stage.cast.acme.id, "email_account_id": email_account_id, "name": "INBOX"}
            session.add(Folder(kind=FolderKind.INBOX, uidvalidity=uidvalidity, cursor=cursor, **place))
    with patch.object(imap_client, "GuardedClient", _CountingClient):
        yield email_account_id
