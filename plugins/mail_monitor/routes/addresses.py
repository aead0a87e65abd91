"""A customer's further addresses: adding one, and taking one away."""

from flask import Response, flash, g, request, url_for
from flask_login import current_user

from app.access import OFFICE, allow
from app.billing import customers
from app.db import unit_of_work
from app.errors import Conflict, InvalidInput
from app.htmx import go_to
from plugins.mail_monitor import customer_addresses
from plugins.mail_monitor.pages import pages


@pages.post("/customers/<int:customer_id>/addresses")
@allow(OFFICE)
def add_address(customer_id: int) -> Response:
    """Give a customer one more address."""
    try:
        with unit_of_work():
            customer = customers.get(g.account, customer_id)
            row = customer_addresses.add(
                customer, request.form.get("address", ""), request.form.get("whose", ""), current_user.shown_name
            )
            sentence = f"{row.address} belongs to {customer.full_name} from now on."
    except (InvalidInput, Conflict) as error:
        flash(error.sentence, "failed")
    else:
        flash(sentence, "done")
    return _to_addresses(customer_id)


@pages.post("/customers/<int:customer_id>/addresses/<int:address_id>/remove")
@allow(OFFICE)
def remove_address(customer_id: int, address_id: int) -> Response:
    """Take a further address away; what was filed by it stays."""
    with unit_of_work():
        customer = customers.get(g.account, customer_id)
        row = customer_addresses.remove(customer, address_id, current_user.shown_name)
        sentence = f"{row.address} is removed. What was filed by it stays."
    flash(sentence, "done")
    return _to_addresses(customer_id)


def _to_addresses(customer_id: int) -> Response:
    return go_to(
        url_for("billing.customer_tab", customer_id=customer_id, plugin_path="mail", name="crm", part="addresses")
    )
