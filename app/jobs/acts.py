"""What an administrator may do with jobs: run a failed one again, take a waiting one away, empty a failed list."""

from typing import Any

from rq.exceptions import InvalidJobOperation
from rq.results import Result
from rq.serializers import JSONSerializer

from app import audit
from app.db import unit_of_work
from app.errors import Conflict, NotFound
from app.jobs import board
from app.jobs.board import JobState
from app.work import HostJob, bell

BATCH = 500


def run_again(job_id: str) -> None:
    """Put a failed job back on its queue; raises `Conflict` when it is not failed (any more)."""
    job = board.fetch(job_id)
    try:
        job.requeue()
    except InvalidJobOperation as error:
        raise Conflict("This job is not failed any more. Look at it again.") from error
    _note("job_requeued", job=job_id)


def cancel(job_id: str) -> None:
    """Take a waiting job off its list; raises `Conflict` when it does not wait (any more)."""
    job = board.fetch(job_id)
    if job.get_status().value not in {JobState.QUEUED, JobState.SCHEDULED, JobState.DEFERRED}:
        raise Conflict("Only a job that waits can be canceled; this one has begun or ended.")
    job.cancel()
    _note("job_canceled", job=job_id)


def empty_failed(queue: str) -> int:
    """Forget the failed jobs of `queue`; answers how many there were. The rows that asked for them stay due."""
    if queue not in bell().queues:
        raise NotFound
    failed, gone = board.registry_of(queue, JobState.FAILED), 0
    # One round is what stands there now: jobs that fail meanwhile are news, and stay.
    for _ in range(0, failed.get_job_count(cleanup=False), BATCH):
        ids = failed.get_job_ids(0, BATCH - 1, cleanup=False)
        with bell().connection.pipeline(transaction=False) as pipe:
            for job in HostJob.fetch_many(ids, connection=bell().connection, serializer=JSONSerializer):
                if job is not None:
                    pipe.delete(job.key, job.dependents_key, job.dependencies_key, Result.get_key(job.id))  # type: ignore[no-untyped-call]
            pipe.zrem(failed.key, *ids)
            pipe.execute()
        gone += len(ids)
    _note("failed_jobs_emptied", queue=queue, count=gone)
    return gone


def _note(action: str, **details: Any) -> None:
    with unit_of_work():
        audit.record(action, **details)
