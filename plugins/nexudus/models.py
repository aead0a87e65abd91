"""What the plugin keeps: the connection, who is which member, and what became of each invoice."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app import clock
from app.billing.models import Customer, Invoice
from app.db import Base, choice
from app.installations.models import Installation
from app.work import Due, Leased

RemoteId = Annotated[int, mapped_column(sa.BigInteger)]


class Writer(StrEnum):
    """How invoices are written into Nexudus."""

    AUTO = "auto"
    DOCUMENT = "document"
    PRODUCT_SALE = "product_sale"


class Issue(StrEnum):
    """How invoices arrive there."""

    DRAFT = "draft"
    ISSUED = "issued"


class Connection(Base, Due, Leased):
    """A sign-in at one Nexudus business. Ended ones keep their links and history; one per installation is current."""

    __tablename__ = "nexudus_connection"
    __table_args__ = (
        sa.UniqueConstraint("installation_id", "business_id"),
        sa.Index(
            "uq_nexudus_connection_current",
            "installation_id",
            unique=True,
            sqlite_where=sa.text("ended_at IS NULL"),
            postgresql_where=sa.text("ended_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    installation_id: Mapped[int] = mapped_column(sa.ForeignKey("installation.id"))
    business_id: Mapped[RemoteId]
    business_name: Mapped[str] = mapped_column(sa.String(200))
    web_address: Mapped[str] = mapped_column(sa.String(200), default="")
    currency: Mapped[str] = mapped_column(sa.String(3))
    currency_id: Mapped[RemoteId]
    email: Mapped[str] = mapped_column(sa.String(254))
    # Ours alone: another tool of the same user, which defaults to the email, must not end our refresh token.
    client_id: Mapped[str] = mapped_column(sa.String(60))
    access_token: Mapped[str | None] = mapped_column(sa.Text, info={"sealed": True})
    refresh_token: Mapped[str | None] = mapped_column(sa.Text, info={"sealed": True})
    tokens_at: Mapped[datetime | None]
    connected_at: Mapped[datetime] = mapped_column(default=clock.now)
    ended_at: Mapped[datetime | None]
    # Webhooks: the unguessable end of their address, what they are signed with, and when one last told something new.
    hook_key: Mapped[str | None] = mapped_column(sa.String(48), unique=True)
    hook_secret: Mapped[str | None] = mapped_column(sa.Text, info={"sealed": True})
    heard_at: Mapped[datetime | None]

    writer: Mapped[Writer] = mapped_column(choice(Writer), default=Writer.AUTO)
    issue: Mapped[Issue] = mapped_column(choice(Issue), default=Issue.DRAFT)
    documents_routed: Mapped[bool] = mapped_column(default=False)
    probed_at: Mapped[datetime | None]
    probe_note: Mapped[str] = mapped_column(sa.String(300), default="")
    window_hour: Mapped[int] = mapped_column(default=6)
    may_add_products: Mapped[bool] = mapped_column(default=True)
    creates_portal_users: Mapped[bool] = mapped_column(default=False)
    uses_own_numbers: Mapped[bool] = mapped_column(default=False)

    # The rate budget: seconds since the epoch of the last minute's calls and writes, and the day's writes.
    recent_calls: Mapped[list[Any]] = mapped_column(default=list)
    recent_writes: Mapped[list[Any]] = mapped_column(default=list)
    writes_on: Mapped[date | None]
    writes_today: Mapped[int] = mapped_column(default=0)
    members_listed_at: Mapped[datetime | None]
    failing_since: Mapped[datetime | None]

    installation: Mapped[Installation] = relationship()

    @property
    def way(self) -> Writer:
        """The strategy in force: the one chosen, else the best that this Nexudus accepts."""
        if self.writer != Writer.AUTO:
            return self.writer
        return Writer.DOCUMENT if self.documents_routed else Writer.PRODUCT_SALE


class LinkState(StrEnum):
    CREATING = "creating"
    LINKED = "linked"
    CHOICE = "choice"
    SKIPPED = "skipped"
    TOMORROW = "tomorrow"
    BILLED_HERE = "billed_here"
    GONE = "gone"


# Whoever is in one of these is billed in Nexudus: also one whose member is gone, until a person decides otherwise.
BILLED_THERE = (LinkState.LINKED, LinkState.GONE)


class How(StrEnum):
    """How a customer came to be linked."""

    BY_EMAIL = "by_email"
    CREATED = "created"
    BY_HAND = "by_hand"


class MemberLink(Base):
    """Which member a customer is, since when, how; or why none. No row: nobody looked yet."""

    __tablename__ = "nexudus_member_link"
    __table_args__ = (
        sa.UniqueConstraint("connection_id", "customer_id"),
        sa.UniqueConstraint("connection_id", "member_id"),
        sa.Index("ix_nexudus_member_link_connection_id_state", "connection_id", "state", "id"),
        sa.CheckConstraint("state != 'linked' OR member_id IS NOT NULL", name="linked_has_member"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    connection_id: Mapped[int] = mapped_column(sa.ForeignKey("nexudus_connection.id"))
    customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customer.id"), index=True)
    state: Mapped[LinkState] = mapped_column(choice(LinkState))
    member_id: Mapped[RemoteId | None]
    member_name: Mapped[str] = mapped_column(sa.String(200), default="")
    member_email: Mapped[str] = mapped_column(sa.String(254), default="")
    how: Mapped[How | None] = mapped_column(choice(How))
    by: Mapped[str] = mapped_column(sa.String(254), default="")  # a user's name; empty: by itself
    since: Mapped[datetime] = mapped_column(default=clock.now)
    reason: Mapped[str] = mapped_column(sa.String(300), default="")
    retry_at: Mapped[datetime | None]  # when a member is created whom today's limit left out
    run_id: Mapped[int | None] = mapped_column(sa.ForeignKey("nexudus_link_run.id"), index=True)

    connection: Mapped[Connection] = relationship()
    customer: Mapped[Customer] = relationship()


class SeenMember(Base):
    """A member as the last listing showed it; matching reads this table and asks Nexudus nothing."""

    __tablename__ = "nexudus_seen_member"
    __table_args__ = (
        sa.UniqueConstraint("connection_id", "member_id"),
        sa.Index("ix_nexudus_seen_member_connection_id_email_key", "connection_id", "email_key"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    connection_id: Mapped[int] = mapped_column(sa.ForeignKey("nexudus_connection.id"))
    member_id: Mapped[RemoteId]
    email: Mapped[str] = mapped_column(sa.String(254), default="")
    email_key: Mapped[str] = mapped_column(sa.String(254), default="")
    full_name: Mapped[str] = mapped_column(sa.String(200), default="")
    location: Mapped[str] = mapped_column(sa.String(200), default="")
    invoicing_business_id: Mapped[RemoteId | None]
    active: Mapped[bool] = mapped_column(default=True)
    archived: Mapped[bool] = mapped_column(default=False)
    registered_at: Mapped[datetime | None]
    run_id: Mapped[int | None] = mapped_column(sa.ForeignKey("nexudus_link_run.id"))


class LinkPhase(StrEnum):
    LISTING = "listing"
    MATCHING = "matching"
    CREATING = "creating"
    DONE = "done"


class LinkRun(Base):
    """One pass of "Connect members": list the members once, match, create who is missing."""

    __tablename__ = "nexudus_link_run"
    __table_args__ = (
        sa.Index(
            "uq_nexudus_link_run_open",
            "connection_id",
            unique=True,
            sqlite_where=sa.text("ended_at IS NULL"),
            postgresql_where=sa.text("ended_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    connection_id: Mapped[int] = mapped_column(sa.ForeignKey("nexudus_connection.id"))
    phase: Mapped[LinkPhase] = mapped_column(choice(LinkPhase), default=LinkPhase.LISTING)
    begun_at: Mapped[datetime] = mapped_column(default=clock.now)
    ended_at: Mapped[datetime | None]
    begun_by: Mapped[str] = mapped_column(sa.String(254), default="")  # a user's name; empty: by itself
    # A run for customers who signed up since: it lists only members changed since the last listing.
    only_new: Mapped[bool] = mapped_column(default=False)
    next_page: Mapped[int] = mapped_column(default=1)
    listed: Mapped[int] = mapped_column(default=0)
    members: Mapped[int | None]
    customers: Mapped[int | None]
    last_customer_id: Mapped[int] = mapped_column(default=0)
    creating_since: Mapped[datetime | None]
    # How it ended, kept as it was then; links change afterwards.
    counts: Mapped[dict[str, Any]] = mapped_column(default=dict)

    connection: Mapped[Connection] = relationship()


class RunKind(StrEnum):
    WINDOW = "window"
    NOW = "now"
    RETRY = "retry"


class ExportRun(Base):
    """One pass of handing invoices over: a window of the calendar, "Export now", or a person's retry."""

    __tablename__ = "nexudus_export_run"
    __table_args__ = (
        sa.UniqueConstraint("account_id", "window_on"),
        sa.Index("ix_nexudus_export_run_connection_id_begun_at", "connection_id", "begun_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    connection_id: Mapped[int] = mapped_column(sa.ForeignKey("nexudus_connection.id"))
    kind: Mapped[RunKind] = mapped_column(choice(RunKind))
    # The civil date of the window in the account's zone; None for runs that a person began.
    window_on: Mapped[date | None]
    # Earlier windows that this one makes up for, as ISO dates.
    makes_up: Mapped[list[Any]] = mapped_column(default=list)
    begun_by: Mapped[str] = mapped_column(sa.String(254), default="")
    begun_at: Mapped[datetime] = mapped_column(default=clock.now)
    planned_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]

    connection: Mapped[Connection] = relationship()


class ExportState(StrEnum):
    WAITING = "waiting"
    SENDING = "sending"
    EXPORTED = "exported"
    UNKNOWN = "unknown"
    HELD = "held"


class InvoiceExport(Base):
    """One invoice on its way to Nexudus."""

    __tablename__ = "nexudus_invoice_export"
    __table_args__ = (
        sa.UniqueConstraint("invoice_id"),
        sa.UniqueConstraint("account_id", "marker"),
        sa.Index("ix_nexudus_invoice_export_connection_id_state", "connection_id", "state", "id"),
        sa.CheckConstraint("state != 'exported' OR remote_id IS NOT NULL", name="exported_has_remote_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    connection_id: Mapped[int] = mapped_column(sa.ForeignKey("nexudus_connection.id"))
    invoice_id: Mapped[int] = mapped_column(sa.ForeignKey("invoice.id"))
    # None: a person held it back before any run took it.
    run_id: Mapped[int | None] = mapped_column(sa.ForeignKey("nexudus_export_run.id"), index=True)
    state: Mapped[ExportState] = mapped_column(choice(ExportState), default=ExportState.WAITING)
    # What it held when it was taken: nothing that happens here later changes what goes there.
    frozen: Mapped[dict[str, Any]] = mapped_column(default=dict)
    frozen_hash: Mapped[str] = mapped_column(sa.String(64), default="")
    marker: Mapped[str | None] = mapped_column(sa.String(40))
    # How often the step it is at got no answer, and which one that is.
    attempts: Mapped[int] = mapped_column(default=0)
    stuck_at: Mapped[str] = mapped_column(sa.String(40), default="")
    # Times a slice began with it and never came to an orderly end: a crash, not an answer.
    broken_off: Mapped[int] = mapped_column(default=0)
    # Not touched again before: an unknown one that is looked up then, or one that could not be sent.
    next_try_at: Mapped[datetime | None]
    # When somebody who opened the invoice had its unknown outcome looked up.
    asked_at: Mapped[datetime | None]
    sent_at: Mapped[datetime | None]
    reason_code: Mapped[str] = mapped_column(sa.String(40), default="")
    reason: Mapped[str] = mapped_column(sa.String(400), default="")
    exported_at: Mapped[datetime | None]
    remote_id: Mapped[RemoteId | None]
    remote_number: Mapped[str] = mapped_column(sa.String(80), default="")
    remote_total_minor: Mapped[int | None] = mapped_column(sa.BigInteger)
    remote_is_draft: Mapped[bool] = mapped_column(default=False)

    connection: Mapped[Connection] = relationship()
    invoice: Mapped[Invoice] = relationship()
    run: Mapped[ExportRun | None] = relationship()


class TaxProduct(Base):
    """The product over there that carries lines of one tax rate at one business."""

    __tablename__ = "nexudus_tax_product"
    __table_args__ = (sa.UniqueConstraint("connection_id", "business_id", "rate"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    connection_id: Mapped[int] = mapped_column(sa.ForeignKey("nexudus_connection.id"))
    business_id: Mapped[RemoteId]
    rate: Mapped[Decimal]  # percent
    tax_rate_id: Mapped[RemoteId | None]
    tax_rate_name: Mapped[str] = mapped_column(sa.String(120), default="")
    # None until it is chosen, or made by us with the Operator's consent.
    product_id: Mapped[RemoteId | None]
    product_name: Mapped[str] = mapped_column(sa.String(200), default="")
    made_by_us: Mapped[bool] = mapped_column(default=False)
