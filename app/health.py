"""Whether this process answers, and whether everything it needs is there: for load balancers and monitors.

Both addresses are open to everybody, so they name what is missing and nothing else.
"""

import secrets
import shutil
from datetime import timedelta

import sqlalchemy as sa
import structlog
from flask import Blueprint, current_app, jsonify
from flask.typing import ResponseReturnValue
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from app import clock, schema, work
from app.access import PUBLIC, allow
from app.db import db, end_reading, unit_of_work
from app.work import Heartbeat

SWEEP_SILENT = timedelta(minutes=3)
LEAST_FREE = 0.05  # of the disk that holds DATA_DIR

pages = Blueprint("health", __name__)
log = structlog.get_logger()


@pages.get("/healthz")
@allow(PUBLIC)
def alive() -> ResponseReturnValue:
    """This process answers. Touches neither database nor Redis."""
    return jsonify(status="alive")


@pages.get("/readyz")
@allow(PUBLIC)
def ready() -> ResponseReturnValue:
    """200 when pages can be served, 503 with the names of what fails.

    Without Redis it is still 200, but degraded: work is accepted, and waits.
    """
    failing, degraded = _failing(), [] if _redis_answers() else ["redis"]
    if failing:
        return jsonify(status="not ready", failing=failing, degraded=degraded), 503
    return jsonify(status="degraded" if degraded else "ready", degraded=degraded)


def _failing() -> list[str]:
    failing = _failing_in_database()
    usage = shutil.disk_usage(current_app.config["SETTINGS"].data_dir)
    if usage.free < LEAST_FREE * usage.total:
        failing.append("disk")
    return failing


def _failing_in_database() -> list[str]:
    """Without a database nothing can be said about what it would tell."""
    try:
        _try_to_write()
        there, wanted = schema.heads()
        swept_at = db.session.scalar(sa.select(Heartbeat.seen_at).where(Heartbeat.name == "sweep"))
        end_reading()
    except SQLAlchemyError as error:
        log.warning("not_ready", error=str(error))
        return ["database"]
    failing = [] if there == wanted else ["migrations"]
    if swept_at is None or swept_at < clock.now() - SWEEP_SILENT:
        failing.append("sweeper")
    return failing


def _try_to_write() -> None:
    """Write a row and take it back, so that asking changes nothing."""
    with unit_of_work() as session:
        session.add(Heartbeat(name=f"trial:{secrets.token_hex(8)}", seen_at=clock.now()))
        session.flush()
        session.rollback()


def _redis_answers() -> bool:
    try:
        return bool(work.bell().connection.ping())
    except RedisError:
        return False
