"""Handing invoices over: the processor time of our side of it, beside that of the bare requests."""

import time
from collections.abc import Iterator

import requests
import sqlalchemy as sa

from app.billing.models import Customer
from app.db import db, unit_of_work
from benchmarks.stage import MeteredSandbox, Sizes, Stage, Stages, customer_rows, email_of, insert
from benchmarks.table import Measured
from plugins.nexudus import exporting, link_runs, linking, runs
from plugins.nexudus.models import Connection, ExportState, InvoiceExport
from plugins.nexudus.session import turn
from tests import make

CUSTOMERS = 20
A_MINUTE = 15  # invoices: what Nexudus takes in a minute, at 120 calls
PROFILES = ("current", "classic-2020")  # the one takes product sales, the other whole documents


def measure(sizes: Sizes, stages: Stages) -> Iterator[Measured]:
    for profile in PROFILES:
        yield _handing_over(profile, sizes.exports, stages)


def _handing_over(profile: str, count: int, stages: Stages) -> Measured:
    """`count` invoices of one line. Waiting for the disk is no processor time; the sandbox's is left out."""
    with stages() as stage:
        sandbox = MeteredSandbox(profile)
        connection = stage.connect(sandbox)
        insert(Customer, customer_rows(stage.cast, CUSTOMERS))
        sandbox.add_members(email_of(number) for number in range(CUSTOMERS))
        with unit_of_work():
            link_runs.start(connection)
        with turn(connection.id, 3600) as mine:
            assert mine is not None
            linking.work(mine)
        _hand_over(connection, 1)  # the first one of a tax rate also finds its product

        sandbox.reset()
        product = wall = 0.0
        for done in range(0, count, A_MINUTE):
            cpu_s, wall_s = _hand_over(connection, min(A_MINUTE, count - done))
            product, wall = product + cpu_s, wall + wall_s
        product, wall = product - sandbox.cpu_s, wall - sandbox.wall_s
        yardstick = _replay(stage, sandbox)
        way = connection.way.value
    what = f"export: {count:,} invoices as {way}, CPU"
    note = f"{product / count * 1000:.1f} ms CPU and {wall / count * 1000:.1f} ms in all per invoice"
    return Measured(what, product, "its bare requests, replayed", yardstick, count, note)


def _hand_over(connection: Connection, count: int) -> tuple[float, float]:
    """Processor and wall seconds of a whole run over `count` new invoices, the sandbox's included."""
    customers = db.session.scalars(sa.select(Customer).order_by(Customer.id)).all()
    for number in range(count):
        make.invoice(customers[number % len(customers)])
    before = _exported()
    with unit_of_work():
        runs.begin_now(connection, "benchmark")
        # The connection keeps the last minute's calls; nothing waits here, so the list would outgrow the real one.
        connection.recent_calls, connection.recent_writes = [], []
    cpu, wall = time.process_time(), time.perf_counter()
    with turn(connection.id, 3600) as mine:
        assert mine is not None
        exporting.work(mine)
    spent = time.process_time() - cpu, time.perf_counter() - wall
    assert _exported() == before + count
    return spent


def _exported() -> int:
    query = sa.select(sa.func.count()).where(InvoiceExport.state == ExportState.EXPORTED)
    return int(db.session.scalar(query) or 0)


def _replay(stage: Stage, sandbox: MeteredSandbox) -> float:
    """Processor seconds that requests alone takes for the same calls, the sandbox's left out."""
    asked = sandbox.asked
    sandbox.reset()
    with requests.Session() as session:
        session.trust_env = False
        session.mount(stage.app.config["SETTINGS"].nexudus_base, sandbox)
        begun = time.process_time()
        for one in asked:
            session.request(str(one.method), str(one.url), headers=one.headers, data=one.body, allow_redirects=False)
        return time.process_time() - begun - sandbox.cpu_s
