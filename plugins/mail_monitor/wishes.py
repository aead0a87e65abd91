"""What people wish of a mailbox's server and a worker does: filed messages to delete there, a message to find."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app import clock
from app.db import Base, choice
from app.work import Due, Leased
from plugins.mail_monitor.models import EmailAccount
from plugins.mail_monitor.records import Sighting


class RemovalState(StrEnum):
    WAITING = "waiting"
    DONE = "done"
    KEPT = "kept"  # it stays on the server, and `sentence` says why


class Cause(StrEnum):
    """Why a message is deleted on the server."""

    AFTER_FILING = "after_filing"
    DELETED_HERE = "deleted_here"


class How(StrEnum):
    """What became of a message on the server."""

    EXPUNGED = "expunged"
    MOVED = "moved"  # to the folder of deleted mail
    MARKED = "marked"  # as deleted; it goes when a mail program empties the folder
    GONE = "gone"  # it was not there any more

    @property
    def words(self) -> str:
        return {
            "expunged": "deleted there for good",
            "moved": "moved to the folder of deleted mail there",
            "marked": "marked as deleted there",
            "gone": "not there any more",
        }[self.value]


def way_of_deleting(capabilities: frozenset[str], *, has_trash: bool, to_trash_first: bool) -> How:
    """How one message can be taken away on a server without touching another."""
    if has_trash and "MOVE" in capabilities and (to_trash_first or "UIDPLUS" not in capabilities):
        return How.MOVED
    # Without UIDPLUS an EXPUNGE would take along whatever a colleague has marked.
    return How.MARKED if to_trash_first or "UIDPLUS" not in capabilities else How.EXPUNGED


class Removal(Base):
    """A filed message that is to be deleted on its server, and what became of that."""

    __tablename__ = "mail_monitor_removal"
    __table_args__ = (
        sa.UniqueConstraint("sighting_id"),
        sa.Index("ix_mail_monitor_removal_email_account_id_state", "email_account_id", "state", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    email_account_id: Mapped[int] = mapped_column(sa.ForeignKey("mail_monitor_email_account.id"))
    sighting_id: Mapped[int] = mapped_column(sa.ForeignKey("mail_monitor_sighting.id"))
    cause: Mapped[Cause] = mapped_column(choice(Cause))
    state: Mapped[RemovalState] = mapped_column(choice(RemovalState), default=RemovalState.WAITING)
    asked_at: Mapped[datetime] = mapped_column(default=clock.now)
    asked_by: Mapped[str] = mapped_column(sa.String(254), default="")  # a user's name; empty: by itself
    ended_at: Mapped[datetime | None]
    how: Mapped[How | None] = mapped_column(choice(How))
    sentence: Mapped[str] = mapped_column(sa.String(300), default="")

    sighting: Mapped[Sighting] = relationship()


class SearchState(StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class MessageSearch(Base, Due, Leased):
    """A search for a message, here and on the server; a worker does it, and the row goes soon after."""

    __tablename__ = "mail_monitor_message_search"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    installation_id: Mapped[int] = mapped_column(sa.ForeignKey("installation.id"))
    email_account_id: Mapped[int] = mapped_column(sa.ForeignKey("mail_monitor_email_account.id"), index=True)
    asked_at: Mapped[datetime] = mapped_column(default=clock.now)
    asked_by: Mapped[str] = mapped_column(sa.String(254), default="")
    sender: Mapped[str] = mapped_column(sa.String(200), default="")
    subject: Mapped[str] = mapped_column(sa.String(200), default="")
    day: Mapped[date | None]
    state: Mapped[SearchState] = mapped_column(choice(SearchState), default=SearchState.RUNNING)
    # What it is doing now, or why it failed.
    sentence: Mapped[str] = mapped_column(sa.String(500), default="")
    folders_done: Mapped[int] = mapped_column(default=0)
    folders_all: Mapped[int] = mapped_column(default=0)
    # [{"at", "sender", "subject", "folder", "fate", "why", "message_id"}], the newest first.
    hits: Mapped[list[Any]] = mapped_column(default=list)
    has_more: Mapped[bool] = mapped_column(default=False)
    ended_at: Mapped[datetime | None]

    email_account: Mapped[EmailAccount] = relationship()
