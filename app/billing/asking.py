"""Asking a customer for billing info: with the first invoice, and once more three days later. Never commits."""

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app import clock
from app.billing.models import Customer
from app.db import Base, db
from app.work import Due

REMINDED_AFTER = timedelta(days=3)


class BillingInfoRequest(Base, Due):
    """When an active customer was asked for billing info. It rests until an invoice is written, or a biller decided."""

    __tablename__ = "billing_info_request"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customer.id"), unique=True)
    asked_at: Mapped[datetime | None]
    reminded_at: Mapped[datetime | None]

    customer: Mapped[Customer] = relationship()


def begin(customer: Customer) -> None:
    """The customer is active from now on; who was asked in an earlier life is not asked again."""
    known = sa.select(BillingInfoRequest.id).where(BillingInfoRequest.customer_id == customer.id)
    if db.session.scalar(known) is None:
        db.session.add(BillingInfoRequest(account_id=customer.account_id, customer_id=customer.id))


def asked(customer_id: int) -> None:
    """A mail that went out for another reason has asked already: the next one is the reminder."""
    now = clock.now()
    db.session.execute(
        sa.update(BillingInfoRequest)
        .where(BillingInfoRequest.customer_id == customer_id, BillingInfoRequest.asked_at.is_(None))
        .values(asked_at=now, due_at=now + REMINDED_AFTER, nudged_at=None)
        .execution_options(synchronize_session=False)
    )


def look_now(customer_id: int) -> None:
    """Something happened that may be a reason to ask: an invoice was written, or it was decided who bills."""
    db.session.execute(
        sa.update(BillingInfoRequest)
        .where(BillingInfoRequest.customer_id == customer_id, BillingInfoRequest.asked_at.is_(None))
        .values(due_at=clock.now(), nudged_at=None)
        .execution_options(synchronize_session=False)
    )
