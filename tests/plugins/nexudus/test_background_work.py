"""The database is the queue and RQ the bell: leases, the sweep, and workers that run nothing but our own jobs."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import structlog
import time_machine
from flask import Flask
from redis import Redis
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from app import clock, work
from app.db import unit_of_work
from app.work import Heartbeat, HostJob, Lease, LeaseLost
from plugins.nexudus.models import Connection
from tests import make
from tests.cast import Cast
from tests.services import eventually
from tests.visitors import HeardBell, apart

ROOT = Path(__file__).parents[3]
JOB = "nexudus.work_on_connection"


@pytest.fixture
def connection(cast: Cast) -> Connection:
    account_id, installation_id = cast.acme.id, make.installation(cast.acme, "nexudus").id
    with unit_of_work() as session:
        row = Connection(
            account_id=account_id,
            installation_id=installation_id,
            business_id=1,
            business_name="Acme there",
            currency="EUR",
            currency_id=1,
            email="a@acme.example",
            client_id="c",
            due_at=clock.now(),
        )
        session.add(row)
    return row


def test_one_of_two_gets_the_lease(connection: Connection) -> None:
    assert Lease.take(Connection, connection.id) is not None
    assert Lease.take(Connection, connection.id) is None


def test_a_lease_given_back_is_free_at_once(connection: Connection) -> None:
    lease = Lease.take(Connection, connection.id)
    assert lease is not None
    lease.give_back()
    assert Lease.take(Connection, connection.id) is not None


def test_a_lease_that_ran_out_is_taken_by_the_next_and_lost_to_the_first(connection: Connection) -> None:
    with time_machine.travel(clock.now(), tick=False) as now:
        first = Lease.take(Connection, connection.id)
        assert first is not None
        now.shift(timedelta(seconds=60))
        assert Lease.take(Connection, connection.id) is not None
        with pytest.raises(LeaseLost), unit_of_work():
            first.renew()


def test_a_renewed_lease_lasts(connection: Connection) -> None:
    with time_machine.travel(clock.now(), tick=False) as now:
        first = Lease.take(Connection, connection.id)
        assert first is not None
        now.shift(timedelta(seconds=40))
        with unit_of_work():
            first.renew()
        now.shift(timedelta(seconds=40))
        assert Lease.take(Connection, connection.id) is None


@pytest.fixture
def rings(app: Flask) -> list[tuple[str, *tuple[int, ...]]]:
    heard = app.extensions["bell"]
    assert isinstance(heard, HeardBell)
    return heard.rings


def test_the_sweep_rings_for_what_is_due_and_rings_again_after_a_minute(
    connection: Connection, rings: list[tuple[str, *tuple[int, ...]]]
) -> None:
    with time_machine.travel(clock.now() + timedelta(seconds=1), tick=False) as now:
        assert work.sweep_once() == {JOB: 1}
        assert work.sweep_once() == {}
        now.shift(timedelta(seconds=61))
        assert work.sweep_once() == {JOB: 1}
    assert rings == [(JOB, connection.id)] * 2


def test_the_sweep_leaves_alone_what_is_not_due_yet(
    connection: Connection, rings: list[tuple[str, *tuple[int, ...]]]
) -> None:
    with unit_of_work() as session:
        session.get_one(Connection, connection.id).due_at = clock.now() + timedelta(minutes=1)
    assert work.sweep_once() == {}
    assert rings == []


def test_background_work_counts_as_silent_until_sweep_and_workers_were_seen(app: Flask) -> None:
    assert work.silent_since() is not None
    with unit_of_work() as session:
        for name in ("sweep", *(f"queue:{queue}" for queue in app.extensions["bell"].queues)):
            session.add(Heartbeat(name=name, seen_at=clock.now()))
    assert work.silent_since() is None
    with time_machine.travel(clock.now() + timedelta(minutes=2)):
        assert work.silent_since() is not None


def test_a_ring_that_is_lost_is_no_error(build_app: Callable[..., Flask], connection: Connection) -> None:
    bell = work.Bell(build_app(), "redis://127.0.0.1:1/0")
    bell.know("nexudus", work.beat)
    assert bell.ring("nexudus.beat") is False


def test_a_job_that_is_not_ours_is_not_even_imported(app: Flask) -> None:
    job = HostJob.__new__(HostJob)
    job._func_name = "os.system"
    with pytest.raises(PermissionError):
        _ = job.func


def test_our_door_opens_for_known_names_only(app: Flask) -> None:
    with pytest.raises(PermissionError):
        work.perform("os.system", [1])


def test_what_a_job_logs_carries_the_ids_of_request_job_and_account(
    app: Flask, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[dict[str, Any]] = []
    jobs = app.extensions["bell"].jobs
    note = replace(jobs[JOB], run=lambda row_id: noted.append(structlog.contextvars.get_contextvars()))
    monkeypatch.setitem(jobs, JOB, note)
    account_id, row_id = connection.account_id, connection.id
    # Workers fork for each job and leave their parent's connections alone; here there is no parent.
    monkeypatch.setattr(sa.Engine, "dispose", lambda engine, **options: None)

    def run() -> None:
        with app.app_context():
            work.perform(JOB, [row_id], "abc", job_id="j-1")

    apart(run)

    assert noted == [{"job": JOB, "ids": [row_id], "job_id": "j-1", "request_id": "abc", "account_id": account_id}]


@pytest.fixture
def worker(redis_url: str, tmp_path: Path, data_dir: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A real worker process on the queue `nexudus`, with a database of its own."""
    environment = {
        **os.environ,  # noqa: TID251  # the child needs PATH and the like
        "SPHEREMAIL_DATA_DIR": str(data_dir),
        "SPHEREMAIL_DATABASE_URL": f"sqlite:///{tmp_path / 'worker.db'}",
        "SPHEREMAIL_REDIS_URL": redis_url,
        "SPHEREMAIL_LOG_FORMAT": "json",
    }
    flask = [sys.executable, "-m", "flask", "--app", "wsgi"]
    subprocess.run([*flask, "db", "upgrade"], cwd=ROOT, env=environment, check=True, capture_output=True)
    process = subprocess.Popen([*flask, "worker", "nexudus"], cwd=ROOT, env=environment)
    yield process
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


@pytest.mark.processes
def test_a_worker_runs_our_jobs_and_refuses_forged_ones(
    worker: subprocess.Popen[bytes], redis_url: str, tmp_path: Path
) -> None:
    redis = Redis.from_url(redis_url)
    queue = Queue("nexudus", connection=redis, serializer=JSONSerializer)
    trace = tmp_path / "forged"
    ours = queue.enqueue_call(work.JOB_PATH, args=(JOB, [999], None), result_ttl=60, failure_ttl=60)
    forged = queue.enqueue_call("os.system", args=(f"touch {trace}",), failure_ttl=60)

    def state_of(job: Job) -> str:
        return str(job.get_status(refresh=True).value)

    eventually(lambda: state_of(ours) == "finished", "our job ran", 20)
    eventually(lambda: state_of(forged) == "failed", "the forged job was refused", 20)
    assert not trace.exists()


@pytest.mark.redis
def test_no_pickle_is_ever_stored(app: Flask, redis_url: str) -> None:
    bell = work.Bell(app, redis_url)
    bell.know("nexudus", work.beat, "unattended")
    assert bell.ring("nexudus.beat", 1)
    stored = [bell.connection.hget(key, "data") for key in bell.connection.scan_iter("rq:job:*")]
    assert stored
    assert not [data for data in stored if data and data[:1] == b"\x80"]
