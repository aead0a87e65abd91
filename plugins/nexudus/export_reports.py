"""What the export pages show, from stored rows: counts that add up, causes, runs, the calendar."""

from dataclasses import dataclass
from datetime import date, timedelta

import sqlalchemy as sa
from flask import url_for
from flask_sqlalchemy.pagination import Pagination
from sqlalchemy.orm import joinedload

from app import clock
from app.billing.models import Invoice, InvoiceStatus
from app.db import db
from app.errors import NotFound
from app.memo import once_a_page
from app.money import Money
from plugins.nexudus import causes, runs, windows
from plugins.nexudus.models import Connection, ExportRun, ExportState, InvoiceExport

PER_PAGE = 50


@dataclass(frozen=True, slots=True)
class Cause:
    """Everything held for one reason."""

    code: str
    title: str
    next_step: str
    count: int
    total: Money


@dataclass(frozen=True, slots=True)
class RunSums:
    """What became of a run's invoices."""

    run: ExportRun
    exported: int
    total: Money
    held: int
    unknown: int
    moving: int

    @property
    def name(self) -> date | None:
        return self.run.window_on


@dataclass(frozen=True, slots=True)
class Day:
    """One square of the calendar; `window` is "", all, some, missed (and made up), next or later."""

    day: int
    window: str = ""
    count: int | None = None
    url: str = ""
    label: str = ""
    today: bool = False


def counts(connection: Connection) -> dict[str, int]:
    """How many invoices are in each state. created = the sum of all the others."""
    created = db.session.scalar(
        sa.select(sa.func.count()).where(
            Invoice.account_id == connection.account_id, Invoice.status != InvoiceStatus.DRAFT
        )
    )
    found = dict.fromkeys((state.value for state in ExportState), 0)
    connections = sa.select(Connection.id).where(Connection.installation_id == connection.installation_id)
    rows = db.session.execute(
        sa.select(InvoiceExport.state, sa.func.count())
        .where(InvoiceExport.connection_id.in_(connections))
        .group_by(InvoiceExport.state)
    )
    found.update({state.value: count for state, count in rows})
    found["waiting"] += _count(runs.candidates(connection))
    return {"created": int(created or 0), **found, "excluded": int(created or 0) - sum(found.values())}


@once_a_page
def held_by_cause(connection: Connection) -> list[Cause]:
    """Held invoices grouped by why, the largest group first."""
    rows = db.session.execute(
        sa.select(InvoiceExport.reason_code, sa.func.count(), sa.func.sum(Invoice.total_minor))
        .join(Invoice, Invoice.id == InvoiceExport.invoice_id)
        .where(InvoiceExport.connection_id == connection.id, InvoiceExport.state == ExportState.HELD)
        .group_by(InvoiceExport.reason_code)
        .order_by(sa.func.count().desc())
    )
    return [
        Cause(code, *causes.in_words(code), count, Money(int(total), connection.currency))
        for code, count, total in rows
    ]


def runs_page(connection: Connection, page: int) -> Pagination:
    """Runs, newest first, with what became of their invoices; three queries however many there are."""
    found = db.paginate(
        sa.select(ExportRun)
        .where(ExportRun.connection_id == connection.id)
        .order_by(ExportRun.begun_at.desc(), ExportRun.id.desc()),
        page=page,
        per_page=12,
        error_out=False,
    )
    found.items = sums_of(connection, found.items)
    return found


def sums_of(connection: Connection, of: list[ExportRun]) -> list[RunSums]:
    """What became of the invoices of these runs."""
    rows = db.session.execute(
        sa.select(InvoiceExport.run_id, InvoiceExport.state, sa.func.count(), sa.func.sum(Invoice.total_minor))
        .join(Invoice, Invoice.id == InvoiceExport.invoice_id)
        .where(InvoiceExport.run_id.in_([run.id for run in of]))
        .group_by(InvoiceExport.run_id, InvoiceExport.state)
    )
    by_run: dict[int, dict[ExportState, tuple[int, int]]] = {}
    for run_id, state, count, total in rows:
        by_run.setdefault(run_id or 0, {})[state] = (count, int(total))
    return [_sums(connection, run, by_run.get(run.id, {})) for run in of]


