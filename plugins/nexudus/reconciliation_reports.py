"""What the reconciliation pages show, from stored rows: periods, sums per customer, differences, the file."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from flask_sqlalchemy.pagination import Pagination
from sqlalchemy.orm import joinedload, selectinload

from app import clock
from app.billing.models import Customer
from app.db import db
from app.errors import NotFound
from app.money import Money
from plugins.nexudus import differences, periods
from plugins.nexudus.models import Connection
from plugins.nexudus.periods import Period
from plugins.nexudus.reconciliations import Phase, ReconciledInvoice, Reconciliation

PER_PAGE = 50
AT_ONCE = 500
HEADING = (
    "customer",
    "customer_email",
    "invoice",
    "number_in_nexudus",
    "currency",
    "total_here",
    "total_in_nexudus",
    "what_differs",
    "what_to_do",
    "details",
)


@dataclass(frozen=True, slots=True)
class CustomerSums:
    """What was handed over for one customer, and what stands there."""

    customer: Customer
    here_count: int
    here: Money
    there_count: int
    there: Money
    differences: int


@dataclass(frozen=True, slots=True)
class Progress:
    done: int
    all: int
    now: str


def offered(connection: Connection) -> list[Period]:
    """The periods that can be compared, the newest month first."""
    cutover = connection.installation.cutover_at
    if cutover is None:
        return []
    zone = connection.installation.account.timezone
    return periods.offered(cutover, clock.now(), connection.window_hour, zone)


def period_called(connection: Connection, name: str) -> Period:
    """One of the periods on offer, or `NotFound`."""
    found = next((one for one in offered(connection) if one.name == name), None)
    if found is None:
        raise NotFound
    return found


def reports_page(connection: Connection, page: int) -> Pagination:
    """Reconciliations, the one asked for last first."""
    query = (
        sa.select(Reconciliation)
        .where(Reconciliation.connection_id == connection.id)
        .options(joinedload(Reconciliation.connection))
        .order_by(Reconciliation.id.desc())
    )
    return db.paginate(query, page=page, per_page=12, error_out=False)


def report_of(connection: Connection, period: str) -> Reconciliation:
    """The reconciliation of a period, or `NotFound`."""
    report = db.session.scalar(
        sa.select(Reconciliation).where(Reconciliation.connection_id == connection.id, Reconciliation.period == period)
    )
    if report is None:
        raise NotFound
    return report


def progress(report: Reconciliation) -> Progress:
    """How far it is; numbers never run backwards within a phase."""
    if report.phase in {Phase.GATHERING, Phase.LISTING}:
        return Progress(report.listed, report.listing or 0, "Reading the invoices of Nexudus")
    unchecked = sa.case((ReconciledInvoice.is_checked.is_(False), 1), else_=0)
    every, waiting = db.session.execute(
        sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(unchecked), 0)).where(
            ReconciledInvoice.reconciliation_id == report.id
        )
    ).one()
    return Progress(every - waiting, every, "Looking at what differs")


def differences_page(report: Reconciliation, page: int) -> Pagination:
    """What differs, with customer and invoice, in the order it was found."""
    query = (
        sa.select(ReconciledInvoice)
        .where(ReconciledInvoice.reconciliation_id == report.id, ReconciledInvoice.code > "")
        .options(joinedload(ReconciledInvoice.customer), joinedload(ReconciledInvoice.invoice))
        .order_by(ReconciledInvoice.id)
    )
    return db.paginate(query, page=page, per_page=PER_PAGE, error_out=False)


def customers_page(report: Reconciliation, page: int) -> Pagination:
    """Count and amount here and there for each customer, by name; two queries however many there are."""
    of_report = sa.select(ReconciledInvoice.customer_id).where(ReconciledInvoice.reconciliation_id == report.id)
    query = sa.select(Customer).where(Customer.id.in_(of_report)).order_by(Customer.name_key, Customer.id)
    found = db.paginate(query, page=page, per_page=PER_PAGE, error_out=False)
    by_customer = {customer.id: customer for customer in found.items}
    sums = {sums.customer.id: sums for sums in _sums(report, by_customer)}
    found.items = [sums[customer_id] for customer_id in by_customer]
    return found


def _sums(report: Reconciliation, customers: dict[int, Customer]) -> Iterator[CustomerSums]:
    wanting = sa.case((ReconciledInvoice.code.not_in(differences.NOT_COUNTED), 1), else_=0)
    rows = db.session.execute(
        sa.select(
            ReconciledInvoice.customer_id,
            sa.func.count(ReconciledInvoice.here_minor),
            sa.func.coalesce(sa.func.sum(ReconciledInvoice.here_minor), 0),
            sa.func.count(ReconciledInvoice.there_minor),
            sa.func.coalesce(sa.func.sum(ReconciledInvoice.there_minor), 0),
            sa.func.sum(wanting),
        )
        .where(ReconciledInvoice.reconciliation_id == report.id, ReconciledInvoice.customer_id.in_(customers))
        .group_by(ReconciledInvoice.customer_id)
    )
    currency = report.connection.currency
    for customer_id, here_count, here, there_count, there, wants in rows:
        yield CustomerSums(
            customers[customer_id or 0],
            here_count,
            Money(int(here), currency),
            there_count,
            Money(int(there), currency),
            int(wants),
        )


def rows_for_file(report: Reconciliation) -> Iterator[list[Any]]:
    """Every invoice of it, heading first; amounts in major units. Written when the request's rows are gone."""
    return _rows(report.id, report.connection.currency)


def _rows(report_id: int, currency: str) -> Iterator[list[Any]]:
    yield list(HEADING)
    query = (
        sa.select(ReconciledInvoice)
        .where(ReconciledInvoice.reconciliation_id == report_id)
        .options(selectinload(ReconciledInvoice.customer), selectinload(ReconciledInvoice.invoice))
        .order_by(ReconciledInvoice.id)
        .execution_options(yield_per=AT_ONCE)
    )
    for one in db.session.scalars(query):
        title, next_step = differences.in_words(one.code)
        yield [
            one.customer.full_name if one.customer else "",
            one.customer.email if one.customer else "",
            one.invoice.number if one.invoice else "",
            one.remote_number,
            currency,
            "" if one.here is None else one.here.major,
            "" if one.there is None else one.there.major,
            title,
            next_step,
            one.note,
        ]
