"""Telling somebody about new messages of customers: once per message, never in a circle, and never in a flood.

A notice is asked for in the transaction that files the message, and told in one that asks the host for the mail: it
cannot be told twice. When many come at once, or too many within an hour, they are told of together, and then nobody
is told of anything for an hour; the account's page says so.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.orm import Session, joinedload

from app import audit, clock, restored
from app.accounts.models import Account
from app.accounts.services import operators_of
from app.billing.models import Customer
from app.db import db, insert_missing
from app.mailing import services as mailing
from app.mailing.letters import mark_of
from app.mailing.models import OutgoingMail
from app.work import ring_after_commit
from plugins.mail_monitor import directory
from plugins.mail_monitor.address_lists import address_key, plain_key
from plugins.mail_monitor.letters import Envelope
from plugins.mail_monitor.message_rows import Source
from plugins.mail_monitor.models import EmailAccount
from plugins.mail_monitor.records import Filing, Message, Role
from plugins.mail_monitor.sending_models import Notice, NoticeState

JOB = "mail_monitor.tell"
ONE, TOGETHER = "mail_monitor_notice", "mail_monitor_notices"
MOST_AT_ONCE = 10
MOST_AN_HOUR = 20  # to one address, of all accounts together
REST = timedelta(hours=1)
MOST_TOGETHER = 2000
NAMED = 10  # customers in a notice about many messages


def ask(session: Session, source: Source, new: Mapping[int, Envelope]) -> None:
    """Somebody is to be told of these newly filed messages, by id; inside the unit of work that files them."""
    telling = session.get_one(EmailAccount, source.email_account_id).send_notifications
    ids = [message_id for message_id, envelope in new.items() if telling and not is_automatic(envelope)]
    if not ids:
        return
    common = {"account_id": source.account_id, "email_account_id": source.email_account_id, "due_at": clock.now()}
    insert_missing(session, Notice, [{**common, "message_id": message_id} for message_id in ids])
    first = session.scalar(sa.select(Notice.id).where(Notice.message_id == ids[0]))
    if first is not None:
        ring_after_commit(JOB, first)


def is_automatic(envelope: Envelope) -> bool:
    """Whether no person wrote it: it says so itself, or it is one of our own mails that came back."""
    return bool(envelope.automatic) or is_ours(envelope)


def is_ours(envelope: Envelope) -> bool:
    """Whether the product itself sent it: only we can make the mark it carries."""
    return bool(envelope.mark) and envelope.mark == mark_of(envelope.message_id, current_app.config["SECRET_KEY"])


def tell(session: Session, notice_id: int) -> None:
    """Tell of everything that waits for this notice's account, inside the unit of work around the caller."""
    email_account_id = session.scalar(
        sa.select(Notice.email_account_id).where(Notice.id == notice_id, Notice.state == NoticeState.WAITING)
    )
    if email_account_id is None:
        return
    row = session.get_one(EmailAccount, email_account_id)
    waiting = session.scalars(
        sa.select(Notice)
        .where(Notice.email_account_id == row.id, Notice.state == NoticeState.WAITING)
        .options(joinedload(Notice.message))
        .order_by(Notice.id)
        .limit(MOST_TOGETHER)
        .with_for_update(of=Notice)
    ).all()
    now = clock.now()
    if row.notices_rest_until is not None and row.notices_rest_until > now:
        for notice in waiting:
            notice.due_at, notice.nudged_at = row.notices_rest_until, None
        return
    there = [notice for notice in waiting if notice.message.deleted_at is None]
    whom = recipients_of(row) if row.send_notifications and row.active else []
    if whom:
        # A restored backup may have forgotten that somebody was told: those rest, and hold up nobody else.
        doubt = restored.doubt()
        old = [notice for notice in there if doubt is not None and notice.message.received_at <= doubt.until]
        for some in (old, [notice for notice in there if notice not in old]):
            if some:
                _tell(row, some, whom)
    for notice in waiting:
        told = bool(whom) and notice in there
        notice.state, notice.due_at, notice.ended_at = NoticeState.TOLD if told else NoticeState.NOBODY, None, now
    told_ids = [notice.message_id for notice in there] if whom else []
    session.execute(
        sa.update(Filing)
        .where(Filing.message_id.in_(told_ids), Filing.told_at.is_(None))
        .values(told_at=now)
        .execution_options(synchronize_session=False)
    )


