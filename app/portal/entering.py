"""A customer's way in: password, sign-ins that can be ended, and the same limit on guessing that staff have.

A sign-in at a portal has a table and a place in the session of its own: it is never one of staff, nor the reverse.
"""

import secrets
from collections.abc import Sequence

import sqlalchemy as sa
from flask import g, request, session
from sqlalchemy.orm import joinedload

from app import audit, clock
from app.accounts.models import Account
from app.accounts.signing_in import (
    LONGEST_SIGN_IN,
    PORTALS,
    TRIES,
    TRIES_PER_ADDRESS,
    check_password,
    count_try,
    forget_tries,
    hashed,
    no_match,
)
from app.billing.models import Customer
from app.db import changed_one, db, end_reading, unit_of_work
from app.errors import NotFound
from app.portal.models import PortalLogin, PortalSignIn
from app.typed import email_key


def current(account: Account) -> PortalSignIn | None:
    """The sign-in at this account's portal that the browser's session names, as long as it has not ended."""
    token = session.get(PORTALS, {}).get(str(account.id))
    if not token or g.get("database_gone"):
        return None
    return db.session.scalar(
        sa.select(PortalSignIn)
        .where(
            PortalSignIn.token_hash == hashed(token),
            PortalSignIn.account_id == account.id,
            PortalSignIn.ended_at.is_(None),
            PortalSignIn.begun_at > clock.now() - LONGEST_SIGN_IN,
        )
        .options(joinedload(PortalSignIn.customer).joinedload(Customer.location))
    )


def sign_in(account: Account, email: str, password: str) -> None:
    """Sign this browser in as the customer with that email; raises `InvalidInput` or `TooManyTries`."""
    account_id, who = account.id, f"{account.id} {email_key(email)}"
    count_try("portal_sign_in_from", request.remote_addr or "", TRIES_PER_ADDRESS)
    left = count_try("portal_sign_in", who, TRIES)
    found = _login_of(account_id, email)
    login_id, stored = (found.id, found.password_hash) if found else (None, None)
    end_reading()
    matches, new_hash = check_password(stored, password)
    if login_id is None or not matches:
        with unit_of_work():
            audit.record("portal_sign_in", account_id=account_id, outcome="refused", actor=email[:254] or "nobody")
        raise no_match(left)
    with unit_of_work() as rows:
        login = rows.get_one(PortalLogin, login_id)
        if new_hash:
            login.password_hash = new_hash
        forget_tries("portal_sign_in", who)
        begin(login.customer)


def begin(customer: Customer) -> None:
    """Sign this browser in as a customer who proved it, inside the unit of work around the caller."""
    token = secrets.token_urlsafe(32)
    db.session.add(
        PortalSignIn(
            account_id=customer.account_id,
            customer_id=customer.id,
            token_hash=hashed(token),
            address=request.remote_addr or "",
            browser=(request.user_agent.string or "")[:200],
        )
    )
    audit.record("portal_sign_in", customer, actor=_named(customer))
    session.pop("csrf_token", None)  # a page that was open before somebody signed in is not theirs
    session[PORTALS] = {**session.get(PORTALS, {}), str(customer.account_id): token}
    session.permanent = True


def sign_out(own: PortalSignIn) -> None:
    """End the sign-in of this browser at this portal, here and in the database."""
    _end(PortalSignIn.id == own.id)
    audit.record("portal_sign_out", own.customer)
    session[PORTALS] = {key: token for key, token in session[PORTALS].items() if key != str(own.account_id)}
    session.pop("csrf_token", None)


def open_sign_ins(customer: Customer) -> Sequence[PortalSignIn]:
    """Where a customer is signed in now, the newest first."""
    return db.session.scalars(
        sa.select(PortalSignIn)
        .where(
            PortalSignIn.customer_id == customer.id,
            PortalSignIn.ended_at.is_(None),
            PortalSignIn.begun_at > clock.now() - LONGEST_SIGN_IN,
        )
        .order_by(PortalSignIn.begun_at.desc(), PortalSignIn.id.desc())
        .limit(50)
    ).all()


def end_one(customer: Customer, sign_in_id: int) -> None:
    """End one of a customer's own sign-ins; `NotFound` for anybody else's."""
    if not _end(PortalSignIn.id == sign_in_id, PortalSignIn.customer_id == customer.id):
        raise NotFound
    audit.record("portal_sign_in_ended", customer)


def end_all(customer: Customer, *, but: PortalSignIn | None = None) -> None:
    """End every sign-in of a customer, or every one `but` this."""
    mine = [PortalSignIn.customer_id == customer.id, PortalSignIn.ended_at.is_(None)]
    if but is not None:
        mine.append(PortalSignIn.id != but.id)
    db.session.execute(sa.update(PortalSignIn).where(*mine).values(ended_at=clock.now()))


def login_of(customer: Customer) -> PortalLogin | None:
    """A customer's way in; None for whoever never set a password."""
    return db.session.scalar(sa.select(PortalLogin).where(PortalLogin.customer_id == customer.id))


def set_password(customer: Customer, password_hash: str, *, but: PortalSignIn | None = None) -> None:
    """The customer's first password or another one; all sign-ins end, or all `but` the one that asks."""
    login = login_of(customer)
    if login is None:
        db.session.add(
            PortalLogin(account_id=customer.account_id, customer_id=customer.id, password_hash=password_hash)
        )
    else:
        login.password_hash = password_hash
    end_all(customer, but=but)
    audit.record("portal_password_changed", customer, actor=_named(customer))


def _login_of(account_id: int, email: str) -> PortalLogin | None:
    return db.session.scalar(
        sa.select(PortalLogin)
        .join(Customer)
        .where(Customer.account_id == account_id, Customer.email_key == email_key(email))
    )


def _end(*which: sa.ColumnElement[bool]) -> bool:
    open_ones = sa.update(PortalSignIn).where(*which, PortalSignIn.ended_at.is_(None))
    return changed_one(open_ones.values(ended_at=clock.now()))


def _named(customer: Customer) -> str:
    return f"{customer.email} (customer)"
