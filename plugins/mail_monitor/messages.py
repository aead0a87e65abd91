"""Messages in customers' records: the list of a customer, one message, and taking its content away."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from flask_sqlalchemy.pagination import Pagination
from sqlalchemy.orm import contains_eager, selectinload

from app import audit, clock
from app.billing.models import Customer
from app.db import db
from app.errors import NotFound
from app.typed import fold
from plugins.mail_monitor.records import Attachment, Filing, Message, Sighting
from plugins.mail_monitor.waiting import Choice

PER_PAGE = 30


def of_customer(customer: Customer, text: str = "", page: int = 1) -> Pagination:
    """One page of a customer's filings with their messages, the newest first; every word of `text` must occur."""
    query = (
        sa.select(Filing)
        .join(Filing.message)
        .where(Filing.customer_id == customer.id, Filing.deleted_at.is_(None))
        .options(contains_eager(Filing.message).selectinload(Message.attachments))
        .order_by(Filing.received_at.desc(), Filing.id.desc())
    )
    for word in fold(text).split()[:10]:
        query = query.where(Message.search_key.contains(word, autoescape=True))
    return db.paginate(query, page=page, per_page=PER_PAGE, error_out=False)


def count_of(customer: Customer) -> int:
    """How many messages are in a customer's record."""
    query = sa.select(sa.func.count()).where(Filing.customer_id == customer.id, Filing.deleted_at.is_(None))
    return int(db.session.scalar(query) or 0)


@dataclass(frozen=True, slots=True)
class Opened:
    """One message to read: in whose records it stands, or why it waits, and through which accounts it was seen."""

    message: Message
    filings: Sequence[Filing]
    choice: Choice | None
    seen_through: Sequence[str]


def open_message(account_id: int, message_id: int) -> Opened:
    """A message that is in a record or waits for a choice, or `NotFound`."""
    message = db.session.scalar(
        sa.select(Message)
        .where(Message.account_id == account_id, Message.id == message_id, Message.deleted_at.is_(None))
        .options(
            selectinload(Message.filings).joinedload(Filing.customer),
            selectinload(Message.attachments),
            selectinload(Message.sightings).joinedload(Sighting.email_account),
        )
    )
    if message is None:
        raise NotFound("There is no such message.")
    filings = [one for one in message.filings if one.deleted_at is None]
    choice = db.session.scalar(sa.select(Choice).where(Choice.message_id == message.id, Choice.decided_at.is_(None)))
    if not filings and choice is None:
        raise NotFound("There is no such message.")
    through = dict.fromkeys(one.email_account.display_name for one in message.sightings)
    return Opened(message, filings, choice, list(through))


def bury(message: Message, by: str) -> None:
    """Take a message's content away and keep its fingerprint, so that the next scan does not bring it back."""
    message.deleted_at, message.deleted_by = clock.now(), by
    message.text = message.snippet = message.search_key = message.subject = message.raw_hash = ""
    message.sender_name = message.sender_address = message.sender_key = ""
    message.recipients, message.notes, message.has_html = [], [], False
    db.session.execute(sa.delete(Attachment).where(Attachment.message_id == message.id))
    audit.record("message_content_removed", message, actor=by)
