"""A customer's messages as a person reads them: the list of threads, and the messages of one."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from flask_sqlalchemy.pagination import Pagination
from sqlalchemy.orm import contains_eager, joinedload

from app.billing.models import Customer
from app.db import db
from app.errors import NotFound
from app.memo import once_a_page
from app.typed import fold
from plugins.mail_monitor.reading_models import Thread
from plugins.mail_monitor.records import Filing, Message

PER_PAGE = 25
MOST_SHOWN = 50  # messages of one thread, the newest; the others on request
MOST_WORDS = 10


@dataclass(frozen=True, slots=True)
class Line:
    """One thread in the list: its newest message, how many there are and how many nobody has read."""

    newest: Filing
    count: int
    unread: int

    @property
    def thread_id(self) -> int:
        assert self.newest.thread_id is not None
        return self.newest.thread_id


@dataclass(frozen=True, slots=True)
class Conversation:
    """The messages of one thread, oldest first; `earlier` are not among them."""

    thread_id: int
    filings: Sequence[Filing]
    earlier: int

    @property
    def newest(self) -> Filing:
        return self.filings[-1]

    def opened(self, message_id: int | None) -> Filing:
        """The message to show in full: the one asked for, else the oldest that nobody has read, else the newest."""
        asked = next((one for one in self.filings if one.message_id == message_id), None)
        unread = next((one for one in self.filings if one.read_at is None), None)
        return asked or unread or self.newest


def threads_of(customer: Customer, text: str = "", page: int = 1) -> Pagination:
    """One page of a customer's threads, the newest first; with `text` those with a message that holds every word."""
    query = sa.select(Thread).where(Thread.customer_id == customer.id).order_by(Thread.last_at.desc(), Thread.id.desc())
    words = fold(text).split()[:MOST_WORDS]
    if words:
        holds_all = [Message.search_key.contains(word, autoescape=True) for word in words]
        found = sa.select(Filing.thread_id).join(Filing.message)
        query = query.where(Thread.id.in_(found.where(Filing.customer_id == customer.id, _stands(), *holds_all)))
    return db.paginate(query, page=page, per_page=PER_PAGE, error_out=False)


def lines_of(threads: Sequence[Thread]) -> list[Line]:
    """What the list says about each of `threads`."""
    thread, newest_first = Filing.thread_id, (Filing.received_at.desc(), Filing.id.desc())
    unread = sa.func.sum(sa.case((Filing.read_at.is_(None), 1), else_=0))
    ranked = (
        sa.select(
            Filing.id,
            sa.func.row_number().over(partition_by=thread, order_by=newest_first).label("place"),
            sa.func.count().over(partition_by=thread).label("count"),
            unread.over(partition_by=thread).label("unread"),
        )
        .where(Filing.thread_id.in_([thread.id for thread in threads]), _stands())
        .subquery()
    )
    rows = db.session.execute(
        sa.select(Filing, ranked.c.count, ranked.c.unread)
        .join(ranked, ranked.c.id == Filing.id)
        .where(ranked.c.place == 1)
        .options(joinedload(Filing.message).defer(Message.text))
    )
    found = {filing.thread_id: Line(filing, int(count), int(unread or 0)) for filing, count, unread in rows}
    return [found[thread.id] for thread in threads if thread.id in found]


def conversation(customer: Customer, thread_id: int, *, whole: bool = False) -> Conversation:
    """One thread of a customer's, or `NotFound`."""
    query = (
        sa.select(Filing)
        .join(Filing.message)
        .where(Filing.customer_id == customer.id, Filing.thread_id == thread_id, _stands())
        .options(contains_eager(Filing.message).defer(Message.text))
        .order_by(Filing.received_at.desc(), Filing.id.desc())
    )
    filings = db.session.scalars(query if whole else query.limit(MOST_SHOWN)).all()
    if not filings:
        raise NotFound("There are no such messages.")
    earlier = 0
    if len(filings) == MOST_SHOWN and not whole:
        count = sa.select(sa.func.count()).where(Filing.thread_id == thread_id, _stands())
        earlier = int(db.session.scalar(count) or 0) - len(filings)
    return Conversation(thread_id, filings[::-1], earlier)


def thread_of(customer_id: int, message_id: int | None) -> int | None:
    """The thread in which a message stands in a customer's record; None when it does not."""
    query = sa.select(Filing.thread_id).where(Filing.customer_id == customer_id, Filing.message_id == message_id)
    return db.session.scalar(query.where(_stands()).limit(1))


@once_a_page
def count_of(customer: Customer) -> int:
    """How many messages are in a customer's record."""
    query = sa.select(sa.func.count()).where(Filing.customer_id == customer.id, _stands())
    return int(db.session.scalar(query) or 0)


def _stands() -> sa.ColumnElement[bool]:
    """Whether a filing stands in the record, and was not deleted from it."""
    return Filing.deleted_at.is_(None)
