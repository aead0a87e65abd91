"""A message in one customer's record: moving it to another customer, and deleting it for good."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

from app import audit, clock
from app.accounts.models import Account
from app.billing.models import Customer
from app.db import db
from app.errors import Conflict, NotFound
from plugins.mail_monitor import messages, removals, threads
from plugins.mail_monitor.records import Filing, How
from plugins.mail_monitor.removals import Outlook
from plugins.mail_monitor.waiting import Choice


@dataclass(frozen=True, slots=True)
class Question:
    """What deleting would do, for the person who is asked."""

    filing: Filing
    stays_with: Sequence[Customer]
    there: Sequence[Outlook]


def get(account_id: int, filing_id: int) -> Filing:
    """A filing that stands in a record of the account, or `NotFound`."""
    return _found(account_id, filing_id)


def question(account_id: int, filing_id: int) -> Question:
    """What deleting a message from this record would do, here and on the server."""
    filing = _found(account_id, filing_id)
    others = _others(filing)
    return Question(filing, [one.customer for one in others], removals.outlook(filing.message_id, is_last=not others))


def move(account: Account, filing_id: int, customer: Customer, by: str) -> Filing:
    """Put a message into another customer's record, inside the unit of work around the caller."""
    filing = _found(account.id, filing_id, lock=True)
    before = filing.customer
    if before.id == customer.id:
        raise Conflict(f"It is in the record of {customer.full_name} already.")
    there = db.session.scalar(
        sa.select(Filing).where(Filing.message_id == filing.message_id, Filing.customer_id == customer.id)
    )
    if there is not None and there.deleted_at is None:
        raise Conflict(f"It is in the record of {customer.full_name} already.")
    if there is not None:
        db.session.delete(there)
        db.session.flush()
    threads.take_out(db.session(), [filing])
    filing.customer_id, filing.how, filing.by = customer.id, How.BY_HAND, by
    filing.reason = f"Moved here by {by} from {before.full_name}."[:300]
    db.session.flush()
    threads.gather(db.session(), [filing.message_id])
    audit.record(
        "message_moved", filing, message_id=filing.message_id, from_customer=before.id, to_customer=customer.id
    )
    return filing


def delete(account: Account, filing_id: int, by: str) -> Question:
    """Delete a message from one record, inside the unit of work around the caller; answers what that did.

    When it stands in no other record its content goes too, and it is deleted on the server where the option of the
    email account says so. What is left is what makes the next scan recognise it.
    """
    filing = _found(account.id, filing_id, lock=True)
    others = _others(filing)
    done = Question(filing, [one.customer for one in others], removals.outlook(filing.message_id, is_last=not others))
    filing.deleted_at, filing.deleted_by = clock.now(), by
    threads.take_out(db.session(), [filing])
    audit.record("message_deleted", filing, message_id=filing.message_id, customer_id=filing.customer_id)
    if not others and not _waits_for_choice(filing.message_id):
        messages.bury(filing.message, by)
        removals.wish(db.session(), filing.message_id, by)
    return done


def _found(account_id: int, filing_id: int, *, lock: bool = False) -> Filing:
    query = (
        sa.select(Filing)
        .where(Filing.account_id == account_id, Filing.id == filing_id, Filing.deleted_at.is_(None))
        .options(joinedload(Filing.customer), joinedload(Filing.message))
        .execution_options(populate_existing=True)
    )
    filing = db.session.scalar(query.with_for_update(of=Filing) if lock else query)
    if filing is None:
        raise NotFound("There is no such message in a record.")
    return filing


def _others(filing: Filing) -> Sequence[Filing]:
    return db.session.scalars(
        sa.select(Filing)
        .where(Filing.message_id == filing.message_id, Filing.id != filing.id, Filing.deleted_at.is_(None))
        .options(joinedload(Filing.customer))
    ).all()


def _waits_for_choice(message_id: int) -> bool:
    query = sa.select(Choice.id).where(Choice.message_id == message_id, Choice.decided_at.is_(None))
    return db.session.scalar(query) is not None
