"""Load balancers learn whether a process answers and whether it can serve; strangers learn nothing else."""

import shutil
from collections import namedtuple
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask
from flask_migrate import upgrade
from redis import Redis

from app import clock, schema, work
from app.accounts.services import create_account
from app.db import db, unit_of_work
from app.errors import InvalidInput
from app.work import Heartbeat
from tests.visitors import Visitor, counted_queries

ROOT = Path(__file__).parents[2]
Usage = namedtuple("Usage", "total used free")  # noqa: PYI024  # as shutil answers it


@pytest.fixture
def host(
    build_app: Callable[..., Flask],
    app_settings: dict[str, Any],
    tmp_path: Path,
    redis_url: str,
) -> Iterator[Flask]:
    """An installation with a database that is up to date, Redis, and a sweep that was here just now."""
    app = build_app(
        database_url=f"sqlite:///{tmp_path / 'own.db'}", redis_url=redis_url, lock_wait_s=0.1, **app_settings
    )
    with app.app_context():
        upgrade(str(ROOT / "migrations"))
        work.beat()
        yield app
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def browser(host: Flask) -> Visitor:
    visitor = host.test_client()
    assert isinstance(visitor, Visitor)
    return visitor


def test_a_living_process_answers_without_asking_anybody(browser: Visitor, host: Flask) -> None:
    with counted_queries() as asked:
        answer = browser.get("/healthz")
    assert (answer.status_code, answer.json) == (200, {"status": "alive"})
    assert asked.count == 0


def test_with_everything_there_it_is_ready_and_asking_leaves_no_trace(browser: Visitor, host: Flask) -> None:
    before = db.session.scalars(sa.select(Heartbeat.name)).all()
    answer = browser.get("/readyz")
    assert (answer.status_code, answer.json) == (200, {"status": "ready", "degraded": []})
    assert db.session.scalars(sa.select(Heartbeat.name)).all() == before


def test_without_redis_pages_are_still_served(browser: Visitor, host: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host.extensions["bell"], "connection", Redis.from_url(work.NOWHERE))
    answer = browser.get("/readyz")
    assert (answer.status_code, answer.json) == (200, {"status": "degraded", "degraded": ["redis"]})


def test_a_silent_sweep_is_named(browser: Visitor, host: Flask) -> None:
    with time_machine.travel(clock.now() + timedelta(minutes=3, seconds=1)):
        answer = browser.get("/readyz")
    assert (answer.status_code, answer.json) == (
        503,
        {"status": "not ready", "failing": ["sweeper"], "degraded": []},
    )


def test_a_database_behind_the_code_is_named(browser: Visitor, host: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "heads", lambda: ({"0001"}, {"9999"}))
    answer = browser.get("/readyz")
    assert answer.status_code == 503
    assert answer.get_json()["failing"] == ["migrations"]
    assert "0001" not in answer.text


def test_a_full_disk_is_named(browser: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1000, 951, 49))
    assert browser.get("/readyz").get_json()["failing"] == ["disk"]
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1000, 950, 50))
    assert browser.get("/readyz").status_code == 200


def test_a_database_that_takes_no_writing_is_named_and_nothing_about_it(browser: Visitor, host: Flask) -> None:
    with sa.create_engine(host.config["SQLALCHEMY_DATABASE_URI"]).connect() as other:
        other.exec_driver_sql("BEGIN IMMEDIATE")
        answer = browser.get("/readyz")
        other.rollback()
    assert (answer.status_code, answer.get_json()["failing"]) == (503, ["database"])
    assert "lock" not in answer.text


@pytest.mark.parametrize("slug", ["healthz", "readyz", "metrics"])
def test_no_account_can_take_these_addresses(host: Flask, slug: str) -> None:
    with pytest.raises(InvalidInput, match="reserved"), unit_of_work():
        create_account("Health", slug)
