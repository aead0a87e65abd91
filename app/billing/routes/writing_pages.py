"""Writing an invoice, and writing a draft anew: one form that grows and shrinks by its own buttons."""

from collections.abc import Callable
from datetime import timedelta

from flask import Response, flash, g, request, url_for

from app import clock
from app.access import OFFICE, allow
from app.billing import customers, invoices, printing
from app.billing.forms import InvoiceForm
from app.billing.lines import Discount, Line
from app.billing.models import Customer, Invoice, InvoiceStatus
from app.billing.routes.blueprint import pages
from app.db import unit_of_work
from app.errors import Conflict, InvalidInput
from app.htmx import go_to, page_or_partial
from app.typed import plain

Answer = str | tuple[str, int] | Response
CHANGES = ("invoice_rewritten", "invoice_line_added", "invoice_discounted")
Write = Callable[[list[Line], Discount], tuple[Invoice, str]]


@pages.route("/<account_slug>/customers/<int:customer_id>/invoices/new", methods=["GET", "POST"])
@allow(OFFICE)
def new_invoice(customer_id: int) -> Answer:
    """Only "Create invoice" and "Keep as draft" write anything."""
    customer = customers.get(g.account, customer_id)
    first_line = {"quantity": "1", "tax_rate": plain(customer.location.tax_rate)}
    due_on = clock.today(g.account.timezone) + timedelta(days=g.account.payment_days)
    form = InvoiceForm() if _was_sent() else InvoiceForm(data={"lines": [first_line], "due_on": due_on})
    currency, is_draft = customer.location.currency, "draft" in request.form

    def write(lines: list[Line], discount: Discount) -> tuple[Invoice, str]:
        row = invoices.create(
            g.account,
            customers.locked(g.account, customer_id),
            lines,
            due_on=form.due_on.data,
            note=form.note.data or "",
            currency=currency,
            status=InvoiceStatus.DRAFT if is_draft else InvoiceStatus.PENDING,
            discount=discount,
        )
        return row, f"{row.number} is {'kept as a draft' if is_draft else 'created'}. Nothing was sent."

    return _grow_or_write(form, currency, write) or _draw(form, customers.get(g.account, customer_id), currency)


@pages.route("/<account_slug>/invoices/<int:invoice_id>/edit", methods=["GET", "POST"])
@allow(OFFICE)
def edit_invoice(invoice_id: int) -> Answer:
    """A draft can be written anew as often as it takes; what was issued answers that it is no draft any more."""
    row = invoices.get(g.account, invoice_id)
    invoices.refuse_issued(row)
    form, currency = InvoiceForm(data=None if _was_sent() else InvoiceForm.shown(row)), row.currency

    def write(lines: list[Line], discount: Discount) -> tuple[Invoice, str]:
        draft = invoices.locked(g.account, invoice_id)
        invoices.refuse_issued(draft)
        form.refuse_if_changed(InvoiceForm.shown(draft), draft, *CHANGES)
        invoices.rewrite(draft, lines, due_on=form.due_on.data, note=form.note.data or "", discount=discount)
        return draft, f"{draft.number} is saved. It stays a draft until you issue it."

    answer = _grow_or_write(form, currency, write)
    if answer is None:
        row = invoices.get(g.account, invoice_id)
        return _draw(form, row.customer, currency, row)
    return answer


def _was_sent() -> bool:
    return request.method == "POST"


def _grow_or_write(form: InvoiceForm, currency: str, write: Write) -> Response | None:
    """Do what the pressed button says; None when the form is to be drawn (again)."""
    if "add_line" in request.form:
        form.add_line()
    elif (index := request.form.get("remove_line", type=int)) is not None:
        form.remove_line(index)
    elif _was_sent():
        valid, lines, discount = form.validate(), form.read_lines(currency), form.read_discount(currency)
        if valid and lines is not None and discount is not None:
            try:
                with unit_of_work():
                    row, sentence = write(lines, discount)
                    invoice_id = row.id
            except (InvalidInput, Conflict) as error:
                form.blame(error)
            else:
                flash(sentence, "done")
                return go_to(url_for(".invoice", invoice_id=invoice_id))
    return None


def _draw(form: InvoiceForm, customer: Customer, currency: str, draft: Invoice | None = None) -> Answer:
    grown = "add_line" in request.form or "remove_line" in request.form
    html = page_or_partial(
        "billing/edit_invoice.html" if draft else "billing/new_invoice.html",
        "billing/_invoice_form.html",
        form=form,
        customer=customer,
        currency=currency,
        rounding=printing.ROUNDING,
        draft=draft,
        lines_changed=grown,
    )
    return (html, 422) if _was_sent() and not grown else html
