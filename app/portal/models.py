"""How customers get into their account's portal: a password, sign-ins, links by mail, and what they signed up for."""

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app import clock
from app.accounts.models import OneTimeLink
from app.billing.models import Customer
from app.db import Base, choice
from app.work import Due


class PortalLogin(Base):
    """The password of a customer who may sign in, with the email that the customer has here. No user: see `User`."""

    __tablename__ = "portal_login"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customer.id"), unique=True)
    password_hash: Mapped[str] = mapped_column(sa.String(200))
    created_at: Mapped[datetime] = mapped_column(default=clock.now)

    customer: Mapped[Customer] = relationship()


class PortalSignIn(Base):
    """One browser in which a customer is signed in; the browser holds the token, we hold its hash."""

    __tablename__ = "portal_sign_in"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customer.id"), index=True)
    token_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    begun_at: Mapped[datetime] = mapped_column(default=clock.now)
    ended_at: Mapped[datetime | None]
    address: Mapped[str] = mapped_column(sa.String(45), default="")
    browser: Mapped[str] = mapped_column(sa.String(200), default="")

    customer: Mapped[Customer] = relationship()


class Purpose(StrEnum):
    """What a link by mail was asked for; each ends with a password of the customer's own choice."""

    INVITATION = "invitation"
    CONFIRMATION = "confirmation"
    RESET = "reset"


class PortalLink(OneTimeLink, Base):
    """A customer was sent a link that sets the password. A newer one ends it."""

    __tablename__ = "portal_link"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customer.id"), index=True)
    purpose: Mapped[Purpose] = mapped_column(choice(Purpose))

    customer: Mapped[Customer] = relationship()


class SignUp(Base, Due):
    """A customer who came by the sign-up page: whether the email was confirmed, and when the service began.

    Due while a card is asked for: should the browser not come back from the page where it is typed, we look ourselves.
    """

    __tablename__ = "sign_up"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customer.id"), unique=True)
    begun_at: Mapped[datetime] = mapped_column(default=clock.now)
    confirmed_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    customer: Mapped[Customer] = relationship()
