"""Invoices: the list, one invoice with its stamp, what can be added to it, and the deeds that end it."""

from collections.abc import Callable
from typing import Any, TypeVar

from flask import Response, flash, g, render_template, request, url_for

from app.access import OFFICE, OPERATORS, allow
from app.asked import page_number
from app.billing import collecting, copying, invoice_mails, outlook, printing
from app.billing import invoices as service
from app.billing.collecting import PaidBy
from app.billing.forms import AddLineForm, DiscountForm, OfficeForm, PaidForm, VoidForm
from app.billing.invoices import NOBODY, Search
from app.billing.lines import Discount, discount_of, taxes_of
from app.billing.models import BY_HAND, GATEWAY, Invoice, InvoiceStatus
from app.billing.routes.blueprint import pages, plugin_titles, tab
from app.billing.routes.invoice_search import PERIODS, wanted_invoices, without_days
from app.db import unit_of_work
from app.errors import InvalidInput
from app.htmx import go_to, page_or_partial
from app.installations.panels import draw_columns, draw_panels
from app.payments import standing
from app.typed import plain

Answer = str | tuple[str, int] | Response
AnyForm = TypeVar("AnyForm", bound=OfficeForm)
TABS = {
    InvoiceStatus.PENDING: "Pending",
    InvoiceStatus.CLOSED: "Handed over",
    InvoiceStatus.PAID: "Paid",
    InvoiceStatus.VOID: "Void",
    InvoiceStatus.DRAFT: "Drafts",
}


@pages.get("/<account_slug>/invoices", endpoint="invoices")
@allow(OFFICE)
def list_invoices() -> Answer:
    try:
        wanted, days_problem = wanted_invoices(), ""
    except InvalidInput as error:
        wanted, days_problem = without_days(), error.sentence
    found = service.find(g.account, wanted, page_number())
    html = page_or_partial(
        "billing/invoices.html",
        "billing/_invoices_found.html",
        wanted=wanted,
        days_problem=days_problem,
        found=found,
        sums=service.sums(g.account, wanted),
        tabs=_tabs(wanted),
        narrowed=bool(wanted.text or wanted.collector is not None or wanted.since or wanted.until),
        periods=_periods(wanted),
        collectors=[
            ("", "anybody"),
            (NOBODY, "nobody yet"),
            (GATEWAY, "gateway"),
            (BY_HAND, "by hand"),
            *plugin_titles().items(),
        ],
        columns=draw_columns("invoices", [invoice.id for invoice in found.items]),
    )
    return (html, 422) if days_problem else html


@pages.get("/<account_slug>/invoices/<int:invoice_id>/pdf")
@allow(OFFICE)
def invoice_pdf(invoice_id: int) -> Response:
    row = service.get(g.account, invoice_id)
    name = printing.file_name(row)
    return Response(
        printing.pdf_of(row),
        mimetype="application/pdf",
        headers={"Content-Disposition": f'inline; filename="{name}"'},
    )


@pages.post("/<account_slug>/invoices/<int:invoice_id>/mail")
@allow(OFFICE)
def mail_invoice(invoice_id: int) -> Response:
    """`seen` is the last mail that the page showed: one press is one mail."""
    with unit_of_work():
        row = service.locked(g.account, invoice_id)
        invoice_mails.ask(row, request.form.get("seen", 0, type=int))
        sentence = f"{row.number} goes to {row.customer.email} in a moment."
    flash(sentence, "done")
    return go_to(url_for(".invoice", invoice_id=invoice_id))


@pages.get("/<account_slug>/invoices/<int:invoice_id>")
@allow(OFFICE)
def invoice(invoice_id: int) -> str:
    row = service.get(g.account, invoice_id)
    return render_template(
        "billing/invoice.html",
        invoice=row,
        outlook=outlook.of_invoice(row),
        collector=outlook.collector_words(row),
        title_of=outlook.title_of,
        taxes=taxes_of(row),
        taken_off=printing.taken_off,
        rounding=printing.rounding(row),
        mail=invoice_mails.latest(row),
        may_be_mailed=not invoice_mails.refusal(row),
        copies=copying.copies_of(row),
        may_be_copied=not copying.refusal(row),
        statement=collecting.statement_of(row),
        may_be_sent=collecting.goes_to(row) is not None,
        panels=draw_panels("invoice", row),
        moving=standing.is_moving(row),
        why_not_chargeable=standing.why_not_chargeable(row),
        refundable=standing.refundable(row),
        may_connect=g.membership.role in OPERATORS,
    )


@pages.route("/<account_slug>/invoices/<int:invoice_id>/lines/new", methods=["GET", "POST"])
@allow(OFFICE)
def add_line(invoice_id: int) -> Answer:
    def deed(row: Invoice, form: AddLineForm) -> str:
        service.extend(row, form.read(row.currency))
        return "The line is added."

    rate = service.get(g.account, invoice_id).customer.location.tax_rate
    return _dialog("line", invoice_id, AddLineForm(data={"quantity": "1", "tax_rate": plain(rate)}), deed)


