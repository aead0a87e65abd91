"""Asking for a mail: it is drawn and frozen at once, sent by a worker, and never twice."""

import uuid
from collections.abc import Iterable
from datetime import datetime
from email.utils import parseaddr
from typing import Any

import sqlalchemy as sa
from flask import current_app, render_template

from app import audit, clock, restored
from app.accounts.looks import look_of
from app.accounts.models import Account
from app.addresses import without_personal_links
from app.billing.models import Customer
from app.db import db
from app.mailing.letters import Attached, as_html
from app.mailing.models import MailState, OutgoingAttachment, OutgoingMail
from app.work import ring_after_commit

JOB = "host.send_mail"
BEFORE_RESTORE = "A backup was brought back, and what this tells of is older."


def post(
    account: Account | None,
    *,
    to: str,
    template: str,
    context: dict[str, Any],
    customer: Customer | None = None,
    attachments: Iterable[Attached] = (),
    reply_to: str = "",
    came_about: datetime | None = None,
) -> OutgoingMail:
    """Ask for a mail, inside the unit of work around the caller; it goes out after that is committed.

    `came_about` is when what it tells of did, for mails that jobs ask for: when a restored backup may have forgotten
    that it was told, the mail rests until a person decides.

    `templates/mails/<template>.txt` begins with a line "Subject: ..."; the rest is the text. `account` is the sender
    and may be used in the template; None sends as the instance itself. The address stands in `SPHEREMAIL_MAIL_FROM`,
    the name in the account's settings; answers go to `reply_to`, else to the account's contact email.
    """
    drawn = render_template(f"mails/{template}.txt", account=account, **context)
    subject, text = _subject_and_text(drawn)
    name, address = sender_of(account)
    mail = OutgoingMail(
        account_id=account.id if account else None,
        customer_id=customer.id if customer else None,
        template=template,
        message_id=f"<{uuid.uuid4()}@{address.rpartition('@')[2]}>",
        sender_name=name,
        sender_address=address,
        reply_to=reply_to or (account.contact_email if account else ""),
        recipient=to,
        subject=subject,
        text=text,
        html=_as_page(subject, text, name, account),
        due_at=clock.now(),
    )
    for position, file in enumerate(attachments, start=1):
        mail.attachments.append(
            OutgoingAttachment(
                position=position,
                file_name=file.file_name,
                content_type=file.content_type,
                size=len(file.content),
                content=file.content,
            )
        )
    db.session.add(mail)
    db.session.flush()
    if came_about is not None and restored.may_have_been_done(came_about):
        ended(mail, MailState.UNKNOWN, BEFORE_RESTORE)
    else:
        ring_after_commit(JOB, mail.id)
    return mail


def sender_of(account: Account | None) -> tuple[str, str]:
    """Name and address in the field From of an account's mails; the address is the instance's own."""
    name, address = parseaddr(current_app.config["SETTINGS"].mail_from)
    return (account.mail_name or account.name if account else name or "SphereMail"), address


def ended(mail: OutgoingMail, state: MailState, problem: str = "") -> None:
    """Note what became of a mail: it rests from now on.

    A link that lets somebody in, or lets them pay, is for its recipient alone: it does not stay with us.
    """
    mail.state, mail.problem, mail.due_at, mail.ended_at = state, problem[:500], None, clock.now()
    kept = without_personal_links(mail.text)
    if kept != mail.text:
        account = db.session.get(Account, mail.account_id) if mail.account_id else None
        mail.text, mail.html = kept, _as_page(mail.subject, kept, mail.sender_name, account)
    audit.record("mail_sent", mail, outcome=state.value, template=mail.template, to=mail.recipient)


def latest_for(account: Account, template: str, to: str, since: datetime) -> OutgoingMail | None:
    """The last mail of this kind that an account asked for to an address, if there was one since then."""
    return db.session.scalar(
        sa.select(OutgoingMail)
        .where(
            OutgoingMail.account_id == account.id,
            OutgoingMail.created_at >= since,
            OutgoingMail.template == template,
            OutgoingMail.recipient == to,
        )
        .order_by(OutgoingMail.created_at.desc(), OutgoingMail.id.desc())
        .limit(1)
    )


def sentence_of(mail: OutgoingMail) -> str:
    """What became of a mail, in words for people."""
    return {
        MailState.WAITING: f"Not sent yet: {mail.problem} We try again." if mail.problem else "On its way.",
        MailState.SENT: "Sent.",
        MailState.UNKNOWN: f"{mail.problem} It may have arrived; we do not send it again on our own.",
        MailState.REFUSED: mail.problem,
    }[mail.state]


def _as_page(subject: str, text: str, sender: str, account: Account | None) -> str:
    """The HTML part of a mail."""
    ink = look_of(account.accent if account else "").on_paper
    return render_template("mails/_layout.html", subject=subject, body=as_html(text), sender=sender, ink=ink)


def _subject_and_text(drawn: str) -> tuple[str, str]:
    first, _, text = drawn.partition("\n")
    if not first.startswith("Subject: "):
        raise ValueError("a mail begins with a line that says its subject")
    return " ".join(first.removeprefix("Subject: ").split())[:300], text.strip("\n") + "\n"
