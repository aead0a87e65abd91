"""What waits for a person, or for a customer to sign up; and what people decided once and for all."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app import clock
from app.billing.models import Customer
from app.db import Base, choice
from plugins.mail_monitor.models import EmailAccount, Folder
from plugins.mail_monitor.records import Direction, Message, Role


class CustomerAddress(Base):
    """A further address of a customer, beside the main one that the host keeps."""

    __tablename__ = "mail_monitor_customer_address"
    __table_args__ = (
        sa.UniqueConstraint("customer_id", "address_key"),
        sa.Index("ix_mail_monitor_customer_address_account_id_address_key", "account_id", "address_key"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customer.id"))
    address: Mapped[str] = mapped_column(sa.String(254))
    address_key: Mapped[str] = mapped_column(sa.String(254))
    whose: Mapped[str] = mapped_column(sa.String(120), default="")  # such as "Billing", or a recipient's name
    added_at: Mapped[datetime] = mapped_column(default=clock.now)
    added_by: Mapped[str] = mapped_column(sa.String(254), default="")

    customer: Mapped[Customer] = relationship()


class RememberedAddress(Base):
    """What a person decided for an address once and for all: one customer, or nobody."""

    __tablename__ = "mail_monitor_remembered_address"
    __table_args__ = (sa.UniqueConstraint("account_id", "address_key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    address_key: Mapped[str] = mapped_column(sa.String(254))
    customer_id: Mapped[int | None] = mapped_column(sa.ForeignKey("customer.id"))
    decided_at: Mapped[datetime] = mapped_column(default=clock.now)
    decided_by: Mapped[str] = mapped_column(sa.String(254), default="")
    why: Mapped[str] = mapped_column(sa.String(200), default="")

    customer: Mapped[Customer | None] = relationship()


class Doubt(StrEnum):
    """Why a message is not filed by itself."""

    SHARED_ADDRESS = "shared_address"
    UNCLEAR_SENDER = "unclear_sender"
    FAILED_CHECK = "failed_check"


class Choice(Base):
    """A message that a person files, because it could be somebody else's."""

    __tablename__ = "mail_monitor_choice"
    __table_args__ = (
        sa.UniqueConstraint("message_id"),
        sa.Index("ix_mail_monitor_choice_account_id_decided_at", "account_id", "decided_at", "received_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    email_account_id: Mapped[int] = mapped_column(sa.ForeignKey("mail_monitor_email_account.id"))
    message_id: Mapped[int] = mapped_column(sa.ForeignKey("mail_monitor_message.id"))
    doubt: Mapped[Doubt] = mapped_column(choice(Doubt))
    sentence: Mapped[str] = mapped_column(sa.String(300))
    # The address that a decision can be remembered for; "" when there is none to be sure of.
    address_key: Mapped[str] = mapped_column(sa.String(254), default="")
    candidates: Mapped[list[Any]] = mapped_column(default=list)  # [{"customer_id", "role", "why"}]
    received_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str] = mapped_column(sa.String(254), default="")
    customer_id: Mapped[int | None] = mapped_column(sa.ForeignKey("customer.id"))  # empty once decided: nobody

    email_account: Mapped[EmailAccount] = relationship()
    message: Mapped[Message] = relationship()
    customer: Mapped[Customer | None] = relationship()


class Stub(Base):
    """The header of a message of an unknown sender, kept for a while: no text, nothing fetched."""

    __tablename__ = "mail_monitor_stub"
    __table_args__ = (
        sa.UniqueConstraint("folder_id", "uidvalidity", "uid"),
        sa.Index("ix_mail_monitor_stub_email_account_id_wanted_at", "email_account_id", "wanted_at"),
        sa.Index("ix_mail_monitor_stub_account_id_received_at", "account_id", "received_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    email_account_id: Mapped[int] = mapped_column(sa.ForeignKey("mail_monitor_email_account.id"))
    folder_id: Mapped[int] = mapped_column(sa.ForeignKey("mail_monitor_folder.id"))
    uidvalidity: Mapped[int] = mapped_column(sa.BigInteger)
    uid: Mapped[int] = mapped_column(sa.BigInteger)
    direction: Mapped[Direction] = mapped_column(choice(Direction))
    name: Mapped[str] = mapped_column(sa.String(200), default="")
    address: Mapped[str] = mapped_column(sa.String(254), default="")
    subject: Mapped[str] = mapped_column(sa.String(200), default="")
    size: Mapped[int]
    received_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    wanted_at: Mapped[datetime | None]  # set when somebody with such an address became a customer

    email_account: Mapped[EmailAccount] = relationship()


class StubAddress(Base):
    """Who would have to be a customer for a stub to be filed: its sender, or the recipients of a sent one."""

    __tablename__ = "mail_monitor_stub_address"
    __table_args__ = (
        sa.UniqueConstraint("stub_id", "address_key"),
        sa.Index("ix_mail_monitor_stub_address_account_id_address_key", "account_id", "address_key"),
        sa.Index("ix_mail_monitor_stub_address_account_id_plain_key", "account_id", "plain_key"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    stub_id: Mapped[int] = mapped_column(sa.ForeignKey("mail_monitor_stub.id", ondelete="CASCADE"))
    address_key: Mapped[str] = mapped_column(sa.String(254))
    plain_key: Mapped[str] = mapped_column(sa.String(254))  # without a +tag


class OtherRecipient(Base):
    """A recipient of a filed message who is nobody's customer yet; the row goes when that changes."""

    __tablename__ = "mail_monitor_other_recipient"
    __table_args__ = (
        sa.UniqueConstraint("message_id", "address_key"),
        sa.Index("ix_mail_monitor_other_recipient_account_id_address_key", "account_id", "address_key"),
        sa.Index("ix_mail_monitor_other_recipient_account_id_plain_key", "account_id", "plain_key"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    message_id: Mapped[int] = mapped_column(sa.ForeignKey("mail_monitor_message.id"))
    role: Mapped[Role] = mapped_column(choice(Role))
    address_key: Mapped[str] = mapped_column(sa.String(254))
    plain_key: Mapped[str] = mapped_column(sa.String(254))  # without a +tag


class QuarantineState(StrEnum):
    OPEN = "open"
    RETRY = "retry"
    FILED = "filed"
    READ = "read"
    IGNORED = "ignored"


class Quarantined(Base):
    """A message that could not be read; kept whole for a while, and the mail behind it was filed."""

    __tablename__ = "mail_monitor_quarantined"
    __table_args__ = (
        sa.UniqueConstraint("folder_id", "uidvalidity", "uid"),
        sa.Index("ix_mail_monitor_quarantined_account_id_state", "account_id", "state", "received_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    email_account_id: Mapped[int] = mapped_column(sa.ForeignKey("mail_monitor_email_account.id"))
    folder_id: Mapped[int] = mapped_column(sa.ForeignKey("mail_monitor_folder.id"))
    uidvalidity: Mapped[int] = mapped_column(sa.BigInteger)
    uid: Mapped[int] = mapped_column(sa.BigInteger)
    state: Mapped[QuarantineState] = mapped_column(choice(QuarantineState), default=QuarantineState.OPEN)
    code: Mapped[str] = mapped_column(sa.String(40))
    reason: Mapped[str] = mapped_column(sa.String(300))
    tries: Mapped[int]
    message_key: Mapped[str] = mapped_column(sa.String(64), default="")
    subject: Mapped[str] = mapped_column(sa.String(200), default="")
    sender: Mapped[str] = mapped_column(sa.String(254), default="")
    header_text: Mapped[str] = mapped_column(sa.Text, default="")
    size: Mapped[int]
    received_at: Mapped[datetime]
    raw_hash: Mapped[str] = mapped_column(sa.String(64), default="")
    kept_until: Mapped[datetime]
    settled_at: Mapped[datetime | None]
    settled_by: Mapped[str] = mapped_column(sa.String(254), default="")
    customer_id: Mapped[int | None] = mapped_column(sa.ForeignKey("customer.id"))
    message_id: Mapped[int | None] = mapped_column(sa.ForeignKey("mail_monitor_message.id"))

    email_account: Mapped[EmailAccount] = relationship()
    folder: Mapped[Folder] = relationship()
    customer: Mapped[Customer | None] = relationship()
