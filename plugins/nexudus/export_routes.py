"""Pages for handing invoices over: the calendar and its runs, what is held and why, and how invoices arrive."""

from typing import Any

from flask import Response, flash, g, render_template, request, url_for
from flask_login import current_user
from flask_wtf import FlaskForm

from app import audit
from app.access import OFFICE, OPERATORS, allow
from app.asked import page_number
from app.billing import invoices
from app.billing.models import InvoiceStatus
from app.db import unit_of_work
from app.errors import Conflict, InvalidInput, Outside
from app.htmx import asks_for_partial, go_to, page_or_partial
from plugins.nexudus import causes, export_acts, export_panels, export_reports, runs, tax_products
from plugins.nexudus.addresses import remote_invoice_url
from plugins.nexudus.forms import ArrivalForm, HoldForm, ProductForm
from plugins.nexudus.models import ExportState, Issue, TaxProduct, Writer
from plugins.nexudus.pages import Answer, pages, the_connection


@pages.get("/exports")
@allow(OFFICE)
def exports() -> str:
    """The next window, the calendar, the runs, and what cannot leave."""
    connection = the_connection()
    return render_template(
        "nexudus/exports.html",
        connection=connection,
        ready=runs.ready_to_go(connection),
        opening=runs.next_opening(connection),
        months=export_reports.calendar(connection),
        listed=export_reports.runs_page(connection, page_number()),
        causes=export_reports.held_by_cause(connection),
        counts=export_reports.counts(connection),
    )


@pages.route("/exports/now", methods=["GET", "POST"])
@allow(OPERATORS)
def export_now() -> Answer:
    """Say what goes now and how it arrives, then begin; a second press shows the same run."""
    connection, form = the_connection(), FlaskForm()
    if not form.validate_on_submit():
        return page_or_partial(
            "nexudus/export_now.html",
            "nexudus/_export_now.html",
            form=form,
            connection=connection,
            ready=runs.ready_to_go(connection),
            is_first=not export_reports.runs_page(connection, 1).total,
        )
    with unit_of_work():
        run_id = runs.begin_now(the_connection(), current_user.shown_name).id
    return go_to(url_for(".export_run", run_id=run_id))


@pages.get("/exports/runs/<int:run_id>")
@allow(OFFICE)
def export_run(run_id: int) -> str:
    """One run with each of its invoices; the page asks again by itself while something moves."""
    connection = the_connection()
    run = export_reports.run_of(connection, run_id)
    return page_or_partial(
        "nexudus/export_run.html",
        "nexudus/_export_run.html",
        connection=connection,
        sums=export_reports.sums_of(connection, [run])[0],
        listed=export_reports.exports_page(connection, page_number(), run=run),
        remote_url=remote_invoice_url,
        cause_of=causes.in_words,
    )


@pages.get("/exports/held")
@allow(OFFICE)
def held() -> str:
    """What waits for a person, all of it or for one cause."""
    connection, code = the_connection(), request.args.get("cause", "")
    return render_template(
        "nexudus/export_held.html",
        connection=connection,
        code=code,
        causes_held=export_reports.held_by_cause(connection),
        listed=export_reports.exports_page(connection, page_number(), state=ExportState.HELD, code=code),
        remote_url=remote_invoice_url,
        cause_of=causes.in_words,
    )


@pages.post("/exports/held/retry")
@allow(OFFICE)
def retry_held() -> Answer:
    """Send everything held for one cause again."""
    code = request.form.get("cause", "")
    with unit_of_work():
        count = export_acts.retry_all_held(the_connection(), code, current_user.shown_name)
    flash(f"{count} invoices go again." if count != 1 else "1 invoice goes again.", "done")
    return go_to(url_for(".exports"))


@pages.post("/exports/<int:export_id>/retry")
@allow(OFFICE)
def retry(export_id: int) -> Answer:
    """Send it again, or look it up now."""
    with unit_of_work():
        export = export_reports.export_by_id(the_connection(), export_id)
        export_acts.retry(export, current_user.shown_name)
        invoice_id = export.invoice_id
    return _back(invoice_id, "We look first whether it is there, then go on.")


@pages.post("/exports/<int:export_id>/look-up")
@allow(OFFICE)
def look_up(export_id: int) -> Answer:
    """Somebody opened an invoice of unknown outcome: have it looked up, unless that was asked for lately."""
    with unit_of_work():
        export = export_reports.export_by_id(the_connection(), export_id)
        export_acts.look_up(export, current_user.shown_name)
        invoice_id = export.invoice_id
    if asks_for_partial():
        return export_panels.draw_invoice_panel(g.installation, invoices.get(g.account, invoice_id))
    return go_to(url_for("billing.invoice", invoice_id=invoice_id))


