"""Which messages belong together: by the ids they name, and by their subject only where no id helps.

A thread is one customer's. A message is in a customer's record only because the customer is its sender or one of its
recipients, so nobody gets into a thread by guessing the ids in it: a stranger's message is never looked up here.
Whoever adds a filing calls `gather` in the same unit of work; whoever deletes or moves one calls `take_out`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.billing.models import Customer
from app.db import insert_missing
from plugins.mail_monitor import identity
from plugins.mail_monitor.reading_models import Thread, ThreadKey
from plugins.mail_monitor.records import Filing, Message
from plugins.mail_monitor.subjects import is_answer, subject_key

MOST_KEYS = 20  # of the ids that a message names: the newest, and the first
# How far apart an answer that names nothing known and what it answers may be.
NEAR = timedelta(days=14)


def gather(session: Session, message_ids: Iterable[int]) -> None:
    """Put the filings of these messages that stand in no thread yet into one, a known one or a new one."""
    filings = _outside(session, sorted(set(message_ids)))
    if not filings:
        return
    customers = sorted({one.customer_id for one in filings})
    # Two workers that file two messages of one conversation take turns, and the second finds the first one's thread.
    session.execute(
        sa.select(Customer.id).where(Customer.id.in_(customers)).order_by(Customer.id).with_for_update(key_share=True)
    )
    known = _Known.about(session, filings)
    threads = [known.thread_of(one) for one in filings]
    _keep(session, threads)
    session.execute(
        sa.update(Filing),
        [{"id": one.filing_id, "thread_id": thread.id} for one, thread in zip(filings, threads, strict=True)],
    )
    insert_missing(
        session,
        ThreadKey,
        [
            {"account_id": one.account_id, "customer_id": one.customer_id, "message_key": key, "thread_id": thread.id}
            for one, thread in zip(filings, threads, strict=True)
            for key in one.keys
        ],
    )


def take_out(session: Session, filings: Sequence[Filing]) -> None:
    """Take filings out of their threads; a thread that holds none any more is forgotten."""
    ids = {filing.thread_id for filing in filings if filing.thread_id is not None}
    for filing in filings:
        filing.thread_id = None
    session.flush()
    left = sa.select(Filing.thread_id, sa.func.max(Filing.received_at)).where(Filing.thread_id.in_(ids))
    newest = {row[0]: row[1] for row in session.execute(left.group_by(Filing.thread_id))}
    for thread in session.scalars(sa.select(Thread).where(Thread.id.in_(ids))):
        if thread.id in newest:
            thread.last_at = newest[thread.id]
        else:
            session.delete(thread)


@dataclass(frozen=True, slots=True)
class _Outside:
    """A filing that stands in no thread yet, with what its message says about others."""

    filing_id: int
    account_id: int
    customer_id: int
    received_at: datetime
    keys: list[str]  # the ids by which it is found, those it names before its own, the newest first
    subject_key: str
    is_answer: bool


def _outside(session: Session, message_ids: Sequence[int]) -> list[_Outside]:
    of_message = Message.message_key, Message.in_reply_to, Message.references, Message.subject
    found = session.execute(
        sa.select(Filing.id, Filing.account_id, Filing.customer_id, Filing.received_at, *of_message)
        .join(Filing.message)
        .where(Filing.message_id.in_(message_ids), Filing.thread_id.is_(None), Filing.deleted_at.is_(None))
        .order_by(Filing.received_at, Filing.id)
    )
    return [
        _Outside(
            filing_id=row.id,
            account_id=row.account_id,
            customer_id=row.customer_id,
            received_at=row.received_at,
            keys=_keys_of(row.message_key, row.in_reply_to, row.references),
            subject_key=subject_key(row.subject),
            is_answer=is_answer(row.subject),
        )
        for row in found
    ]


@dataclass(slots=True)
class _Thread:
    """A thread as it is to be: rows come by the hundred, and nobody wants them as objects of the ORM."""

    account_id: int
    customer_id: int
    subject_key: str
    last_at: datetime
    id: int | None = None  # none yet: it is to be inserted
    was_last_at: datetime | None = None


def _keep(session: Session, threads: Iterable[_Thread]) -> None:
    """Insert the threads that are new, which gives them their ids, and note when the others were last added to."""
    threads = list({id(thread): thread for thread in threads}.values())
    new = [thread for thread in threads if thread.id is None]
    if new:
        columns = ("account_id", "customer_id", "subject_key", "last_at")
        ids = session.scalars(
            sa.insert(Thread).returning(Thread.id, sort_by_parameter_order=True),
            [{name: getattr(thread, name) for name in columns} for thread in new],
        )
        for thread, thread_id in zip(new, ids, strict=True):
            thread.id = thread_id
    later = [thread for thread in threads if thread.was_last_at not in {None, thread.last_at}]
    if later:
        session.execute(sa.update(Thread), [{"id": thread.id, "last_at": thread.last_at} for thread in later])


def _keys_of(message_key: str, in_reply_to: str, references: Sequence[Any]) -> list[str]:
    named = [str(one) for one in references]
    newest_first = [in_reply_to, *reversed(named[-MOST_KEYS:]), *named[:1]]
    keys = [identity.message_key(one) for one in newest_first]
    return [key for key in dict.fromkeys([*keys, message_key]) if key]


_COLUMNS = (Thread.id, Thread.account_id, Thread.customer_id, Thread.subject_key, Thread.last_at)


def _known(row: Any) -> _Thread:
    return _Thread(row.account_id, row.customer_id, row.subject_key, row.last_at, row.id, was_last_at=row.last_at)


@dataclass(slots=True)
class _Known:
    """The threads that some filings could belong to."""

    by_key: dict[tuple[int, str], _Thread] = field(default_factory=dict)
    by_subject: dict[tuple[int, str], list[_Thread]] = field(default_factory=dict)

    @classmethod
    def about(cls, session: Session, filings: Sequence[_Outside]) -> "_Known":
        known = cls()
        customers = sorted({one.customer_id for one in filings})
        keys = sorted({key for one in filings for key in one.keys})
        # One object for one thread, however it is found.
        threads: dict[int, _Thread] = {}
        found = session.execute(
            sa.select(ThreadKey.message_key, *_COLUMNS)
            .join(Thread, Thread.id == ThreadKey.thread_id)
            .where(ThreadKey.customer_id.in_(customers), ThreadKey.message_key.in_(keys))
        )
        for row in found:
            thread = threads.setdefault(row.id, _known(row))
            known.by_key[thread.customer_id, row.message_key] = thread
        subjects = sorted({one.subject_key for one in filings if one.subject_key and one.is_answer})
        if subjects:
            earliest = min(one.received_at for one in filings) - NEAR
            near = sa.select(*_COLUMNS).where(
                Thread.customer_id.in_(customers), Thread.subject_key.in_(subjects), Thread.last_at >= earliest
            )
            for one in session.execute(near):
                thread = threads.setdefault(one.id, _known(one))
                known.by_subject.setdefault((thread.customer_id, thread.subject_key), []).append(thread)
        return known

    def thread_of(self, one: _Outside) -> _Thread:
        """The thread of a filing, made when there is none; from here on it knows this filing's ids."""
        customer_id = one.customer_id
        found = next((self.by_key[customer_id, key] for key in one.keys if (customer_id, key) in self.by_key), None)
        thread = found or self._by_subject(one) or self._begin(one)
        thread.last_at = max(thread.last_at, one.received_at)
        for key in one.keys:
            self.by_key.setdefault((customer_id, key), thread)
        return thread

    def _by_subject(self, one: _Outside) -> _Thread | None:
        if not (one.subject_key and one.is_answer):
            return None
        same = self.by_subject.get((one.customer_id, one.subject_key), [])
        near = [thread for thread in same if abs(thread.last_at - one.received_at) <= NEAR]
        return max(near, key=lambda thread: thread.last_at, default=None)

    def _begin(self, one: _Outside) -> _Thread:
        thread = _Thread(one.account_id, one.customer_id, one.subject_key, one.received_at)
        self.by_subject.setdefault((one.customer_id, one.subject_key), []).append(thread)
        return thread
