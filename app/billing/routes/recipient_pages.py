"""The extra recipients of a customer: a tab of the record, adding one, changing one."""

from flask import Response, flash, g, render_template, url_for

from app.access import OFFICE, allow
from app.billing import customers, recipients, subscriptions
from app.billing.life_models import Recipient
from app.billing.models import Customer
from app.billing.recipient_forms import RecipientForm
from app.billing.routes.blueprint import pages
from app.billing.routes.records import record_of
from app.db import unit_of_work
from app.errors import Conflict, InvalidInput
from app.htmx import go_to, page_or_partial

Answer = str | tuple[str, int] | Response


@pages.get("/<account_slug>/customers/<int:customer_id>/recipients", endpoint="recipients")
@allow(OFFICE)
def list_recipients(customer_id: int) -> str:
    """The record, with who else receives mail there."""
    customer = customers.get(g.account, customer_id)
    return render_template(
        "billing/recipients.html", tab="recipients", recipients=recipients.of(customer), **record_of(customer)
    )


@pages.route("/<account_slug>/customers/<int:customer_id>/recipients/new", methods=["GET", "POST"])
@allow(OFFICE)
def new_recipient(customer_id: int) -> Answer:
    customer = customers.get(g.account, customer_id)
    form = RecipientForm()
    if form.validate_on_submit():
        try:
            with unit_of_work():
                name = recipients.add(customers.locked(g.account, customer_id), form.details()).name
        except (InvalidInput, Conflict) as error:
            form.blame(error)
            customer = customers.get(g.account, customer_id)
        else:
            return _done(customer_id, f"{name} receives mail here.")
    return _ask(customer, form, None)


@pages.route("/<account_slug>/customers/<int:customer_id>/recipients/<int:recipient_id>", methods=["GET", "POST"])
@allow(OFFICE)
def edit_recipient(customer_id: int, recipient_id: int) -> Answer:
    customer = customers.get(g.account, customer_id)
    row = recipients.get(customer, recipient_id)
    form = RecipientForm.of(row)
    if form.validate_on_submit():
        try:
            with unit_of_work():
                customer = customers.locked(g.account, customer_id)
                changed = recipients.edit(recipients.get(customer, recipient_id), form.details())
        except (InvalidInput, Conflict) as error:
            form.blame(error)
            customer = customers.get(g.account, customer_id)
            row = recipients.get(customer, recipient_id)
        else:
            return _done(customer_id, "Saved." if changed else "Nothing was changed.")
    return _ask(customer, form, row)


def _done(customer_id: int, sentence: str) -> Response:
    flash(sentence, "done")
    return go_to(url_for(".recipients", customer_id=customer_id))


def _ask(customer: Customer, form: RecipientForm, row: Recipient | None) -> Answer:
    inside = "billing/_recipient_dialog.html"
    html = page_or_partial(
        "billing/customer_dialog.html",
        inside,
        inside=inside,
        customer=customer,
        form=form,
        recipient=row,
        has=subscriptions.of(customer),
    )
    return (html, 422) if form.is_submitted() else html
