"""Handing a mail in at its outgoing server. SMTP cannot be asked what it took: a mail in doubt rests."""

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import structlog

from app import clock
from app.db import db, end_reading, in_transaction, unit_of_work
from app.effects import Done, Intent, Result, carry_out
from app.errors import AppError, Capped, NotFound, NotSent, OutcomeUnknown, Refused, SignInNeeded
from app.work import Lease
from plugins.mail_monitor import accounts, outbox
from plugins.mail_monitor.drafting import plain_address
from plugins.mail_monitor.egress import Guard
from plugins.mail_monitor.imap_client import Server
from plugins.mail_monitor.sender import Sender
from plugins.mail_monitor.sending_models import Outgoing, OutgoingState
from plugins.mail_monitor.turns import store

log = structlog.get_logger()

# Within one lease, so that nobody takes the mail over while it is handed in.
WHOLE_S = 40.0
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=30), timedelta(hours=1)
GIVEN_UP_AFTER = timedelta(days=2)


class Opens(Protocol):
    """How a connection to an outgoing server is made."""

    def __call__(self, server: Server, guard: Guard, ends: float) -> Sender: ...


@dataclass(frozen=True, slots=True)
class Counter:
    """An outgoing server: one connection per mail, every one of them guarded anew."""

    server: Server
    guard: Guard
    opens: Opens = Sender


@dataclass(frozen=True, slots=True)
class HandIn:
    """The one step of a mail."""

    sender: str
    recipients: tuple[str, ...]
    raw: bytes
    key: str = "hand_in"

    def call(self, remote: Counter, intent: Intent) -> Result:
        if in_transaction():
            raise RuntimeError("a mail is sent while a database transaction is open")
        utf8 = not "".join((self.sender, *self.recipients)).isascii()
        with remote.opens(remote.server, remote.guard, time.monotonic() + WHOLE_S) as counter:
            return {"refused": counter.send(self.sender, self.recipients, self.raw, utf8=utf8)}

    def look_up(self, remote: Counter, intent: Intent) -> Result | None:
        raise OutcomeUnknown("We were interrupted while it was handed in.")


def hand_in(outgoing_id: int, lease: Lease) -> None:
    """Send a mail that waits, and note what became of it; raises `LeaseLost`."""
    row = db.session.get_one(Outgoing, outgoing_id)
    waits = row.state is OutgoingState.WAITING and row.email_account.installation.is_on
    if not waits:
        end_reading()
        return
    try:
        done = _hand_in(row, lease)
    except (NotSent, Capped) as error:
        _wait(lease, error)
    except OutcomeUnknown as error:
        _rest(lease, OutgoingState.UNKNOWN, error)
    except (Refused, SignInNeeded, NotFound) as error:
        _rest(lease, OutgoingState.FAILED, error)
    else:
        _sent(lease, done)


def _hand_in(row: Outgoing, lease: Lease) -> Done:
    subject, account, record = outbox.hand_in_of(row), row.email_account, row.record
    if record is None or record.deleted_at is not None:
        raise NotFound("It was deleted here before it was sent, so it was not sent.")
    counter = Counter(outbox.server_of(account), accounts.guard())
    sender, recipients = plain_address(account.email_address), tuple(outbox.addresses_of(record))
    account_id, digest = row.account_id, record.raw_hash
    end_reading()
    step = HandIn(sender, recipients, store().read(account_id, digest))
    return carry_out(subject, lambda done: None if step.key in done else step, counter, lease)


def _wait(lease: Lease, error: NotSent | Capped) -> None:
    """Nothing was taken: try again later, for two days."""
    log.warning("outgoing_waits", outgoing_id=lease.row_id, **error.details)
    with unit_of_work() as session:
        row = session.get_one(Outgoing, lease.row_id)
        lease.renew()
        if row.asked_at is not None and row.asked_at < clock.now() - GIVEN_UP_AFTER:
            outbox.ended(row, OutgoingState.FAILED, f"Given up after two days. {error.sentence}")
            return
        pause = min(FIRST_PAUSE * 2 ** min(row.attempts, 10), LONGEST_PAUSE)
        row.due_at = error.until if isinstance(error, Capped) else clock.now() + pause
        row.nudged_at, row.attempts, row.problem = None, row.attempts + 1, error.sentence[:500]


def _rest(lease: Lease, state: OutgoingState, error: AppError) -> None:
    log.warning("outgoing_rests", outgoing_id=lease.row_id, state=state.value, **error.details)
    with unit_of_work() as session:
        lease.renew()
        outbox.ended(session.get_one(Outgoing, lease.row_id), state, error.sentence)


def _sent(lease: Lease, done: Done) -> None:
    refused = done["hand_in"].get("refused", {})
    with unit_of_work() as session:
        lease.renew()
        row = session.get_one(Outgoing, lease.row_id)
        row.refused = [{"address": address, "why": why} for address, why in refused.items()]
        outbox.ended(row, OutgoingState.SENT, "")
