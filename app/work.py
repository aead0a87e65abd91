"""Background work: rows that say when they are due, leases on them, and the bell (RQ) that only rings.

The database is the queue. A row with `due_at` in the past is due; the sweep finds it and rings RQ with its id.
A ring may be lost or come twice: the row stays due until a job has moved `due_at`.
"""

import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa
import structlog
from flask import Flask, current_app
from redis import Redis
from redis.exceptions import RedisError
from rq import Queue, Worker
from rq.job import Job
from rq.serializers import JSONSerializer
from sqlalchemy.orm import Mapped, mapped_column

from app import clock, remote_calls
from app.db import Base, after_commit, changed_one, db, insert_missing, unit_of_work
from app.errors import Conflict

log = structlog.get_logger()

RING_AGAIN = timedelta(seconds=60)
SLICE_S = 60  # a job lasts no longer; the rest of its row is due again
STALE = timedelta(seconds=60)
JOB_PATH = "app.work.perform"
NOWHERE = "redis://127.0.0.1:1/0"  # without a Redis every ring is lost, and the sweep goes on trying


@dataclass(frozen=True, slots=True)
class About:
    """A row in words, and the endpoint of the page on which a person finds it; "" where there is none."""

    words: str
    endpoint: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)


Describe = Callable[[Any], About]


class Due:
    """Columns of a row that asks for background work."""

    due_at: Mapped[datetime | None] = mapped_column(index=True)
    nudged_at: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)
    problem: Mapped[str] = mapped_column(sa.String(500), default="", index=True)  # ask with > "": an index knows no <>


class Leased:
    """Columns of a row that one worker at a time may hold."""

    lease_token: Mapped[str | None] = mapped_column(sa.String(32))
    lease_until: Mapped[datetime | None] = mapped_column(index=True)


class Heartbeat(Base):
    """When a part of the background machinery was last seen: "sweep", and "queue:<name>" per watched queue."""

    __tablename__ = "heartbeat"

    name: Mapped[str] = mapped_column(sa.String(60), primary_key=True)
    seen_at: Mapped[datetime]


class LeaseLost(Conflict):
    """Somebody else holds the row now, or the lease ran out: stop at once and touch nothing."""

    def __init__(self, what: str) -> None:
        super().__init__("Somebody else changed this meanwhile. Look again in a moment.", row=what)


@dataclass(frozen=True, slots=True)
class Lease:
    """Proof that this process may work on one row."""

    model: Any
    row_id: int
    token: str

    @classmethod
    def take(cls, model: Any, row_id: int) -> "Lease | None":
        """The lease on a row, in a unit of work of its own; None while somebody else holds it."""
        token = secrets.token_hex(16)
        with unit_of_work():
            free = sa.or_(model.lease_until.is_(None), model.lease_until < clock.now())
            won = changed_one(
                sa.update(model)
                .where(model.id == row_id, free)
                .values(lease_token=token, lease_until=_lease_end())
                .execution_options(synchronize_session=False)
            )
        return cls(model, row_id, token) if won else None

    def renew(self, **changes: Any) -> None:
        """Prove, inside the unit of work around the caller, that the row is still ours, and change it."""
        won = changed_one(
            sa.update(self.model)
            .where(self.model.id == self.row_id, self.model.lease_token == self.token)
            .where(self.model.lease_until >= clock.now())
            .values(lease_until=_lease_end(), **changes)
            .execution_options(synchronize_session=False)
        )
        if not won:
            raise LeaseLost(f"{self.model.__tablename__} {self.row_id}")

    def give_back(self) -> None:
        """Let others have the row; in a unit of work of its own, and nothing when it was lost already."""
        with unit_of_work() as session:
            session.execute(
                sa.update(self.model)
                .where(self.model.id == self.row_id, self.model.lease_token == self.token)
                .values(lease_token=None, lease_until=None)
                .execution_options(synchronize_session=False)
            )


def _lease_end() -> datetime:
    return clock.now() + timedelta(seconds=current_app.config["SETTINGS"].lease_s)


@dataclass(frozen=True, slots=True)
class Known:
    """A function that workers may run, its queue, what it does, and how the row of its last id is put in words."""

    run: Callable[..., None]
    queue: str
    deed: str
    model: Any = None
    describe: "Describe | None" = None


class Bell:
    """Rings RQ. Knows every function a worker may run; nothing else can be run through Redis."""

    def __init__(self, app: Flask, redis_url: str) -> None:
        self.app = app
        self.connection = Redis.from_url(redis_url or NOWHERE, socket_timeout=5)
        self.jobs: dict[str, Known] = {}
        self.kinds: list[tuple[Any, str]] = []

    def know(
        self,
        owner: str,
        run: Callable[..., None],
        queue: str = "default",
        model: Any = None,
        describe: Describe | None = None,
        deed: str = "",
    ) -> None:
        """Let workers run `run`; its name is `<owner>.<function name>`. The last of its ids is one of `model`'s.

        `deed` says what it does, for people; a function whose name says that needs none.
        """
        deed = deed or run.__name__.replace("_", " ").capitalize()
        self.jobs[job_name(owner, run)] = Known(run, queue, deed, model, describe)

    def watch(
        self,
        owner: str,
        model: Any,
        run: Callable[[int], None],
        queue: str = "default",
        describe: Describe | None = None,
        deed: str = "",
    ) -> None:
        """Let the sweep ring `run` with the id of each due row of `model`."""
        self.know(owner, run, queue, model, describe, deed)
        self.kinds.append((model, job_name(owner, run)))

    @property
    def queues(self) -> list[str]:
        return sorted({"default", *(known.queue for known in self.jobs.values())})

    def ring(self, name: str, *ids: int) -> bool:
        """Ask for a job now; False (and a log line) when Redis is gone. The sweep rings again."""
        known, settings = self.jobs[name], self.app.config["SETTINGS"]
        queue = Queue(known.queue, connection=self.connection, serializer=JSONSerializer, job_class=HostJob)
        request_id = structlog.contextvars.get_contextvars().get("request_id")
        try:
            queue.enqueue_call(
                JOB_PATH,
                args=(name, list(ids), request_id),
                timeout=SLICE_S + 30,
                result_ttl=settings.keep_done_jobs_hours * 3600,
                failure_ttl=settings.keep_failed_jobs_days * 24 * 3600,
                description=f"{name} {' '.join(map(str, ids))}",
            )
        except RedisError as error:
            log.warning("bell_silent", job=name, ids=ids, error=type(error).__name__)
            return False
        return True


