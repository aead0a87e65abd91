"""The dashboard at `/rq`: queues and workers, the jobs of a queue by state, one job whole."""

from flask import Blueprint, Response, flash, request, url_for
from redis.exceptions import RedisError

from app.access import INSTANCE_ADMINS, allow
from app.errors import NotFound
from app.htmx import go_to, page_or_partial
from app.jobs import acts, board
from app.jobs.about import in_words
from app.jobs.board import JobState

pages = Blueprint("jobs", __name__)


@pages.errorhandler(RedisError)
def no_redis(error: RedisError) -> tuple[str, int]:
    """Redis is only the bell: the work waits in the database, and this page says so."""
    return page_or_partial("jobs/no_redis.html", "jobs/_no_redis.html"), 503


@pages.get("/rq")
@allow(INSTANCE_ADMINS)
def overview() -> str:
    return page_or_partial(
        "jobs/overview.html",
        "jobs/_overview.html",
        queues=board.queues(),
        workers=board.workers(),
        states=list(JobState),
    )


@pages.get("/rq/queues/<queue>")
@allow(INSTANCE_ADMINS)
def queue(queue: str) -> str:
    """The jobs of one queue in one state, page by page."""
    state = _state(request.args.get("state", JobState.FAILED))
    found = board.jobs(queue, state, max(1, request.args.get("page", 1, type=int)))
    facts = next(one for one in board.queues() if one.name == queue)
    return page_or_partial(
        "jobs/queue.html",
        "jobs/_queue.html",
        queue=facts,
        state=state,
        found=found,
        words=in_words(found.items),
        states=list(JobState),
    )


@pages.get("/rq/jobs/<job_id>")
@allow(INSTANCE_ADMINS)
def job(job_id: str) -> str:
    whole = board.whole_job(job_id)
    return page_or_partial(
        "jobs/job.html", "jobs/_job.html", job=whole, facts=whole.facts, words=in_words([whole.facts])[whole.facts.id]
    )


@pages.post("/rq/jobs/<job_id>/requeue")
@allow(INSTANCE_ADMINS)
def requeue(job_id: str) -> Response:
    acts.run_again(job_id)
    flash("It waits on its queue again.", "done")
    return go_to(url_for(".job", job_id=job_id))


@pages.post("/rq/jobs/<job_id>/cancel")
@allow(INSTANCE_ADMINS)
def cancel(job_id: str) -> Response:
    acts.cancel(job_id)
    flash("Taken off its queue. A row that is still due is rung for again within a minute.", "done")
    return go_to(url_for(".job", job_id=job_id))


@pages.route("/rq/queues/<queue>/empty", methods=["GET", "POST"])
@allow(INSTANCE_ADMINS)
def empty_failed(queue: str) -> str | Response:
    """Ask first, then forget what failed on a queue."""
    if request.method == "GET":
        facts = next((one for one in board.queues() if one.name == queue), None)
        if facts is None:
            raise NotFound
        return page_or_partial("jobs/empty_failed.html", "jobs/_empty_failed.html", queue=facts)
    count = acts.empty_failed(queue)
    flash(f"{count} failed job{'' if count == 1 else 's'} forgotten.", "done")
    return go_to(url_for(".queue", queue=queue, state=JobState.FAILED))


def _state(text: str) -> JobState:
    try:
        return JobState(text)
    except ValueError as error:
        raise NotFound from error
