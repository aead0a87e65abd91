"""Commands of the host: background processes, and the commands of its features."""

import os
import signal
import threading
from types import FrameType
from typing import Any

import click
import structlog
from flask import Flask, current_app
from flask.cli import with_appcontext
from rq.serializers import JSONSerializer
from sqlalchemy.orm import configure_mappers

from app import operations, work
from app.accounts import cli as accounts_cli
from app.billing import cli as billing_cli
from app.command import answers
from app.db import db
from app.demo import demo
from app.schema import refuse_old_schema
from app.upkeep import pruning

log = structlog.get_logger()


def init_app(app: Flask) -> None:
    groups = (
        accounts_cli.accounts,
        accounts_cli.users,
        accounts_cli.admins,
        billing_cli.customers,
        billing_cli.invoices,
        operations.backup,
        operations.restore,
        operations.vault,
    )
    for command in (worker, sweep, demo, *groups):
        app.cli.add_command(command)


@click.command()
@click.argument("queue")
@with_appcontext
def worker(queue: str) -> None:
    """Work on one queue until told to stop. One queue per process: two would lose a job when killed."""
    refuse_old_schema()
    bell = work.bell()
    if queue not in bell.queues:
        # The Procfile has a worker for every queue there may be; this one belongs to a plugin that is left out.
        log.info("nothing_to_do_here", queue=queue, queues=bell.queues)
    db.engine.dispose()
    configure_mappers()  # once here, and not anew in every job's process
    process = work.HostWorker(
        [queue],
        connection=bell.connection,
        serializer=JSONSerializer,
        worker_ttl=25,
        job_monitoring_interval=5,
        maintenance_interval=5,
    )
    # At "info" RQ says every few seconds that it tidied up; what jobs did stands in our own lines.
    level = current_app.config["SETTINGS"].log_level.upper()
    process.work(logging_level="DEBUG" if level == "DEBUG" else "WARNING")


@click.command()
@click.option("--once", is_flag=True, help="One round, then leave.")
@answers
def sweep(once: bool) -> dict[str, Any]:
    """Ring workers for whatever is due, every few seconds. Any number may run side by side."""
    refuse_old_schema()
    if once:
        return {"nudged": work.sweep_once()}
    ended = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        ended.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    while not ended.wait(current_app.config["SETTINGS"].sweep_s):
        try:
            work.beat()
            rung = work.sweep_once()
            pruning.ring_once_a_night()
            if rung:
                log.info("swept", **rung)
        except Exception:
            # The database may be away for a while; the sweep must be there when it is back.
            log.exception("sweep_failed", pid=os.getpid())
            db.session.rollback()
    return {}
