"""What a backup that was brought back does not know: the time between its taking and its return.

Whatever fell due before the return may have been done already, and left no trace here. A step towards a system that
can be asked is looked up (`app/effects.py`); a mail cannot be asked for, so it rests until a person decides
(`app/mailing/services.py`).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app import clock
from app.db import Base, db

# Windows open six times a month and an unknown outcome is given up after a week, so by then everything of before has
# had its turn.
DOUBT_LASTS = timedelta(days=90)


class Restoration(Base):
    """A backup was brought back: what was done outside between these two moments is missing here."""

    __tablename__ = "restoration"

    id: Mapped[int] = mapped_column(primary_key=True)
    taken_at: Mapped[datetime]
    restored_at: Mapped[datetime] = mapped_column(default=clock.now)


@dataclass(frozen=True, slots=True)
class Doubt:
    """The time of which nothing is known: since the oldest backup that was brought back, until that was done."""

    since: datetime
    until: datetime


def doubt() -> Doubt | None:
    """The time of which nothing is known, if a backup was brought back lately."""
    lately = Restoration.restored_at > clock.now() - DOUBT_LASTS
    restored = db.session.scalars(sa.select(Restoration).where(lately)).all()
    if not restored:
        return None
    return Doubt(min(one.taken_at for one in restored), max(one.restored_at for one in restored))


def may_have_been_done(fell_due: datetime) -> bool:
    """Whether what fell due then may have been done in the time of which nothing is known."""
    found = doubt()
    return found is not None and fell_due <= found.until