def _sums(connection: Connection, run: ExportRun, found: dict[ExportState, tuple[int, int]]) -> RunSums:
    def count(state: ExportState) -> int:
        return found.get(state, (0, 0))[0]

    return RunSums(
        run,
        count(ExportState.EXPORTED),
        Money(found.get(ExportState.EXPORTED, (0, 0))[1], connection.currency),
        count(ExportState.HELD),
        count(ExportState.UNKNOWN),
        count(ExportState.WAITING) + count(ExportState.SENDING),
    )


def run_of(connection: Connection, run_id: int) -> ExportRun:
    """A run of this connection, or `NotFound`."""
    run = db.session.scalar(
        sa.select(ExportRun).where(ExportRun.id == run_id, ExportRun.connection_id == connection.id)
    )
    if run is None:
        raise NotFound
    return run


def exports_page(
    connection: Connection, page: int, *, run: ExportRun | None = None, state: ExportState | None = None, code: str = ""
) -> Pagination:
    """Invoices of a run, or in a state, or held for a cause, with invoice and customer."""
    query = sa.select(InvoiceExport).where(InvoiceExport.connection_id == connection.id)
    if run is not None:
        query = query.where(InvoiceExport.run_id == run.id)
    if state is not None:
        query = query.where(InvoiceExport.state == state)
    if code:
        query = query.where(InvoiceExport.reason_code == code)
    query = query.options(joinedload(InvoiceExport.invoice).joinedload(Invoice.customer)).order_by(InvoiceExport.id)
    return db.paginate(query, page=page, per_page=PER_PAGE, error_out=False)


def export_by_id(connection: Connection, export_id: int) -> InvoiceExport:
    """An export of this connection, or `NotFound`."""
    export = db.session.scalar(
        sa.select(InvoiceExport).where(InvoiceExport.id == export_id, InvoiceExport.connection_id == connection.id)
    )
    if export is None:
        raise NotFound
    return export


def calendar(connection: Connection) -> list[tuple[str, list[list[Day | None]]]]:
    """Last month, this one and the next: a title and weeks of seven squares, Monday first."""
    zone = connection.installation.account.timezone
    today = clock.today(zone)
    following = windows.next_window(clock.now(), connection.window_hour, zone)
    first = (today.replace(day=1) - timedelta(days=1)).replace(day=1)
    months = [first, _next_month(first), _next_month(_next_month(first))]
    done = {
        one.run.window_on: one
        for one in sums_of(
            connection,
            list(
                db.session.scalars(
                    sa.select(ExportRun).where(ExportRun.connection_id == connection.id, ExportRun.window_on >= first)
                )
            ),
        )
    }
    made_up = {date.fromisoformat(day): one for one in done.values() for day in one.run.makes_up}
    return [(f"{month:%B}", _weeks(month, today, following, done, made_up)) for month in months]


def _weeks(
    month: date,
    today: date,
    following: date,
    done: dict[date | None, RunSums],
    made_up: dict[date, RunSums],
) -> list[list[Day | None]]:
    days: list[Day | None] = [None] * month.weekday()
    planned = set(windows.windows_of(month.year, month.month))
    day = month
    while day.month == month.month:
        days.append(_day(day, today, following, planned, done.get(day), made_up.get(day)))
        day += timedelta(days=1)
    days += [None] * (-len(days) % 7)
    return [days[start : start + 7] for start in range(0, len(days), 7)]


def _day(
    day: date, today: date, following: date, planned: set[date], sums: RunSums | None, late: RunSums | None
) -> Day:
    found, is_today = sums or late, day == today
    if found is not None:
        left = found.held + found.unknown + found.moving
        window = "missed" if sums is None else "some" if left else "all"
        words = f"{day:%d %B}: {'made up later, ' if sums is None else ''}{found.exported} handed over"
        words += f", {left} held, unknown or on the way" if left else ""
        url = url_for(".export_run", run_id=found.run.id)
        return Day(day.day, window, found.exported if sums else None, url, words, is_today)
    if day == following:
        return Day(day.day, "next", label=f"{day:%d %B}: the next window", today=is_today)
    if day in planned and day > following:
        return Day(day.day, "later", label=f"{day:%d %B}: a later window", today=is_today)
    return Day(day.day, today=is_today)


def _next_month(month: date) -> date:
    return (month + timedelta(days=32)).replace(day=1)


def _count(query: sa.Select[Invoice]) -> int:
    return int(db.session.scalar(sa.select(sa.func.count()).select_from(query.subquery())) or 0)
