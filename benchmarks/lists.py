"""The long lists: pages over many customers and invoices, beside the bare SQL of their rows."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median, quantiles
from typing import Any

import sqlalchemy as sa

from app import clock
from app.billing.models import Customer, CustomerStatus, Invoice, InvoiceStatus
from app.db import db, write_access
from app.installations.models import Installation
from benchmarks.stage import MeteredSandbox, Sizes, Stage, Stages, customer_rows, insert, settle
from benchmarks.table import Measured, duration
from plugins.nexudus.links import PLUGIN
from plugins.nexudus.models import (
    Connection,
    ExportRun,
    ExportState,
    How,
    InvoiceExport,
    LinkState,
    MemberLink,
    RunKind,
)

PAGES = {
    "customers": "/acme/customers",
    "customers, search": "/acme/customers?q=fern",
    "customers, search for one": "/acme/customers?q=customer-17@",
    "customers, inactive": "/acme/customers?status=inactive",
    "customers, last page": "/acme/customers?status=all&page={last_customers}",
    "invoices": "/acme/invoices",
    "invoices, pending": "/acme/invoices?status=pending",
    "invoices, search": "/acme/invoices?q=fern",
    "invoices, last page": "/acme/invoices?page={last_invoices}",
    "Nexudus members": "/acme/nexudus/members",
    "Nexudus members, last page": "/acme/nexudus/members?page={last_members}",
    "Nexudus exports": "/acme/nexudus/exports",
    "Nexudus exports, held": "/acme/nexudus/exports/held",
}
# The state of each twentieth customer and invoice.
CUSTOMERS = (
    *[CustomerStatus.ACTIVE] * 16,
    CustomerStatus.INACTIVE,
    CustomerStatus.INACTIVE,
    CustomerStatus.LEAD,
    CustomerStatus.CANCELLED,
)
LINKS = (*[LinkState.LINKED] * 14, LinkState.CHOICE, LinkState.SKIPPED)
INVOICES = (
    *[InvoiceStatus.CLOSED] * 11,
    *[InvoiceStatus.PAID] * 6,
    InvoiceStatus.PENDING,
    InvoiceStatus.PENDING,
    InvoiceStatus.VOID,
)
HELD = 50  # every so many pending invoices one is held
YEARS = timedelta(days=3 * 365)
RUNS = 3 * 12 * 6


def measure(sizes: Sizes, stages: Stages) -> Iterator[Measured]:
    with stages() as stage:
        connection = stage.connect(MeteredSandbox())
        _fill(stage, connection, sizes)
        last = {
            "last_customers": -(-sizes.customers // 25),
            "last_invoices": -(-sizes.invoices // 25),
            "last_members": max(1, sizes.customers * 14 // 20 // 50),
        }
        for name, address in PAGES.items():
            yield _page(stage, f"page: {name}", address.format(**last), sizes.requests)


def _page(stage: Stage, what: str, address: str, times: int) -> Measured:
    """The page's median; `noted` is what it asks the database, of which the rows' own query is the yardstick."""
    _ask(stage, address)  # templates and statements are compiled by now
    with noted_statements() as noted:
        _ask(stage, address)
    spent = [_ask(stage, address) for _ in range(times)]
    # Several statements take a part of what they find; the page's rows are those of the largest part.
    rows, bare = max(_bare(one, times) for one in noted if " OFFSET " in one.text)
    p95 = quantiles(spent, n=20)[-1] if times > 1 else spent[0]
    slowest = max(noted, key=lambda one: one.seconds)
    note = f"p95 {duration(p95)}, {len(noted)} queries, the slowest {duration(slowest.seconds)}"
    return Measured(what, median(spent), "the bare SQL of its rows", bare, rows, note)


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


def _fill(stage: Stage, connection: Connection, sizes: Sizes) -> None:
    """Three years of an account that has been connected from its first day."""
    since = clock.now() - YEARS
    insert(Customer, _customers(stage, sizes.customers))
    ids = list(db.session.scalars(sa.select(Customer.id).order_by(Customer.id)))
    insert(MemberLink, _links(connection, ids))
    insert(Invoice, _invoices(connection.account_id, ids, sizes.invoices, since))
    insert(ExportRun, _runs(connection, since))
    with write_access(), db.engine.begin() as rows:
        rows.execute(sa.update(Installation).values(cutover_at=since))
    run_ids = list(db.session.scalars(sa.select(ExportRun.id).order_by(ExportRun.id)))
    found = db.session.execute(sa.select(Invoice.id, Invoice.status, Invoice.total_minor).order_by(Invoice.id))
    insert(InvoiceExport, _exports(connection, run_ids, found.all()))
    settle()


def _customers(stage: Stage, count: int) -> Iterator[dict[str, Any]]:
    for number, row in enumerate(customer_rows(stage.cast, count)):
        status = CUSTOMERS[number % 20]
        is_linked = number % 20 < len(LINKS) and LINKS[number % 20] == LinkState.LINKED
        yield {**row, "status": status, "billed_by": PLUGIN if is_linked else ""}


def _links(connection: Connection, customer_ids: list[int]) -> Iterator[dict[str, Any]]:
    for number, customer_id in enumerate(customer_ids):
        if number % 20 < len(LINKS):
            state = LINKS[number % 20]
            yield {
                "account_id": connection.account_id,
                "connection_id": connection.id,
                "customer_id": customer_id,
                "state": state,
                "member_id": 10**6 + number if state == LinkState.LINKED else None,
                "how": How.BY_EMAIL,
            }


def _invoices(account_id: int, customer_ids: list[int], count: int, since: datetime) -> Iterator[dict[str, Any]]:
    for number in range(count):
        # Each round through the customers moves on by one, so that no customer keeps to one status.
        status, created_at = (
            INVOICES[(number + number // len(customer_ids)) % 20],
            since + YEARS * (number + 1) / (count + 1),
        )
        yield {
            "account_id": account_id,
            "customer_id": customer_ids[number % len(customer_ids)],
            "number": f"B-{number}",
            "status": status,
            "currency": "EUR",
            "created_at": created_at,
            "net_minor": 1000,
            "tax_minor": 230,
            "total_minor": 1230,
            "collector": PLUGIN if status == InvoiceStatus.CLOSED else None,
            "handed_over_as": f"N-{number}" if status == InvoiceStatus.CLOSED else "",
        }


def _runs(connection: Connection, since: datetime) -> Iterator[dict[str, Any]]:
    for number in range(RUNS):
        begun_at = since + YEARS * (number + 1) / (RUNS + 1)
        yield {
            "account_id": connection.account_id,
            "connection_id": connection.id,
            "kind": RunKind.WINDOW,
            "window_on": begun_at.date(),
            "begun_at": begun_at,
            "planned_at": begun_at,
            "ended_at": begun_at,
        }


def _exports(connection: Connection, run_ids: list[int], invoices: Any) -> Iterator[dict[str, Any]]:
    """A row for each invoice that was handed over or is held, in the run of its time."""
    held = 0
    for number, (invoice_id, status, total) in enumerate(invoices):
        row = {
            "account_id": connection.account_id,
            "connection_id": connection.id,
            "invoice_id": invoice_id,
            "run_id": run_ids[number * len(run_ids) // len(invoices)],
            "marker": f"acme:B-{number}",
            "remote_id": number,
            "remote_number": f"N-{number}",
            "remote_total_minor": total,
            "reason_code": "",
        }
        if status == InvoiceStatus.CLOSED:
            yield {**row, "state": ExportState.EXPORTED}
        elif status == InvoiceStatus.PENDING:
            held += 1
            if held % HELD == 0:
                yield {**row, "state": ExportState.HELD, "reason_code": "total_differs"}
