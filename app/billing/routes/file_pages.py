"""Customers out of a CSV file, looked at before anything is stored, and customers and invoices into one."""

from flask import Response, flash, g, url_for
from flask_wtf.file import FileField
from wtforms import TextAreaField

from app import clock
from app.access import OFFICE, allow
from app.billing import customer_files, invoice_files
from app.billing.csv_files import CUSTOMER_COLUMNS
from app.billing.customer_files import Preview
from app.billing.forms import OfficeForm
from app.billing.routes.blueprint import pages
from app.billing.routes.customer_pages import wanted_customers
from app.billing.routes.invoice_search import wanted_invoices
from app.csv_out import csv_file
from app.errors import InvalidInput
from app.htmx import go_to, page_or_partial

SHOWN = 50  # of the rows that would be added


class ImportForm(OfficeForm):
    """First the file; then its text comes along unseen, so that nothing is stored before somebody confirms."""

    file = FileField("CSV file", description="UTF-8, with a heading.")
    text = TextAreaField()

    @property
    def content(self) -> bytes:
        """What was sent: the file, or what was looked at before."""
        if self.file.data:
            return bytes(self.file.data.read(customer_files.LARGEST + 1))
        return (self.text.data or "").encode()

    @property
    def content_was_sent(self) -> bool:
        return bool(self.file.data) or bool(self.text.data)

    @property
    def file_name(self) -> str:
        return (getattr(self.file.data, "filename", "") or "The file")[:80]


@pages.route("/<account_slug>/customers/import", methods=["GET", "POST"])
@allow(OFFICE)
def import_customers() -> str | tuple[str, int] | Response:
    """Choose a file, see what would come of each row, and only then take it."""
    form = ImportForm()
    if not form.validate_on_submit():
        return _draw(form, None)
    if not form.content_was_sent:
        form.blame(InvalidInput("Choose a file.", "file"))
        return _draw(form, None)
    content = form.content
    try:
        if not form.file.data:
            outcome = customer_files.take(g.account.id, content, form.file_name)
            added = "1 customer is" if outcome.created == 1 else f"{outcome.created} customers are"
            skipped = f", {len(outcome.skipped)} rows were skipped" if outcome.skipped else ""
            flash(f"{added} added{skipped}.", "done")
            return go_to(url_for(".customers", status="all"))
        found = customer_files.preview(g.account, content, form.file_name)
    except InvalidInput as error:
        form.blame(InvalidInput(error.sentence, "file"))
        return _draw(form, None)
    form.text.data = content.decode("utf-8-sig")
    return _draw(form, found)


@pages.get("/<account_slug>/customers/export.csv")
@allow(OFFICE)
def export_customers() -> Response:
    """The list as a file, narrowed in the same way."""
    day = clock.today(g.account.timezone)
    return csv_file(customer_files.export(g.account, wanted_customers()), f"customers-{g.account.slug}-{day}.csv")


@pages.get("/<account_slug>/invoices/export.csv")
@allow(OFFICE)
def export_invoices() -> Response:
    """The list as a file, narrowed in the same way."""
    day = clock.today(g.account.timezone)
    return csv_file(invoice_files.export(g.account, wanted_invoices()), f"invoices-{g.account.slug}-{day}.csv")


def _draw(form: ImportForm, found: Preview | None) -> str | tuple[str, int]:
    html = page_or_partial(
        "billing/import_customers.html",
        "billing/_import_customers.html",
        form=form,
        found=found,
        columns=CUSTOMER_COLUMNS,
        shown=SHOWN,
    )
    return (html, 422) if form.is_submitted() and found is None else html
