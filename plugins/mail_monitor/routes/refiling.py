"""A message in a record: moved to another customer, or deleted for good after a question."""

from flask import Response, flash, g, render_template, request, url_for
from flask_login import current_user

from app.access import OFFICE, allow
from app.db import unit_of_work
from app.htmx import asks_for_partial, go_to, page_or_partial
from plugins.mail_monitor import picking
from plugins.mail_monitor import refiling as service
from plugins.mail_monitor.asked import chosen_customer
from plugins.mail_monitor.pages import pages


@pages.route("/filings/<int:filing_id>/move", methods=["GET", "POST"])
@allow(OFFICE)
def move_message(filing_id: int) -> str | Response:
    """Put a message into another customer's record."""
    if request.method == "POST":
        with unit_of_work():
            service.get(g.account.id, filing_id)
            customer = chosen_customer()
            filing = service.move(g.account, filing_id, customer, current_user.shown_name)
            name, address = customer.full_name, _record(customer.id, filing.thread_id)
        flash(f"Moved to {name}.", "done")
        return go_to(address)
    filing = service.get(g.account.id, filing_id)
    text = request.args.get("q", "")
    context = {
        "title": "Move to another customer",
        "lead": f"“{filing.message.subject or 'No subject'}” leaves the record of {filing.customer.full_name}.",
        "address": url_for(".move_message", filing_id=filing.id),
        "search_address": url_for(".move_message", filing_id=filing.id),
        "back": _record(filing.customer_id, filing.thread_id),
        "deed": "Move it",
        "text": text,
        "candidates": picking.candidates(g.account, text),
    }
    if asks_for_partial() and "q" in request.args:
        return render_template("mail_monitor/_candidates.html", **context)
    return page_or_partial("mail_monitor/pick.html", "mail_monitor/_pick.html", **context)


@pages.route("/filings/<int:filing_id>/delete", methods=["GET", "POST"])
@allow(OFFICE)
def delete_message(filing_id: int) -> str | Response:
    """Ask, saying what goes where; then delete."""
    if request.method == "POST":
        with unit_of_work():
            done = service.delete(g.account, filing_id, current_user.shown_name)
            customer_id = done.filing.customer_id
            sentence = " ".join(
                ["Deleted.", *(f"In {one.address} it {one.sentence}." for one in done.there if one.goes)]
            )
        flash(sentence, "done")
        return go_to(_record(customer_id))
    asked = service.question(g.account.id, filing_id)
    back = _record(asked.filing.customer_id, asked.filing.thread_id)
    return page_or_partial("mail_monitor/delete.html", "mail_monitor/_delete.html", asked=asked, back=back)


def _record(customer_id: int, thread_id: int | None = None) -> str:
    """The customer's messages, with the thread open that it stands in."""
    return url_for(
        "billing.customer_tab", customer_id=customer_id, plugin_path="mail", name="crm", thread=thread_id or None
    )
