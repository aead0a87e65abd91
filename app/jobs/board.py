"""What RQ holds: queues, workers and jobs by state, read without changing anything.

Counts and pages are asked for with `cleanup=False`: with it RQ runs the failure call-backs of lost jobs in the process
that only wanted to count.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from flask_sqlalchemy.pagination import Pagination
from redis import Redis
from rq import Queue
from rq.exceptions import DeserializationError, NoSuchJobError
from rq.job import Job
from rq.registry import (
    BaseRegistry,
    CanceledJobRegistry,
    DeferredJobRegistry,
    FailedJobRegistry,
    FinishedJobRegistry,
    ScheduledJobRegistry,
    StartedJobRegistry,
)
from rq.serializers import JSONSerializer

from app.errors import NotFound
from app.work import HostJob, HostWorker, bell

PER_PAGE = 25


class JobState(StrEnum):
    """The lists that RQ keeps, in the order in which a job passes them."""

    QUEUED = "queued"
    STARTED = "started"
    SCHEDULED = "scheduled"
    DEFERRED = "deferred"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def label(self) -> str:
        return _LABELS[self]


_LABELS = {
    JobState.QUEUED: "Waiting",
    JobState.STARTED: "Running",
    JobState.SCHEDULED: "Planned",
    JobState.DEFERRED: "Held back",
    JobState.FINISHED: "Done",
    JobState.FAILED: "Failed",
    JobState.CANCELED: "Canceled",
}
_REGISTRIES: Mapping[JobState, type[BaseRegistry]] = {
    JobState.STARTED: StartedJobRegistry,
    JobState.SCHEDULED: ScheduledJobRegistry,
    JobState.DEFERRED: DeferredJobRegistry,
    JobState.FINISHED: FinishedJobRegistry,
    JobState.FAILED: FailedJobRegistry,
    JobState.CANCELED: CanceledJobRegistry,
}


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """One queue: how many jobs per state, how many workers listen, and since when the oldest job waits."""

    name: str
    counts: Mapping[JobState, int]
    workers: int
    oldest_at: datetime | None


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """One worker process."""

    name: str
    queues: list[str]
    state: str
    job_id: str | None
    host: str
    pid: int
    begun_at: datetime | None
    seen_at: datetime | None
    done: int
    failed: int


@dataclass(frozen=True, slots=True)
class JobFacts:
    """One job as RQ knows it. `name` and `ids` say what it is about; "" and () when its call cannot be read."""

    id: str
    queue: str
    state: str
    name: str
    ids: tuple[int, ...]
    request_id: str | None
    description: str
    enqueued_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    timeout_s: float | None
    worker: str

    @property
    def ms(self) -> int | None:
        """How long it ran, in milliseconds."""
        if self.started_at is None or self.ended_at is None:
            return None
        return round((self.ended_at - self.started_at).total_seconds() * 1000)

    @property
    def state_label(self) -> str:
        return JobState(self.state).label if self.state in set(JobState) else self.state.capitalize()

    @property
    def may_run_again(self) -> bool:
        return self.state == JobState.FAILED

    @property
    def may_be_canceled(self) -> bool:
        """A running job ends by itself within its time; only what waits can be taken off its list."""
        return self.state in {JobState.QUEUED, JobState.SCHEDULED, JobState.DEFERRED}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of a job: how it ended, and what it returned or raised."""

    ended_at: datetime
    outcome: str
    text: str


@dataclass(frozen=True, slots=True)
class WholeJob:
    """A job with everything RQ keeps of it."""

    facts: JobFacts
    call: str
    attempts: list[Attempt]
    traceback: str


class JobPages(Pagination):
    """One page of a list in Redis, newest first, with the interface of the database's pages."""

    def _query_items(self) -> list[JobFacts | None]:
        queue, state = self._query_args["queue"], self._query_args["state"]
        return _facts_of(_ids(queue, state, self._query_offset, self.per_page))

    def _query_count(self) -> int:
        return _count(self._query_args["queue"], self._query_args["state"])


def queues() -> list[QueueFacts]:
    """Every queue of this product, also one that no job was ever put on."""
    attended = [name for worker in _workers() for name in worker.queue_names()]
    return [
        QueueFacts(
            name,
            {state: _count(name, state) for state in JobState},
            attended.count(name),
            _oldest(name),
        )
        for name in bell().queues
    ]


def workers() -> list[WorkerFacts]:
    """The workers that reported lately, by name."""
    return sorted(map(_worker_facts, _workers()), key=lambda worker: (worker.queues, worker.name))


