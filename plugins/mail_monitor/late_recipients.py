"""Whoever stood in To or Cc of a filed message and becomes a customer later: it is put into their record, too.

Asked of the stored addresses, not of events, as with unknown senders. Nobody is told: the message is not new.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app import audit
from app.db import db, insert_missing, unit_of_work
from plugins.mail_monitor import directory, threads
from plugins.mail_monitor.address_lists import plain_key
from plugins.mail_monitor.records import Filing, Message, Role
from plugins.mail_monitor.senders import Match
from plugins.mail_monitor.turns import Turn
from plugins.mail_monitor.waiting import OtherRecipient

AT_ONCE = 200
FIELDS = {Role.TO: "To", Role.CC: "Cc", Role.BCC: "Bcc"}


def note(session: Session, account_id: int, message_id: int, others: Sequence[tuple[Role, str]]) -> None:
    """Keep who else a filed message went to, in the unit of work that files it."""
    rows: list[dict[str, Any]] = [
        {
            "account_id": account_id,
            "message_id": message_id,
            "role": role,
            "address_key": key,
            "plain_key": plain_key(key),
        }
        for role, key in others
    ]
    insert_missing(session, OtherRecipient, rows)


def catch_up(turn: Turn) -> None:
    """File for everybody who became a customer since; a lost event costs nothing but time."""
    ids = directory.claimed(OtherRecipient, OtherRecipient.id, turn.account_id)
    db.session.rollback()
    for start in range(0, len(ids), AT_ONCE):
        with unit_of_work() as session:
            turn.lease.renew()
            file(session, turn.account_id, ids[start : start + AT_ONCE])


def look_again(account_id: int) -> None:
    """The same right after somebody got an address, inside the unit of work around the caller."""
    ids = directory.claimed(OtherRecipient, OtherRecipient.id, account_id)
    for start in range(0, len(ids), AT_ONCE):
        file(db.session(), account_id, ids[start : start + AT_ONCE])


def file(session: Session, account_id: int, ids: Sequence[int]) -> None:
    """Put messages into the records of these recipients; an address of two customers waits until it is one's."""
    rows = session.scalars(sa.select(OtherRecipient).where(OtherRecipient.id.in_(ids))).all()
    known = directory.known_for(account_id, {row.address_key for row in rows})
    found = {row.id: known.find(row.address_key) for row in rows}
    standing = _standing(session, {row.message_id for row in rows})
    late = [(row, found[row.id][0]) for row in rows if len(found[row.id]) == 1 and row.message_id in standing]
    insert_missing(session, Filing, [_filing(standing[row.message_id], row, match) for row, match in late])
    threads.gather(session, {row.message_id for row, _ in late})
    session.execute(sa.delete(OtherRecipient).where(OtherRecipient.id.in_([row.id for row, _ in late])))
    for row, match in late:
        audit.record("filed_late", standing[row.message_id].message, customer_id=match.customer_id)


def _standing(session: Session, message_ids: set[int]) -> dict[int, Filing]:
    """By message, the first of its filings that stands in a record."""
    rows = session.scalars(
        sa.select(Filing)
        .join(Filing.message)
        .where(Filing.message_id.in_(message_ids), Filing.deleted_at.is_(None), Message.deleted_at.is_(None))
        .order_by(Filing.id.desc())
    )
    return {row.message_id: row for row in rows}


def _filing(beside: Filing, row: OtherRecipient, match: Match) -> dict[str, Any]:
    return {
        "account_id": row.account_id,
        "message_id": row.message_id,
        "customer_id": match.customer_id,
        "email_account_id": beside.email_account_id,
        "role": row.role,
        "how": match.how,
        "reason": f"{FIELDS[row.role]} is {match.which}; known only after the message was filed"[:300],
        "received_at": beside.received_at,
        "read_at": beside.received_at,
    }
