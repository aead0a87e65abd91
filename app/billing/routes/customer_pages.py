"""Customers: the list that searches as one types, the record, adding and changing."""

from typing import Any

from flask import flash, g, redirect, render_template, request, url_for
from werkzeug import Response

from app import clock
from app.access import OFFICE, OPERATORS, allow
from app.accounts.services import COUNTRIES
from app.asked import asked, page_number
from app.billing import collecting, invoices, outlook, timeline
from app.billing import customers as service
from app.billing.customers import Search
from app.billing.forms import CustomerForm
from app.billing.models import Customer, CustomerStatus
from app.billing.routes.blueprint import pages, plugin_titles, tab
from app.billing.routes.records import record_of
from app.db import unit_of_work
from app.errors import Conflict, InvalidInput
from app.htmx import asks_for_partial, go_to, page_or_partial
from app.installations.panels import draw_columns, draw_customer_tab
from app.payments import cards, gateways, standing
from app.portal import links

ALL, HERE, NONE = "all", "here", "none"
ALWAYS_SHOWN = {CustomerStatus.ACTIVE, CustomerStatus.INACTIVE}
TABS = {
    CustomerStatus.ACTIVE: "Active",
    CustomerStatus.SCHEDULED: "Scheduled",
    CustomerStatus.LOCKED: "Locked",
    CustomerStatus.INACTIVE: "Inactive",
    CustomerStatus.LEAD: "Leads",
    CustomerStatus.CANCELLED: "Cancelled",
}


@pages.get("/<account_slug>/customers", endpoint="customers")
@allow(OFFICE)
def list_customers() -> str | Response:
    """The list; the number of an invoice in the search leads to that invoice."""
    if not asks_for_partial() and (invoice := invoices.by_number(g.account, asked("q"))):
        return redirect(url_for(".invoice", invoice_id=invoice.id))
    wanted = wanted_customers()
    found = service.find(g.account, wanted, page_number())
    ids = [customer.id for customer in found.items]
    return page_or_partial(
        "billing/customers.html",
        "billing/_customers_found.html",
        wanted=wanted,
        found=found,
        tabs=_tabs(wanted),
        narrowed=bool(wanted.text or wanted.billed_by is not None or wanted.location_id or wanted.lacks_billing_info),
        billers=[("", "any"), (HERE, "here"), *plugin_titles().items()],
        open=invoices.open_of(ids),
        columns=draw_columns("customers", ids),
    )


@pages.route("/<account_slug>/customers/new", methods=["GET", "POST"])
@allow(OFFICE)
def new_customer() -> str | tuple[str, int] | Response:
    form = CustomerForm(g.account)
    if form.validate_on_submit():
        try:
            with unit_of_work():
                customer = service.add(g.account, form.details(), pick_number=True)
                customer_id, name = customer.id, customer.full_name
        except (InvalidInput, Conflict) as error:
            form.blame(error)
        else:
            flash(f"{name} is added and inactive.", "done")
            return go_to(url_for(".customer", customer_id=customer_id))
    return _draw_form(form, None)


@pages.get("/<account_slug>/customers/<int:customer_id>")
@allow(OFFICE)
def customer(customer_id: int) -> str:
    """The record, with the customer's invoices."""
    row = service.get(g.account, customer_id)
    found = invoices.find(g.account, invoices.Search(customer_id=row.id), page_number())
    columns = draw_columns("invoices", [invoice.id for invoice in found.items])
    return render_template("billing/customer.html", tab="invoices", found=found, columns=columns, **record_of(row))


