"""The dashboard at /rq with many jobs on it, beside the same pages when it is empty."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from redis import Redis
from rq.job import JobStatus
from rq.registry import FailedJobRegistry
from rq.serializers import JSONSerializer

from app.billing.models import Customer
from app.embedded import embedded_server
from app.jobs.board import queue_of
from app.work import JOB_PATH, SLICE_S, HostJob, bell
from benchmarks.stage import Sizes, Stage, Stages, customer_rows, insert
from benchmarks.table import Measured
from tests.visitors import Visitor, counted_queries

QUEUE = "default"
PAGES = {
    "overview": "/rq",
    "waiting jobs": f"/rq/queues/{QUEUE}?state=queued",
    "waiting jobs, last page": f"/rq/queues/{QUEUE}?state=queued&page={{last_queued}}",
    "failed jobs": f"/rq/queues/{QUEUE}?state=failed",
    "failed jobs, last page": f"/rq/queues/{QUEUE}?state=failed&page={{last_failed}}",
    "emptying asks first": f"/rq/queues/{QUEUE}/empty",
}
TRACEBACK = 'Traceback (most recent call last):\n  File "app/work.py", line 1, in perform\n' * 20
AT_ONCE = 1_000
FAILED_KEPT_S = 7 * 24 * 3600


def measure(sizes: Sizes, stages: Stages) -> Iterator[Measured]:
    with stages() as stage, on_a_board() as redis:
        browser = administrator(stage)
        insert(Customer, customer_rows(stage.cast, sizes.customers))
        addresses = addresses_of(sizes.queued, sizes.failed)
        empty = {name: _median(browser, address, sizes.requests) for name, address in addresses.items()}
        fill(redis, sizes.queued, sizes.failed, rows=sizes.customers)
        for name, address in addresses.items():
            commands, queries = asked_for(browser, redis, address)
            spent = _median(browser, address, sizes.requests)
            note = f"{sizes.queued} wait, {sizes.failed} failed; {commands} commands, {queries} queries"
            yield Measured(f"/rq: {name}", spent, "the same on an empty board", empty[name], 25, note)


@contextmanager
def on_a_board() -> Iterator[Redis]:
    """An empty Redis-compatible server, to which the bell of the running app is tied."""
    before = bell().connection
    with embedded_server() as server, Redis.from_url(server.url) as redis:
        bell().connection = redis
        try:
            yield redis
        finally:
            bell().connection = before


def administrator(stage: Stage) -> Visitor:
    """The browser of the instance's administrator."""
    browser = stage.app.test_client()
    assert isinstance(browser, Visitor)
    browser.enter(stage.cast.ida)
    return browser


def addresses_of(queued: int, failed: int) -> dict[str, str]:
    """The pages by name, the last ones of so many jobs among them."""
    last = {"last_queued": max(1, -(-queued // 25)), "last_failed": max(1, -(-failed // 25))}
    return {name: address.format(**last) for name, address in PAGES.items()}


def fill(redis: Redis, queued: int, failed: int, *, rows: int, name: str = "nexudus.link_customer") -> None:
    """So many waiting and failed jobs of one kind, about the first `rows` rows, as ringing and failing leave them."""
    failed_ones = FailedJobRegistry(QUEUE, connection=redis, job_class=HostJob, serializer=JSONSerializer)
    for first in range(0, queued + failed, AT_ONCE):
        with redis.pipeline(transaction=False) as pipe:
            for number in range(first, min(first + AT_ONCE, queued + failed)):
                row_id = number % rows + 1
                job = HostJob.create(
                    JOB_PATH,
                    args=[name, [1, row_id], None],
                    timeout=SLICE_S + 30,
                    description=f"{name} {row_id}",
                    origin=QUEUE,
                    status=JobStatus.QUEUED if number < queued else JobStatus.FAILED,
                    connection=redis,
                    serializer=JSONSerializer,
                )
                if number < queued:
                    job.save(pipeline=pipe)
                    queue_of(QUEUE).push_job_id(job.id, pipeline=pipe)
                else:
                    failed_ones.add(job, ttl=FAILED_KEPT_S, exc_string=TRACEBACK, pipeline=pipe)
            pipe.execute()


def asked_for(browser: Visitor, redis: Redis, address: str) -> tuple[int, int]:
    """How many commands Redis and how many queries the database is asked for a page that was seen before."""
    _ask(browser, address)
    before = _commands(redis)
    with counted_queries() as queries:
        _ask(browser, address)
    return _commands(redis) - before - 1, queries.count


def _commands(redis: Redis) -> int:
    """How many commands the server has had; asking counts as one."""
    return int(redis.info("stats")["total_commands_processed"])


def _median(browser: Visitor, address: str, times: int) -> float:
    _ask(browser, address)  # templates are compiled by now
    return median(_ask(browser, address) for _ in range(times))


def _ask(browser: Visitor, address: str) -> float:
    begun = time.perf_counter()
    answer = browser.get(address)
    spent = time.perf_counter() - begun
    assert answer.status_code == 200, f"{address}: {answer.status}"
    return spent
