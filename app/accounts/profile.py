"""What people look after themselves: their name, and the browsers they are signed in with. Never commits."""

from collections.abc import Sequence

import sqlalchemy as sa

from app import audit, clock
from app.accounts.models import SignIn, User
from app.accounts.signing_in import LONGEST_SIGN_IN
from app.db import db
from app.errors import NotFound
from app.typed import line

LONGEST_NAME = 120


def open_sign_ins(user: User) -> Sequence[SignIn]:
    """The browsers that are signed in now, the newest first."""
    return db.session.scalars(
        sa.select(SignIn)
        .where(SignIn.user_id == user.id, SignIn.ended_at.is_(None), SignIn.begun_at > clock.now() - LONGEST_SIGN_IN)
        .order_by(SignIn.begun_at.desc(), SignIn.id.desc())
    ).all()


def rename(user: User, full_name: str) -> None:
    """Another name to show; `InvalidInput` when nobody can have typed it."""
    full_name = line(full_name, LONGEST_NAME, "full_name")
    if full_name != user.full_name:
        user.full_name = full_name
        audit.record("person_renamed", user)


def end(user: User, sign_in_id: int) -> SignIn:
    """End one of the person's own sign-ins, or `NotFound`."""
    row = db.session.scalar(
        sa.select(SignIn).where(SignIn.id == sign_in_id, SignIn.user_id == user.id, SignIn.ended_at.is_(None))
    )
    if row is None:
        raise NotFound("That sign-in has ended already.")
    row.ended_at = clock.now()
    audit.record("sign_in_ended", row)
    return row


def end_others(user: User, keep: str) -> int:
    """End all sign-ins but the one whose token's hash is `keep`; answers how many."""
    ended = db.session.scalars(
        sa.update(SignIn)
        .where(SignIn.user_id == user.id, SignIn.ended_at.is_(None), SignIn.token_hash != keep)
        .values(ended_at=clock.now())
        .returning(SignIn.id)
    ).all()
    audit.record("sign_ins_ended", user, count=len(ended))
    return len(ended)
