"""Signing in and out: passwords, sign-ins that can be ended, and a limit on guessing."""

import hashlib
import secrets
from datetime import timedelta
from functools import cache

import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from flask import Flask, g, request, session
from flask_login import LoginManager, current_user, login_user, logout_user

from app import audit, clock
from app.accounts import second_factor
from app.accounts.models import Attempt, SignIn, User
from app.db import db, end_reading, unit_of_work
from app.errors import InvalidInput, NotFound, TooManyTries
from app.typed import email_key

SHORTEST_PASSWORD, LONGEST_PASSWORD = 12, 128
LONGEST_SIGN_IN = timedelta(hours=12)
TRIES, WITHIN = 5, timedelta(minutes=15)
TRIES_PER_ADDRESS = 50
PORTALS = "portals"  # in the session: what customers are signed in with, by account; see app/portal
HALF, CODE_WITHIN = "half_signed_in", timedelta(minutes=10)

_hasher = PasswordHasher()
login = LoginManager()


def init_app(app: Flask) -> None:
    login.init_app(app)


@login.user_loader
def user_of_session(user_id: str) -> User | None:
    """The user behind the cookie, as long as the sign-in it names has not ended; nobody while that cannot be asked."""
    token = session.get("sign_in")
    if not token or g.get("database_gone"):
        return None
    row = db.session.scalar(
        sa.select(SignIn).where(
            SignIn.token_hash == hashed(token),
            SignIn.user_id == int(user_id),
            SignIn.ended_at.is_(None),
            SignIn.begun_at > clock.now() - LONGEST_SIGN_IN,
        )
    )
    return row.user if row else None


def hash_password(password: str) -> str:
    """Argon2id hash; refuses passwords of the wrong length. Takes about 0.1 s: never inside a transaction."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise InvalidInput(f"A password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters.", field="password")
    return _hasher.hash(password)


def sign_in(email: str, password: str) -> User | None:
    """Sign this browser in; None when the password is right and a code is asked for: see `sign_in_with_code`.

    Raises `InvalidInput` with the tries left, or `TooManyTries`.
    """
    user_id = prove_password(email, password)
    _begin_session()
    if db.session.get_one(User, user_id).second_factor_since is None:
        return _enter(user_id)
    session[HALF] = [user_id, clock.now().timestamp()]
    return None


def prove_password(email: str, password: str) -> int:
    """The id of the user with this email and password; each call counts as a try. Raises as `sign_in` does."""
    count_try("sign_in_from", request.remote_addr or "", TRIES_PER_ADDRESS)
    left = count_try("sign_in", email_key(email), TRIES)
    user = db.session.scalar(sa.select(User).where(User.email_key == email_key(email)))
    user_id, stored = (user.id, user.password_hash) if user else (None, None)
    end_reading()
    matches, new_hash = check_password(stored, password)
    if user_id is None or not matches:
        with unit_of_work():
            audit.record("sign_in", outcome="refused", actor=email[:254] or "nobody")
        raise no_match(left)
    with unit_of_work() as rows:
        if new_hash:
            rows.get_one(User, user_id).password_hash = new_hash
        forget_tries("sign_in", email_key(email))
    return int(user_id)


def awaits_code() -> bool:
    """Whether this browser has shown the password a moment ago and owes the code."""
    return _half_signed_in() is not None


def sign_in_with_code(code: str) -> User:
    """The second step: an authenticator's code or a recovery code.

    Raises `InvalidInput` with the tries left, `TooManyTries`, or `NotFound` when the password was not shown lately.
    """
    user_id = _half_signed_in()
    if user_id is None:
        raise NotFound("That took too long. Sign in again.")
    left = count_try("second_factor", str(user_id), TRIES)
    with unit_of_work() as rows:
        user = rows.get_one(User, user_id)
        accepted = second_factor.accept(user, code)
        if accepted:
            forget_tries("second_factor", str(user_id))
        else:
            audit.record("sign_in_code", user, outcome="refused", actor=user.email)
    if not accepted:
        tries = "1 try" if left == 1 else f"{left} tries"
        raise InvalidInput(f"That code is not right, or was used already. {tries} left.", field="code")
    _begin_session()
    return _enter(user_id)


def this_sign_in() -> str:
    """The hash of the token that this browser is signed in with."""
    return hashed(session.get("sign_in", ""))


def _half_signed_in() -> int | None:
    user_id, at = session.get(HALF, (None, 0))
    return int(user_id) if user_id and clock.now().timestamp() - at < CODE_WITHIN.total_seconds() else None


def _enter(user_id: int) -> User:
    token = secrets.token_urlsafe(32)
    with unit_of_work() as rows:
        user = rows.get_one(User, user_id)
        rows.add(
            SignIn(
                user_id=user.id,
                token_hash=hashed(token),
                address=request.remote_addr or "",
                browser=(request.user_agent.string or "")[:200],
            )
        )
        audit.record("sign_in", user, actor=user.email)
    session["sign_in"] = token
    session.permanent = True  # ends after the idle time that the app's PERMANENT_SESSION_LIFETIME names
    login_user(user)
    return user


def sign_out() -> None:
    """End the sign-in of this browser, here and in the database."""
    token = session.get("sign_in", "")
    with unit_of_work() as rows:
        audit.record("sign_out", db.session.get(User, current_user.id))
        rows.execute(sa.update(SignIn).where(SignIn.token_hash == hashed(token)).values(ended_at=clock.now()))
    logout_user()
    _begin_session()


def _begin_session() -> None:
    """Keep nothing of the session before, apart from what customers are signed in with: that is not staff's to end."""
    portals = session.get(PORTALS)
    session.clear()
    if portals:
        session[PORTALS] = portals
        session.permanent = True


