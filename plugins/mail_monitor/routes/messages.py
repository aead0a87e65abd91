"""One message to read, its original to save, and a customer's further addresses."""

from flask import Response, flash, g, render_template, request, url_for
from flask_login import current_user

from app.access import OFFICE, allow
from app.billing import customers
from app.db import unit_of_work
from app.errors import Conflict, InvalidInput, NotFound
from app.htmx import go_to
from plugins.mail_monitor import customer_addresses, messages
from plugins.mail_monitor.downloads import download
from plugins.mail_monitor.pages import pages
from plugins.mail_monitor.turns import store


@pages.get("/messages/<int:message_id>")
@allow(OFFICE)
def message(message_id: int) -> str:
    """A message as plain text, with why it is where it is."""
    return render_template("mail_monitor/message.html", opened=messages.open_message(g.account.id, message_id))


@pages.get("/messages/<int:message_id>/original")
@allow(OFFICE)
def message_original(message_id: int) -> Response:
    """The message as it came."""
    row = messages.open_message(g.account.id, message_id).message
    if not row.raw_hash:
        raise NotFound("The original is not kept. Open it in the mailbox.")
    return download(store().read(g.account.id, row.raw_hash), f"message-{row.id}.eml")


@pages.get("/messages/<int:message_id>/attachments/<int:attachment_id>")
@allow(OFFICE)
def attachment(message_id: int, attachment_id: int) -> Response:
    """One attachment, to be saved."""
    opened = messages.open_message(g.account.id, message_id)
    found = next((one for one in opened.message.attachments if one.id == attachment_id), None)
    if found is None:
        raise NotFound("There is no such attachment.")
    return download(store().read(g.account.id, found.blob_hash), found.name)


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