@pages.route("/<account_slug>/invoices/<int:invoice_id>/discount", methods=["GET", "POST"])
@allow(OFFICE)
def discount_invoice(invoice_id: int) -> Answer:
    def deed(row: Invoice, form: DiscountForm) -> str:
        service.take_off(row, Discount.read(form.discount.data or "", row.currency))
        return f"{row.discount} is taken off." if row.discount else "Nothing is taken off the whole."

    row = service.get(g.account, invoice_id)
    return _dialog("discount", invoice_id, DiscountForm(data={"discount": discount_of(row).typed(row.currency)}), deed)


@pages.route("/<account_slug>/invoices/<int:invoice_id>/void", methods=["GET", "POST"])
@allow(OFFICE)
def void_invoice(invoice_id: int) -> Answer:
    def deed(row: Invoice, form: VoidForm) -> str:
        service.void(row, form.reason.data or "")
        standing.settled(row, f"{row.number} is void.")
        return f"{row.number} is void."

    return _dialog("void", invoice_id, VoidForm(), deed)


@pages.route("/<account_slug>/invoices/<int:invoice_id>/paid", methods=["GET", "POST"])
@allow(OFFICE)
def mark_paid(invoice_id: int) -> Answer:
    def deed(row: Invoice, form: PaidForm) -> str:
        collecting.mark_paid_by_hand(row, PaidBy(form.how.data), form.note.data or "")
        standing.settled(row, f"{row.number} is paid.")
        return f"{row.number} is marked as paid."

    return _dialog("paid", invoice_id, PaidForm(), deed)


@pages.post("/<account_slug>/invoices/<int:invoice_id>/issue")
@allow(OFFICE)
def issue_invoice(invoice_id: int) -> Response:
    with unit_of_work():
        service.issue(service.locked(g.account, invoice_id))
    flash("Issued: the invoice is pending now.", "done")
    return go_to(url_for(".invoice", invoice_id=invoice_id))


@pages.post("/<account_slug>/invoices/<int:invoice_id>/copy")
@allow(OFFICE)
def copy_invoice(invoice_id: int) -> Response:
    """A draft in place of one that was wrong."""
    with unit_of_work():
        wrong = service.locked(g.account, invoice_id)
        made = copying.copy(g.account, wrong)
        made_id, sentence = made.id, f"{made.number} is a draft with the lines of {wrong.number}. Nothing was sent."
    flash(sentence, "done")
    return go_to(url_for(".invoice", invoice_id=made_id))


@pages.post("/<account_slug>/invoices/<int:invoice_id>/do-not-send")
@allow(OFFICE)
def do_not_send(invoice_id: int) -> Response:
    """`held_back=1` keeps the invoice from every plugin, `held_back=0` lets it go again."""
    held_back = request.form.get("held_back") == "1"
    with unit_of_work():
        service.set_do_not_send(service.locked(g.account, invoice_id), held_back=held_back)
    flash("It is not sent anywhere." if held_back else "It may be sent again.", "done")
    return go_to(url_for(".invoice", invoice_id=invoice_id))


def _periods(wanted: Search) -> list[tuple[str, str]]:
    """The choices of the menu; days that only the address names stand for the usual one."""
    if (wanted.since or wanted.until) and not request.args.get("period"):
        days = [f"{word} {one:%-d %b %Y}" for word, one in (("from", wanted.since), ("to", wanted.until)) if one]
        return [("", " ".join(days)), *PERIODS[1:]]
    return list(PERIODS)


def _tabs(wanted: Search) -> list[dict[str, Any]]:
    counts = service.count_by_status(g.account)
    return [
        tab("All", ".invoices", "", sum(counts.values()), current=wanted.status is None),
        *(
            tab(label, ".invoices", status.value, counts[status], current=wanted.status == status)
            for status, label in TABS.items()
        ),
    ]


def _dialog(name: str, invoice_id: int, form: AnyForm, deed: Callable[[Invoice, AnyForm], str]) -> Answer:
    """Ask in a dialog, do the deed on the locked invoice, and say so on the invoice's page."""
    if form.validate_on_submit():
        try:
            with unit_of_work():
                sentence = deed(service.locked(g.account, invoice_id), form)
        except InvalidInput as error:
            form.blame(error)
        else:
            flash(sentence, "done")
            return go_to(url_for(".invoice", invoice_id=invoice_id))
    inside = f"billing/_{name}_dialog.html"
    html = page_or_partial(
        "billing/invoice_dialog.html", inside, invoice=service.get(g.account, invoice_id), form=form, inside=inside
    )
    return (html, 422) if form.is_submitted() else html
