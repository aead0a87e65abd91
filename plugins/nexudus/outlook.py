"""What the page of the day shows of this plugin: the next window, what windows took lately, and how many are linked."""

import sqlalchemy as sa
from flask import url_for

from app.charts import Bar, BarChart, Chart, Part, Series, ShareChart
from app.db import db
from app.installations.models import Installation
from app.plugin import Coming
from plugins.nexudus import connecting, export_reports, listing_pages, runs
from plugins.nexudus.models import Connection, ExportRun, LinkState, RunKind

WINDOWS = 8
SERIES = (Series("exported", "handed over", "there"), Series("left", "held or unknown", "held"))


def coming(installation: Installation) -> list[Coming]:
    """The next window, with what it would take now."""
    connection = connecting.current(installation)
    if connection is None:
        return []
    ready = runs.ready_to_go(connection)
    return [
        Coming(
            runs.next_opening(connection),
            "Export to Nexudus",
            str(ready.total),
            "1 invoice" if ready.count == 1 else f"{ready.count} invoices",
            "See the exports",
            "nexudus.exports",
        )
    ]


def charts(installation: Installation) -> list[Chart]:
    """Invoices per window, and how many of the active customers are linked."""
    connection = connecting.current(installation)
    return [] if connection is None else [_windows(connection), _links(connection)]


def _windows(connection: Connection) -> BarChart:
    newest = db.session.scalars(
        sa.select(ExportRun)
        .where(ExportRun.connection_id == connection.id, ExportRun.kind == RunKind.WINDOW)
        .order_by(ExportRun.window_on.desc())
        .limit(WINDOWS)
    ).all()
    sums = export_reports.sums_of(connection, list(newest[::-1]))
    return BarChart(
        "Export windows",
        SERIES,
        [
            Bar(
                f"{one.name.day} {one.name:%b}" if one.name else "",
                {"exported": one.exported, "left": one.held + one.unknown + one.moving},
                str(one.exported or ""),
                is_open=one.run.ended_at is None,
            )
            for one in sums
        ],
        note="invoices",
    )


def _links(connection: Connection) -> ShareChart:
    counts = listing_pages.state_counts(connection)
    waiting = {state: counts.get(state, 0) for state in (LinkState.CHOICE, LinkState.GONE, LinkState.TOMORROW)}
    others = max(0, listing_pages.not_connected(connection) - sum(waiting.values()))
    return ShareChart(
        "Customers linked",
        (
            Part("Linked", counts.get(LinkState.LINKED, 0), "there", url_for("nexudus.members")),
            Part("Created later", waiting[LinkState.TOMORROW], "waiting", url_for("nexudus.members", show="tomorrow")),
            Part("Needs a choice", waiting[LinkState.CHOICE], "unknown", url_for("nexudus.members", show="choice")),
            Part("Member gone", waiting[LinkState.GONE], "held", url_for("nexudus.members", show="gone")),
            Part("Not linked", others, "sent", url_for("nexudus.members", show="not_linked")),
        ),
    )
