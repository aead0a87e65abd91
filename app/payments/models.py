"""Gateway, cards, collections, charges and refunds: what was asked of whom, and what became of it. No card numbers."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app import clock
from app.billing.models import Customer, Invoice
from app.db import Base, choice
from app.money import Money
from app.work import Due, Leased


class ProviderName(StrEnum):
    STRIPE = "stripe"
    TEST = "test"

    @property
    def label(self) -> str:
        return {"stripe": "Stripe", "test": "Test gateway"}[self.value]


class Gateway(Due, Leased, Base):
    """An account's connection to a provider. One at a time: an older one has ended, and its cards with it.

    Due when the account's invoices are to be looked through for those that can be collected.
    """

    __tablename__ = "payment_gateway"
    __table_args__ = (
        sa.Index(
            "uq_payment_gateway_account_id",
            "account_id",
            unique=True,
            sqlite_where=sa.text("ended_at IS NULL"),
            postgresql_where=sa.text("ended_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    provider: Mapped[ProviderName] = mapped_column(choice(ProviderName))
    # Sealed in the vault, bound to this row; None once it has ended.
    secret_key: Mapped[str | None] = mapped_column(sa.Text, info={"sealed": True})
    webhook_secret: Mapped[str | None] = mapped_column(sa.Text, info={"sealed": True})
    webhook_key: Mapped[str] = mapped_column(sa.String(48), unique=True)  # the unguessable end of its address
    # Begins every key that is said to the gateway: two databases with one Stripe account never mean the same by one.
    tag: Mapped[str] = mapped_column(sa.String(16))
    key_hint: Mapped[str] = mapped_column(sa.String(40), default="")  # "rk_live_…9fK2"
    remote_account: Mapped[str] = mapped_column(sa.String(80), default="")
    is_live: Mapped[bool] = mapped_column(default=False)
    is_restricted: Mapped[bool] = mapped_column(default=False)
    connected_at: Mapped[datetime] = mapped_column(default=clock.now)
    ended_at: Mapped[datetime | None]
    heard_at: Mapped[datetime | None]  # when a signed webhook last came in

    @property
    def title(self) -> str:
        return self.provider.label

    @property
    def needs_attention(self) -> bool:
        """Whether the provider no longer takes the key; `problem` says so."""
        return bool(self.problem)


class Payer(Leased, Base):
    """A customer as a gateway knows them."""

    __tablename__ = "payer"
    __table_args__ = (sa.UniqueConstraint("gateway_id", "customer_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    gateway_id: Mapped[int] = mapped_column(sa.ForeignKey("payment_gateway.id"))
    customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customer.id"), index=True)
    ref: Mapped[str] = mapped_column(sa.String(80), default="")
    created_at: Mapped[datetime] = mapped_column(default=clock.now)

    customer: Mapped[Customer] = relationship()


class SavedCard(Due, Leased, Base):
    """A card that a customer left with the gateway. Due while it is removed here and not yet there."""

    __tablename__ = "saved_card"
    __table_args__ = (
        sa.UniqueConstraint("gateway_id", "ref"),
        sa.Index("ix_saved_card_customer_id_removed_at", "customer_id", "removed_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    gateway_id: Mapped[int] = mapped_column(sa.ForeignKey("payment_gateway.id"))
    customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customer.id"))
    ref: Mapped[str] = mapped_column(sa.String(80))
    brand: Mapped[str] = mapped_column(sa.String(30))
    last4: Mapped[str] = mapped_column(sa.String(4))
    exp_month: Mapped[int]
    exp_year: Mapped[int]
    is_default: Mapped[bool] = mapped_column(default=False)
    added_at: Mapped[datetime] = mapped_column(default=clock.now)
    removed_at: Mapped[datetime | None]

    gateway: Mapped[Gateway] = relationship()

    @property
    def name(self) -> str:
        """Such as "Visa ··4242": what a person recognises it by."""
        return f"{self.brand} ··{self.last4}"

    @property
    def expires(self) -> str:
        return f"{self.exp_month:02d}/{self.exp_year % 100:02d}"

    @property
    def has_expired(self) -> bool:
        """Whether its last month is over, everywhere."""
        now = clock.now()
        return (self.exp_year, self.exp_month) < (now.year, now.month)


class CardEntry(Base):
    """A visit to the gateway's page on which a card is typed; its key is what the browser comes back with."""

    __tablename__ = "card_entry"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    gateway_id: Mapped[int] = mapped_column(sa.ForeignKey("payment_gateway.id"))
    customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customer.id"), index=True)
    key: Mapped[str] = mapped_column(sa.String(48), unique=True)
    page_ref: Mapped[str | None] = mapped_column(sa.String(200), index=True)
    return_url: Mapped[str] = mapped_column(sa.String(500))
    begun_at: Mapped[datetime] = mapped_column(default=clock.now)
    card_id: Mapped[int | None] = mapped_column(sa.ForeignKey("saved_card.id"))

    customer: Mapped[Customer] = relationship()
    card: Mapped[SavedCard | None] = relationship()


