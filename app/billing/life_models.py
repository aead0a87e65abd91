"""What happens to a customer over time: moves that were made, the one that is planned, and extra recipients."""

from datetime import date, datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app import clock
from app.billing.models import Customer, CustomerStatus
from app.db import Base, choice
from app.money import Money
from app.work import Due


class Deed(StrEnum):
    """What was done with a customer. Planning and taking a plan back leave the status as it is."""

    ACTIVATED = "activated"
    SCHEDULED = "scheduled"
    UNSCHEDULED = "unscheduled"
    LOCKED = "locked"
    UNLOCKED = "unlocked"
    CANCELLATION_PLANNED = "cancellation_planned"
    CANCELLATION_UNDONE = "cancellation_undone"
    CANCELLED = "cancelled"
    DEACTIVATED = "deactivated"
    PLAN_CHANGED = "plan_changed"


class CustomerMove(Base):
    """One move: who did what when, why, and where the customer stood afterwards. Rows are only ever added."""

    __tablename__ = "customer_move"
    __table_args__ = (sa.Index("ix_customer_move_customer_id_at", "customer_id", "at", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customer.id"))
    at: Mapped[datetime] = mapped_column(default=clock.now)
    deed: Mapped[Deed] = mapped_column(choice(Deed))
    status: Mapped[CustomerStatus] = mapped_column(choice(CustomerStatus))
    day: Mapped[date | None]  # the day that was planned, or on which the service ended
    by: Mapped[str] = mapped_column(sa.String(320))  # an email, "gateway" or "system"
    why: Mapped[str] = mapped_column(sa.String(300), default="")


class Aim(StrEnum):
    """What a planned move will do."""

    ACTIVATE = "activate"
    CANCEL = "cancel"


class PlannedMove(Due, Base):
    """The move that a customer will make on a civil day of the location's; due when that day begins there."""

    __tablename__ = "planned_move"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customer.id"), unique=True)
    aim: Mapped[Aim] = mapped_column(choice(Aim))
    day: Mapped[date]
    welcome: Mapped[bool] = mapped_column(default=False)
    by: Mapped[str] = mapped_column(sa.String(320))
    why: Mapped[str] = mapped_column(sa.String(300), default="")
    planned_at: Mapped[datetime] = mapped_column(default=clock.now)

    customer: Mapped[Customer] = relationship()


class Standing(StrEnum):
    """Whether mail for a recipient is taken, and whether that costs something."""

    FREE = "free"
    PAID = "paid"
    INACTIVE = "inactive"


class Recipient(Base):
    """Somebody whose mail comes to a customer's mailbox, too. A paid one costs what was said on that day, per month."""

    __tablename__ = "recipient"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customer.id"), index=True)
    name: Mapped[str] = mapped_column(sa.String(160))
    standing: Mapped[Standing] = mapped_column(choice(Standing))
    price_minor: Mapped[int] = mapped_column(sa.BigInteger, default=0)  # per month; 0 unless paid
    currency: Mapped[str] = mapped_column(sa.String(3))
    added_at: Mapped[datetime] = mapped_column(default=clock.now)

    customer: Mapped[Customer] = relationship()
    emails: Mapped[list["RecipientEmail"]] = relationship(
        order_by="RecipientEmail.id", cascade="all, delete-orphan", lazy="selectin"
    )

    @property
    def price(self) -> Money:
        return Money(self.price_minor, self.currency)


class RecipientEmail(Base):
    """An email of an extra recipient. Other customers' recipients may have it, too."""

    __tablename__ = "recipient_email"
    __table_args__ = (
        sa.UniqueConstraint("recipient_id", "email_key"),
        sa.Index("ix_recipient_email_account_id_email_key", "account_id", "email_key"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    recipient_id: Mapped[int] = mapped_column(sa.ForeignKey("recipient.id"))
    email: Mapped[str] = mapped_column(sa.String(254))
    email_key: Mapped[str] = mapped_column(sa.String(254))
