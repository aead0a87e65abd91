"""The mails of the product itself, for the people of one account: what became of each, and sending one again."""

import uuid
from collections.abc import Iterable

import sqlalchemy as sa
from flask_sqlalchemy.pagination import Pagination

from app import audit, clock
from app.accounts.models import Account
from app.addresses import PERSONAL_LINK
from app.billing.models import Customer
from app.db import db
from app.errors import Conflict, NotFound
from app.mailing.models import MailState, OutgoingAttachment, OutgoingMail
from app.mailing.services import JOB
from app.work import ring_after_commit

PER_PAGE = 50
AT_ONCE = 500
NOT_OUT = (MailState.REFUSED, MailState.UNKNOWN)


def find(account: Account, page: int, *, only_failed: bool = False) -> Pagination:
    """Mails sent in the account's name, newest first; without their texts."""
    query = sa.select(OutgoingMail).where(OutgoingMail.account_id == account.id)
    if only_failed:
        query = query.where(OutgoingMail.state.in_(NOT_OUT), OutgoingMail.seen_at.is_(None))
    query = query.options(sa.orm.defer(OutgoingMail.text), sa.orm.defer(OutgoingMail.html))
    return db.paginate(
        query.order_by(OutgoingMail.created_at.desc(), OutgoingMail.id.desc()),
        page=page,
        per_page=PER_PAGE,
        error_out=False,
    )


def cannot_go_again(found: Iterable[OutgoingMail]) -> set[int]:
    """Which of these mails held a link for their recipient alone, by id: it was not kept, so no copy can be sent."""
    ids = [mail.id for mail in found if mail.state in NOT_OUT]
    query = sa.select(OutgoingMail.id).where(OutgoingMail.id.in_(ids), OutgoingMail.text.contains(PERSONAL_LINK))
    return set(db.session.scalars(query)) if ids else set()


def send_again(account: Account, mail_id: int) -> OutgoingMail:
    """Send a copy of a mail that did not go out, or may not have: to the customer's present address.

    A copy, because what the first one came to stays on record. `Conflict` when it was sent or seen to, or held a link
    for its recipient alone.
    """
    mail = _open(account, mail_id)
    if PERSONAL_LINK in mail.text:
        raise Conflict("It held a personal link, which is not kept. Ask for a new one where this mail came from.")
    return _send_a_copy(mail)


def leave_it(account: Account, mail_id: int) -> None:
    """A person says that a mail which did not go out needs nothing more."""
    _leave(_open(account, mail_id))


def count_unknown(account: Account) -> int:
    """How many mails may have been sent or not, and nobody has decided about them."""
    return db.session.scalar(sa.select(sa.func.count()).where(*_undecided(account))) or 0


def send_unknown_again(account: Account) -> tuple[int, int]:
    """The same for all that may have been sent; answers how many go again, and how many held a link and stay."""
    found = db.session.scalars(_all_unknown(account)).all()
    again = [mail for mail in found if PERSONAL_LINK not in mail.text]
    for mail in again:
        _send_a_copy(mail)
    return len(again), len(found) - len(again)


def leave_unknown(account: Account) -> int:
    """All that may have been sent needs nothing more; answers how many that were."""
    found = db.session.scalars(_all_unknown(account)).all()
    for mail in found:
        _leave(mail)
    return len(found)


def _undecided(account: Account) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        OutgoingMail.account_id == account.id,
        OutgoingMail.state == MailState.UNKNOWN,
        OutgoingMail.seen_at.is_(None),
    )


def _all_unknown(account: Account) -> sa.Select[OutgoingMail]:
    return (
        sa.select(OutgoingMail).where(*_undecided(account)).order_by(OutgoingMail.id).limit(AT_ONCE).with_for_update()
    )


def _send_a_copy(mail: OutgoingMail) -> OutgoingMail:
    customer = db.session.get(Customer, mail.customer_id) if mail.customer_id else None
    copy = OutgoingMail(
        account_id=mail.account_id,
        customer_id=mail.customer_id,
        template=mail.template,
        message_id=f"<{uuid.uuid4()}@{mail.sender_address.rpartition('@')[2]}>",
        sender_name=mail.sender_name,
        sender_address=mail.sender_address,
        reply_to=mail.reply_to,
        recipient=customer.email if customer else mail.recipient,
        subject=mail.subject,
        text=mail.text,
        html=mail.html,
        due_at=clock.now(),
        attachments=[_copy_of(file) for file in mail.attachments],
    )
    db.session.add(copy)
    db.session.flush()
    mail.seen_at = clock.now()
    audit.record("mail_sent_again", copy, first=mail.id, to=copy.recipient)
    ring_after_commit(JOB, copy.id)
    return copy


def _leave(mail: OutgoingMail) -> None:
    mail.seen_at = clock.now()
    audit.record("mail_left", mail, to=mail.recipient)


def _open(account: Account, mail_id: int) -> OutgoingMail:
    mail = db.session.scalar(
        sa.select(OutgoingMail)
        .where(OutgoingMail.id == mail_id, OutgoingMail.account_id == account.id)
        .with_for_update()
    )
    if mail is None:
        raise NotFound
    if mail.state not in NOT_OUT or mail.seen_at is not None:
        raise Conflict("This mail needs nothing more.")
    return mail


def _copy_of(file: OutgoingAttachment) -> OutgoingAttachment:
    return OutgoingAttachment(
        position=file.position,
        file_name=file.file_name,
        content_type=file.content_type,
        size=file.size,
        content=file.content,
    )