def end_sign_ins(user: User, keep: str = "") -> None:
    """End all sign-ins of `user` but the one with the token's hash `keep`, in the unit of work around the caller."""
    db.session.execute(
        sa.update(SignIn)
        .where(SignIn.user_id == user.id, SignIn.ended_at.is_(None), SignIn.token_hash != keep)
        .values(ended_at=clock.now())
    )


def count_try(kind: str, subject: str, limit: int) -> int:
    """Note one try and answer how many are left; raises `TooManyTries` when none was left before it."""
    about, since = hashed(subject), clock.now() - WITHIN
    with unit_of_work() as rows:
        mine = (Attempt.kind == kind, Attempt.subject == about)
        rows.execute(sa.delete(Attempt).where(*mine, Attempt.at <= since))
        count, first = rows.execute(sa.select(sa.func.count(), sa.func.min(Attempt.at)).where(*mine)).one()
        if count < limit:
            rows.add(Attempt(kind=kind, subject=about))
            return int(limit - count - 1)
        wait = first + WITHIN - clock.now()
    minutes = max(1, -(-int(wait.total_seconds()) // 60))
    raise TooManyTries(f"Too many tries. Wait {minutes} minute{'s' if minutes > 1 else ''}, then try again.")


def forget_tries(kind: str, subject: str) -> None:
    """Whoever got in starts to count anew; inside the unit of work around the caller."""
    db.session.execute(sa.delete(Attempt).where(Attempt.kind == kind, Attempt.subject == hashed(subject)))


def no_match(left: int) -> InvalidInput:
    """What is said to somebody who has so many tries left; the same whether the email is known or not."""
    tries = "1 try" if left == 1 else f"{left} tries"
    return InvalidInput(f"That email and password do not match. {tries} left.", field="password")


def check_password(stored: str | None, password: str) -> tuple[bool, str | None]:
    """Whether `password` is the one of a stored hash (None: of nobody), and the hash to store instead, if any.

    Takes about 0.1 s, for nobody too: never inside a transaction.
    """
    nobody = _nobody()  # for known emails too: the first sign-in of a process would tell by its time
    if not _matches(stored or nobody, password) or stored is None:
        return False, None
    return True, _hasher.hash(password) if _hasher.check_needs_rehash(stored) else None


@cache
def _nobody() -> str:
    """Checked when the email is unknown, so that a stranger cannot tell from the time which emails exist."""
    return _hasher.hash(secrets.token_hex(16))


def _matches(expected: str, password: str) -> bool:
    try:
        return _hasher.verify(expected, password[:LONGEST_PASSWORD])
    except VerifyMismatchError:
        return False


def hashed(text: str) -> str:
    """What is stored of a token, and of whom a try was about."""
    return hashlib.sha256(text.encode()).hexdigest()
