"""Links by mail with which a customer chooses a password: an invitation, a confirmed sign-up, a forgotten password.

The link carries a token of which we hold the hash. It counts once, until it expires, and only the newest counts.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from app import audit, clock
from app.accounts.models import Account
from app.accounts.signing_in import count_try, hashed
from app.addresses import public_url
from app.billing.models import Customer
from app.db import changed_one, db, unit_of_work
from app.errors import NotFound
from app.mailing.services import post
from app.portal import entering, signing_up
from app.portal.models import PortalLink, PortalLogin, Purpose
from app.typed import email_key

HOLDS = {
    Purpose.INVITATION: timedelta(days=7),
    Purpose.CONFIRMATION: timedelta(days=2),
    Purpose.RESET: timedelta(hours=1),
}
WORDS = {Purpose.INVITATION: "seven days", Purpose.CONFIRMATION: "two days", Purpose.RESET: "one hour"}
RESETS_PER_EMAIL, RESETS_PER_ADDRESS = 3, 20


class LinkOver(NotFound):
    """The link was used, has expired, or a newer one was sent."""

    title = "This link is over"

    def __init__(self) -> None:
        super().__init__("It was used already, a newer one was sent, or its time has passed. Ask for a new one.")


def issue(customer: Customer, purpose: Purpose) -> str:
    """The address of a new link for a customer, of which only the hash is kept; earlier ones end."""
    db.session.execute(
        sa.update(PortalLink)
        .where(PortalLink.customer_id == customer.id, PortalLink.used_at.is_(None))
        .values(used_at=clock.now())
    )
    token = secrets.token_urlsafe(32)
    db.session.add(
        PortalLink(
            account_id=customer.account_id,
            customer_id=customer.id,
            purpose=purpose,
            token_hash=hashed(token),
            expires_at=clock.now() + HOLDS[purpose],
        )
    )
    slug = db.session.get_one(Account, customer.account_id).slug
    return public_url("portal.choose_password", account_slug=slug, token=token)


def send(account: Account, customer: Customer, purpose: Purpose) -> None:
    """Mail a customer a new link."""
    post(
        account,
        to=customer.email,
        template=f"portal_{purpose.value}",
        context={"customer": customer, "link": issue(customer, purpose), "holds": WORDS[purpose]},
        customer=customer,
        reply_to=account.contact_email,
    )


def invite(account: Account, customer: Customer) -> None:
    """Staff ask a customer to the portal; whoever has a password already may choose another one with it."""
    send(account, customer, Purpose.INVITATION)
    audit.record("portal_invitation", customer)


@dataclass(frozen=True, slots=True)
class PortalAccess:
    """How far a customer is on the way in; `invited_at` is that of a link which still counts."""

    has_password: bool
    invited_at: datetime | None


def access_of(customer: Customer) -> PortalAccess:
    """What staff see of a customer's way into the portal."""
    invited_at = db.session.scalar(
        sa.select(PortalLink.created_at).where(
            PortalLink.customer_id == customer.id, PortalLink.used_at.is_(None), PortalLink.expires_at > clock.now()
        )
    )
    return PortalAccess(entering.login_of(customer) is not None, invited_at)


def forgotten(account: Account, email: str, address: str) -> None:
    """Mail a link to the customer with that email, if there is one who may sign in; nobody is told whether there is.

    `address` is where the wish comes from. Opens its own units of work; raises `TooManyTries`.
    """
    count_try("portal_reset_from", address, RESETS_PER_ADDRESS)
    count_try("portal_reset", f"{account.id} {email_key(email)}", RESETS_PER_EMAIL)
    with unit_of_work() as rows:
        customer = rows.scalar(
            sa.select(Customer)
            .join(PortalLogin)
            .where(Customer.account_id == account.id, Customer.email_key == email_key(email))
        )
        audit.record("portal_reset_asked", customer, account_id=account.id, actor=email[:254] or "nobody")
        if customer is not None:
            send(account, customer, Purpose.RESET)


def read(account: Account, token: str) -> PortalLink:
    """The link with this token, as long as it counts; else `LinkOver`."""
    link = db.session.scalar(
        sa.select(PortalLink).where(
            PortalLink.account_id == account.id,
            PortalLink.token_hash == hashed(token),
            PortalLink.used_at.is_(None),
            PortalLink.expires_at > clock.now(),
        )
    )
    if link is None:
        raise LinkOver
    return link


def use(account: Account, token: str, password_hash: str) -> PortalLink:
    """Set the password and sign this browser in; of two who use a link at once one finds it over."""
    link = read(account, token)
    still_counts = sa.update(PortalLink).where(PortalLink.id == link.id, PortalLink.used_at.is_(None))
    if not changed_one(still_counts.values(used_at=clock.now())):
        raise LinkOver
    entering.set_password(link.customer, password_hash)
    entering.begin(link.customer)
    if link.purpose == Purpose.CONFIRMATION:
        signing_up.confirm(link.customer)
    return link
