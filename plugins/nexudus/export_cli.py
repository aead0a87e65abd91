"""The export part of the command line."""

import time
from typing import Any

import click
import sqlalchemy as sa

from app import clock
from app.accounts.services import account_by_slug
from app.billing.models import Invoice
from app.command import answers
from app.db import db, unit_of_work
from app.errors import NotFound
from app.installations.services import installation_of
from plugins.nexudus import connecting, export_acts, export_reports, exporting, foreground, runs
from plugins.nexudus.links import PLUGIN
from plugins.nexudus.models import Connection, ExportRun, ExportState, InvoiceExport

LONGEST_S = 3600


@click.command("export")
@click.option("--account", "slug", required=True)
@click.option("--dry-run", is_flag=True, help="Say what would go; send nothing.")
@click.option("--invoice", "number", default=None, help="This one only: sends it, or sends it again.")
@answers
def export(slug: str, dry_run: bool, number: str | None) -> dict[str, Any]:
    """Hand over what is due now, run to its end in the foreground."""
    connection = connection_of(slug)
    connection_id, before = connection.id, _exported(connection)
    if dry_run:
        found = export_reports.counts(connection)
        return {"exported": 0, "held": _held(connection), **{k: found[k] for k in ("unknown", "waiting", "excluded")}}
    with unit_of_work() as session:
        connection = session.get_one(Connection, connection_id)
        if number is None:
            runs.begin_now(connection, "command line")
        else:
            _begin_one(connection, number)
    ends = time.monotonic() + LONGEST_S
    foreground.to_the_end(connection_id, exporting.work, lambda: not _moves(connection_id) or time.monotonic() > ends)
    connection = db.session.get_one(Connection, connection_id)
    found = export_reports.counts(connection)
    return {
        "exported": _exported(connection) - before,
        "held": _held(connection),
        **{key: found[key] for key in ("unknown", "waiting", "excluded")},
    }


def status(connection: Connection) -> dict[str, Any]:
    """Counts per state, the next window and the newest run, for `nexudus status`."""
    last = db.session.scalar(
        sa.select(ExportRun).where(ExportRun.connection_id == connection.id).order_by(ExportRun.id.desc()).limit(1)
    )
    return {
        "exports": export_reports.counts(connection),
        "next_window": runs.next_opening(connection).isoformat(),
        "last_run": last.begun_at.isoformat() if last else None,
    }


def connection_of(slug: str) -> Connection:
    """The connection in use of an account, or `NotFound`."""
    installation = installation_of(account_by_slug(slug).id, PLUGIN)
    connection = connecting.current(installation) if installation else None
    if connection is None:
        raise NotFound("Nexudus is not connected for this account.")
    return connection


def _begin_one(connection: Connection, number: str) -> None:
    invoice = db.session.scalar(
        sa.select(Invoice).where(Invoice.account_id == connection.account_id, Invoice.number == number)
    )
    if invoice is None:
        raise NotFound(f"There is no invoice {number}.")
    export = export_acts.export_of(invoice.id)
    if export is not None:
        export_acts.retry(export, "command line")
        return
    if db.session.scalar(runs.candidates(connection).where(Invoice.id == invoice.id)) is None:
        raise NotFound(f"{number} does not go to Nexudus: look at the invoice for the reason.")
    run = runs.begin_retry(connection, "command line")
    db.session.add(
        InvoiceExport(
            account_id=connection.account_id,
            connection_id=connection.id,
            invoice_id=invoice.id,
            run_id=run.id,
            state=ExportState.WAITING,
        )
    )


def _moves(connection_id: int) -> bool:
    """Whether anything is still to be sent, or to be looked up within the hour."""
    soon = sa.and_(
        InvoiceExport.state == ExportState.UNKNOWN,
        InvoiceExport.next_try_at < clock.now() + foreground.LONGEST_WAIT,
    )
    moving = sa.or_(InvoiceExport.state.in_((ExportState.WAITING, ExportState.SENDING)), soon)
    rows = sa.select(InvoiceExport.id).where(InvoiceExport.connection_id == connection_id, moving)
    open_runs = sa.select(ExportRun.id).where(ExportRun.connection_id == connection_id, ExportRun.ended_at.is_(None))
    return any(db.session.scalar(query.limit(1)) is not None for query in (rows, open_runs))


def _exported(connection: Connection) -> int:
    return export_reports.counts(connection)[ExportState.EXPORTED.value]


def _held(connection: Connection) -> list[dict[str, str]]:
    rows = db.session.execute(
        sa.select(Invoice.number, InvoiceExport.reason)
        .join(InvoiceExport, InvoiceExport.invoice_id == Invoice.id)
        .where(InvoiceExport.connection_id == connection.id, InvoiceExport.state == ExportState.HELD)
        .order_by(InvoiceExport.id)
    )
    return [{"invoice": number, "reason": reason} for number, reason in rows]
