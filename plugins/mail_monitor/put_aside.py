"""What is not filed: headers of strangers, kept for a while, and messages that could not be read, kept whole."""

from collections.abc import Iterable
from datetime import timedelta

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.orm import Session

from app import clock
from app.db import insert_missing, unit_of_work
from plugins.mail_monitor import identity
from plugins.mail_monitor.address_lists import plain_key
from plugins.mail_monitor.batches import Item, is_stub
from plugins.mail_monitor.letters import Unreadable
from plugins.mail_monitor.message_rows import Source
from plugins.mail_monitor.places import FolderPlace
from plugins.mail_monitor.records import Direction
from plugins.mail_monitor.senders import Unknown
from plugins.mail_monitor.turns import Turn
from plugins.mail_monitor.waiting import Quarantined, QuarantineState, Stub, StubAddress

QUARANTINE_KEPT = timedelta(days=30)


def quarantine(
    session: Session, source: Source, place: FolderPlace, item: Item, problem: Unreadable, raw_hash: str, tries: int
) -> None:
    """Put a message aside that could not be read, with what can be said of it."""
    envelope = item.envelope
    insert_missing(
        session,
        Quarantined,
        [
            {
                "account_id": source.account_id,
                "email_account_id": source.email_account_id,
                "folder_id": place.folder_id,
                "uidvalidity": place.uidvalidity,
                "uid": item.uid,
                "code": problem.code,
                "reason": problem.reason[:300],
                "tries": tries,
                "message_key": identity.key_of_head(item.head),
                "subject": envelope.subject[:200],
                "sender": envelope.sender.address[:254],
                "header_text": item.head[:8000].decode("utf-8", errors="replace").replace("\0", "").strip(),
                "size": item.size,
                "received_at": item.received_at,
                "raw_hash": raw_hash,
                "kept_until": clock.now() + QUARANTINE_KEPT,
            }
        ],
    )


def keep_stubs(session: Session, source: Source, place: FolderPlace, items: Iterable[Item]) -> int:
    """Keep headers of strangers for as long as they may still become customers; answers how many."""
    now, kept = clock.now(), timedelta(days=current_app.config["SETTINGS"].keep_strangers_days)
    rows, keys = [], {}
    for item in items:
        expires_at = item.received_at + kept
        if not is_stub(item) or expires_at <= now:
            continue
        assert isinstance(item.decision, Unknown)
        rows.append(
            {
                "account_id": source.account_id,
                "email_account_id": source.email_account_id,
                "folder_id": place.folder_id,
                "uidvalidity": place.uidvalidity,
                "uid": item.uid,
                "direction": Direction.OUTGOING if place.is_sent else Direction.INCOMING,
                "name": item.decision.name[:200],
                "address": item.decision.address[:254],
                "subject": item.envelope.subject[:200],
                "size": item.size,
                "received_at": item.received_at,
                "expires_at": expires_at,
            }
        )
        keys[item.uid] = item.decision.keys
    insert_missing(session, Stub, rows)
    if not rows:
        return 0
    stubs = session.execute(
        sa.select(Stub.uid, Stub.id).where(
            Stub.folder_id == place.folder_id, Stub.uidvalidity == place.uidvalidity, Stub.uid.in_(list(keys))
        )
    )
    addresses = [
        {"account_id": source.account_id, "stub_id": stub_id, "address_key": key, "plain_key": plain_key(key)}
        for uid, stub_id in stubs
        for key in keys[uid]
    ]
    insert_missing(session, StubAddress, addresses)
    return len(rows)


def forget_expired(turn: Turn) -> None:
    """Delete stubs whose time is over, and let go of the originals of old quarantine; a thousand at a time."""
    now = clock.now()
    with unit_of_work() as session:
        turn.lease.renew()
        expired = sa.select(Stub.id).where(Stub.email_account_id == turn.email_account_id, Stub.expires_at <= now)
        ids = session.scalars(expired.limit(1000)).all()
        session.execute(sa.delete(StubAddress).where(StubAddress.stub_id.in_(ids)))
        session.execute(sa.delete(Stub).where(Stub.id.in_(ids)))
        _let_go_of_quarantine(session, turn.email_account_id)


def _let_go_of_quarantine(session: Session, email_account_id: int) -> None:
    now = clock.now()
    old = (Quarantined.email_account_id == email_account_id, Quarantined.kept_until <= now)
    for which, values in (
        (Quarantined.state == QuarantineState.OPEN, {"state": QuarantineState.IGNORED, "settled_at": now}),
        (Quarantined.raw_hash != "", {"raw_hash": ""}),
    ):
        session.execute(
            sa.update(Quarantined).where(*old, which).values(**values).execution_options(synchronize_session=False)
        )
