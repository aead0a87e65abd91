"""Links that were mailed: a random token that counts once within a day; the database holds its hash alone."""

import hashlib
import secrets
from datetime import timedelta
from typing import TypeVar

import sqlalchemy as sa

from app import clock
from app.accounts.models import Invitation, PasswordReset
from app.db import db
from app.errors import NotFound

VALID_FOR = timedelta(hours=24)
Link = TypeVar("Link", Invitation, PasswordReset)


def new_token() -> tuple[str, str]:
    """A token for a mail, and the hash that is kept of it."""
    token = secrets.token_urlsafe(32)
    return token, _hash(token)


def find(kind: type[Link], token: str, *, lock: bool = False) -> Link:
    """The row behind a token that still counts, or `NotFound`; with `lock` nobody else uses it meanwhile."""
    query = sa.select(kind).where(
        kind.token_hash == _hash(token), kind.used_at.is_(None), kind.expires_at > clock.now()
    )
    if kind is Invitation:
        query = query.where(Invitation.withdrawn_at.is_(None))
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    link = db.session.scalars(query).one_or_none()
    if link is None:
        raise NotFound("This link was used already, was withdrawn, or is older than 24 hours. Ask for a new one.")
    return link


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
