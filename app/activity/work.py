"""Background work of one account, read from the rows that ask for it: what runs, waits, fails, and is planned."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from app import audit, clock
from app.db import db
from app.errors import Conflict, NotFound
from app.plugin import owner_of
from app.work import About, Known, bell, ring_after_commit

SHOWN = 50  # of each kind; more than that is one story told many times


class Stand(StrEnum):
    """How a piece of work stands."""

    RUNNING = "running"
    FAILING = "failing"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class Piece:
    """One row that asks for work. `next_at` is when it is tried again; None when only a person can go on."""

    job: str
    row_id: int
    owner: str
    deed: str
    about: About
    stand: Stand
    problem: str
    attempts: int
    next_at: datetime | None

    @property
    def can_be_tried(self) -> bool:
        return self.stand == Stand.FAILING and self.next_at is not None


@dataclass(frozen=True, slots=True)
class Planned:
    """Work of one kind that lies ahead and needs nobody: how much, and when the first of it is due."""

    owner: str
    deed: str
    count: int
    first_at: datetime


@dataclass(frozen=True, slots=True)
class Overview:
    """All work of an account. `left_out` counts what did not fit."""

    pieces: list[Piece]
    planned: list[Planned]
    left_out: int


def overview(account_id: int) -> Overview:
    """Everything that runs, waits or fails, what fails first, and what is planned; two queries per kind of work."""
    pieces, planned, left_out = [], [], 0
    for name, known, model in _kinds():
        rows = db.session.scalars(_moving(model, account_id).limit(SHOWN + 1)).all()
        left_out += max(0, len(rows) - SHOWN)
        pieces += [_piece(name, known, row) for row in rows[:SHOWN]]
        ahead = _ahead(model, account_id)
        count, first_at = db.session.execute(sa.select(sa.func.count(), sa.func.min(model.due_at)).where(ahead)).one()
        if count:
            planned.append(Planned(owner_of(name), known.deed, int(count), first_at))
    pieces.sort(key=lambda one: (list(Stand).index(one.stand) if one.stand != Stand.FAILING else -1, one.owner))
    return Overview(pieces, sorted(planned, key=lambda one: one.first_at), left_out)


def try_now(account_id: int, job: str, row_id: int) -> None:
    """Do not wait for the next try of a failing piece of work; `NotFound`, or `Conflict` when it does not wait."""
    for name, _, model in _kinds():
        if name != job:
            continue
        row = db.session.scalar(
            sa.select(model).where(model.id == row_id, model.account_id == account_id).with_for_update()
        )
        if row is None:
            break
        if row.due_at is None or not row.problem:
            raise Conflict("This does not wait for another try any more.")
        row.due_at, row.nudged_at = clock.now(), None
        audit.record("try_now", row, job=job)
        ring_after_commit(job, row.id)
        return
    raise NotFound


def _kinds() -> Iterator[tuple[str, Known, Any]]:
    for model, name in bell().kinds:
        if hasattr(model, "account_id"):
            yield name, bell().jobs[name], model


def _held(model: Any) -> sa.ColumnElement[bool]:
    return model.lease_until > clock.now() if hasattr(model, "lease_until") else sa.false()


def _ahead(model: Any, account_id: int) -> sa.ColumnElement[bool]:
    """Rows that are due later and in good health."""
    return sa.and_(
        model.account_id == account_id, model.due_at > clock.now(), model.problem == "", sa.not_(_held_or_false(model))
    )


def _held_or_false(model: Any) -> sa.ColumnElement[bool]:
    return sa.func.coalesce(_held(model), sa.false())


def _moving(model: Any, account_id: int) -> sa.Select[Any]:
    # Each of the three has an index of its own, and few rows: what is done is not even looked at.
    moves = sa.or_(model.due_at <= clock.now(), sa.and_(model.problem > "", model.due_at.is_not(None)), _held(model))
    return sa.select(model).where(model.account_id == account_id, moves).order_by(model.due_at, model.id)


def _piece(name: str, known: Known, row: Any) -> Piece:
    now, lease = clock.now(), getattr(row, "lease_until", None)
    stand = Stand.WAITING
    if lease is not None and lease > now:
        stand = Stand.RUNNING
    elif row.problem:
        stand = Stand.FAILING
    about = known.describe(row) if known.describe else About("")
    return Piece(name, row.id, owner_of(name), known.deed, about, stand, row.problem, row.attempts, row.due_at)
