"""Extra recipients: who else receives mail in a customer's mailbox, by which emails, and what it costs.

Nobody is deleted: who leaves is inactive. Changes rows, never commits.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from app import audit
from app.accounts.services import checked_email
from app.billing import subscriptions
from app.billing.life_models import Recipient, RecipientEmail, Standing
from app.billing.models import Customer
from app.db import db
from app.errors import Conflict, InvalidInput, NotFound
from app.events import CustomerChanged
from app.installations.services import announce
from app.typed import email_key, line

MOST, MOST_EMAILS = 50, 5


@dataclass(frozen=True, slots=True)
class RecipientDetails:
    """What a person says about a recipient; emails are parted by blanks, commas or line ends."""

    name: str
    standing: str
    emails: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """An email of somebody's recipient, by the key that emails are compared by."""

    email_key: str
    customer_id: int
    name: str


def of(customer: Customer) -> Sequence[Recipient]:
    """A customer's recipients: those who receive first, by name."""
    query = sa.select(Recipient).where(Recipient.customer_id == customer.id)
    return db.session.scalars(query.order_by(Recipient.standing == Standing.INACTIVE, Recipient.name)).all()


def count(customer: Customer) -> int:
    """How many receive mail."""
    query = sa.select(sa.func.count()).where(
        Recipient.customer_id == customer.id, Recipient.standing != Standing.INACTIVE
    )
    return db.session.scalar(query) or 0


def paid_of(customer: Customer) -> Sequence[Recipient]:
    """Who is billed for with each period: `price` per month, as it was on the day the recipient became a paid one."""
    query = sa.select(Recipient).where(Recipient.customer_id == customer.id, Recipient.standing == Standing.PAID)
    return db.session.scalars(query.order_by(Recipient.id)).all()


def get(customer: Customer, recipient_id: int) -> Recipient:
    """The recipient with this id of this customer, or `NotFound`."""
    query = sa.select(Recipient).where(Recipient.customer_id == customer.id, Recipient.id == recipient_id)
    row = db.session.scalars(query).one_or_none()
    if row is None:
        raise NotFound("This customer has no such recipient.")
    return row


def add(customer: Customer, details: RecipientDetails) -> Recipient:
    """One more recipient, inside the unit of work in which the customer is locked.

    Raises `InvalidInput` for the field that cannot be taken.
    """
    everybody = of(customer)
    if len(everybody) >= MOST:
        raise Conflict(f"A customer has at most {MOST} extra recipients.")
    row = Recipient(account_id=customer.account_id, customer_id=customer.id, customer=customer)
    _fill(row, details, everybody)
    db.session.add(row)
    db.session.flush()
    audit.record("recipient_added", customer, recipient=row.name, standing=row.standing.value)
    if row.emails:
        announce(CustomerChanged(customer.account_id, customer.id))
    return row


def edit(row: Recipient, details: RecipientDetails) -> bool:
    """Take over what changed and answer whether anything did."""
    before = (row.name, row.standing, {one.email for one in row.emails})
    _fill(row, details, of(row.customer))
    db.session.flush()
    after = (row.name, row.standing, {one.email for one in row.emails})
    if before == after:
        return False
    audit.record("recipient_changed", row.customer, recipient=row.name, standing=row.standing.value)
    if before[2] != after[2]:
        announce(CustomerChanged(row.account_id, row.customer_id))
    return True


def known(account_id: int, keys: Iterable[str]) -> list[Known]:
    """Whose recipients have one of these emails; inactive ones too, for who they belong to does not change."""
    return _known(RecipientEmail.account_id == account_id, RecipientEmail.email_key.in_(list(keys)))


def known_written_as(account_id: int, patterns: Iterable[str]) -> list[Known]:
    """The same for emails that are LIKE one of `patterns`."""
    like = (RecipientEmail.email_key.like(pattern) for pattern in patterns)
    return _known(RecipientEmail.account_id == account_id, sa.or_(*like))


def _known(*where: sa.ColumnElement[bool]) -> list[Known]:
    query = sa.select(RecipientEmail.email_key, Recipient.customer_id, Recipient.name)
    query = query.join(Recipient, Recipient.id == RecipientEmail.recipient_id).where(*where)
    return [Known(*row) for row in db.session.execute(query.order_by(RecipientEmail.id))]


def _fill(row: Recipient, details: RecipientDetails, everybody: Sequence[Recipient]) -> None:
    row.name = line(details.name, 160, "name")
    if not row.name:
        raise InvalidInput("A recipient needs a name.", "name")
    _take_emails(row, details.emails, everybody)
    try:
        standing = Standing(details.standing)
    except ValueError as error:
        raise InvalidInput("Choose free, paid or inactive.", "standing") from error
    if row.standing == standing:
        return
    row.standing, row.price_minor, row.currency = standing, 0, row.customer.location.currency
    if standing == Standing.PAID:
        has = subscriptions.of(row.customer)
        if has is None:
            raise InvalidInput(
                "The price stands in the customer's plan, and there is none. Choose a plan first.", "standing"
            )
        row.price_minor, row.currency = has.recipient_minor, has.currency


def _take_emails(row: Recipient, typed: str, everybody: Sequence[Recipient]) -> None:
    emails: dict[str, str] = {}
    for one in re.split(r"[\s,;]+", typed.strip()):
        if one:
            try:
                email = checked_email(one)
            except InvalidInput as error:
                raise InvalidInput(error.sentence, "emails") from error
            emails.setdefault(email_key(email), email)
    if len(emails) > MOST_EMAILS:
        raise InvalidInput(f"A recipient has at most {MOST_EMAILS} emails.", "emails")
    taken = {row.customer.email_key: row.customer.full_name}
    taken |= {email.email_key: other.name for other in everybody if other is not row for email in other.emails}
    for key, email in emails.items():
        if key in taken:
            raise InvalidInput(f"{email} is the email of {taken[key]} already.", "emails")
    kept = {one.email_key: one for one in row.emails}
    row.emails = [
        kept.get(key) or RecipientEmail(account_id=row.account_id, email=email, email_key=key)
        for key, email in emails.items()
    ]
