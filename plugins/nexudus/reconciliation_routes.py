"""Pages that compare what is closed here with what stands in Nexudus: ask for a period, follow it, read the result."""

from flask import Response, g, render_template, request, url_for
from flask_login import current_user

from app.access import OFFICE, allow
from app.asked import page_number
from app.csv_out import csv_file
from app.db import unit_of_work
from app.errors import Conflict, NotFound
from app.htmx import go_to, page_or_partial
from plugins.nexudus import differences, periods, reconciliation_reports, reconciling
from plugins.nexudus.addresses import remote_invoice_url
from plugins.nexudus.forms import PeriodForm
from plugins.nexudus.pages import Answer, pages, the_connection

SHOWN = ("differences", "customers")


@pages.route("/reconciliation", methods=["GET", "POST"])
@allow(OFFICE)
def reconciliations() -> Answer:
    """Earlier comparisons, and have a period compared by a worker; a second press finds the one under way."""
    connection, form = the_connection(), PeriodForm()
    form.offer((one.name, periods.title(one.name)) for one in reconciliation_reports.offered(connection))
    if not form.validate_on_submit():
        html = render_template(
            "nexudus/reconciliations.html",
            form=form,
            connection=connection,
            listed=reconciliation_reports.reports_page(connection, page_number()),
            title_of=periods.title,
        )
        return (html, 422) if form.is_submitted() else html
    with unit_of_work():
        connection = the_connection()
        period = reconciliation_reports.period_called(connection, form.period.data)
        name = reconciling.start(connection, period, current_user.shown_name).period
    return go_to(url_for(".reconciliation", period=name))


@pages.get("/reconciliation/<period>")
@allow(OFFICE)
def reconciliation(period: str) -> str:
    """How far a comparison is, then what it found; the page asks again by itself while it moves."""
    connection = the_connection()
    report, show = reconciliation_reports.report_of(connection, period), request.args.get("show", SHOWN[0])
    if show not in SHOWN:
        raise NotFound
    listing = {
        "differences": reconciliation_reports.differences_page,
        "customers": reconciliation_reports.customers_page,
    }[show]
    return page_or_partial(
        "nexudus/reconciliation.html",
        "nexudus/_reconciliation.html",
        connection=connection,
        report=report,
        title=periods.title(report.period),
        progress=reconciliation_reports.progress(report) if report.ended_at is None else None,
        show=show,
        listed=listing(report, page_number()) if report.ended_at else None,
        in_words=differences.in_words,
        remote_url=remote_invoice_url,
    )


@pages.get("/reconciliation/<period>.csv")
@allow(OFFICE)
def reconciliation_file(period: str) -> Response:
    """Every invoice of a comparison as a CSV file."""
    report = reconciliation_reports.report_of(the_connection(), period)
    if report.ended_at is None:
        raise Conflict("This comparison is still under way. The file is there once it has ended.")
    return csv_file(reconciliation_reports.rows_for_file(report), f"nexudus-{g.account.slug}-{report.period}.csv")