def jobs(queue: str, state: JobState, page: int) -> Pagination:
    """One page of the jobs of `queue` in `state`, newest first; raises `NotFound` for a queue that does not exist."""
    if queue not in bell().queues:
        raise NotFound
    return JobPages(page=page, per_page=PER_PAGE, error_out=False, queue=queue, state=state)


def whole_job(job_id: str) -> WholeJob:
    """Everything about one job; raises `NotFound` when RQ does not have it (any more)."""
    job = fetch(job_id)
    attempts = [
        Attempt(result.created_at, result.type.name.lower(), str(result.exc_string or _shown(result.return_value)))
        for result in job.results()
    ]
    return WholeJob(_facts(job), _call(job), attempts, attempts[0].text if attempts and job.is_failed else "")


def fetch(job_id: str) -> Job:
    """The job `job_id`; raises `NotFound`."""
    try:
        return HostJob.fetch(job_id, connection=_redis(), serializer=JSONSerializer)
    except (NoSuchJobError, ValueError) as error:  # an id that was never one is a ValueError
        raise NotFound from error


def registry_of(queue: str, state: JobState) -> BaseRegistry:
    """RQ's list of the jobs of `queue` in `state`; waiting ones stand in the queue itself."""
    return _REGISTRIES[state](queue, connection=_redis(), job_class=HostJob, serializer=JSONSerializer)


def queue_of(name: str) -> Queue:
    return Queue(name, connection=_redis(), job_class=HostJob, serializer=JSONSerializer)


def _redis() -> Redis:
    return bell().connection


def _workers() -> list[HostWorker]:
    return HostWorker.all(connection=_redis(), job_class=HostJob, serializer=JSONSerializer)  # type: ignore[return-value]  # all of the class asked


def _count(queue: str, state: JobState) -> int:
    if state == JobState.QUEUED:
        return queue_of(queue).count
    return registry_of(queue, state).get_job_count(cleanup=False)


def _ids(queue: str, state: JobState, offset: int, length: int) -> list[str]:
    if state != JobState.QUEUED:
        return registry_of(queue, state).get_job_ids(offset, offset + length - 1, desc=True, cleanup=False)
    # The next one to run stands first: that is what a waiting list is read for.
    return queue_of(queue).get_job_ids(offset, length)


def _facts_of(ids: list[str]) -> list[JobFacts | None]:
    found = HostJob.fetch_many(ids, connection=_redis(), serializer=JSONSerializer)
    return [_facts(job) for job in found if job is not None]


def _oldest(queue: str) -> datetime | None:
    first = _facts_of(_ids(queue, JobState.QUEUED, 0, 1))
    return first[0].enqueued_at if first and first[0] else None


def _facts(job: Job) -> JobFacts:
    name, ids, request_id = _asked(job)
    return JobFacts(
        id=job.id,
        queue=job.origin,
        state=job.get_status(refresh=False).value,
        name=name,
        ids=ids,
        request_id=request_id,
        description=job.description or "",
        enqueued_at=_utc(job.enqueued_at),
        started_at=_utc(job.started_at),
        ended_at=_utc(job.ended_at),
        timeout_s=job.timeout,
        worker=job.worker_name or "",
    )


def _asked(job: Job) -> tuple[str, tuple[int, ...], str | None]:
    """Name, ids and request id as `app.work.perform` takes them; whatever else lies in Redis is no call of ours."""
    try:
        name, ids, request_id = job.args
        return str(name), tuple(int(one) for one in ids), request_id if isinstance(request_id, str) else None
    except (DeserializationError, TypeError, ValueError):
        return "", (), None


def _call(job: Job) -> str:
    try:
        return f"{job.func_name}({', '.join(map(repr, job.args))})"
    except (DeserializationError, TypeError):
        return "A call that cannot be read."


def _shown(value: Any) -> str:
    return "" if value is None else str(value)


def _worker_facts(worker: HostWorker) -> WorkerFacts:
    return WorkerFacts(
        name=worker.name,
        queues=worker.queue_names(),
        state=str(worker.get_state()),
        job_id=worker.get_current_job_id(),
        host=worker.hostname or "",
        pid=worker.pid or 0,
        begun_at=_utc(worker.birth_date),
        seen_at=_utc(worker.last_heartbeat),
        done=worker.successful_job_count,
        failed=worker.failed_job_count,
    )


def _utc(value: datetime | None) -> datetime | None:
    """RQ keeps UTC and sometimes forgets to say so."""
    if value is None:
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)
