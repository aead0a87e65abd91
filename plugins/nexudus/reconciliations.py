"""What a reconciliation keeps: which period, how far it is, and each invoice of it as it stands here and there."""

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app import clock
from app.billing.models import Customer, Invoice
from app.db import Base, choice
from app.money import Money
from plugins.nexudus.models import Connection, RemoteId


class Phase(StrEnum):
    GATHERING = "gathering"
    LISTING = "listing"
    CHECKING = "checking"
    DONE = "done"


class Reconciliation(Base):
    """What was closed here as handed over in a period, against what stands in Nexudus; asking again replaces it."""

    __tablename__ = "nexudus_reconciliation"
    __table_args__ = (sa.UniqueConstraint("connection_id", "period"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    connection_id: Mapped[int] = mapped_column(sa.ForeignKey("nexudus_connection.id"))
    period: Mapped[str] = mapped_column(sa.String(10))
    begins: Mapped[datetime]
    ends: Mapped[datetime]
    asked_by: Mapped[str] = mapped_column(sa.String(254), default="")
    asked_at: Mapped[datetime] = mapped_column(default=clock.now)
    ended_at: Mapped[datetime | None]
    phase: Mapped[Phase] = mapped_column(choice(Phase), default=Phase.GATHERING)
    next_page: Mapped[int] = mapped_column(default=1)
    listed: Mapped[int] = mapped_column(default=0)
    listing: Mapped[int | None]  # how many rows the listing has; None before its first page
    # How it ended.
    here_count: Mapped[int] = mapped_column(default=0)
    here_minor: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    there_count: Mapped[int] = mapped_column(default=0)
    there_minor: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    differences: Mapped[int] = mapped_column(default=0)

    connection: Mapped[Connection] = relationship()

    @property
    def here(self) -> Money:
        return Money(self.here_minor, self.connection.currency)

    @property
    def there(self) -> Money:
        return Money(self.there_minor, self.connection.currency)


class ReconciledInvoice(Base):
    """One invoice of a reconciliation; `code` says what differs, "" for nothing.

    `here_minor` is empty when it is not closed here, `there_minor` when it does not stand there.
    """

    __tablename__ = "nexudus_reconciled_invoice"
    __table_args__ = (
        sa.Index("ix_nexudus_reconciled_invoice_remote_id", "reconciliation_id", "remote_id"),
        sa.Index("ix_nexudus_reconciled_invoice_customer_id", "reconciliation_id", "customer_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    # Named here, because PostgreSQL takes no name as long as ours would be.
    reconciliation_id: Mapped[int] = mapped_column(
        sa.ForeignKey("nexudus_reconciliation.id", name="fk_nexudus_reconciled_invoice_reconciliation")
    )
    invoice_id: Mapped[int | None] = mapped_column(sa.ForeignKey("invoice.id"))
    customer_id: Mapped[int | None] = mapped_column(sa.ForeignKey("customer.id"))
    remote_id: Mapped[RemoteId]
    remote_number: Mapped[str] = mapped_column(sa.String(80), default="")
    here_minor: Mapped[int | None] = mapped_column(sa.BigInteger)
    there_minor: Mapped[int | None] = mapped_column(sa.BigInteger)
    is_checked: Mapped[bool] = mapped_column(default=False)
    code: Mapped[str] = mapped_column(sa.String(40), default="")
    note: Mapped[str] = mapped_column(sa.String(400), default="")

    reconciliation: Mapped[Reconciliation] = relationship()
    invoice: Mapped[Invoice | None] = relationship()
    customer: Mapped[Customer | None] = relationship()

    @property
    def here(self) -> Money | None:
        return self._money(self.here_minor)

    @property
    def there(self) -> Money | None:
        return self._money(self.there_minor)

    def _money(self, minor: int | None) -> Money | None:
        return None if minor is None else Money(minor, self.reconciliation.connection.currency)
