"""What the host itself sent to customers stands among their sent messages: a copy of its words and files, made once.

Asked of the host's rows, and not only of its event: an event that was lost costs nothing but time.
"""

from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session, selectinload

from app import clock
from app.db import db, insert_missing, unit_of_work
from app.mailing.models import MailState, OutgoingAttachment, OutgoingMail
from plugins.mail_monitor import identity, quota, threads
from plugins.mail_monitor.address_lists import address_key
from plugins.mail_monitor.message_rows import keep_blobs, searchable
from plugins.mail_monitor.records import Attachment, Direction, Filing, How, Message, Role
from plugins.mail_monitor.sending_models import HostCopy
from plugins.mail_monitor.turns import Turn, store

LOOKED_BACK = timedelta(days=7)
AT_ONCE = 200
REASON = "Sent automatically"


def catch_up(turn: Turn) -> None:
    """Copy what was sent lately and is not in a record yet."""
    missing = _missing(turn.account_id)
    db.session.rollback()
    for outgoing_mail_id in missing:
        with unit_of_work():
            turn.lease.renew()
        copy(turn.account_id, outgoing_mail_id)


def copy(account_id: int, outgoing_mail_id: int) -> None:
    """Put one mail of the host into its customer's record: first its files into the store, then the rows."""
    hashes: dict[bytes, str] = {}
    if not quota.room_of(account_id).is_full:
        contents = db.session.scalars(
            sa.select(OutgoingAttachment.content)
            .join(OutgoingMail, OutgoingMail.id == OutgoingAttachment.outgoing_mail_id)
            .where(OutgoingMail.id == outgoing_mail_id, OutgoingMail.account_id == account_id)
        ).all()
        db.session.rollback()
        hashes = store().put_all(account_id, [content for content in contents if content is not None])
    db.session.rollback()
    with unit_of_work() as session:
        _file(session, account_id, outgoing_mail_id, hashes)


def _file(session: Session, account_id: int, outgoing_mail_id: int, hashes: dict[bytes, str]) -> None:
    mail = session.scalar(
        sa.select(OutgoingMail)
        .where(OutgoingMail.id == outgoing_mail_id, OutgoingMail.account_id == account_id)
        .options(selectinload(OutgoingMail.attachments))
    )
    there = session.scalar(sa.select(HostCopy.id).where(HostCopy.outgoing_mail_id == outgoing_mail_id))
    if mail is None or mail.customer_id is None or mail.state is not MailState.SENT or there is not None:
        return
    message = _message(mail, hashes)
    session.add(message)
    keep_blobs(session, account_id, hashes)
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


def _missing(account_id: int) -> list[int]:
    return list(
        db.session.scalars(
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


def _message(mail: OutgoingMail, hashes: dict[bytes, str]) -> Message:
    message_id = identity.normal_id(mail.message_id)
    kept = [(one, hashes[one.content]) for one in mail.attachments if one.content in hashes]
    lost = [one for one in mail.attachments if one.content not in hashes]
    words = f"{mail.subject} {mail.sender_name} {mail.recipient} {mail.text[:2000]}"
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
        text=mail.text,
        snippet=" ".join(mail.text[:1000].split())[:200],
        notes=[f"{one.file_name} went along and is not kept here." for one in lost],
        attachments=[
            Attachment(
                account_id=mail.account_id,
                position=one.position,
                name=one.file_name,
                content_type=one.content_type,
                size=one.size,
                blob_hash=digest,
            )
            for one, digest in kept
        ],
    )
