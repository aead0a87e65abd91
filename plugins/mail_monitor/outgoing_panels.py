"""What is shown of mails that were written here: their state at the message, in words."""

from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

from app.db import db
from app.work import About
from plugins.mail_monitor.sending_models import CopyState, Notice, Outgoing, OutgoingState


@dataclass(frozen=True, slots=True)
class Shown:
    """How a mail stands: a state of the chips, a sentence for people, and what can be done."""

    row: Outgoing
    state: str
    sentence: str = ""
    detail: str = ""

    @property
    def is_moving(self) -> bool:
        return self.row.is_moving

    @property
    def is_worth_saying(self) -> bool:
        """Whether a list says it too: not of what was sent, or leaves in a moment."""
        return self.state != "sent" and not (self.state == "waiting" and not self.row.problem)

    @property
    def may_retry(self) -> bool:
        return self.row.state is OutgoingState.FAILED

    @property
    def is_in_doubt(self) -> bool:
        return self.row.state is OutgoingState.UNKNOWN


def by_message(account_id: int, message_ids: Iterable[int]) -> dict[int, Shown]:
    """How the mails stand that were written here, by the message that shows each in a record."""
    rows = db.session.scalars(
        sa.select(Outgoing)
        .where(Outgoing.account_id == account_id, Outgoing.record_id.in_(sorted(set(message_ids))))
        .options(joinedload(Outgoing.email_account))
    )
    return {row.record_id: shown(row) for row in rows if row.record_id is not None}


def shown(row: Outgoing) -> Shown:
    """How one mail stands."""
    if row.returned:
        which = ", ".join(one["address"] for one in row.returned)
        return Shown(row, "not_delivered", f"It came back: not delivered to {which}.", row.returned[-1]["why"])
    return {
        OutgoingState.DRAFT: _draft,
        OutgoingState.WAITING: _waiting,
        OutgoingState.SENT: _sent,
        OutgoingState.UNKNOWN: _in_doubt,
        OutgoingState.FAILED: _failed,
    }[row.state](row)


def describe(row: Outgoing) -> About:
    """A mail in the words of the job list."""
    values = {"message_id": row.record_id} if row.record_id else {}
    return About(f"Mail from {row.email_account.email_address}", "mail_monitor.message" if values else "", values)


def describe_notice(row: Notice) -> About:
    """A notice in the words of the job list."""
    return About("Notice of a new message", "mail_monitor.message", {"message_id": row.message_id})


def _sent(row: Outgoing) -> Shown:
    if row.refused:
        which = "; ".join(f"{one['address']} ({one['why']})" for one in row.refused)
        return Shown(row, "not_delivered", f"Sent, but not to everybody. Refused: {which}.")
    if row.copy_state is CopyState.FAILED:
        return Shown(row, "sent", "Sent. There is no copy of it in the mailbox.", row.copy_problem)
    return Shown(row, "sent")


def _draft(row: Outgoing) -> Shown:
    return Shown(row, "draft")


def _waiting(row: Outgoing) -> Shown:
    if row.problem:
        return Shown(row, "waiting", "It was not sent yet; we try again on our own.", row.problem)
    return Shown(row, "sending" if row.is_sending else "waiting")


def _in_doubt(row: Outgoing) -> Shown:
    detail = "We look for it in the folder of sent mail, and never send it again on our own."
    return Shown(
        row, "unknown", "It may have been sent.", f"{row.problem} {detail}".removeprefix("It may have been sent. ")
    )


def _failed(row: Outgoing) -> Shown:
    return Shown(row, "failed_to_send", "It was not sent.", row.problem)