@pages.post("/exports/<int:export_id>/accept")
@allow(OFFICE)
def accept(export_id: int) -> Answer:
    """Close it although the total over there differs."""
    with unit_of_work():
        export = export_reports.export_by_id(the_connection(), export_id)
        export_acts.accept_their_total(export, current_user.shown_name)
        invoice_id = export.invoice_id
    return _back(invoice_id, "Closed with the total in Nexudus.")


@pages.post("/exports/<int:export_id>/release")
@allow(OFFICE)
def release(export_id: int) -> Answer:
    """Give a held invoice back to default billing, after looking that it is not over there."""
    export = export_reports.export_by_id(the_connection(), export_id)
    invoice_id = export.invoice_id
    try:
        export_acts.release(export_id, current_user.shown_name)
    except (Conflict, Outside) as error:
        with unit_of_work():
            audit.record("export_released", export_reports.export_by_id(the_connection(), export_id), outcome="refused")
        return _back(invoice_id, error.sentence, "failed")
    return _back(invoice_id, "Released: it is collected here and does not go to Nexudus.")


@pages.route("/invoices/<int:invoice_id>/hold", methods=["GET", "POST"])
@allow(OFFICE)
def hold(invoice_id: int) -> Answer:
    """Hold an invoice back until a person says otherwise."""
    invoice, form = invoices.get(g.account, invoice_id), HoldForm()
    if not form.validate_on_submit():
        html = page_or_partial("nexudus/export_hold.html", "nexudus/_export_hold.html", form=form, invoice=invoice)
        return (html, 422) if form.is_submitted() else html
    with unit_of_work():
        export_acts.hold_back(
            the_connection(), invoices.get(g.account, invoice_id), form.reason.data or "", current_user.shown_name
        )
    return _back(invoice_id, "Held back. It stays here until somebody sends it.")


@pages.get("/invoices/<int:invoice_id>/panel")
@allow(OFFICE)
def invoice_panel(invoice_id: int) -> Answer:
    """The plugin's panel of one invoice: asked for while it moves; once it is closed the whole page comes anew."""
    invoice = invoices.get(g.account, invoice_id)
    if asks_for_partial() and invoice.status == InvoiceStatus.CLOSED:
        return go_to(url_for("billing.invoice", invoice_id=invoice_id))
    html = export_panels.draw_invoice_panel(g.installation, invoice)
    return html if asks_for_partial() else render_template("nexudus/export_invoice.html", invoice=invoice, panel=html)


@pages.post("/arrival")
@allow(OPERATORS)
def arrival() -> Answer:
    """How invoices are written and arrive from now on; what is frozen already stays as it is."""
    form = ArrivalForm()
    if not form.validate_on_submit():
        raise InvalidInput("Choose a way of writing, how invoices arrive, and an hour from 0 to 23.")
    writer, issue = Writer(form.writer.data), Issue(form.issue.data)
    with unit_of_work():
        connection = the_connection()
        if writer == Writer.DOCUMENT and not connection.documents_routed:
            raise InvalidInput("This Nexudus does not take whole invoices; product sales work.")
        connection.writer, connection.issue = writer, issue
        connection.uses_own_numbers = bool(form.uses_own_numbers.data)
        connection.may_add_products = bool(form.may_add_products.data)
        connection.window_hour = int(form.window_hour.data or 0)
        export_panels.note_arrival(connection, current_user.shown_name)
    flash("Saved. It counts for every invoice that has not been begun.", "done")
    return go_to(url_for("installations.systems", _anchor="system-nexudus"))


@pages.route("/products/<int:row_id>", methods=["GET", "POST"])
@allow(OPERATORS)
def product(row_id: int) -> Answer:
    """Choose the product over there that carries one tax rate."""
    row, form = _tax_product(row_id), ProductForm()
    choices, problem = export_panels.products_there(row)
    form.offer(choices)
    if not form.validate_on_submit():
        context: dict[str, Any] = {"form": form, "row": _tax_product(row_id), "problem": problem}
        html = page_or_partial("nexudus/export_product.html", "nexudus/_export_product.html", **context)
        return (html, 422) if form.is_submitted() else html
    chosen = int(form.product.data)
    with unit_of_work():
        tax_products.choose(the_connection(), _tax_product(row_id), chosen, choices[chosen], current_user.shown_name)
    flash("Chosen. Retry what was held for it.", "done")
    return go_to(url_for("installations.systems", _anchor="system-nexudus"))


def _tax_product(row_id: int) -> TaxProduct:
    return export_panels.tax_product_of(the_connection(), row_id)


def _back(invoice_id: int, sentence: str, kind: str = "done") -> Response:
    """To where the button stood: the page of a run or a cause, else the invoice."""
    flash(sentence, kind)
    came_from = request.form.get("back", "")
    inside = url_for(".exports")
    return go_to(came_from if came_from.startswith(inside) else url_for("billing.invoice", invoice_id=invoice_id))
