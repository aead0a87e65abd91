"""Messages that could be somebody else's: a person says whose they are, once or for good."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

from app import audit, clock
from app.accounts.models import Account
from app.billing.models import Customer
from app.db import db
from app.errors import Conflict, NotFound
from app.memo import once_a_page
from plugins.mail_monitor import messages, threads
from plugins.mail_monitor.records import Direction, Filing, How, Role
from plugins.mail_monitor.waiting import Choice, RememberedAddress

PER_PAGE = 20


def waiting(account_id: int) -> sa.Select[Choice]:
    """The messages of an account that wait, the newest first."""
    return (
        sa.select(Choice)
        .where(Choice.account_id == account_id, Choice.decided_at.is_(None))
        .options(joinedload(Choice.message), joinedload(Choice.email_account))
        .order_by(Choice.received_at.desc(), Choice.id.desc())
    )


@once_a_page
def count_waiting(account_id: int) -> int:
    """How many wait."""
    query = sa.select(sa.func.count()).where(Choice.account_id == account_id, Choice.decided_at.is_(None))
    return int(db.session.scalar(query) or 0)


def get(account_id: int, choice_id: int) -> Choice:
    """One of the account's choices, or `NotFound`."""
    row = db.session.scalar(sa.select(Choice).where(Choice.account_id == account_id, Choice.id == choice_id))
    if row is None:
        raise NotFound("There is no such message.")
    return row


def names_of(rows: Sequence[Choice]) -> dict[int, Customer]:
    """The customers whom the candidates of `rows` name."""
    ids = {int(one["customer_id"]) for row in rows for one in row.candidates}
    found = db.session.scalars(sa.select(Customer).where(Customer.id.in_(ids)))
    return {customer.id: customer for customer in found}


def decide(account: Account, choice_id: int, customer: Customer | None, by: str, *, remember: bool = False) -> int:
    """File a message with `customer`, or with nobody, inside the unit of work around the caller.

    With `remember` the same holds for this address from now on, and for what else of it waits; answers how many
    messages were decided. `Conflict` when somebody was faster.
    """
    choice = db.session.scalar(
        sa.select(Choice).where(Choice.account_id == account.id, Choice.id == choice_id).with_for_update()
    )
    if choice is None:
        raise NotFound("There is no such message.")
    if choice.decided_at is not None:
        raise Conflict(f"{choice.decided_by} decided this a moment ago.")
    rows = [choice]
    if remember and choice.address_key:
        _remember(choice, customer, by)
        rows += _others_of(choice)
    for row in rows:
        _settle(row, customer, by, by_itself=row is not choice)
    audit.record(
        "choice_decided", choice, customer_id=customer.id if customer else None, messages=len(rows), remember=remember
    )
    return len(rows)


def _settle(choice: Choice, customer: Customer | None, by: str, *, by_itself: bool) -> None:
    choice.decided_at, choice.decided_by = clock.now(), by
    choice.customer_id = customer.id if customer else None
    if customer is None:
        messages.bury(choice.message, by)
        return
    role = next((one["role"] for one in choice.candidates if one["customer_id"] == customer.id), Role.SENDER.value)
    db.session.add(
        Filing(
            account_id=choice.account_id,
            message_id=choice.message_id,
            customer_id=customer.id,
            email_account_id=choice.email_account_id,
            role=Role(role),
            how=How.REMEMBERED if by_itself else How.BY_HAND,
            reason=f"{'Remembered' if by_itself else 'Chosen'} by {by}. {choice.sentence}"[:300],
            received_at=choice.received_at,
            read_at=choice.received_at if choice.message.direction is Direction.OUTGOING else None,
            by=by,
        )
    )
    threads.gather(db.session(), [choice.message_id])


def _remember(choice: Choice, customer: Customer | None, by: str) -> None:
    row = db.session.scalar(
        sa.select(RememberedAddress).where(
            RememberedAddress.account_id == choice.account_id, RememberedAddress.address_key == choice.address_key
        )
    )
    if row is None:
        row = RememberedAddress(account_id=choice.account_id, address_key=choice.address_key)
        db.session.add(row)
    row.customer_id, row.decided_at, row.decided_by = customer.id if customer else None, clock.now(), by
    row.why = choice.sentence[:200]


def _others_of(choice: Choice) -> list[Choice]:
    """What else waits for a decision about the same address."""
    return list(
        db.session.scalars(
            sa.select(Choice).where(
                Choice.account_id == choice.account_id,
                Choice.address_key == choice.address_key,
                Choice.decided_at.is_(None),
                Choice.id != choice.id,
            )
        )
    )
