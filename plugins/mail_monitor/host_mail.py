"""What the host itself sent to customers stands among their sent messages: a copy of its words, made once.

Asked of the host's rows, and not only of its event: an event that was lost costs nothing but time.
"""

import re
from datetime import timedelta

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.orm import Session, selectinload

from app import clock
from app.db import unit_of_work
from app.mailing.models import MailState, OutgoingMail
from plugins.mail_monitor import identity, threads
from plugins.mail_monitor.address_lists import address_key
from plugins.mail_monitor.message_rows import insert_missing, searchable
from plugins.mail_monitor.records import Direction, Filing, How, Message, Role
from plugins.mail_monitor.sending_models import HostCopy
from plugins.mail_monitor.turns import Turn

LOOKED_BACK = timedelta(days=7)
AT_ONCE = 200
REASON = "Sent automatically"
# A word of an address that nobody types: whoever has it may be let in by it, so nobody else reads it.
_SECRET = re.compile(r"[A-Za-z0-9_.~-]{20,}")
HIDDEN = "[a personal link]"


def catch_up(turn: Turn) -> None:
    """Copy what was sent lately and is not in a record yet."""
    with unit_of_work() as session:
        turn.lease.renew()
        for outgoing_mail_id in _missing(session, turn.account_id):
            copy(session, turn.account_id, outgoing_mail_id)


def copy(session: Session, account_id: int, outgoing_mail_id: int) -> None:
    """Put one mail of the host into its customer's record, inside the unit of work around the caller."""
    mail = session.scalar(
        sa.select(OutgoingMail)
        .where(OutgoingMail.id == outgoing_mail_id, OutgoingMail.account_id == account_id)
        .options(selectinload(OutgoingMail.attachments))
    )
    there = session.scalar(sa.select(HostCopy.id).where(HostCopy.outgoing_mail_id == outgoing_mail_id))
    if mail is None or mail.customer_id is None or mail.state is not MailState.SENT or there is not None:
        return
    message = _message(mail)
    session.add(message)
    session.flush()
    session.add(HostCopy(account_id=account_id, outgoing_mail_id=mail.id, message_id=message.id))
    filing = {
        "account_id": account_id,
        "message_id": message.id,
        "customer_id": mail.customer_id,
        "email_account_id": None,
        "role": Role.TO,
        "how": How.HOST,
        "reason": REASON,
        "received_at": message.received_at,
        "read_at": message.received_at,
    }
    insert_missing(session, Filing, [filing])
    threads.gather(session, [message.id])


def without_secrets(text: str, public_base: str) -> str:
    """`text` with those of our own links hidden that let in whoever has them."""
    ours = re.compile(re.escape(public_base) + r"/[^\s<>\"]*")
    return ours.sub(lambda found: HIDDEN if _SECRET.search(found[0][len(public_base) :]) else found[0], text)


def _missing(session: Session, account_id: int) -> list[int]:
    return list(
        session.scalars(
            sa.select(OutgoingMail.id)
            .where(
                OutgoingMail.account_id == account_id,
                OutgoingMail.created_at > clock.now() - LOOKED_BACK,
                OutgoingMail.customer_id.is_not(None),
                OutgoingMail.state == MailState.SENT,
                OutgoingMail.id.not_in(sa.select(HostCopy.outgoing_mail_id).where(HostCopy.account_id == account_id)),
            )
            .order_by(OutgoingMail.id)
            .limit(AT_ONCE)
        )
    )


def _message(mail: OutgoingMail) -> Message:
    message_id = identity.normal_id(mail.message_id)
    text = without_secrets(mail.text, current_app.config["SETTINGS"].public_base)
    notes = [f"Attached: {one.file_name}. It is not kept with the message." for one in mail.attachments]
    words = f"{mail.subject} {mail.sender_name} {mail.recipient} {text[:2000]}"
    return Message(
        account_id=mail.account_id,
        fingerprint=identity.fingerprint(message_id, "host", "", "", ""),
        message_id=message_id,
        message_key=identity.message_key(message_id),
        direction=Direction.OUTGOING,
        sender_name=mail.sender_name,
        sender_address=mail.sender_address,
        sender_key=address_key(mail.sender_address),
        recipients=[{"role": "to", "name": "", "address": mail.recipient}],
        subject=mail.subject,
        search_key=searchable(words),
        received_at=mail.ended_at or mail.created_at,
        sent_at=mail.created_at,
        size=len(mail.text),
        text=text,
        snippet=" ".join(text[:1000].split())[:200],
        notes=notes,
    )
