"""Account, Location, User, Membership, SignIn: who works for whom, where, and from which browsers."""

from datetime import datetime
from decimal import Decimal

import sqlalchemy as sa
from flask_login import UserMixin
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app import clock
from app.access import Role
from app.db import Base, choice


class Account(Base):
    """One paying organisation; everything else belongs to exactly one."""

    __tablename__ = "account"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(120))
    slug: Mapped[str] = mapped_column(sa.String(40), unique=True)
    timezone: Mapped[str] = mapped_column(sa.String(60))
    currency: Mapped[str] = mapped_column(sa.String(3))
    country: Mapped[str] = mapped_column(sa.String(2))
    # Invoices are numbered without a gap: "QW-1001", "QW-1002"; taken by one UPDATE that also counts on.
    invoice_prefix: Mapped[str] = mapped_column(sa.String(8))
    next_invoice_number: Mapped[int] = mapped_column(default=1001)
    # Whether customers billed here get a new subscription fee by mail, and how many days later it is due.
    mails_invoices: Mapped[bool] = mapped_column(default=True, server_default=sa.true())
    payment_days: Mapped[int] = mapped_column(default=0, server_default="0")
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    # How customers reach the account, and how its pages and mails for them look; empty: our own look, its name.
    contact_email: Mapped[str] = mapped_column(sa.String(254), default="")
    contact_phone: Mapped[str] = mapped_column(sa.String(40), default="")
    website: Mapped[str] = mapped_column(sa.String(200), default="")
    accent: Mapped[str] = mapped_column(sa.String(7), default="")  # "#005b66"
    mail_name: Mapped[str] = mapped_column(sa.String(120), default="")
    logo_version: Mapped[str] = mapped_column(sa.String(16), default="")  # "" without a logo, see AccountLogo

    locations: Mapped[list["Location"]] = relationship(order_by="Location.id")

    @property
    def account_id(self) -> int:
        return self.id


class Location(Base):
    """A place the account runs."""

    __tablename__ = "location"
    __table_args__ = (sa.UniqueConstraint("account_id", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    name: Mapped[str] = mapped_column(sa.String(120))
    address: Mapped[str] = mapped_column(sa.String(300), default="")
    city: Mapped[str] = mapped_column(sa.String(120), default="")
    postcode: Mapped[str] = mapped_column(sa.String(20), default="")
    country: Mapped[str] = mapped_column(sa.String(2))
    timezone: Mapped[str] = mapped_column(sa.String(60))
    currency: Mapped[str] = mapped_column(sa.String(3))
    tax_rate: Mapped[Decimal] = mapped_column(default=Decimal(0))  # percent; what new invoice lines here are taxed with


class AccountLogo(Base):
    """The picture on an account's pages for customers: a PNG that we wrote ourselves."""

    __tablename__ = "account_logo"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"), unique=True)
    version: Mapped[str] = mapped_column(sa.String(16))
    content: Mapped[bytes] = mapped_column(sa.LargeBinary)


class User(Base, UserMixin):
    """A person who signs in. What they may do stands in their memberships."""

    __tablename__ = "user"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(sa.String(254))
    email_key: Mapped[str] = mapped_column(sa.String(254), unique=True)
    full_name: Mapped[str] = mapped_column(sa.String(120), default="")
    password_hash: Mapped[str] = mapped_column(sa.String(200))
    is_instance_admin: Mapped[bool] = mapped_column(default=False)
    second_factor_since: Mapped[datetime | None]  # set while a code is asked for beside the password
    created_at: Mapped[datetime] = mapped_column(default=clock.now)

    memberships: Mapped[list["Membership"]] = relationship(back_populates="user", order_by="Membership.id")

    @property
    def shown_name(self) -> str:
        return self.full_name or self.email

    @property
    def initials(self) -> str:
        words = self.full_name.split() or [self.email]
        return "".join(word[0] for word in (words[0], *words[1:][-1:])).upper()


class Membership(Base):
    """A user's role in one account."""

    __tablename__ = "membership"
    __table_args__ = (sa.UniqueConstraint("account_id", "user_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("user.id"), index=True)
    role: Mapped[Role] = mapped_column(choice(Role))
    # An Operator who is told about mail of one location alone; empty: of all of them.
    location_id: Mapped[int | None] = mapped_column(sa.ForeignKey("location.id"))

    account: Mapped[Account] = relationship()
    user: Mapped[User] = relationship(back_populates="memberships")
    location: Mapped[Location | None] = relationship()


class SignIn(Base):
    """One browser signed in; the browser holds the token, we hold its hash."""

    __tablename__ = "sign_in"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("user.id"), index=True)
    token_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    begun_at: Mapped[datetime] = mapped_column(default=clock.now)
    ended_at: Mapped[datetime | None]
    address: Mapped[str] = mapped_column(sa.String(45), default="")
    browser: Mapped[str] = mapped_column(sa.String(200), default="")

    user: Mapped[User] = relationship()


class OneTimeLink:
    """Columns of a link that was mailed: we hold the hash of its token, and it counts once, until it expires."""

    token_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class Invitation(OneTimeLink, Base):
    """Somebody was asked by mail to work in an account. A newer one, or withdrawing it, ends it."""

    __tablename__ = "invitation"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"), index=True)
    email: Mapped[str] = mapped_column(sa.String(254))
    email_key: Mapped[str] = mapped_column(sa.String(254))
    role: Mapped[Role] = mapped_column(choice(Role))
    invited_by: Mapped[str] = mapped_column(sa.String(254))
    withdrawn_at: Mapped[datetime | None]

    account: Mapped[Account] = relationship()


class PasswordReset(OneTimeLink, Base):
    """A user asked for a link that sets a new password."""

    __tablename__ = "password_reset"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("user.id"), index=True)

    user: Mapped[User] = relationship()


class Attempt(Base):
    """One try at something that may be guessed; counted so that guessing stays slow, restarts included."""

    __tablename__ = "attempt"
    __table_args__ = (sa.Index("ix_attempt_kind_subject_at", "kind", "subject", "at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(40))
    subject: Mapped[str] = mapped_column(sa.String(64))
    at: Mapped[datetime] = mapped_column(default=clock.now)
