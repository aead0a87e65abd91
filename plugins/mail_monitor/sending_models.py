"""Mails written here and what became of them, notices about new messages, and copies of what the host itself sent."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app import clock
from app.billing.models import Customer
from app.db import Base, choice
from app.work import Due, Leased
from plugins.mail_monitor.models import EmailAccount
from plugins.mail_monitor.records import Message


class OutgoingState(StrEnum):
    """`waiting` is tried again by itself. `unknown` may have been sent: it is looked for, and a person may decide."""

    DRAFT = "draft"
    WAITING = "waiting"
    SENT = "sent"
    UNKNOWN = "unknown"
    FAILED = "failed"


class CopyState(StrEnum):
    """The copy in the mailbox's folder of sent mail."""

    NONE = "none"  # not asked for yet, or the provider keeps one by itself
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"


class Outgoing(Base, Due, Leased):
    """One mail written here: a draft, and after "Send" a message in the customer's record that is on its way."""

    __tablename__ = "mail_monitor_outgoing"
    __table_args__ = (
        # Given with the empty form: saving or sending the same form twice is one mail.
        sa.UniqueConstraint("account_id", "token"),
        sa.Index("ix_mail_monitor_outgoing_account_id_message_key", "account_id", "message_key"),
        sa.Index("ix_mail_monitor_outgoing_customer_id_state", "customer_id", "state", "id"),
        sa.Index("ix_mail_monitor_outgoing_email_account_id_asked_at", "email_account_id", "asked_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    email_account_id: Mapped[int] = mapped_column(sa.ForeignKey("mail_monitor_email_account.id"))
    customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customer.id"))
    answers_id: Mapped[int | None] = mapped_column(sa.ForeignKey("mail_monitor_message.id"))
    token: Mapped[str] = mapped_column(sa.String(32))
    to: Mapped[str] = mapped_column(sa.Text, default="")
    cc: Mapped[str] = mapped_column(sa.Text, default="")
    bcc: Mapped[str] = mapped_column(sa.Text, default="")
    subject: Mapped[str] = mapped_column(sa.Text, default="")
    text: Mapped[str] = mapped_column(sa.Text, default="")
    quotes: Mapped[bool] = mapped_column(default=True)
    written_by: Mapped[str] = mapped_column(sa.String(254), default="")
    saved_at: Mapped[datetime] = mapped_column(default=clock.now)

    state: Mapped[OutgoingState] = mapped_column(choice(OutgoingState), default=OutgoingState.DRAFT)
    message_id: Mapped[str] = mapped_column(sa.String(400), default="")  # without brackets; "" while it is a draft
    message_key: Mapped[str] = mapped_column(sa.String(64), default="")
    record_id: Mapped[int | None] = mapped_column(sa.ForeignKey("mail_monitor_message.id"), index=True)
    asked_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    refused: Mapped[list[Any]] = mapped_column(default=list)  # [{"address", "why"}]: not taken at the counter
    returned: Mapped[list[Any]] = mapped_column(default=list)  # [{"address", "why", "at"}]: came back later
    copy_state: Mapped[CopyState] = mapped_column(choice(CopyState), default=CopyState.NONE)
    copy_problem: Mapped[str] = mapped_column(sa.String(300), default="")

    email_account: Mapped[EmailAccount] = relationship()
    customer: Mapped[Customer] = relationship()
    answers: Mapped[Message | None] = relationship(foreign_keys=[answers_id])
    record: Mapped[Message | None] = relationship(foreign_keys=[record_id])
    files: Mapped[list["OutgoingFile"]] = relationship(order_by="OutgoingFile.position")

    @property
    def is_sending(self) -> bool:
        """Whether a worker has it in hand right now."""
        held = self.lease_until is not None and self.lease_until > clock.now()
        return self.state is OutgoingState.WAITING and held

    @property
    def is_moving(self) -> bool:
        """Whether its state changes by itself, soon."""
        return self.state is OutgoingState.WAITING


class OutgoingFile(Base):
    """A file that goes along with a draft; its bytes lie in the store under their hash."""

    __tablename__ = "mail_monitor_outgoing_file"
    __table_args__ = (
        sa.UniqueConstraint("outgoing_id", "position"),
        sa.Index("ix_mail_monitor_outgoing_file_account_id_blob_hash", "account_id", "blob_hash"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    outgoing_id: Mapped[int] = mapped_column(sa.ForeignKey("mail_monitor_outgoing.id"))
    position: Mapped[int]
    name: Mapped[str] = mapped_column(sa.String(200))
    content_type: Mapped[str] = mapped_column(sa.String(120))
    size: Mapped[int]
    blob_hash: Mapped[str] = mapped_column(sa.String(64))


class NoticeState(StrEnum):
    WAITING = "waiting"
    TOLD = "told"
    NOBODY = "nobody"  # there was no address that may be told


class Notice(Base, Due):
    """Somebody is to be told of one newly filed message; the row makes it once."""

    __tablename__ = "mail_monitor_notice"
    __table_args__ = (
        sa.UniqueConstraint("message_id"),
        sa.Index("ix_mail_monitor_notice_email_account_id_state", "email_account_id", "state", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    email_account_id: Mapped[int] = mapped_column(sa.ForeignKey("mail_monitor_email_account.id"))
    message_id: Mapped[int] = mapped_column(sa.ForeignKey("mail_monitor_message.id"))
    state: Mapped[NoticeState] = mapped_column(choice(NoticeState), default=NoticeState.WAITING)
    asked_at: Mapped[datetime] = mapped_column(default=clock.now)
    ended_at: Mapped[datetime | None]

    message: Mapped[Message] = relationship()


class HostCopy(Base):
    """A mail that the host itself sent to a customer, and the message that shows it in the customer's record."""

    __tablename__ = "mail_monitor_host_copy"
    __table_args__ = (sa.UniqueConstraint("outgoing_mail_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    outgoing_mail_id: Mapped[int] = mapped_column(sa.ForeignKey("outgoing_mail.id"))
    message_id: Mapped[int] = mapped_column(sa.ForeignKey("mail_monitor_message.id"))
