"""What staff do about the portal: inviting a customer to it."""

from flask import flash, g, url_for
from werkzeug import Response

from app.access import OFFICE, allow
from app.billing import customers
from app.db import unit_of_work
from app.htmx import go_to
from app.portal import links
from app.portal.routes.blueprint import pages


@pages.post("/<account_slug>/customers/<int:customer_id>/portal-invitation")
@allow(OFFICE)
def invite(customer_id: int) -> Response:
    with unit_of_work():
        customer = customers.locked(g.account, customer_id)
        links.invite(g.account, customer)
        sentence = f"An invitation to the portal is on its way to {customer.email}."
    flash(sentence, "done")
    return go_to(url_for("billing.customer_details", customer_id=customer_id))
