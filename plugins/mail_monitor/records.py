"""What was seen and what became of it: messages, whose records they are in, unknown senders, choices, quarantine."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app import clock
from app.billing.models import Customer
from app.db import Base, choice
from plugins.mail_monitor.models import EmailAccount, Folder
from plugins.mail_monitor.reading_models import Thread


class Direction(StrEnum):
    INCOMING = "incoming"
    OUTGOING = "outgoing"


class Trust(StrEnum):
    """What the provider of the email account says about the sender."""

    VERIFIED = "verified"
    NOT_VERIFIED = "not_verified"
    FAILED = "failed"


class Message(Base):
    """One mail, once per account, whichever email accounts, copies or retries brought it."""

    __tablename__ = "mail_monitor_message"
    __table_args__ = (
        # The Message-ID alone is chosen by the sender; together with what the mail says it is an identity.
        sa.UniqueConstraint("account_id", "fingerprint"),
        sa.Index("ix_mail_monitor_message_account_id_message_key", "account_id", "message_key"),
        sa.Index("ix_mail_monitor_message_account_id_received_at", "account_id", "received_at", "id"),
        sa.Index("ix_mail_monitor_message_account_id_raw_hash", "account_id", "raw_hash"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    fingerprint: Mapped[str] = mapped_column(sa.String(64))
    message_id: Mapped[str] = mapped_column(sa.Text, default="")
    message_key: Mapped[str] = mapped_column(sa.String(64), default="")  # hash of the Message-ID, "" without one
    is_variant: Mapped[bool] = mapped_column(default=False)  # another message with this Message-ID came before
    in_reply_to: Mapped[str] = mapped_column(sa.Text, default="")
    references: Mapped[list[Any]] = mapped_column(default=list)
    direction: Mapped[Direction] = mapped_column(choice(Direction))
    sender_name: Mapped[str] = mapped_column(sa.String(200), default="")
    sender_address: Mapped[str] = mapped_column(sa.String(254), default="")
    sender_key: Mapped[str] = mapped_column(sa.String(254), default="")
    # [{"role": "to" | "cc" | "bcc" | "reply_to", "name", "address"}], the first hundred.
    recipients: Mapped[list[Any]] = mapped_column(default=list)
    subject: Mapped[str] = mapped_column(sa.Text, default="")
    search_key: Mapped[str] = mapped_column(sa.Text, default="")
    received_at: Mapped[datetime]  # the server's own date: the order of every list
    sent_at: Mapped[datetime | None]  # what the mail says, where that can be true
    date_text: Mapped[str] = mapped_column(sa.String(100), default="")
    size: Mapped[int]
    text: Mapped[str] = mapped_column(sa.Text, default="")
    snippet: Mapped[str] = mapped_column(sa.String(200), default="")
    has_html: Mapped[bool] = mapped_column(default=False)
    raw_hash: Mapped[str] = mapped_column(sa.String(64), default="")
    is_partial: Mapped[bool] = mapped_column(default=False)  # too large: headers and the beginning of the text
    # Sentences about what is unusual: a wrong charset, a limit that was reached.
    notes: Mapped[list[Any]] = mapped_column(default=list)
    automatic: Mapped[str] = mapped_column(sa.String(60), default="")  # why it was not written by a person
    trust: Mapped[Trust] = mapped_column(choice(Trust), default=Trust.NOT_VERIFIED)
    is_quiet: Mapped[bool] = mapped_column(default=False)  # imported or linked anew: nobody is told
    filed_at: Mapped[datetime] = mapped_column(default=clock.now)
    # A tombstone: the content is gone, the fingerprint stays, so that the next scan does not bring it back.
    deleted_at: Mapped[datetime | None]
    deleted_by: Mapped[str] = mapped_column(sa.String(254), default="")

    filings: Mapped[list["Filing"]] = relationship(back_populates="message", order_by="Filing.id")
    attachments: Mapped[list["Attachment"]] = relationship(order_by="Attachment.position")
    sightings: Mapped[list["Sighting"]] = relationship(back_populates="message", order_by="Sighting.id")


class Attachment(Base):
    """A part of a message that is not its text; the bytes lie once in the store, under their hash."""

    __tablename__ = "mail_monitor_attachment"
    __table_args__ = (
        sa.UniqueConstraint("message_id", "position"),
        sa.Index("ix_mail_monitor_attachment_account_id_blob_hash", "account_id", "blob_hash"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    message_id: Mapped[int] = mapped_column(sa.ForeignKey("mail_monitor_message.id"))
    position: Mapped[int]
    name: Mapped[str] = mapped_column(sa.String(200))
    content_type: Mapped[str] = mapped_column(sa.String(120))
    content_id: Mapped[str] = mapped_column(sa.String(200), default="")
    size: Mapped[int]
    blob_hash: Mapped[str] = mapped_column(sa.String(64))
    is_inline: Mapped[bool] = mapped_column(default=False)  # a picture that is shown inside the message


class Blob(Base):
    """Bytes in the store that some row refers to, counted once per account."""

    __tablename__ = "mail_monitor_blob"
    __table_args__ = (
        sa.UniqueConstraint("account_id", "hash"),
        # How much of its storage an account uses is read from this alone.
        sa.Index("ix_mail_monitor_blob_account_id_size", "account_id", "size"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    hash: Mapped[str] = mapped_column(sa.String(64))
    size: Mapped[int] = mapped_column(sa.BigInteger)
    stored_at: Mapped[datetime] = mapped_column(default=clock.now)


class Sighting(Base):
    """Where on a server a message was seen."""

    __tablename__ = "mail_monitor_sighting"
    __table_args__ = (
        sa.UniqueConstraint("folder_id", "uidvalidity", "uid"),
        sa.Index("ix_mail_monitor_sighting_email_account_id_seen_at", "email_account_id", "seen_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    email_account_id: Mapped[int] = mapped_column(sa.ForeignKey("mail_monitor_email_account.id"))
    folder_id: Mapped[int] = mapped_column(sa.ForeignKey("mail_monitor_folder.id"))
    uidvalidity: Mapped[int] = mapped_column(sa.BigInteger)
    uid: Mapped[int] = mapped_column(sa.BigInteger)
    message_id: Mapped[int] = mapped_column(sa.ForeignKey("mail_monitor_message.id"), index=True)
    # What tells the message apart when a rebuilt mailbox has given it another UID.
    message_key: Mapped[str] = mapped_column(sa.String(64), default="")
    size: Mapped[int]
    received_at: Mapped[datetime]
    seen_at: Mapped[datetime] = mapped_column(default=clock.now)
    deleted_there_at: Mapped[datetime | None]

    email_account: Mapped[EmailAccount] = relationship()
    folder: Mapped[Folder] = relationship()
    message: Mapped[Message] = relationship(back_populates="sightings")


class Role(StrEnum):
    """What a customer is in a message."""

    SENDER = "sender"
    TO = "to"
    CC = "cc"
    BCC = "bcc"
    REPORT = "report"  # no part in it: it is about a message of theirs


class How(StrEnum):
    """How a customer was found."""

    MAIN_ADDRESS = "main_address"
    EXTRA_ADDRESS = "extra_address"
    TAG = "tag"
    REPLY_TO = "reply_to"
    REMEMBERED = "remembered"
    BY_HAND = "by_hand"
    REPORT = "report"
    HOST = "host"  # sent by the product itself


class Filing(Base):
    """One message in one customer's record, and why it is there."""

    __tablename__ = "mail_monitor_filing"
    __table_args__ = (
        sa.UniqueConstraint("message_id", "customer_id"),
        sa.Index("ix_mail_monitor_filing_customer_id_received_at", "customer_id", "received_at", "id"),
        sa.Index("ix_mail_monitor_filing_email_account_id_filed_at", "email_account_id", "filed_at"),
        sa.Index("ix_mail_monitor_filing_thread_id_received_at", "thread_id", "received_at", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    message_id: Mapped[int] = mapped_column(sa.ForeignKey("mail_monitor_message.id"))
    customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customer.id"))
    # Empty for what the product itself sent: no mailbox brought it.
    email_account_id: Mapped[int | None] = mapped_column(sa.ForeignKey("mail_monitor_email_account.id"))
    role: Mapped[Role] = mapped_column(choice(Role))
    how: Mapped[How] = mapped_column(choice(How))
    reason: Mapped[str] = mapped_column(sa.String(300))
    # Where it stands in the customer's list; a filing outside every thread is not listed. See `threads`.
    thread_id: Mapped[int | None] = mapped_column(sa.ForeignKey("mail_monitor_thread.id"))
    received_at: Mapped[datetime]
    filed_at: Mapped[datetime] = mapped_column(default=clock.now)
    by: Mapped[str] = mapped_column(sa.String(254), default="")  # a user's name; empty: by itself
    read_at: Mapped[datetime | None]
    told_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]
    deleted_by: Mapped[str] = mapped_column(sa.String(254), default="")

    message: Mapped[Message] = relationship(back_populates="filings")
    customer: Mapped[Customer] = relationship()
    thread: Mapped[Thread | None] = relationship()
