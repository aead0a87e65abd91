"""Making accounts, locations and users, and finding what a user may enter."""

import re
from typing import Any
from zoneinfo import available_timezones

import sqlalchemy as sa
from babel import Locale
from email_validator import EmailNotValidError, validate_email

from app import audit
from app.access import Role
from app.accounts.models import Account, Location, Membership, User
from app.accounts.signing_in import end_sign_ins
from app.db import db
from app.errors import Conflict, InvalidInput, NotFound
from app.money import CURRENCIES
from app.typed import email_key

RESERVED_SLUGS = frozenset(
    [
        "login",
        "logout",
        "portal",
        "rq",
        "static",
        "webhooks",
        "healthz",
        "readyz",
        "metrics",
        "marketplace",
        "styleguide",
        "accounts",
        "invitation",
        "reset",
        "me",
    ]
)
_NO_COUNTRIES = {"EU", "EZ", "UN", "XA", "XB", "ZZ", "QO"}  # codes for groups, pseudo-locales and the unknown
COUNTRIES = {
    code: name for code, name in Locale("en").territories.items() if len(code) == 2 and code not in _NO_COUNTRIES
}


def create_account(
    name: str, slug: str, timezone: str = "Europe/London", currency: str = "EUR", country: str = "GB"
) -> Account:
    """A new account with its first location, which has the account's name; every value is checked."""
    if not re.fullmatch(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?", slug) or slug in RESERVED_SLUGS:
        raise InvalidInput(
            f"“{slug}” cannot be a slug: small letters, digits and hyphens, not a reserved word.", "slug"
        )
    if db.session.scalar(sa.select(Account.id).where(Account.slug == slug)):
        raise Conflict(f"An account “{slug}” exists already.")
    if timezone not in available_timezones():
        raise InvalidInput(f"“{timezone}” is no time zone such as Europe/Lisbon.", "timezone")
    if currency not in CURRENCIES:
        raise InvalidInput(f"“{currency}” is no currency code such as EUR.", "currency")
    if country not in COUNTRIES:
        raise InvalidInput(f"“{country}” is no country code such as PT.", "country")
    if not name.strip():
        raise InvalidInput("An account needs a name.", "name")
    account = Account(
        name=name.strip(),
        slug=slug,
        timezone=timezone,
        currency=currency,
        country=country,
        invoice_prefix=_invoice_prefix(name, slug),
    )
    db.session.add(account)
    db.session.flush()
    add_location(account, name.strip())
    audit.record("account_created", account)
    return account


def _invoice_prefix(name: str, slug: str) -> str:
    """What invoice numbers begin with: "QW" for Quayside Works. ASCII, because other systems keep it too."""
    words = re.findall(r"[A-Za-z0-9]+", name) or [slug]
    return "".join(word[0] for word in words)[:4].upper()


def add_location(account: Account, name: str, **fields: Any) -> Location:
    """A further place of `account`; zone, country and currency are the account's unless given."""
    location = Location(
        account_id=account.id,
        name=name,
        **{"country": account.country, "timezone": account.timezone, "currency": account.currency, **fields},
    )
    db.session.add(location)
    db.session.flush()
    return location


def checked_email(email: str) -> str:
    """`email` without outer blanks, or `InvalidInput` naming what is wrong with it."""
    if not email.strip():
        raise InvalidInput("Type an email address.", "email")
    try:
        return validate_email(email.strip(), check_deliverability=False, test_environment=True).normalized
    except EmailNotValidError as error:
        raise InvalidInput(f"“{email.strip()}” is not an email address.", "email", cause=str(error)) from error


def find_user(email: str) -> User:
    """The user with this email, or `NotFound`."""
    user: User | None = db.session.scalar(sa.select(User).where(User.email_key == email_key(email)))
    if user is None:
        raise NotFound(f"No user has the email {email}.")
    return user


def has_user(email: str) -> bool:
    """Whether somebody signs in with this email."""
    return db.session.scalar(sa.select(User.id).where(User.email_key == email_key(email))) is not None


def create_user(email: str, password_hash: str, full_name: str = "", *, is_instance_admin: bool = False) -> User:
    """A new user; `Conflict` when the email is taken."""
    email = checked_email(email)
    if db.session.scalar(sa.select(User.id).where(User.email_key == email_key(email))):
        raise Conflict(f"A user with the email {email} exists already.")
    user = User(
        email=email,
        email_key=email_key(email),
        full_name=full_name,
        password_hash=password_hash,
        is_instance_admin=is_instance_admin,
    )
    db.session.add(user)
    db.session.flush()
    audit.record("user_created", user)
    return user


def give_role(account: Account, user: User, role: Role) -> Membership:
    """Make `user` an Operator, Admin or Mail Admin of `account`; a changed role ends the user's sign-ins."""
    membership = membership_of(user, account)
    if membership is None:
        membership = Membership(account_id=account.id, user_id=user.id, role=role)
        db.session.add(membership)
    elif membership.role != role:
        membership.role = role
        end_sign_ins(user)
    db.session.flush()
    audit.record("role_given", membership, email=user.email, role=role.value)
    return membership


def set_password(user: User, password_hash: str, keep: str = "") -> None:
    """A new password; all sign-ins of the user end, but the one whose token's hash is `keep`."""
    user.password_hash = password_hash
    end_sign_ins(user, keep)
    audit.record("password_changed", user)


def account_by_slug(slug: str) -> Account:
    """The account with this slug, or `NotFound`."""
    account = db.session.scalar(sa.select(Account).where(Account.slug == slug))
    if account is None:
        raise NotFound(f"There is no account “{slug}”.")
    return account


def membership_of(user: User, account: Account) -> Membership | None:
    """The user's membership in the account, if any."""
    return db.session.scalar(
        sa.select(Membership).where(Membership.user_id == user.id, Membership.account_id == account.id)
    )


def operators_of(account_id: int, location_id: int | None = None) -> list[User]:
    """Who may set things up in an account, by name; with a location those who are told about mail of it."""
    query = (
        sa.select(User)
        .join(Membership)
        .where(Membership.account_id == account_id, Membership.role == Role.OPERATOR)
        .order_by(User.full_name, User.email)
    )
    if location_id is not None:
        query = query.where(sa.or_(Membership.location_id.is_(None), Membership.location_id == location_id))
    return list(db.session.scalars(query))