class HostJob(Job):
    """A job that refuses to import anything but our own door; Redis holds a name, and names can be forged."""

    @property
    def func(self) -> Any:
        if self.func_name != JOB_PATH:
            raise PermissionError(f"{self.func_name} is not a job of this product")
        return partial(perform, job_id=self.id)


class HostWorker(Worker):
    """Notices a lost worker within seconds instead of minutes."""

    job_class = HostJob

    def get_heartbeat_ttl(self, job: Job, working_time: float = 0) -> int:
        return 20


def job_name(owner: str, run: Callable[..., None]) -> str:
    return f"{owner}.{run.__name__}"


def bell() -> Bell:
    """The bell of the running app."""
    return current_app.extensions["bell"]  # type: ignore[no-any-return]


def init_app(app: Flask, redis_url: str) -> None:
    app.extensions["bell"] = Bell(app, redis_url)
    remote_calls.init_app(app)


def ring_after_commit(name: str, *ids: int) -> None:
    """Ring once the unit of work around the caller is committed."""
    bell_of_app = bell()
    after_commit(lambda: _ring(bell_of_app, name, ids))


def _ring(bell_of_app: Bell, name: str, ids: Iterable[int]) -> None:
    bell_of_app.ring(name, *ids)


def perform(name: str, ids: list[int], request_id: str | None = None, *, job_id: str = "") -> None:
    """What every RQ job runs: looks the name up among the known functions and runs it in a fresh app context.

    What it logs carries the ids of the job, of the request that asked for it, and of the account it is about.
    """
    known = bell().jobs.get(name)
    if known is None:
        raise PermissionError(f"{name} is not a job of this product")
    with bell().app.app_context():
        # A forked work horse must not use its parent's sockets.
        db.engine.dispose(close=False)
        begun = time.monotonic()
        found = {"job_id": job_id, "request_id": request_id}
        structlog.contextvars.bind_contextvars(job=name, ids=ids, **{key: one for key, one in found.items() if one})
        outcome = "failed"
        try:
            structlog.contextvars.bind_contextvars(**_account_of(known, ids))
            known.run(*ids)
            outcome = "done"
        finally:
            log.info("job", outcome=outcome, ms=round((time.monotonic() - begun) * 1000))
            structlog.contextvars.clear_contextvars()


def _account_of(known: Known, ids: list[int]) -> dict[str, int]:
    """The account that a job is about, where its row says so."""
    if not ids or not hasattr(known.model, "account_id"):
        return {}
    account_id = db.session.scalar(sa.select(known.model.account_id).where(known.model.id == ids[-1]))
    db.session.rollback()
    return {"account_id": account_id} if account_id is not None else {}


def sweep_once() -> dict[str, int]:
    """Ring for every due row that was not rung for lately; answers how many per job. Safe in any number."""
    rung: dict[str, int] = {}
    now = clock.now()
    for model, name in bell().kinds:
        quiet = sa.or_(model.nudged_at.is_(None), model.nudged_at < now - RING_AGAIN)
        due = sa.and_(model.due_at <= now, quiet)
        ids = list(db.session.scalars(sa.select(model.id).where(due).order_by(model.due_at).limit(500)))
        if not ids:
            continue
        with unit_of_work() as session:
            # Guarded again: of two sweeps that saw the same rows each rings only for those it marked.
            ids = list(
                session.scalars(
                    sa.update(model)
                    .where(model.id.in_(ids), due)
                    .values(nudged_at=now)
                    .returning(model.id)
                    .execution_options(synchronize_session=False)
                )
            )
        rung[name] = sum(bell().ring(name, row_id) for row_id in ids)
    return rung


def beat() -> None:
    """Note that the sweep is alive, and every queue that has a worker."""
    names = ["sweep", *(f"queue:{name}" for name in _attended_queues())]
    now = clock.now()
    with unit_of_work() as session:
        # In one order: two sweeps must not hold what the other waits for.
        insert_missing(session, Heartbeat, [{"name": name, "seen_at": now} for name in sorted(names)])
        for name in sorted(names):
            session.execute(sa.update(Heartbeat).where(Heartbeat.name == name).values(seen_at=now))


def _attended_queues() -> set[str]:
    try:
        workers = HostWorker.all(connection=bell().connection, serializer=JSONSerializer)
    except RedisError:
        return set()
    return {queue for worker in workers for queue in worker.queue_names()}


def silent_since() -> datetime | None:
    """Since when background work stands still, wholly or for one queue; None while all of it runs."""
    seen = {row.name: row.seen_at for row in db.session.scalars(sa.select(Heartbeat))}
    wanted = ["sweep", *(f"queue:{name}" for name in bell().queues)]
    oldest = min((seen.get(name, clock.now() - STALE) for name in wanted), default=clock.now())
    return oldest if oldest <= clock.now() - STALE else None
