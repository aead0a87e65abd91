"""OutgoingMail and its attachments: what the product sends, frozen when it was asked for, and what became of it."""

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app import clock
from app.db import Base, choice
from app.work import Due, Leased


class MailState(StrEnum):
    """`waiting` is tried again by itself. The others rest: `unknown` may have arrived and is not repeated."""

    WAITING = "waiting"
    SENT = "sent"
    UNKNOWN = "unknown"
    REFUSED = "refused"


class OutgoingMail(Base, Due, Leased):
    """One mail to one address. Without an account it is the instance's own, such as a password reset."""

    __tablename__ = "outgoing_mail"
    __table_args__ = (
        sa.Index("ix_outgoing_mail_customer_id_created_at", "customer_id", "created_at"),
        sa.Index("ix_outgoing_mail_account_id_created_at", "account_id", "created_at"),
        sa.Index("ix_outgoing_mail_account_id_state", "account_id", "state", "seen_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int | None] = mapped_column(sa.ForeignKey("account.id"))
    customer_id: Mapped[int | None] = mapped_column(sa.ForeignKey("customer.id"))
    template: Mapped[str] = mapped_column(sa.String(60))
    message_id: Mapped[str] = mapped_column(sa.String(120), unique=True)
    sender_name: Mapped[str] = mapped_column(sa.String(120))
    sender_address: Mapped[str] = mapped_column(sa.String(254))
    reply_to: Mapped[str] = mapped_column(sa.String(254), default="")
    recipient: Mapped[str] = mapped_column(sa.String(254))
    subject: Mapped[str] = mapped_column(sa.String(300))
    text: Mapped[str] = mapped_column(sa.Text)
    html: Mapped[str] = mapped_column(sa.Text)
    state: Mapped[MailState] = mapped_column(choice(MailState), default=MailState.WAITING)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    ended_at: Mapped[datetime | None]
    # When somebody said that a mail which did not go out needs nothing more.
    seen_at: Mapped[datetime | None]

    attachments: Mapped[list["OutgoingAttachment"]] = relationship(order_by="OutgoingAttachment.position")


class OutgoingAttachment(Base):
    """A file that goes along. Its bytes are let go some days after the mail was sent; name and size stay."""

    __tablename__ = "outgoing_attachment"
    __table_args__ = (sa.UniqueConstraint("outgoing_mail_id", "position"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    outgoing_mail_id: Mapped[int] = mapped_column(sa.ForeignKey("outgoing_mail.id"))
    position: Mapped[int]
    file_name: Mapped[str] = mapped_column(sa.String(200))
    content_type: Mapped[str] = mapped_column(sa.String(100))
    size: Mapped[int]
    content: Mapped[bytes | None] = mapped_column(sa.LargeBinary)