def recipients_of(row: EmailAccount) -> list[str]:
    """Who is told: the notification address, else the Operators of its location; nobody whose mail is watched here."""
    watched = {plain_key(key) for key in directory.own_keys(row.account_id)}

    def unwatched(addresses: Iterable[str]) -> list[str]:
        return [address for address in addresses if plain_key(address_key(address)) not in watched]

    if row.notification_email_address:
        return unwatched([row.notification_email_address])
    there = unwatched(user.email for user in operators_of(row.account_id, row.location_id))
    # Nobody looks after this location: then everybody does.
    return there or unwatched(user.email for user in operators_of(row.account_id))


def problem_of(row: EmailAccount) -> str:
    """What keeps people from being told, as a sentence; "" when nothing does."""
    if not row.send_notifications:
        return ""
    if not recipients_of(row):
        if row.notification_email_address:
            address = row.notification_email_address
            return f"Nobody is told of new messages: {address} is watched itself, and mail would go round in circles."
        return "Nobody is told of new messages: every Operator's address is watched itself. Name another address."
    if row.notices_rest_until is not None and row.notices_rest_until > clock.now():
        until = clock.local(row.notices_rest_until, row.location.timezone)
        return (
            f"Many messages came in a short time, so nobody is told of single ones until {until:%H:%M}. They are filed "
            "as ever, and then told of together."
        )
    return ""


def _tell(row: EmailAccount, notices: Sequence[Notice], whom: Sequence[str]) -> None:
    account = db.session.get_one(Account, row.account_id)
    room = MOST_AN_HOUR - _most_told(row.account_id, whom)
    if len(notices) <= min(MOST_AT_ONCE, room):
        for notice in notices:
            _post_one(account, row, notice.message, whom)
        return
    _post_together(account, row, notices, whom)
    row.notices_rest_until = clock.now() + REST
    audit.record("notices_rest", row, outcome="failed", messages=len(notices), until=str(row.notices_rest_until))


def _most_told(account_id: int, whom: Sequence[str]) -> int:
    """How many notices the busiest of these addresses got within the last hour."""
    counts = db.session.execute(
        sa.select(sa.func.count())
        .where(
            OutgoingMail.account_id == account_id,
            OutgoingMail.created_at > clock.now() - timedelta(hours=1),
            OutgoingMail.template.in_((ONE, TOGETHER)),
            OutgoingMail.recipient.in_(whom),
        )
        .group_by(OutgoingMail.recipient)
    ).scalars()
    return max(counts, default=0)


def _post_one(account: Account, row: EmailAccount, message: Message, whom: Sequence[str]) -> None:
    names = _senders(row.account_id, [message.id])
    context = {
        "names": " and ".join(names) or message.sender_address,
        "email_account": row,
        "message": message,
        "zone": row.location.timezone,
        "address": _address("mail_monitor.message", account, message_id=message.id),
    }
    # The host's mail server may take no other letters before an @; then answers go to the sender of the notice.
    reply_to = message.sender_address if message.sender_address.isascii() else ""
    for one in whom:
        mailing.post(account, to=one, template=ONE, context=context, reply_to=reply_to, came_about=message.received_at)


def _post_together(account: Account, row: EmailAccount, notices: Sequence[Notice], whom: Sequence[str]) -> None:
    names = _senders(row.account_id, [notice.message_id for notice in notices])
    context: dict[str, Any] = {
        "count": len(notices),
        "email_account": row,
        "names": names.most_common(NAMED),
        "others": max(0, len(names) - NAMED),
        "address": _address("billing.customers", account),
    }
    came_about = max(notice.message.received_at for notice in notices)
    for one in whom:
        mailing.post(account, to=one, template=TOGETHER, context=context, came_about=came_about)


def _senders(account_id: int, message_ids: Sequence[int]) -> "Counter[str]":
    """Which customers wrote these messages, and how many each."""
    rows = db.session.execute(
        sa.select(Customer.full_name, sa.func.count())
        .join(Filing, Filing.customer_id == Customer.id)
        .where(Filing.account_id == account_id, Filing.message_id.in_(message_ids), Filing.role == Role.SENDER)
        .group_by(Customer.id, Customer.full_name)
    )
    found: Counter[str] = Counter()
    for name, count in rows:
        found[name] += count
    return found


def _address(endpoint: str, account: Account, **values: Any) -> str:
    """The address of a page, for a mail: a worker has no request that would know it."""
    path = current_app.url_map.bind("").build(endpoint, {"account_slug": account.slug, **values})
    return f"{current_app.config['SETTINGS'].public_base}{path}"
