"""Sending one mail. SMTP cannot be asked what it took: a mail whose answer was lost rests, and a person may decide."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from flask import current_app

from app import clock
from app.db import db, end_reading, unit_of_work
from app.effects import Done, Intent, Result, Subject, carry_out
from app.errors import NotSent, OutcomeUnknown, Refused
from app.events import MailSent
from app.installations.services import announce
from app.mailing import services
from app.mailing.letters import Attached, Letter, mark_of
from app.mailing.models import MailState, OutgoingMail
from app.mailing.post_office import PostOffice
from app.work import Lease, LeaseLost

log = structlog.get_logger()

FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=30), timedelta(hours=1)
GIVEN_UP_AFTER = timedelta(days=2)  # a mail that comes later than that says nothing that is still true


@dataclass(frozen=True, slots=True)
class HandIn:
    """The one step of a mail."""

    letter: Letter
    key: str = "hand_in"

    def call(self, remote: PostOffice, intent: Intent) -> Result:
        return {"answer": remote.send(self.letter)}

    def look_up(self, remote: PostOffice, intent: Intent) -> Result | None:
        raise OutcomeUnknown("The mail server did not say whether it took the mail.")


def send_mail(mail_id: int) -> None:
    """Send what was asked for, unless it has been sent, is being sent, or may have been sent."""
    lease = Lease.take(OutgoingMail, mail_id)
    if lease is None:
        return
    try:
        _send(mail_id, lease)
    except LeaseLost:
        log.info("lease_lost", mail_id=mail_id)
    finally:
        lease.give_back()


def _send(mail_id: int, lease: Lease) -> None:
    mail = db.session.get_one(OutgoingMail, mail_id)
    if mail.state != MailState.WAITING:
        return
    subject = Subject(mail.account_id, "host.mail", mail.id, made_at=mail.created_at)
    step = HandIn(_letter(mail))
    end_reading()
    settings = current_app.config["SETTINGS"]
    office = PostOffice(settings.smtp_url.get_secret_value(), settings.mail_ca_file)

    def next_step(done: Done) -> HandIn | None:
        return None if step.key in done else step

    try:
        carry_out(subject, next_step, office, lease)
    except NotSent as error:
        _try_again(lease, error)
    except OutcomeUnknown as error:
        _rest(lease, MailState.UNKNOWN, error.sentence, error.details)
    except Refused as error:
        _rest(lease, MailState.REFUSED, error.sentence, error.details)
    else:
        _rest(lease, MailState.SENT)


def _letter(mail: OutgoingMail) -> Letter:
    return Letter(
        message_id=mail.message_id,
        sender_name=mail.sender_name,
        sender_address=mail.sender_address,
        reply_to=mail.reply_to,
        recipient=mail.recipient,
        subject=mail.subject,
        text=mail.text,
        html=mail.html,
        written_at=mail.created_at,
        mark=mark_of(mail.message_id, current_app.config["SECRET_KEY"]),
        attachments=tuple(
            Attached(file.file_name, file.content_type, file.content or b"") for file in mail.attachments
        ),
    )


def _try_again(lease: Lease, error: NotSent) -> None:
    log.warning("mail_waits", mail_id=lease.row_id, **error.details)
    with unit_of_work() as session:
        mail = session.get_one(OutgoingMail, lease.row_id)
        if mail.created_at < clock.now() - GIVEN_UP_AFTER:
            lease.renew()
            services.ended(mail, MailState.REFUSED, f"Given up after two days. {error.sentence}")
            return
        pause = min(FIRST_PAUSE * 2 ** min(mail.attempts, 10), LONGEST_PAUSE)
        due_at = clock.now() + pause
        lease.renew(due_at=due_at, nudged_at=None, attempts=mail.attempts + 1, problem=error.sentence[:500])


def _rest(lease: Lease, state: MailState, problem: str = "", details: Mapping[str, Any] | None = None) -> None:
    if problem:
        log.warning("mail_rests", mail_id=lease.row_id, state=state.value, **(details or {}))
    with unit_of_work() as session:
        lease.renew()
        mail = session.get_one(OutgoingMail, lease.row_id)
        services.ended(mail, state, problem)
        if state == MailState.SENT and mail.account_id is not None:
            announce(MailSent(mail.account_id, mail.id, mail.customer_id))
