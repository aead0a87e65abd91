"""The audit: who did what to which object, with which outcome. Rows are only ever added."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
import structlog
from flask import g, has_request_context, request
from flask_login import current_user
from sqlalchemy.orm import Mapped, mapped_column

from app import clock
from app.db import Base, db


class AuditEntry(Base):
    """One act by a person or a job."""

    __tablename__ = "audit_entry"
    __table_args__ = (
        sa.Index("ix_audit_entry_account_id_at", "account_id", "at"),
        sa.Index("ix_audit_entry_account_id_action", "account_id", "action", "at"),
        sa.Index("ix_audit_entry_account_id_outcome", "account_id", "outcome", "at"),
        sa.Index("ix_audit_entry_action_outcome", "action", "outcome"),
        sa.Index("ix_audit_entry_object_kind_object_id", "object_kind", "object_id", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int | None] = mapped_column(sa.ForeignKey("account.id"))
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(sa.String(320))
    action: Mapped[str] = mapped_column(sa.String(60))
    object_kind: Mapped[str | None] = mapped_column(sa.String(40))
    object_id: Mapped[int | None]
    outcome: Mapped[str] = mapped_column(sa.String(20), default="done")
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)
    address: Mapped[str | None] = mapped_column(sa.String(45))
    request_id: Mapped[str | None] = mapped_column(sa.String(40))


def record(
    action: str,
    about: object | None = None,
    *,
    account_id: int | None = None,
    outcome: str = "done",
    actor: str | None = None,
    **details: Any,
) -> None:
    """Add a row to the unit of work around the caller.

    `about` is the row acted on; the actor is whoever is signed in, else "system". No secrets in `details`.
    """
    db.session.add(
        AuditEntry(
            account_id=account_id or getattr(about, "account_id", None) or _current_account_id(),
            at=clock.now(),
            actor=actor or current_actor(),
            action=action,
            object_kind=type(about).__name__ if about is not None else None,
            object_id=getattr(about, "id", None),
            outcome=outcome,
            details=details,
            address=request.remote_addr if has_request_context() else None,
            request_id=structlog.contextvars.get_contextvars().get("request_id"),
        )
    )


def latest_of(about: object, actions: Sequence[str]) -> AuditEntry | None:
    """The last entry on a row that is one of `actions`."""
    query = sa.select(AuditEntry).where(
        AuditEntry.object_kind == type(about).__name__,
        AuditEntry.object_id == getattr(about, "id", None),
        AuditEntry.action.in_(actions),
    )
    return db.session.scalars(query.order_by(AuditEntry.id.desc()).limit(1)).first()


def current_actor() -> str:
    """The email of whoever is signed in, else "system"; on a portal's pages that is the customer."""
    if has_request_context() and (customer := g.get("customer")):
        return f"{customer.email} (customer)"
    if has_request_context() and current_user.is_authenticated:
        return str(current_user.email)
    return "system"


def _current_account_id() -> int | None:
    account = g.get("account") if has_request_context() else None
    return account.id if account is not None else None
