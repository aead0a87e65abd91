"""Nexudus as a program of its own, an account connected to it over a socket, and workers that are real processes."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import requests
import sqlalchemy as sa
from flask import Flask

from app import clock, create_app, effects
from app.accounts.models import Account
from app.billing.models import Customer, Invoice
from app.config import Settings
from app.db import db, end_reading, unit_of_work
from app.effects import Effect
from app.installations import services as installations
from app.installations.models import Installation
from plugins.nexudus import connecting, jobs, runs
from plugins.nexudus.models import Connection, ExportRun, ExportState, InvoiceExport, Issue, LinkRun
from plugins.nexudus.sandbox.seed import EMAIL, PASSWORD
from plugins.nexudus.session import door
from plugins.nexudus.signing_in import exchange_password
from tests import make
from tests.services import free_port

ROOT = Path(__file__).parents[3]
QUIET_WITHIN_S = 40
MOVING = (ExportState.WAITING, ExportState.SENDING, ExportState.UNKNOWN)

# A clean process that has imported the product; each worker is forked from it, as RQ forks its work horses.
workers = multiprocessing.get_context("forkserver")
workers.set_forkserver_preload(["plugins.nexudus", __name__])


class NexudusThere:
    """The sandbox as others see it: its address, its switches, and what it holds, read through its API."""

    def __init__(self, base: str) -> None:
        self.base = base
        self._session = requests.Session()

    def reset(self, profile: str) -> None:
        """An empty Nexudus of `profile`; everybody is signed out."""
        self._post("/sandbox/reset", {"demo": False})
        self._post("/sandbox/switches", {"profile": profile})
        self.sign_in()

    def sign_in(self) -> None:
        """Anew, for a sign-in ends some day."""
        form = {"grant_type": "password", "username": EMAIL, "password": PASSWORD}
        answer = self._session.post(f"{self.base}/api/token", data=form, headers={"client_id": "tests"}, timeout=10)
        self._session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def turn(self, **switches: Any) -> None:
        """From now on things go wrong there; see `plugins/nexudus/sandbox/faults.py`."""
        self._post("/sandbox/switches", switches)

    def records(self, path: str, **filters: int) -> list[dict[str, Any]]:
        """Every record of a list such as "billing/coworkerinvoices", each read by id: lists leave fields out."""
        listed = self._get(path, size=1000, **filters)
        assert listed["TotalPages"] <= 1
        return [self._get(f"{path}/{row['Id']}") for row in listed["Records"]]

    def lines(self, invoice: dict[str, Any]) -> list[dict[str, Any]]:
        """The lines of an invoice there."""
        return self.records("billing/coworkerinvoicelines", CoworkerInvoiceLine_CoworkerInvoice=invoice["Id"])

    def _get(self, path: str, **params: int) -> Any:
        answer = self._session.get(f"{self.base}/api/{path}", params=params, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def _post(self, path: str, said: dict[str, Any]) -> None:
        self._session.post(f"{self.base}{path}", json=said, timeout=10).raise_for_status()


@contextmanager
def nexudus(folder: Path) -> Iterator[NexudusThere]:
    """The sandbox in a process of its own on a loopback port, its records in `folder`."""
    port = free_port()
    options = ["--port", str(port), "--limits", "off", "--data-dir", str(folder)]
    command = [sys.executable, "-m", "plugins.nexudus.sandbox", *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert f"http://127.0.0.1:{port}" in process.stdout.readline()
            yield NexudusThere(f"http://127.0.0.1:{port}")
        finally:
            process.kill()


def settings_for(app: Flask, there: NexudusThere) -> Settings:
    """The settings of `app`, with its Nexudus behind a socket."""
    settings: Settings = app.config["SETTINGS"]
    return settings.model_copy(update={"nexudus_url": there.base})


def connect(account_id: int) -> int:
    """Switch the plugin on and connect as the command line does; answers the connection's id.

    Invoices arrive issued and with our numbers, wherever that is possible: that takes the most steps.
    """
    with unit_of_work() as session:
        account = session.get_one(Account, account_id)
        installation_id = installations.switch(account, "nexudus", on=True).id
    end_reading()
    way, client_id = door(), connecting.new_client_id()
    tokens = exchange_password(way, EMAIL, PASSWORD, client_id)
    found = connecting.discover(way, tokens)
    with unit_of_work() as session:
        installation = session.get_one(Installation, installation_id)
        sign_in = connecting.SignIn(EMAIL, client_id, tokens)
        connection = connecting.connect(installation, found, sign_in, issue=Issue.ISSUED)
        connection.uses_own_numbers = True
        return connection.id


def new_customer(account_id: int, email: str | None = None) -> Customer:
    """An active customer with everything that Nexudus demands of a bill."""
    account = db.session.get_one(Account, account_id)
    return make.customer(account, email=email, address="Rua 1", city="Porto", postcode="4000", country="PT")


def begin_run(connection_id: int) -> None:
    """Press "Export now"; nobody works yet."""
    with unit_of_work() as session:
        runs.begin_now(session.get_one(Connection, connection_id), "a test")


def let_the_lease_run_out(connection_id: int) -> None:
    """Time passes: what a killed worker held is free again."""
    with unit_of_work() as session:
        session.get_one(Connection, connection_id).lease_until = clock.now() - timedelta(seconds=1)


def in_a_process(settings: Settings, work: Callable[..., None], *arguments: Any) -> int | None:
    """Do `work` in a process of its own; answers its exit code, `-signal.SIGKILL` when it was killed."""
    end_reading()
    process = workers.Process(target=_do, args=(settings, work, arguments))
    process.start()
    process.join(QUIET_WITHIN_S + 20)
    assert process.exitcode is not None, "the process did not end"
    end_reading()
    return process.exitcode


def _do(settings: Settings, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    with create_app(settings).app_context():
        work(*arguments)
        db.session.remove()
        db.engine.dispose()


def be_killed(connection_id: int, point: str, passes: int) -> None:
    """Work on a connection and die, as by `kill -9`, when `point` is passed for the `passes`-th time."""
    left = passes

    def kill(at: str) -> None:
        nonlocal left
        left -= at == point
        if at == point and left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    effects.crash_point = kill  # type: ignore[assignment]  # its parameter has another name
    work_to_quiet(connection_id)


def work_to_quiet(connection_id: int) -> None:
    """Take slices, as workers do, until nothing moves any more."""
    until = time.monotonic() + QUIET_WITHIN_S
    jobs.work_on_connection(connection_id)
    while moves(connection_id):
        if time.monotonic() > until:
            raise TimeoutError("still not quiet")
        threading.Event().wait(0.05)
        db.session.rollback()
        jobs.work_on_connection(connection_id)


def moves(connection_id: int) -> bool:
    """Whether a run is under way or an invoice is on its way."""
    found = (
        sa.select(LinkRun.id).where(LinkRun.connection_id == connection_id, LinkRun.ended_at.is_(None)),
        sa.select(ExportRun.id).where(ExportRun.connection_id == connection_id, ExportRun.ended_at.is_(None)),
        sa.select(InvoiceExport.id).where(
            InvoiceExport.connection_id == connection_id, InvoiceExport.state.in_(MOVING)
        ),
    )
    return any(db.session.scalar(query.limit(1)) is not None for query in found)


def steps_of(invoice_id: int) -> list[str]:
    """The steps that handed an invoice over, in order."""
    query = (
        sa.select(Effect.step)
        .join(InvoiceExport, InvoiceExport.id == Effect.subject_id)
        .where(Effect.kind == "nexudus.invoice", InvoiceExport.invoice_id == invoice_id)
    )
    return list(db.session.scalars(query.order_by(Effect.id)))


def newer_invoice(customer_id: int, number: str) -> Invoice:
    """An invoice of two lines, created after the cut-over."""
    lines = [("Mailbox plan", "1", 3900, "23"), ("Scans, hours", "2.5", 333, "23")]
    return make.invoice(db.session.get_one(Customer, customer_id), number=number, lines=lines, created_at=clock.now())
