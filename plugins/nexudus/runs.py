"""Runs: windows of the calendar that opened, "Export now", a person's retry; and which invoices each takes."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime

import sqlalchemy as sa

from app import audit, clock
from app.billing.models import Invoice, InvoiceStatus
from app.db import db, unit_of_work
from app.money import Money
from app.work import ring_after_commit
from plugins.nexudus import windows
from plugins.nexudus.models import (
    BILLED_THERE,
    Connection,
    ExportRun,
    ExportState,
    InvoiceExport,
    LinkState,
    MemberLink,
    RunKind,
)
from plugins.nexudus.session import Turn

JOB = "nexudus.work_on_connection"


def candidates(connection: Connection) -> sa.Select[Invoice]:
    """Invoices that the next run takes: pending, nobody's yet, newer than the cut-over, of a linked customer.

    Whether the customer is still active does not matter; zero and "do not send" stay here.
    """
    linked = sa.select(MemberLink.customer_id).where(
        MemberLink.connection_id == connection.id, MemberLink.state.in_(BILLED_THERE)
    )
    return sa.select(Invoice).where(
        Invoice.account_id == connection.account_id,
        Invoice.status == InvoiceStatus.PENDING,
        Invoice.collector.is_(None),
        Invoice.do_not_send.is_(False),
        Invoice.total_minor != 0,
        Invoice.created_at > connection.installation.cutover_at,
        Invoice.customer_id.in_(linked),
        sa.not_(sa.exists().where(InvoiceExport.invoice_id == Invoice.id)),
    )


def next_opening(connection: Connection) -> datetime:
    """When the next window opens (UTC)."""
    zone = connection.installation.account.timezone
    now = clock.now()
    return windows.opening(windows.next_window(now, connection.window_hour, zone), connection.window_hour, zone)


def open_due_windows(turn: Turn) -> None:
    """Begin a run for the windows that opened since the last one; missed ones are made up in one run."""
    connection = db.session.get_one(Connection, turn.connection_id)
    dates = _opened(connection)
    if not dates:
        return
    with unit_of_work() as session:
        turn.lease.renew()
        connection = session.get_one(Connection, turn.connection_id)
        run = ExportRun(
            account_id=connection.account_id,
            connection_id=connection.id,
            kind=RunKind.WINDOW,
            window_on=dates[-1],
            makes_up=[day.isoformat() for day in dates[:-1]],
        )
        session.add(run)
        session.flush()
        audit.record("export_window", run, window=dates[-1].isoformat(), makes_up=run.makes_up)


def _opened(connection: Connection) -> list[date]:
    cutover = connection.installation.cutover_at
    if cutover is None:
        return []
    hour, zone = connection.window_hour, connection.installation.account.timezone
    last = db.session.scalar(
        sa.select(sa.func.max(ExportRun.window_on)).where(ExportRun.account_id == connection.account_id)
    )
    # A window that lay before the cut-over is not missed, and a civil date that had its run never opens again.
    return [day for day in windows.opened(cutover, clock.now(), hour, zone) if last is None or day > last]


def begin_now(connection: Connection, by: str) -> ExportRun:
    """Begin what "Export now" asks for: a run of its own, or the one that is not planned yet when pressed twice."""
    run = db.session.scalar(
        sa.select(ExportRun).where(
            ExportRun.connection_id == connection.id,
            ExportRun.kind == RunKind.NOW,
            ExportRun.ended_at.is_(None),
        )
    )
    if run is not None:
        run.planned_at = None  # it takes what came since as well
    else:
        run = _begin(connection, RunKind.NOW, by)
    audit.record("export_now", run, actor=by)
    hurry(connection)
    return run


def begin_retry(connection: Connection, by: str) -> ExportRun:
    """A run for what a person sends again; it plans nothing by itself."""
    run = _begin(connection, RunKind.RETRY, by)
    run.planned_at = clock.now()
    hurry(connection)
    return run


def hurry(connection: Connection) -> None:
    """Ask for a slice now instead of when one was due."""
    connection.due_at, connection.nudged_at = clock.now(), None
    ring_after_commit(JOB, connection.id)


def _begin(connection: Connection, kind: RunKind, by: str) -> ExportRun:
    run = ExportRun(account_id=connection.account_id, connection_id=connection.id, kind=kind, begun_by=by)
    db.session.add(run)
    db.session.flush()
    return run


def plan(turn: Turn) -> bool:
    """Give every open run that has none yet its rows: one `waiting` row for each candidate; False for no such run."""
    ids = db.session.scalars(
        sa.select(ExportRun.id).where(
            ExportRun.connection_id == turn.connection_id,
            ExportRun.ended_at.is_(None),
            ExportRun.planned_at.is_(None),
        )
    ).all()
    for run_id in ids:
        with unit_of_work() as session:
            turn.lease.renew()
            run = session.get_one(ExportRun, run_id)
            for invoice_id in session.scalars(
                candidates(run.connection).with_only_columns(Invoice.id).order_by(Invoice.created_at, Invoice.id)
            ):
                session.add(
                    InvoiceExport(
                        account_id=run.account_id,
                        connection_id=run.connection_id,
                        invoice_id=invoice_id,
                        run_id=run.id,
                        state=ExportState.WAITING,
                    )
                )
            run.planned_at = clock.now()
    return bool(ids)


def let_go(connection: Connection) -> None:
    """Give back what no run has taken yet: a later cut-over decides about it anew. Open runs end."""
    db.session.execute(
        sa.delete(InvoiceExport).where(
            InvoiceExport.connection_id == connection.id,
            InvoiceExport.state.in_((ExportState.WAITING, ExportState.HELD)),
            InvoiceExport.marker.is_(None),
        )
    )
    db.session.execute(
        sa.update(ExportRun)
        .where(ExportRun.connection_id == connection.id, ExportRun.ended_at.is_(None))
        .values(planned_at=sa.func.coalesce(ExportRun.planned_at, clock.now()), ended_at=clock.now())
    )


def drop_what_ended_here(turn: Turn) -> None:
    """Rows of invoices that were voided, paid or taken by somebody else before they were begun."""
    ended = sa.select(Invoice.id).where(
        Invoice.account_id == InvoiceExport.account_id,
        sa.or_(Invoice.status != InvoiceStatus.PENDING, Invoice.collector.is_not(None), Invoice.do_not_send),
    )
    theirs = (
        InvoiceExport.connection_id == turn.connection_id,
        InvoiceExport.state.in_((ExportState.WAITING, ExportState.HELD)),
        InvoiceExport.marker.is_(None),
        InvoiceExport.invoice_id.in_(ended),
    )
    if db.session.scalar(sa.select(InvoiceExport.id).where(*theirs).limit(1)) is None:
        return
    with unit_of_work() as session:
        turn.lease.renew()
        session.execute(sa.delete(InvoiceExport).where(*theirs).execution_options(synchronize_session=False))


def end_finished(turn: Turn, tell: Callable[[ExportRun], None]) -> None:
    """Note the end of every planned run that has nothing left to send, and `tell` of it.

    What is unknown is looked up on its own.
    """
    moving = sa.exists().where(
        InvoiceExport.run_id == ExportRun.id,
        InvoiceExport.state.in_((ExportState.WAITING, ExportState.SENDING)),
    )
    finished = (ExportRun.connection_id == turn.connection_id, ExportRun.ended_at.is_(None))
    ids = db.session.scalars(
        sa.select(ExportRun.id).where(*finished, ExportRun.planned_at.is_not(None), sa.not_(moving))
    ).all()
    if not ids:
        return
    with unit_of_work() as session:
        turn.lease.renew()
        for run_id in ids:
            run = session.get_one(ExportRun, run_id)
            run.ended_at = clock.now()
            audit.record("export_run_ended", run, kind=run.kind.value)
            tell(run)


@dataclass(frozen=True, slots=True)
class Sum:
    """How many invoices, and what they come to in the connection's currency."""

    count: int
    total: Money


def ready_to_go(connection: Connection) -> Sum:
    """What the next run takes and can send, as far as it can be known here."""
    sendable = candidates(connection).where(
        Invoice.currency == connection.currency,
        Invoice.total_minor > 0,
        Invoice.customer_id.in_(
            sa.select(MemberLink.customer_id).where(
                MemberLink.connection_id == connection.id, MemberLink.state == LinkState.LINKED
            )
        ),
    )
    count, total = db.session.execute(
        sendable.with_only_columns(sa.func.count(), sa.func.coalesce(sa.func.sum(Invoice.total_minor), 0))
    ).one()
    return Sum(int(count), Money(int(total), connection.currency))
