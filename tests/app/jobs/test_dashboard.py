"""The dashboard at /rq: what an administrator sees of queues, workers and jobs, and may do with them."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from redis import Redis
from rq import Queue, SimpleWorker
from rq.serializers import JSONSerializer

from app.access import Role
from app.accounts.models import User
from app.accounts.services import give_role
from app.audit import AuditEntry
from app.db import db, unit_of_work
from app.jobs.board import JobState
from app.work import JOB_PATH, Bell, HostJob
from benchmarks import board
from tests import make
from tests.cast import Cast
from tests.visitors import Visitor, counted_queries

pytestmark = pytest.mark.redis

SignIn = Callable[[User], Visitor]
EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture
def redis(app: Flask, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Redis]:
    """An empty Redis-compatible server, to which the app's bell is tied."""
    connection = Redis.from_url(redis_url)
    connection.flushdb()
    monkeypatch.setattr(app.extensions["bell"], "connection", connection)
    yield connection
    connection.close()


@pytest.fixture
def ring(app: Flask, redis: Redis) -> Callable[..., object]:
    """Ring as the product does, into the real server."""
    return lambda name, *ids: Bell.ring(app.extensions["bell"], name, *ids)


@pytest.fixture
def ida(redis: Redis, cast: Cast, sign_in: SignIn) -> Visitor:
    return sign_in(cast.ida)


def work(redis: Redis) -> None:
    """Run what waits, in this process; `app.work.perform` is not reached, so whatever is asked fails."""
    queue = Queue("default", connection=redis, serializer=JSONSerializer, job_class=HostJob)
    SimpleWorker([queue], connection=redis, serializer=JSONSerializer, job_class=HostJob).work(
        burst=True, logging_level="CRITICAL"
    )


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> None:
    def perform(*args: Any, **options: Any) -> None:
        raise RuntimeError(EVIL)

    monkeypatch.setattr("app.work.perform", perform)


def employ(cast: Cast) -> None:
    """Let the administrator work at Acme, too."""
    with unit_of_work():
        give_role(cast.acme, cast.ida, Role.ADMIN)


def job_ids(redis: Redis, key: str) -> list[str]:
    found: Any = redis.zrange(key, 0, -1) if redis.type(key) == b"zset" else redis.lrange(key, 0, -1)
    return [str(one, "utf-8") for one in found]


def test_only_instance_administrators_find_it(cast: Cast, redis: Redis, sign_in: SignIn, client: Visitor) -> None:
    assert client.get("/rq").status_code == 302
    for user in (cast.ana, cast.ben, cast.mia, cast.zoe):
        assert sign_in(user).get("/rq").status_code == 404
    assert sign_in(cast.ida).get("/rq").status_code == 200


def test_it_stands_in_the_name_menu_of_an_administrator_alone(cast: Cast, redis: Redis, sign_in: SignIn) -> None:
    assert "/rq" not in sign_in(cast.ana).get("/acme/customers").text
    employ(cast)
    assert 'href="/rq"' in sign_in(cast.ida).get("/acme/customers").text


def test_the_overview_counts_what_each_queue_holds(ida: Visitor, cast: Cast, ring: Callable[..., None]) -> None:
    customer = make.customer(cast.acme)
    for _ in range(3):
        ring("example.greet", 1, customer.id)

    page = ida.get("/rq").text

    assert "Oldest waits since" in page
    assert ">3</a>" in page
    assert "No worker runs." in page


def test_a_list_says_in_words_what_a_job_is_about(ida: Visitor, cast: Cast, ring: Callable[..., None]) -> None:
    ring("example.greet", 1, make.customer(cast.acme, "Tamsin Quill").id)

    page = ida.get("/rq/queues/default?state=queued").text

    assert "Greet" in page
    assert "Example" in page
    assert "Tamsin Quill" in page
    assert cast.acme.name in page
    assert "/acme/customers/" not in page  # Ida works in no account: the server's keeper opens nobody's records


def test_who_also_works_in_the_account_finds_a_link_to_the_row(
    ida: Visitor, cast: Cast, ring: Callable[..., None]
) -> None:
    employ(cast)
    customer = make.customer(cast.acme, "Tamsin Quill")
    ring("example.greet", 1, customer.id)

    assert f'href="/acme/customers/{customer.id}"' in ida.get("/rq/queues/default?state=queued").text


def test_a_list_asks_the_database_the_same_however_long_it_is(
    ida: Visitor, cast: Cast, ring: Callable[..., None]
) -> None:
    customers = [make.customer(cast.acme) for _ in range(25)]
    ring("example.greet", 1, customers[0].id)
    ida.get("/rq/queues/default?state=queued")
    with counted_queries() as one:
        ida.get("/rq/queues/default?state=queued")
    for customer in customers[1:]:
        ring("example.greet", 1, customer.id)
    with counted_queries() as many:
        ida.get("/rq/queues/default?state=queued")

    assert many.count == one.count


def test_no_page_asks_more_of_redis_or_the_database_when_the_board_is_full(
    ida: Visitor, cast: Cast, redis: Redis
) -> None:
    for _ in range(25):
        make.customer(cast.acme)
    asked = []
    for queued, failed in ((30, 30), (705, 305)):
        redis.flushdb()
        board.fill(redis, queued, failed, rows=25, name="example.greet")
        addresses = board.addresses_of(queued, failed)  # of both the last pages hold five
        asked.append({name: board.asked_for(ida, redis, address) for name, address in addresses.items()})

    assert asked[0] == asked[1]
    assert all(commands > 0 for commands, _ in asked[0].values())


