"""The long lists: pages over many customers, invoices and messages, beside the bare SQL of their rows.

And the same pages while two workers are busy on the same database, beside themselves while nobody is.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any

import sqlalchemy as sa

from app.db import db
from benchmarks import years, years_of_mail
from benchmarks.busy import busy_workers
from benchmarks.stage import MeteredSandbox, Sizes, Stage, Stages, settle
from benchmarks.table import Measured, duration

PAGES = {
    "today": "/acme/today",
    "problems": "/acme/problems",
    "customers": "/acme/customers",
    "customers, search": "/acme/customers?q=fern",
    "customers, search for one": "/acme/customers?q=customer-17@",
    "customers, inactive": "/acme/customers?status=inactive",
    "customers, last page": "/acme/customers?status=all&page={last_customers}",
    "a customer's timeline": "/acme/customers/{customer}/timeline",
    "invoices": "/acme/invoices",
    "invoices, pending": "/acme/invoices?status=pending",
    "invoices, search": "/acme/invoices?q=fern",
    "invoices, last page": "/acme/invoices?page={last_invoices}",
    "Nexudus members": "/acme/nexudus/members",
    "Nexudus members, last page": "/acme/nexudus/members?page={last_members}",
    "Nexudus exports": "/acme/nexudus/exports",
    "Nexudus exports, held": "/acme/nexudus/exports/held",
    "email accounts": "/acme/mail/accounts",
    "messages of one customer": "/acme/customers/{customer}/mail/crm",
    "messages, search": "/acme/customers/{customer}/mail/crm?q=parcel+40",
    "unknown senders": "/acme/mail/unknown-senders",
    "needs a choice": "/acme/mail/choices",
    "quarantine": "/acme/mail/quarantine",
    "activity": "/acme/activity",
    "activity, mails": "/acme/activity/mails",
    "audit": "/acme/activity/audit",
    "audit, refused": "/acme/activity/audit?outcome=refused",
}


def measure(sizes: Sizes, stages: Stages) -> Iterator[Measured]:
    with stages() as stage:
        for name, address in _filled(stage, sizes).items():
            yield _page(stage, f"page: {name}", address, sizes.requests)


def measure_busy(sizes: Sizes, stages: Stages) -> Iterator[Measured]:
    """The same pages in turn while two workers are busy; the yardstick is the page's own median without them."""
    with stages() as stage:
        pages = _filled(stage, sizes)
        quiet = {name: _times(stage, address, sizes.requests) for name, address in pages.items()}
        with busy_workers(stage):
            busy = {name: _times(stage, address, sizes.requests) for name, address in pages.items()}
    for name, spent in busy.items():
        note = f"p95 {duration(_p95(spent))}, without company {duration(_p95(quiet[name]))}"
        yield Measured(f"busy: {name}", median(spent), "the same without company", median(quiet[name]), 1, note)


def _filled(stage: Stage, sizes: Sizes) -> dict[str, str]:
    """Fill the database; the addresses of the pages."""
    connection = stage.connect(MeteredSandbox())
    years.fill(stage, connection, sizes)
    busiest = years_of_mail.fill(stage, sizes)
    settle()
    last = {
        "last_customers": -(-sizes.customers // 25),
        "last_invoices": -(-sizes.invoices // 25),
        "last_members": max(1, sizes.customers * 14 // 20 // 50),
    }
    return {name: address.format(**last, customer=busiest) for name, address in PAGES.items()}


def _page(stage: Stage, what: str, address: str, times: int) -> Measured:
    """The page's median; `noted` is what it asks the database, of which the rows' own query is the yardstick."""
    _ask(stage, address)  # templates and statements are compiled by now
    with noted_statements() as noted:
        _ask(stage, address)
    spent = _times(stage, address, times)
    # Several statements take a part of what they find; the page's rows are those of the largest part. A page without
    # a list is held against all that it asks.
    lists = [_bare(one, times) for one in noted if " OFFSET " in one.text]
    rows, bare = max(lists) if lists else (1, sum(_bare(one, times)[1] for one in noted))
    slowest = max(noted, key=lambda one: one.seconds)
    note = f"p95 {duration(_p95(spent))}, {len(noted)} queries, the slowest {duration(slowest.seconds)}"
    yardstick = "the bare SQL of its rows" if lists else "the bare SQL of all it asks"
    return Measured(what, median(spent), yardstick, bare, rows, note)


def _times(stage: Stage, address: str, times: int) -> list[float]:
    _ask(stage, address)
    return [_ask(stage, address) for _ in range(times)]


def _p95(spent: list[float]) -> float:
    return quantiles(spent, n=20)[-1] if len(spent) > 1 else spent[0]


def _ask(stage: Stage, address: str) -> float:
    begun = time.perf_counter()
    answer = stage.browser.get(address)
    spent = time.perf_counter() - begun
    assert answer.status_code == 200, f"{address}: {answer.status}"
    return spent


@dataclass(slots=True)
class Statement:
    """A statement that was asked, and how long it ran until its first row."""

    text: str
    parameters: Any
    begun: float = field(default_factory=time.perf_counter)
    seconds: float = 0.0


@contextmanager
def noted_statements() -> Iterator[list[Statement]]:
    """What the database is asked inside the block, the engine's own pragmas and BEGINs left out."""
    noted: list[Statement] = []

    def begin(connection: Any, cursor: Any, statement: str, parameters: Any, *rest: Any) -> None:
        if not statement.startswith(("PRAGMA", "BEGIN", "SET TRANSACTION")):
            noted.append(Statement(statement, parameters))

    def end(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if noted and noted[-1].text == statement:
            noted[-1].seconds = time.perf_counter() - noted[-1].begun

    sa.event.listen(db.engine, "before_cursor_execute", begin)
    sa.event.listen(db.engine, "after_cursor_execute", end)
    try:
        yield noted
    finally:
        sa.event.remove(db.engine, "before_cursor_execute", begin)
        sa.event.remove(db.engine, "after_cursor_execute", end)


def _bare(statement: Statement, times: int) -> tuple[int, float]:
    """How many rows a statement has, and the median time of having them, without ORM and page."""
    spent, rows = [], 0
    with db.engine.connect() as connection:
        for _ in range(times):
            begun = time.perf_counter()
            rows = len(connection.exec_driver_sql(statement.text, statement.parameters).all())
            spent.append(time.perf_counter() - begun)
    return rows, median(spent)
