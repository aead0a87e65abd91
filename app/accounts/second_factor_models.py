"""SecondFactor and RecoveryCode: what a person has beside their password."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app import clock
from app.db import Base


class SecondFactor(Base):
    """The secret that a person's authenticator shares with us. It counts once a first code has confirmed it."""

    __tablename__ = "second_factor"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("user.id"), unique=True)
    secret: Mapped[str] = mapped_column(sa.Text, info={"sealed": True})
    created_at: Mapped[datetime] = mapped_column(default=clock.now)
    confirmed_at: Mapped[datetime | None]
    # The newest half minute whose code was taken: a code counts once, also to somebody who looked on.
    last_step: Mapped[int] = mapped_column(default=0)


class RecoveryCode(Base):
    """One way in for somebody who lost their authenticator; we hold the hash, and it counts once."""

    __tablename__ = "recovery_code"
    __table_args__ = (sa.UniqueConstraint("user_id", "code_hash"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("user.id"))
    code_hash: Mapped[str] = mapped_column(sa.String(64))
    used_at: Mapped[datetime | None]
