"""The only loop that writes to the outside: intent, call, outcome; a step of unknown outcome is looked up first.

A plugin says, as a pure function of what is done so far, which step comes next. Each step is a recovery point:
its intent is committed before the wire is touched, its outcome after. A step that began and has no outcome is
unknown: it is looked up, and repeated only when the look-up said "not there".
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.orm import Mapped, mapped_column

from app import clock, restored
from app.db import Base, choice, db, unit_of_work
from app.errors import Capped, NotSent, OutcomeUnknown, Refused, SignInNeeded
from app.work import Lease

Result = Mapping[str, Any]
Done = dict[str, Result]

CRASH_POINTS = ("before_intent", "after_intent", "after_call", "after_outcome")


class EffectState(StrEnum):
    BEGUN = "begun"
    NOT_EXECUTED = "not_executed"
    DONE = "done"


class Effect(Base):
    """One step of one piece of work on another system, from intent to outcome."""

    __tablename__ = "effect"
    __table_args__ = (sa.UniqueConstraint("kind", "subject_id", "step"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int | None] = mapped_column(sa.ForeignKey("account.id"))
    kind: Mapped[str] = mapped_column(sa.String(40))
    subject_id: Mapped[int]
    step: Mapped[str] = mapped_column(sa.String(40))
    state: Mapped[EffectState] = mapped_column(choice(EffectState))
    calls: Mapped[int] = mapped_column(default=0)
    first_begun_at: Mapped[datetime]
    begun_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    result: Mapped[dict[str, Any]] = mapped_column(default=dict)


@dataclass(frozen=True, slots=True)
class Subject:
    """What the steps are about, for example ("nexudus.invoice", 12); without an account it is the instance's own.

    `made_at` is when at the earliest something can have been done for it: what came about after a restore cannot have
    been done in the time that is missing.
    """

    account_id: int | None
    kind: str
    row_id: int
    made_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Intent:
    """Handed to a client's writing method: proof that the intent is committed."""

    subject: Subject
    step: str
    first_begun_at: datetime


class Step(Protocol):
    """One write to another system."""

    @property
    def key(self) -> str:
        """Name of the step, unique within its subject."""

    def call(self, remote: Any, intent: Intent) -> Result:
        """Do it; answers plain data. Raises one of the five `Outside` errors."""

    def look_up(self, remote: Any, intent: Intent) -> Result | None:
        """What an earlier call left there, None when nothing is. Raises when that cannot be said."""


def crash_point(point: str) -> None:
    """Does nothing; tests put a function here that kills the process at one of `CRASH_POINTS`."""


def carry_out(
    subject: Subject,
    next_step: Callable[[Done], Step | None],
    remote: Any,
    lease: Lease,
    done: Done | None = None,
) -> Done:
    """Walk the steps of `subject` to the end; answers what each step left.

    Raises the `Outside` error of the first step that did not end, with that step noted: `OutcomeUnknown` leaves
    it to be looked up, the others leave it as not executed. `LeaseLost` leaves everything as it is.
    """
    done = finished_steps(subject) if done is None else done
    while (step := next_step(done)) is not None:
        crash_point("before_intent")
        intent, unknown_since = _begin(subject, step, lease)
        crash_point("after_intent")
        result = _find(step, remote, intent, unknown_since) if unknown_since else None
        if result is None:
            if unknown_since:
                _begin(subject, step, lease, again=True)
            result = _call(step, remote, intent, lease)
        crash_point("after_call")
        _finish(subject, step, lease, result)
        crash_point("after_outcome")
        done[step.key] = result
    return done


def finished_steps(subject: Subject) -> Done:
    """What the finished steps of `subject` left, by step."""
    rows = db.session.scalars(_of(subject).where(Effect.state == EffectState.DONE))
    return {row.step: dict(row.result) for row in rows}


def open_step(subject: Subject) -> str | None:
    """Name of the step whose outcome is unknown, if there is one."""
    return db.session.scalar(sa.select(Effect.step).where(*_where(subject), Effect.state == EffectState.BEGUN).limit(1))


def was_only_found(subject: Subject) -> bool:
    """Whether all that is known of `subject` was looked up after a restore: nothing was asked of anybody since."""
    return db.session.scalar(sa.select(sa.func.max(Effect.calls)).where(*_where(subject))) == 0


def forget(subject: Subject) -> None:
    """Drop the steps of `subject`, inside the unit of work around the caller: nothing of it is out there."""
    db.session.execute(sa.delete(Effect).where(*_where(subject)))


def _find(step: Step, remote: Any, intent: Intent, unknown_since: datetime) -> Result | None:
    settled = unknown_since + timedelta(seconds=current_app.config["SETTINGS"].settle_s)
    if clock.now() < settled:
        raise OutcomeUnknown("The last call got no answer; it is looked up shortly.", until=settled)
    try:
        return step.look_up(remote, intent)
    except (NotSent, Capped, SignInNeeded) as error:
        error.details["still_unknown"] = True
        raise


def _call(step: Step, remote: Any, intent: Intent, lease: Lease) -> Result:
    try:
        return step.call(remote, intent)
    except (NotSent, Capped, SignInNeeded, Refused):
        with unit_of_work() as session:
            lease.renew()  # whoever holds the row now may be in the middle of the very same step
            session.execute(
                sa.update(Effect)
                .where(*_where(intent.subject), Effect.step == intent.step)
                .values(state=EffectState.NOT_EXECUTED, ended_at=clock.now())
            )
        raise


def _begin(subject: Subject, step: Step, lease: Lease, *, again: bool = False) -> tuple[Intent, datetime | None]:
    """Commit the intent; answers it and, when an earlier call of this step has no outcome, since when.

    `again` begins a step anew whose look-up said "not there". After a restore a step that was not begun since may
    have been done in the time that is missing: it counts as called at the latest when the backup came back.
    """
    now = clock.now()
    with unit_of_work() as session:
        lease.renew()
        effect = session.scalar(_of(subject).where(Effect.step == step.key))
        doubt = None if again else restored.doubt()
        if doubt and subject.made_at and subject.made_at > doubt.until:
            doubt = None
        if effect is None:
            effect = Effect(
                account_id=subject.account_id,
                kind=subject.kind,
                subject_id=subject.row_id,
                step=step.key,
                first_begun_at=doubt.since if doubt else now,
                begun_at=now,
                state=EffectState.BEGUN,
                calls=0 if doubt else 1,
            )
            session.add(effect)
            if doubt:
                return Intent(subject, step.key, effect.first_begun_at), doubt.until
        elif effect.state == EffectState.BEGUN and not again:
            return Intent(subject, step.key, effect.first_begun_at), effect.begun_at
        elif doubt and effect.begun_at <= doubt.until:
            effect.state, effect.begun_at = EffectState.BEGUN, now
            return Intent(subject, step.key, effect.first_begun_at), doubt.until
        else:
            effect.state, effect.begun_at, effect.calls = EffectState.BEGUN, now, effect.calls + 1
        return Intent(subject, step.key, effect.first_begun_at), None


def _finish(subject: Subject, step: Step, lease: Lease, result: Result) -> None:
    with unit_of_work() as session:
        lease.renew()
        session.execute(
            sa.update(Effect)
            .where(*_where(subject), Effect.step == step.key)
            .values(state=EffectState.DONE, ended_at=clock.now(), result=dict(result))
        )


def _where(subject: Subject) -> tuple[sa.ColumnElement[bool], ...]:
    return (Effect.kind == subject.kind, Effect.subject_id == subject.row_id)


def _of(subject: Subject) -> sa.Select[Effect]:
    return sa.select(Effect).where(*_where(subject))