def test_a_failed_job_shows_its_traceback_and_runs_again(
    ida: Visitor, cast: Cast, redis: Redis, ring: Callable[..., None], failing: None
) -> None:
    ring("example.greet", 1, make.customer(cast.acme).id)
    work(redis)
    (job_id,) = job_ids(redis, "rq:failed:default")

    page = ida.get(f"/rq/jobs/{job_id}").text
    again = ida.post(f"/rq/jobs/{job_id}/requeue")

    assert "This job failed." in page
    assert "RuntimeError" in page
    assert EVIL not in page
    assert again.status_code == 303
    assert job_ids(redis, "rq:queue:default") == [job_id]
    assert db.session.scalars(sa.select(AuditEntry.action).order_by(AuditEntry.id)).all()[-1] == "job_requeued"
    assert ida.post(f"/rq/jobs/{job_id}/requeue").status_code == 409


def test_a_waiting_job_is_canceled_and_a_running_one_is_not(
    ida: Visitor, cast: Cast, redis: Redis, ring: Callable[..., None]
) -> None:
    ring("example.greet", 1, make.customer(cast.acme).id)
    (job_id,) = job_ids(redis, "rq:queue:default")

    assert ida.post(f"/rq/jobs/{job_id}/cancel").status_code == 303
    assert job_ids(redis, "rq:queue:default") == []
    assert "Canceled" in ida.get(f"/rq/jobs/{job_id}").text

    redis.hset(f"rq:job:{job_id}", "status", "started")
    assert ida.post(f"/rq/jobs/{job_id}/cancel").status_code == 409


def test_emptying_a_failed_list_asks_first_and_leaves_nothing_behind(
    ida: Visitor, cast: Cast, redis: Redis, ring: Callable[..., None], failing: None
) -> None:
    customer = make.customer(cast.acme)
    for _ in range(3):
        ring("example.greet", 1, customer.id)
    work(redis)

    question = ida.get("/rq/queues/default/empty").text
    assert "Forget 3 failed jobs of default?" in question
    assert len(job_ids(redis, "rq:failed:default")) == 3

    assert ida.post("/rq/queues/default/empty").status_code == 303
    assert list(redis.scan_iter("rq:job:*")) == []
    assert list(redis.scan_iter("rq:results:*")) == []
    assert job_ids(redis, "rq:failed:default") == []
    assert ida.post("/rq/queues/default/empty").status_code == 303


def test_what_somebody_else_put_into_redis_is_shown_as_text_and_never_run(ida: Visitor, redis: Redis) -> None:
    queue = Queue("default", connection=redis, serializer=JSONSerializer)
    forged = queue.enqueue_call("os.system", args=[EVIL], description=EVIL)
    garbled = queue.enqueue_call(JOB_PATH, args=["example.greet", ["x"], None], description=EVIL)
    redis.hset(f"rq:job:{garbled.id}", "data", b"\x80\x04garbage")

    for path in ("/rq", "/rq/queues/default?state=queued", f"/rq/jobs/{forged.id}", f"/rq/jobs/{garbled.id}"):
        page = ida.get(path)
        assert page.status_code == 200, path
        assert EVIL not in page.text
    assert "Not a job of this product" in ida.get(f"/rq/jobs/{forged.id}").text


def test_workers_are_listed_with_what_they_do(ida: Visitor, redis: Redis) -> None:
    worker = SimpleWorker(["default"], connection=redis, serializer=JSONSerializer)
    worker.register_birth()  # type: ignore[no-untyped-call]

    page = ida.get("/rq").text

    assert f"process {os.getpid()}" in page
    worker.register_death()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    "path", ["/rq/queues/other", "/rq/queues/default?state=lost", "/rq/jobs/nothing", "/rq/jobs/a:b"]
)
def test_what_does_not_exist_is_not_found(ida: Visitor, path: str) -> None:
    assert ida.get(path).status_code == 404


def test_every_state_has_its_words_when_nothing_is_in_it(ida: Visitor) -> None:
    for state in JobState:
        assert "None here" in ida.get(f"/rq/queues/default?state={state}").text


def test_without_redis_the_page_says_what_that_means(cast: Cast, sign_in: SignIn) -> None:
    page = sign_in(cast.ida).get("/rq")

    assert page.status_code == 503
    assert "No work is lost" in page.text


def test_a_page_changes_nothing_in_redis(
    ida: Visitor, cast: Cast, redis: Redis, ring: Callable[..., None], failing: None
) -> None:
    """Counting with clean-up would run the call-backs of lost jobs inside the web process."""
    ring("example.greet", 1, make.customer(cast.acme).id)
    (job_id,) = job_ids(redis, "rq:queue:default")
    redis.lrem("rq:queue:default", 0, job_id)
    redis.zadd("rq:wip:default", {f"{job_id}:lost": 1})
    redis.hset(f"rq:job:{job_id}", "status", "started")

    ida.get("/rq")
    ida.get("/rq/queues/default?state=started")

    assert redis.zcard("rq:wip:default") == 1
    assert redis.zcard("rq:failed:default") == 0
