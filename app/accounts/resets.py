"""A new password by mail. Changes rows, never commits."""

import sqlalchemy as sa

from app import audit, clock
from app.accounts import links
from app.accounts.models import PasswordReset, User
from app.accounts.services import set_password
from app.db import db
from app.typed import email_key


def ask(email: str) -> tuple[User, str] | None:
    """A token for the user with this email, ending older ones; None when nobody has it."""
    user = db.session.scalar(sa.select(User).where(User.email_key == email_key(email)).with_for_update())
    audit.record("password_reset_asked", user, actor=email[:254] or "nobody")
    if user is None:
        return None
    _end_others(user)
    token, token_hash = links.new_token()
    db.session.add(PasswordReset(user_id=user.id, token_hash=token_hash, expires_at=clock.now() + links.VALID_FOR))
    return user, token


def use(token: str, password_hash: str) -> User:
    """The new password; all links and sign-ins of the user end."""
    user = links.find(PasswordReset, token, lock=True).user
    _end_others(user)
    set_password(user, password_hash)
    return user


def _end_others(user: User) -> None:
    db.session.execute(
        sa.update(PasswordReset)
        .where(PasswordReset.user_id == user.id, PasswordReset.used_at.is_(None))
        .values(used_at=clock.now())
    )
