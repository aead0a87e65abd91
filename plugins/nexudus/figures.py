"""Figures of this plugin for `/metrics`, over all accounts, and what may go every night."""

from collections.abc import Iterator
from datetime import timedelta

import sqlalchemy as sa

from app import clock
from app.db import db
from app.plugin import Delete, Gauge
from plugins.nexudus.models import Connection, ExportRun, ExportState, InvoiceExport
from plugins.nexudus.reconciliations import ReconciledInvoice, Reconciliation

RECONCILIATIONS_KEPT = timedelta(days=90)  # asking again costs a press


def gauges() -> list[Gauge]:
    """Invoices by state, how long the oldest unknown one has been so, and when a run last ended well."""
    return list(_gauges())


def _gauges() -> Iterator[Gauge]:
    rows = db.session.execute(sa.select(InvoiceExport.state, sa.func.count()).group_by(InvoiceExport.state))
    counts = {row[0]: row[1] for row in rows}
    yield Gauge(
        "export_invoices",
        "Invoices on their way to Nexudus, by state.",
        ("state",),
        [((state.value,), counts.get(state, 0)) for state in ExportState],
    )
    since = db.session.scalar(
        sa.select(sa.func.min(InvoiceExport.sent_at)).where(InvoiceExport.state == ExportState.UNKNOWN)
    )
    yield Gauge(
        "export_unknown_age_seconds_max",
        "How long ago the oldest invoice of unknown outcome was sent.",
        (),
        [((), (clock.now() - since).total_seconds() if since else 0)],
    )
    ended = db.session.scalar(sa.select(sa.func.max(ExportRun.ended_at)))
    if ended is not None:
        yield Gauge(
            "export_run_last_success_timestamp", "When a run of handing over last ended.", (), [((), ended.timestamp())]
        )
    failing = db.session.scalar(
        sa.select(sa.func.count()).where(Connection.ended_at.is_(None), Connection.failing_since.is_not(None))
    )
    yield Gauge("connections_failing", "Connections that get no answer or are not let in.", (), [((), failing or 0)])


def prune(delete: Delete) -> dict[str, int]:
    """Reconciliations after three months."""
    old = Reconciliation.asked_at < clock.now() - RECONCILIATIONS_KEPT
    ids = sa.select(Reconciliation.id).where(old)
    rows = delete(ReconciledInvoice, ReconciledInvoice.reconciliation_id.in_(ids))
    return {"reconciled_invoices": rows, "reconciliations": delete(Reconciliation, old)}