class CollectionState(StrEnum):
    """How collecting an invoice stands. The last four rest until a person does something."""

    WAITING = "waiting"  # the next attempt has its time
    CHARGING = "charging"  # an attempt is being made, or its outcome is looked up
    CONFIRMING = "confirming"  # the customer's bank wants a confirmation
    NO_CARD = "no_card"
    ASK = "ask"  # the card came after the invoice was due: somebody says whether it is charged
    HELD = "held"  # the gateway refuses the request itself; trying again would not help
    GIVEN_UP = "given_up"
    ENDED = "ended"


WAITS_FOR_A_PERSON = sa.text("collection.state IN ('held', 'ask')")
_WAITS = sa.text("state IN ('held', 'ask')")


class Collection(Due, Leased, Base):
    """One invoice being collected by card. `attempts` counts what the bank declined, not what got no answer."""

    __tablename__ = "collection"
    __table_args__ = (
        # Hardly any; looked for on every page of the office.
        sa.Index("ix_collection_account_id_state", "account_id", "state", sqlite_where=_WAITS, postgresql_where=_WAITS),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"), index=True)
    invoice_id: Mapped[int] = mapped_column(sa.ForeignKey("invoice.id"), unique=True)
    state: Mapped[CollectionState] = mapped_column(choice(CollectionState), default=CollectionState.WAITING)
    # The card somebody chose for this invoice; None: the customer's default.
    card_id: Mapped[int | None] = mapped_column(sa.ForeignKey("saved_card.id"))
    tries: Mapped[int] = mapped_column(default=0)  # in a row without an answer
    asked_by: Mapped[str] = mapped_column(sa.String(320), default="")
    begun_at: Mapped[datetime] = mapped_column(default=clock.now)

    invoice: Mapped[Invoice] = relationship()
    card: Mapped[SavedCard | None] = relationship()
    charges: Mapped[list["Charge"]] = relationship(order_by="Charge.id", back_populates="collection")


class ChargeState(StrEnum):
    """`running` and `confirming` may still take money; the others never will."""

    RUNNING = "running"
    CONFIRMING = "confirming"
    PAID = "paid"
    FAILED = "failed"
    DROPPED = "dropped"  # nothing was asked of the bank, or it was taken back


CONFIRM_WITHIN = timedelta(days=3)  # how long the customer's bank is waited for
CHARGE = "payments.charge"  # the kind of its effects
PAID_TWICE = "paid_twice"  # the code of a paid charge whose money settles no invoice and goes back
LIVE = (ChargeState.RUNNING, ChargeState.CONFIRMING)
_IS_LIVE = sa.text("state IN ('running', 'confirming')")
_IS_PAID_TWICE = sa.text("code = 'paid_twice'")


class Charge(Base):
    """One attempt to take an invoice's total from a card. At most one per invoice is live."""

    __tablename__ = "charge"
    __table_args__ = (
        sa.Index("uq_charge_invoice_id", "invoice_id", unique=True, sqlite_where=_IS_LIVE, postgresql_where=_IS_LIVE),
        sa.Index("ix_charge_gateway_id_ref", "gateway_id", "ref"),
        # Hardly any; looked for on every page of the office.
        sa.Index("ix_charge_account_id", "account_id", sqlite_where=_IS_PAID_TWICE, postgresql_where=_IS_PAID_TWICE),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    collection_id: Mapped[int] = mapped_column(sa.ForeignKey("collection.id"), index=True)
    invoice_id: Mapped[int] = mapped_column(sa.ForeignKey("invoice.id"), index=True)
    gateway_id: Mapped[int] = mapped_column(sa.ForeignKey("payment_gateway.id"))
    card_id: Mapped[int] = mapped_column(sa.ForeignKey("saved_card.id"))
    number: Mapped[int]  # of this invoice's attempts
    state: Mapped[ChargeState] = mapped_column(choice(ChargeState), default=ChargeState.RUNNING)
    is_unknown: Mapped[bool] = mapped_column(default=False)  # the answer got lost; it is looked up
    amount_minor: Mapped[int] = mapped_column(sa.BigInteger)
    currency: Mapped[str] = mapped_column(sa.String(3))
    # Said to the gateway with every call of this attempt, so that a repetition is recognised there.
    key: Mapped[str] = mapped_column(sa.String(80), unique=True)
    ref: Mapped[str] = mapped_column(sa.String(80), default="")
    code: Mapped[str] = mapped_column(sa.String(60), default="")
    reason: Mapped[str] = mapped_column(sa.String(300), default="")
    confirm_until: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    ended_at: Mapped[datetime | None]

    collection: Mapped[Collection] = relationship(back_populates="charges")
    invoice: Mapped[Invoice] = relationship()
    card: Mapped[SavedCard] = relationship()
    gateway: Mapped[Gateway] = relationship()
    refunds: Mapped[list["Refund"]] = relationship(order_by="Refund.id", back_populates="charge")

    @property
    def amount(self) -> Money:
        return Money(self.amount_minor, self.currency)

    @property
    def refundable(self) -> Money:
        """What is left of it: neither given back nor on its way back."""
        back = sum(one.amount_minor for one in self.refunds if one.state != RefundState.FAILED)
        return Money(self.amount_minor - back, self.currency)


class RefundState(StrEnum):
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"


class Refund(Due, Leased, Base):
    """Money on its way back to a card, asked for here or in the provider's own back office."""

    __tablename__ = "refund"
    __table_args__ = (sa.UniqueConstraint("charge_id", "ref"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    charge_id: Mapped[int] = mapped_column(sa.ForeignKey("charge.id"), index=True)
    amount_minor: Mapped[int] = mapped_column(sa.BigInteger)
    reason: Mapped[str] = mapped_column(sa.String(300), default="")
    state: Mapped[RefundState] = mapped_column(choice(RefundState), default=RefundState.WAITING)
    is_unknown: Mapped[bool] = mapped_column(default=False)
    key: Mapped[str] = mapped_column(sa.String(80), unique=True)
    ref: Mapped[str | None] = mapped_column(sa.String(80))
    asked_by: Mapped[str] = mapped_column(sa.String(320), default="")
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    ended_at: Mapped[datetime | None]

    charge: Mapped[Charge] = relationship(back_populates="refunds")

    @property
    def amount(self) -> Money:
        return Money(self.amount_minor, self.charge.currency)


class PaymentEvent(Due, Base):
    """Something a provider told us by webhook. Only a hint: what it is about is read anew from the provider."""

    __tablename__ = "payment_event"
    __table_args__ = (sa.UniqueConstraint("gateway_id", "event_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    gateway_id: Mapped[int] = mapped_column(sa.ForeignKey("payment_gateway.id"))
    event_id: Mapped[str] = mapped_column(sa.String(100))
    kind: Mapped[str] = mapped_column(sa.String(60))
    about: Mapped[dict[str, Any]] = mapped_column(default=dict)  # ids only
    received_at: Mapped[datetime] = mapped_column(default=clock.now)

    gateway: Mapped[Gateway] = relationship()