@pages.get("/<account_slug>/customers/<int:customer_id>/timeline")
@allow(OFFICE)
def customer_timeline(customer_id: int) -> str:
    """The record, with everything that happened; `show` narrows it to one kind, `before` is where a page begins."""
    row = service.get(g.account, customer_id)
    known, shown, begins = timeline.sources(row), asked("show"), timeline.Place.read(asked("before"))
    chosen = [one for one in known if one.name == shown] or known
    here = url_for(".customer_timeline", customer_id=row.id)
    kinds = [("All", here, len(chosen) > 1)]
    kinds += [(one.label, f"{here}?show={one.name}", chosen == [one]) for one in known]
    return render_template(
        "billing/timeline.html",
        tab="timeline",
        found=timeline.page(row, chosen, begins),
        newest=begins == timeline.Place(),
        this_year=clock.today(g.account.timezone).year,
        kinds=[{"label": label, "url": url, "current": current} for label, url, current in kinds],
        **record_of(row),
    )


@pages.get("/<account_slug>/customers/<int:customer_id>/details")
@allow(OFFICE)
def customer_details(customer_id: int) -> str:
    """The record, with what is known about the customer."""
    row = service.get(g.account, customer_id)
    biller = collecting.taken_over_by(row)
    return render_template(
        "billing/customer_details.html",
        tab="details",
        countries=COUNTRIES,
        cards=cards.cards_of(row),
        gateway=gateways.gateway_of(row.account_id),
        billed_elsewhere=outlook.title_of(biller.plugin) if biller else "",
        may_connect=g.membership.role in OPERATORS,
        chargeable=bool(standing.open_here(row)),
        portal=links.access_of(row),
        **record_of(row),
    )


@pages.get("/<account_slug>/customers/<int:customer_id>/<plugin_path>/<name>")
@allow(OFFICE)
def customer_tab(customer_id: int, plugin_path: str, name: str) -> str:
    """The record, with what a plugin keeps about the customer; the plugin's part alone for htmx."""
    row = service.get(g.account, customer_id)
    drawn = draw_customer_tab(plugin_path, name, row)
    if asks_for_partial():
        return drawn
    return render_template("billing/customer_tab.html", tab=f"{plugin_path}/{name}", drawn=drawn, **record_of(row))


@pages.route("/<account_slug>/customers/<int:customer_id>/edit", methods=["GET", "POST"])
@allow(OFFICE)
def edit_customer(customer_id: int) -> str | tuple[str, int] | Response:
    form = CustomerForm(g.account, obj=service.get(g.account, customer_id))
    if form.validate_on_submit():
        try:
            with unit_of_work():
                row = service.locked(g.account, customer_id)
                form.refuse_if_changed(CustomerForm.shown(row), row, "customer_changed")
                changed = service.edit(g.account, row, form.details())
        except (InvalidInput, Conflict) as error:
            form.blame(error)
        else:
            flash("Saved." if changed else "Nothing was changed.", "done")
            return go_to(url_for(".customer_details", customer_id=customer_id))
    return _draw_form(form, service.get(g.account, customer_id))


def wanted_customers() -> Search:
    """What the address asks for. Without a status it is the active ones; a search alone looks through all."""
    text = asked("q")
    try:
        status = CustomerStatus(asked("status")) if asked("status") else None
    except ValueError:
        status = None
    if not asked("status") and not text:
        status = CustomerStatus.ACTIVE
    biller = asked("billed_by")
    return Search(
        text=text,
        status=status,
        billed_by=None if not biller else "" if biller == HERE else biller,
        location_id=request.args.get("location", type=int),
        lacks_billing_info=asked("billing_info") == NONE,
        backwards=asked("sort") == "-name",
    )


def _tabs(wanted: Search) -> list[dict[str, Any]]:
    counts = service.count_by_status(g.account)
    shown = [
        tab(label, ".customers", status.value, counts[status], current=wanted.status == status)
        for status, label in TABS.items()
        if counts[status] or status in ALWAYS_SHOWN or wanted.status == status
    ]
    return [*shown, tab("All", ".customers", ALL, None, current=wanted.status is None)]


def _draw_form(form: CustomerForm, customer: Customer | None) -> str | tuple[str, int]:
    html = page_or_partial("billing/edit_customer.html", "billing/_customer_form.html", form=form, customer=customer)
    return (html, 422) if form.is_submitted() else html
