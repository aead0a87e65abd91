"""What reading needs beside the messages: threads, copies that are safe to show, and whose pictures are shown."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app import clock
from app.db import Base, choice
from app.work import Due


class Thread(Base):
    """Messages of one customer that belong together; never more than one customer's (see `threads`)."""

    __tablename__ = "mail_monitor_thread"
    __table_args__ = (
        sa.Index("ix_mail_monitor_thread_customer_id_last_at", "customer_id", "last_at", "id"),
        sa.Index("ix_mail_monitor_thread_customer_id_subject_key", "customer_id", "subject_key", "last_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customer.id"))
    # The subject without "Re:" and the like, for answers that name no message; "" where it says too little.
    subject_key: Mapped[str] = mapped_column(sa.String(64), default="")
    last_at: Mapped[datetime]  # when its newest message came: the order of the list


class ThreadKey(Base):
    """A Message-ID that a thread knows: of one of its messages, or named by one of them. The first thread has it."""

    __tablename__ = "mail_monitor_thread_key"
    __table_args__ = (sa.UniqueConstraint("customer_id", "message_key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customer.id"))
    message_key: Mapped[str] = mapped_column(sa.String(64))
    thread_id: Mapped[int] = mapped_column(sa.ForeignKey("mail_monitor_thread.id", ondelete="CASCADE"), index=True)


class Height(StrEnum):
    """How much room a message is given; what is longer scrolls inside."""

    SHORT = "short"
    MIDDLE = "middle"
    TALL = "tall"


class SafeCopy(Base, Due):
    """The HTML of a message, made safe by one version of the sanitiser. Another version's copy is never shown."""

    __tablename__ = "mail_monitor_safe_copy"
    __table_args__ = (sa.UniqueConstraint("message_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    message_id: Mapped[int] = mapped_column(sa.ForeignKey("mail_monitor_message.id"))
    version: Mapped[int] = mapped_column(default=0)  # 0: not made yet
    html: Mapped[str] = mapped_column(sa.Text, default="")
    html_with_pictures: Mapped[str] = mapped_column(sa.Text, default="")  # "" where no remote pictures are named
    height: Mapped[Height] = mapped_column(choice(Height), default=Height.MIDDLE)
    blocked: Mapped[int] = mapped_column(default=0)  # remote pictures that are not loaded
    trackers: Mapped[int] = mapped_column(default=0)  # of these: too small to be seen
    # Links that say one address and lead to another: [{"says", "leads_to"}], the first twenty.
    odd_links: Mapped[list[Any]] = mapped_column(default=list)
    refusal: Mapped[str] = mapped_column(sa.String(200), default="")  # why there is no safe copy, as a sentence
    made_at: Mapped[datetime | None]


class PictureSender(Base):
    """A sender whose remote pictures are always shown, as a person wished; only where the sender is verified."""

    __tablename__ = "mail_monitor_picture_sender"
    __table_args__ = (sa.UniqueConstraint("account_id", "address_key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    address_key: Mapped[str] = mapped_column(sa.String(254))
    wished_at: Mapped[datetime] = mapped_column(default=clock.now)
    wished_by: Mapped[str] = mapped_column(sa.String(254), default="")
