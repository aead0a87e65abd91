"""Customer and Invoice: whom an account serves, what it bills, and who collects."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Mapped, Mapper, mapped_column, relationship

from app import clock
from app.accounts.models import Location
from app.db import Base, choice
from app.money import Money
from app.typed import fold
from app.work import Due


class CustomerStatus(StrEnum):
    LEAD = "lead"
    INACTIVE = "inactive"
    SCHEDULED = "scheduled"
    ACTIVE = "active"
    LOCKED = "locked"
    CANCELLED = "cancelled"


class Customer(Base):
    """Whom the account serves and bills."""

    __tablename__ = "customer"
    __table_args__ = (
        sa.UniqueConstraint("account_id", "email_key"),
        sa.UniqueConstraint("location_id", "mailbox_number"),
        sa.Index("ix_customer_account_id_status_name", "account_id", "status", "name_key", "id"),
        sa.Index("ix_customer_account_id_name", "account_id", "name_key", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    location_id: Mapped[int] = mapped_column(sa.ForeignKey("location.id"))
    email: Mapped[str] = mapped_column(sa.String(254))
    email_key: Mapped[str] = mapped_column(sa.String(254))
    full_name: Mapped[str] = mapped_column(sa.String(160))
    # Folded by `_fold_keys` on every write: the one sorts by name, the other is what a search looks through.
    name_key: Mapped[str] = mapped_column(sa.String(160))
    search_key: Mapped[str] = mapped_column(sa.String(600))
    company: Mapped[str] = mapped_column(sa.String(160), default="")
    phone: Mapped[str] = mapped_column(sa.String(40), default="")
    address: Mapped[str] = mapped_column(sa.String(300), default="")
    city: Mapped[str] = mapped_column(sa.String(120), default="")
    postcode: Mapped[str] = mapped_column(sa.String(20), default="")
    country: Mapped[str] = mapped_column(sa.String(2), default="")
    mailbox_number: Mapped[str | None] = mapped_column(sa.String(20))
    status: Mapped[CustomerStatus] = mapped_column(choice(CustomerStatus), default=CustomerStatus.INACTIVE)
    signed_up_at: Mapped[datetime] = mapped_column(default=clock.now)
    activated_at: Mapped[datetime | None]
    # Empty: the host's own billing. Else the name of the plugin that bills, written through a host service.
    billed_by: Mapped[str] = mapped_column(sa.String(40), default="")
    # While that is open, because a plugin has not said yet whether it bills: nothing is collected. See `deciding`.
    billing_undecided_until: Mapped[datetime | None]

    location: Mapped[Location] = relationship()


@event.listens_for(Customer, "before_insert")
@event.listens_for(Customer, "before_update")
def _fold_keys(mapper: Mapper[Customer], connection: Connection, customer: Customer) -> None:
    customer.name_key = fold(customer.full_name)[:160]
    searched = (customer.full_name, customer.company, customer.email, customer.mailbox_number)
    customer.search_key = fold("\n".join(part for part in searched if part))[:600]


class InvoiceStatus(StrEnum):
    DRAFT = "draft"
    PENDING = "pending"
    PAID = "paid"
    CLOSED = "closed"
    VOID = "void"


GATEWAY = "gateway"
BY_HAND = "by_hand"


class Invoice(Base):
    """A bill to a customer. `closed` means handed over to a plugin's system: not paid."""

    __tablename__ = "invoice"
    __table_args__ = (
        sa.UniqueConstraint("account_id", "number"),
        # However often and in how many processes the fees are billed: a period has one invoice.
        sa.UniqueConstraint("subscription_id", "period_from"),
        sa.Index("ix_invoice_account_id_created_at", "account_id", "created_at", "id"),
        sa.Index("ix_invoice_account_id_status_created_at", "account_id", "status", "created_at", "id"),
        sa.Index("ix_invoice_customer_id_created_at", "customer_id", "created_at", "id"),
        # Counts and sums above the list are read from this one alone.
        sa.Index("ix_invoice_account_id_status_total", "account_id", "status", "currency", "total_minor"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customer.id"))
    number: Mapped[str] = mapped_column(sa.String(40))
    status: Mapped[InvoiceStatus] = mapped_column(choice(InvoiceStatus), default=InvoiceStatus.PENDING)
    currency: Mapped[str] = mapped_column(sa.String(3))
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    due_on: Mapped[date | None]
    net_minor: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    tax_minor: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    total_minor: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    # What is taken off the invoice as a whole: so many percent, or an amount (then the rate is None). It is the
    # sum of what its lines carry of it, so that every line knows what its tax is reckoned from.
    discount_rate: Mapped[Decimal | None]
    discount_minor: Mapped[int] = mapped_column(sa.BigInteger, default=0, server_default="0")
    note: Mapped[str] = mapped_column(sa.String(500), default="")
    do_not_send: Mapped[bool] = mapped_column(default=False)
    # Nobody yet, "gateway", "by_hand" or a plugin's name; taken by one guarded UPDATE before anything is sent.
    collector: Mapped[str | None] = mapped_column(sa.String(40))
    collected_at: Mapped[datetime | None]
    paid_at: Mapped[datetime | None]
    paid_how: Mapped[str] = mapped_column(sa.String(40), default="")
    paid_note: Mapped[str] = mapped_column(sa.String(300), default="")
    closed_at: Mapped[datetime | None]
    handed_over_as: Mapped[str] = mapped_column(sa.String(80), default="")
    voided_at: Mapped[datetime | None]
    void_reason: Mapped[str] = mapped_column(sa.String(300), default="")
    copied_from_id: Mapped[int | None] = mapped_column(sa.ForeignKey("invoice.id"), index=True)
    # Whose fee it is, and the first and last day that it is for; None on an invoice that a person wrote.
    subscription_id: Mapped[int | None] = mapped_column(sa.ForeignKey("subscription.id"))
    period_from: Mapped[date | None]
    period_until: Mapped[date | None]
    # Names and addresses as they stood when somebody began to collect it; a print shows the present ones until then.
    printed: Mapped[dict[str, Any] | None]
    mailed_at: Mapped[datetime | None]  # when the last mail with it was handed to the post

    copied_from: Mapped["Invoice | None"] = relationship(remote_side="Invoice.id")
    customer: Mapped[Customer] = relationship()
    lines: Mapped[list["InvoiceLine"]] = relationship(
        back_populates="invoice", order_by="InvoiceLine.position", cascade="all, delete-orphan"
    )

    @property
    def came_about(self) -> datetime:
        """When it was written, or a fee's period began: a restored backup may have it written anew much later."""
        if self.period_from is None:
            return self.created_at
        return min(self.created_at, clock.start_of(self.period_from, self.customer.location.timezone))

    @property
    def can_change(self) -> bool:
        """Whether lines may still be added: from the moment somebody collects it, it is frozen."""
        return self.status in {InvoiceStatus.DRAFT, InvoiceStatus.PENDING} and self.collector is None

    @property
    def sum_of_lines(self) -> Money:
        """What the lines come to, before the discount on the whole invoice."""
        return Money(self.net_minor + self.discount_minor, self.currency)

    @property
    def discount(self) -> Money:
        return Money(self.discount_minor, self.currency)

    @property
    def net(self) -> Money:
        return Money(self.net_minor, self.currency)

    @property
    def tax(self) -> Money:
        return Money(self.tax_minor, self.currency)

    @property
    def total(self) -> Money:
        return Money(self.total_minor, self.currency)


class InvoiceMail(Due, Base):
    """An invoice is to be mailed to its customer: a worker draws it and hands it to the post."""

    __tablename__ = "invoice_mail"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    invoice_id: Mapped[int] = mapped_column(sa.ForeignKey("invoice.id"), index=True)
    asked_at: Mapped[datetime] = mapped_column(default=clock.now)
    asked_by: Mapped[str] = mapped_column(sa.String(320))  # an email, or "system"
    outgoing_mail_id: Mapped[int | None] = mapped_column(sa.ForeignKey("outgoing_mail.id"), unique=True)

    invoice: Mapped[Invoice] = relationship()


class InvoiceLine(Base):
    """One line: quantity times unit price, less its own discount and its share of the invoice's, and its tax."""

    __tablename__ = "invoice_line"
    __table_args__ = (sa.UniqueConstraint("invoice_id", "position"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    invoice_id: Mapped[int] = mapped_column(sa.ForeignKey("invoice.id"))
    position: Mapped[int]
    description: Mapped[str] = mapped_column(sa.String(300))
    quantity: Mapped[Decimal]
    unit_minor: Mapped[int] = mapped_column(sa.BigInteger)
    tax_rate: Mapped[Decimal]  # percent
    discount_rate: Mapped[Decimal | None]  # percent; None where the discount is an amount
    discount_minor: Mapped[int] = mapped_column(sa.BigInteger, default=0, server_default="0")
    share_minor: Mapped[int] = mapped_column(sa.BigInteger, default=0, server_default="0")
    # After both; tax is reckoned from it.
    net_minor: Mapped[int] = mapped_column(sa.BigInteger)
    tax_minor: Mapped[int] = mapped_column(sa.BigInteger)

    invoice: Mapped[Invoice] = relationship(back_populates="lines")

    @property
    def unit_price(self) -> Money:
        return Money(self.unit_minor, self.invoice.currency)

    @property
    def discount(self) -> Money:
        """What is taken off this line by itself."""
        return Money(self.discount_minor, self.invoice.currency)

    @property
    def amount(self) -> Money:
        """What stands on the line: before its share of the invoice's discount."""
        return Money(self.net_minor + self.share_minor, self.invoice.currency)

    @property
    def net(self) -> Money:
        return Money(self.net_minor, self.invoice.currency)

    @property
    def tax(self) -> Money:
        return Money(self.tax_minor, self.invoice.currency)
