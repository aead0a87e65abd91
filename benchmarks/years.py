"""Three years of an account that has been connected to Nexudus from its first day: customers, invoices, exports."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from app import clock
from app.billing.models import Customer, CustomerStatus, Invoice, InvoiceStatus
from app.db import db, write_access
from app.installations.models import Installation
from benchmarks.stage import Sizes, Stage, customer_rows, insert
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


def fill(stage: Stage, connection: Connection, sizes: Sizes) -> None:
    """Put them there."""
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
