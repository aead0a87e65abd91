"""Processes of the product for benchmarks: real workers and a sweep over the stage's database."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import flask_migrate
import sqlalchemy as sa
from redis import Redis
from rq import Worker

from app.db import db, write_access
from app.embedded import ends_with_parent
from benchmarks.stage import Stage

LONGEST_S = 600


def environment(stage: Stage, redis_url: str, **more: str) -> dict[str, str]:
    """What a process of the product needs to know to work on the stage."""
    settings = stage.app.config["SETTINGS"]
    return {
        **os.environ,  # noqa: TID251  # handed on, not read
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.defpath]),
        "SPHEREMAIL_DATA_DIR": str(settings.data_dir),
        "SPHEREMAIL_DATABASE_URL": settings.database,
        "SPHEREMAIL_REDIS_URL": redis_url,
        "SPHEREMAIL_LOG_LEVEL": "error",
        **more,
    }


@contextmanager
def program(environment: dict[str, str], *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the product, for as long as the block lasts."""
    line = [sys.executable, "-m", "flask", "--app", "wsgi", *command]
    with subprocess.Popen(line, env=environment, preexec_fn=ends_with_parent()) as process:
        try:
            yield process
        finally:
            process.terminate()


@contextmanager
def stamped() -> Iterator[None]:
    """A database that says at which revision it is, as workers demand; the note goes before the tables do."""
    flask_migrate.stamp()
    try:
        yield
    finally:
        db.session.rollback()
        with write_access(), db.engine.begin() as connection:
            connection.execute(sa.text("DROP TABLE IF EXISTS alembic_version"))


def listening(redis_url: str) -> int:
    """How many workers have signed on."""
    return Worker.count(connection=Redis.from_url(redis_url))


def wait(until: Callable[[], bool]) -> None:
    """Wait for the thing itself; ends the benchmark when it does not come."""
    ends = time.monotonic() + LONGEST_S
    while not until():
        if time.monotonic() > ends:
            raise SystemExit(f"Not done within {LONGEST_S} s.")
        threading.Event().wait(0.25)
