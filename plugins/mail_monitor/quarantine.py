"""Quarantine: messages that could not be read, and what a person may do with each."""

import hashlib
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

from app import audit, clock
from app.accounts.models import Account
from app.billing.models import Customer
from app.db import db
from app.errors import Conflict, NotFound
from app.memo import once_a_page
from app.work import ring_after_commit
from plugins.mail_monitor import threads
from plugins.mail_monitor.accounts import JOB
from plugins.mail_monitor.address_lists import address_key
from plugins.mail_monitor.records import Direction, Filing, How, Message, Role, Sighting
from plugins.mail_monitor.turns import store
from plugins.mail_monitor.waiting import Quarantined, QuarantineState

SETTLED_SHOWN = 20


def waiting(account_id: int) -> sa.Select[Quarantined]:
    """What lies there, the newest first; what is being tried again included."""
    return (
        sa.select(Quarantined)
        .where(
            Quarantined.account_id == account_id,
            Quarantined.state.in_((QuarantineState.OPEN, QuarantineState.RETRY)),
        )
        .options(joinedload(Quarantined.email_account))
        .order_by(Quarantined.received_at.desc(), Quarantined.id.desc())
    )


def settled(account_id: int) -> Sequence[Quarantined]:
    """What was settled last."""
    return db.session.scalars(
        sa.select(Quarantined)
        .where(Quarantined.account_id == account_id, Quarantined.settled_at.is_not(None))
        .options(joinedload(Quarantined.customer))
        .order_by(Quarantined.settled_at.desc(), Quarantined.id.desc())
        .limit(SETTLED_SHOWN)
    ).all()


@once_a_page
def count_waiting(account_id: int) -> int:
    """How many wait for a person."""
    query = sa.select(sa.func.count()).where(
        Quarantined.account_id == account_id, Quarantined.state == QuarantineState.OPEN
    )
    return int(db.session.scalar(query) or 0)


def get(account_id: int, row_id: int) -> Quarantined:
    """One of them, or `NotFound`."""
    row = db.session.scalar(
        sa.select(Quarantined).where(Quarantined.account_id == account_id, Quarantined.id == row_id)
    )
    if row is None:
        raise NotFound("There is no such message.")
    return row


def retry(account: Account, row_id: int, by: str) -> None:
    """Ask a worker to read it once more, inside the unit of work around the caller."""
    row = _locked(account, row_id)
    if not row.email_account.active:
        raise Conflict(f"{row.email_account.display_name} is inactive. Watch it first, then try again.")
    row.state = QuarantineState.RETRY
    row.email_account.due_at, row.email_account.nudged_at = clock.now(), None
    audit.record("quarantine_retry", row, actor=by)
    ring_after_commit(JOB, row.email_account_id)


def ignore(account: Account, row_id: int, by: str) -> None:
    """Leave it at that; its original stays until its time is over."""
    row = _locked(account, row_id)
    _settle(row, QuarantineState.IGNORED, by)


def file_by_hand(account: Account, row_id: int, customer: Customer, by: str) -> Message:
    """Put it into a customer's record as it is: what the header says, and the original to save."""
    row = _locked(account, row_id)
    outgoing = row.folder.kind.value == "sent"
    where = f"quarantined:{row.folder_id}:{row.uidvalidity}:{row.uid}"
    message = Message(
        account_id=account.id,
        fingerprint=hashlib.sha256(where.encode()).hexdigest(),
        message_key=row.message_key,
        direction=Direction.OUTGOING if outgoing else Direction.INCOMING,
        sender_address=row.sender,
        sender_key=address_key(row.sender),
        subject=row.subject,
        search_key=f"{row.subject} {row.sender}".lower(),
        received_at=row.received_at,
        size=row.size,
        raw_hash=row.raw_hash,
        is_partial=True,
        is_quiet=True,
        notes=[f"It could not be read. {row.reason} The original can be saved."],
    )
    db.session.add(message)
    db.session.flush()
    common = {"account_id": account.id, "email_account_id": row.email_account_id, "received_at": row.received_at}
    db.session.add_all(
        [
            Sighting(
                **common,
                message_id=message.id,
                folder_id=row.folder_id,
                uidvalidity=row.uidvalidity,
                uid=row.uid,
                message_key=row.message_key,
                size=row.size,
            ),
            Filing(
                **common,
                message_id=message.id,
                customer_id=customer.id,
                role=Role.TO if outgoing else Role.SENDER,
                how=How.BY_HAND,
                reason=f"Filed by {by} out of quarantine.",
                read_at=row.received_at if outgoing else None,
                by=by,
            ),
        ]
    )
    threads.gather(db.session(), [message.id])
    row.customer_id, row.message_id = customer.id, message.id
    _settle(row, QuarantineState.FILED, by)
    return message


def original(row: Quarantined) -> bytes:
    """Its bytes as they came; `NotFound` when none were kept."""
    if not row.raw_hash:
        raise NotFound("The original is not kept. Open it in the mailbox.")
    return store().read(row.account_id, row.raw_hash)


def _locked(account: Account, row_id: int) -> Quarantined:
    row = db.session.scalar(
        sa.select(Quarantined)
        .where(Quarantined.account_id == account.id, Quarantined.id == row_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if row is None:
        raise NotFound("There is no such message.")
    if row.state not in {QuarantineState.OPEN, QuarantineState.RETRY}:
        raise Conflict("This was settled a moment ago.")
    return row


def _settle(row: Quarantined, state: QuarantineState, by: str) -> None:
    row.state, row.settled_at, row.settled_by = state, clock.now(), by
    audit.record("quarantine_settled", row, actor=by, state=state.value)
