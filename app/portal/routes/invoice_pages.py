"""A customer's own invoices: the list with what is to pay, and one invoice."""

from flask import Response, flash, g, render_template, url_for

from app.access import CUSTOMERS, allow
from app.asked import page_number
from app.billing import collecting, invoices, printing
from app.billing.lines import taxes_of
from app.db import unit_of_work
from app.htmx import go_to, page_or_partial
from app.payments import asking, cards, links, standing
from app.portal import billing_info, own
from app.portal.routes.blueprint import pages


@pages.get("/portal/<account_slug>/invoices", endpoint="invoices")
@allow(CUSTOMERS)
def list_invoices() -> str:
    found = own.invoices_of(g.customer, page_number())
    return render_template(
        "portal/invoices.html",
        found=found,
        to_pay=own.to_pay(g.customer),
        biller=collecting.taken_over_by(g.customer),
    )


@pages.get("/portal/<account_slug>/invoices/<int:invoice_id>")
@allow(CUSTOMERS)
def invoice(invoice_id: int) -> str:
    row = own.invoice(g.account, g.customer, invoice_id)
    confirming = standing.charge_to_confirm(row)
    return page_or_partial(
        "portal/invoice.html",
        "portal/_invoice_sum.html",
        invoice=row,
        standing=own.standing(row),
        taxes=taxes_of(row),
        rounding=printing.rounding(row),
        can_pay=billing_info.can_pay(row),
        is_moving=standing.is_moving(row),
        confirm_token=links.token(g.account, links.CONFIRM, confirming.id) if confirming else "",
    )


@pages.get("/portal/<account_slug>/invoices/<int:invoice_id>/pdf")
@allow(CUSTOMERS)
def invoice_pdf(invoice_id: int) -> Response:
    row = own.invoice(g.account, g.customer, invoice_id)
    name = printing.file_name(row)
    return Response(
        printing.pdf_of(row),
        mimetype="application/pdf",
        headers={"Content-Disposition": f'inline; filename="{name}"'},
    )


@pages.post("/portal/<account_slug>/invoices/<int:invoice_id>/pay")
@allow(CUSTOMERS)
def pay(invoice_id: int) -> Response:
    """Have the default card charged now; without one the way leads to where it is added."""
    own.invoice(g.account, g.customer, invoice_id)
    if not cards.has_billing_info(g.customer):
        flash("Add a card first. Then choose what to pay with it.", "failed")
        return go_to(url_for(".billing"))
    with unit_of_work():
        asking.charge_now(invoices.locked(g.account, invoice_id), by=g.customer.email)
    flash("Thank you. The payment is on its way.", "done")
    return go_to(url_for(".invoice", invoice_id=invoice_id))
