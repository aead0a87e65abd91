"""A customer's own invoices: the list with what is to pay, and one invoice."""

from flask import g, render_template

from app.access import CUSTOMERS, allow
from app.asked import page_number
from app.billing import collecting
from app.billing.lines import taxes_of
from app.portal import own
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
    return render_template("portal/invoice.html", invoice=row, standing=own.standing(row), taxes=taxes_of(row))
