"""Plan and Subscription: what an account offers, and what a customer has taken at the prices of that day."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app import clock
from app.billing import periods
from app.billing.models import Customer
from app.db import Base, choice
from app.money import Money
from app.work import Due


class Cycle(StrEnum):
    """How long a period is that is paid at once, in advance."""

    MONTHLY = "monthly"
    HALF_YEARLY = "half_yearly"
    YEARLY = "yearly"

    @property
    def months(self) -> int:
        return {"monthly": 1, "half_yearly": 6, "yearly": 12}[self.value]

    @property
    def per(self) -> str:
        """As it stands behind a price: "€39.00 a month"."""
        return {"monthly": "a month", "half_yearly": "for six months", "yearly": "a year"}[self.value]

    @property
    def label(self) -> str:
        return {"monthly": "Monthly", "half_yearly": "Half-yearly", "yearly": "Yearly"}[self.value]


class PlanKind(StrEnum):
    BUSINESS = "business"
    PERSONAL = "personal"


class Plan(Base):
    """What customers may take. Prices are net, in minor units of `currency`; a change leaves subscriptions alone."""

    __tablename__ = "plan"
    __table_args__ = (sa.UniqueConstraint("account_id", "title"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    title: Mapped[str] = mapped_column(sa.String(80))
    subtitle: Mapped[str] = mapped_column(sa.String(160), default="")
    kind: Mapped[PlanKind] = mapped_column(choice(PlanKind))
    currency: Mapped[str] = mapped_column(sa.String(3))
    monthly_minor: Mapped[int] = mapped_column(sa.BigInteger)
    # One longer cycle, or none; both are set or neither is.
    long_cycle: Mapped[Cycle | None] = mapped_column(choice(Cycle))
    long_minor: Mapped[int | None] = mapped_column(sa.BigInteger)
    setup_minor: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    recipient_minor: Mapped[int] = mapped_column(sa.BigInteger, default=0)  # per paid recipient and month
    tax_rate: Mapped[Decimal | None]  # percent; None: the rate of the customer's location
    shown: Mapped[bool] = mapped_column(default=False)  # on the public sign-up page
    archived_at: Mapped[datetime | None]  # taken by nobody any more; who has it keeps it
    created_at: Mapped[datetime] = mapped_column(default=clock.now)

    @property
    def cycles(self) -> list[Cycle]:
        """How it can be paid, the shortest first."""
        return [Cycle.MONTHLY, *([self.long_cycle] if self.long_cycle else [])]

    def price(self, cycle: Cycle) -> Money:
        """What one period of `cycle` costs; `KeyError` for a cycle that the plan does not offer."""
        if cycle not in self.cycles:
            raise KeyError(cycle)
        return Money(self.monthly_minor if cycle == Cycle.MONTHLY else self.long_minor or 0, self.currency)

    @property
    def setup_fee(self) -> Money:
        return Money(self.setup_minor, self.currency)

    @property
    def recipient_price(self) -> Money:
        return Money(self.recipient_minor, self.currency)


class Subscription(Due, Base):
    """What one customer has taken: the plan's name and prices as they were on that day.

    Due when the next period is to be billed: never before the customer is active, and never after the end.
    """

    __tablename__ = "subscription"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customer.id"), index=True)
    plan_id: Mapped[int] = mapped_column(sa.ForeignKey("plan.id"), index=True)
    title: Mapped[str] = mapped_column(sa.String(80))
    cycle: Mapped[Cycle] = mapped_column(choice(Cycle))
    currency: Mapped[str] = mapped_column(sa.String(3))
    price_minor: Mapped[int] = mapped_column(sa.BigInteger)  # per period
    setup_minor: Mapped[int] = mapped_column(sa.BigInteger)  # once, with the first period; 0 when it was waived
    recipient_minor: Mapped[int] = mapped_column(sa.BigInteger)  # per paid recipient and month
    billing_starts_on: Mapped[date]
    next_period: Mapped[int] = mapped_column(default=0)  # the number of the first period not billed yet
    # The first day without service: a period that begins on it or later is not billed. May lie ahead.
    ended_on: Mapped[date | None]
    taken_at: Mapped[datetime] = mapped_column(default=clock.now)

    customer: Mapped[Customer] = relationship()
    plan: Mapped[Plan] = relationship()

    @property
    def price(self) -> Money:
        return Money(self.price_minor, self.currency)

    @property
    def setup_fee(self) -> Money:
        return Money(self.setup_minor, self.currency)

    @property
    def recipient_price(self) -> Money:
        return Money(self.recipient_minor, self.currency)

    def starts_on(self, number: int) -> date:
        """The first day of period `number`, counted from 0."""
        return periods.starts_on(self.billing_starts_on, self.cycle.months, number)

    @property
    def next_period_on(self) -> date:
        """The day on which the next period begins that is not billed yet."""
        return self.starts_on(self.next_period)

    @property
    def bills_again(self) -> bool:
        """Whether the next period begins before the end."""
        return self.ended_on is None or self.next_period_on < self.ended_on
