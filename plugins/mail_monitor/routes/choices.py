"""Needs a choice: messages that could be somebody else's, and who decides whose they are."""

from flask import Response, flash, g, render_template, request, url_for
from flask_login import current_user

from app.access import OFFICE, allow
from app.db import db, unit_of_work
from app.errors import InvalidInput
from app.htmx import asks_for_partial, go_to, page_or_partial
from plugins.mail_monitor import choices as service
from plugins.mail_monitor import picking
from plugins.mail_monitor.asked import chosen_customer, page_number
from plugins.mail_monitor.pages import pages

NOBODY = "nobody"


@pages.get("/choices", endpoint="choices")
@allow(OFFICE)
def list_choices() -> str:
    """The messages that wait, each with the customers it could belong to."""
    found = db.paginate(service.waiting(g.account.id), page=page_number(), per_page=service.PER_PAGE, error_out=False)
    return page_or_partial(
        "mail_monitor/choices.html",
        "mail_monitor/_choices.html",
        found=found,
        customers=service.names_of(found.items),
    )


@pages.post("/choices/<int:choice_id>")
@allow(OFFICE)
def decide(choice_id: int) -> str | Response:
    """File the message where it was said, or nowhere."""
    chosen = request.form.get("customer", "")
    if chosen == "other":
        return go_to(url_for(".other_customer", choice_id=choice_id))
    if not chosen:
        raise InvalidInput("Choose a customer, or “Nobody”.")
    with unit_of_work():
        customer = None if chosen == NOBODY else chosen_customer()
        name = customer.full_name if customer else ""
        count = service.decide(
            g.account, choice_id, customer, current_user.shown_name, remember="remember" in request.form
        )
    also = f" {count - 1} more of this address went the same way." if count > 1 else ""
    flash(f"{f'Filed with {name}.' if name else 'Not filed with anybody.'}{also}", "done")
    return go_to(url_for(".choices"))


@pages.get("/choices/<int:choice_id>/other")
@allow(OFFICE)
def other_customer(choice_id: int) -> str:
    """Any other customer, found by name."""
    choice = service.get(g.account.id, choice_id)
    text = request.args.get("q", "")
    context = {
        "title": "Whose is it?",
        "lead": f"“{choice.message.subject or 'No subject'}”, from {choice.message.sender_address or 'nobody'}",
        "address": url_for(".decide", choice_id=choice.id),
        "search_address": url_for(".other_customer", choice_id=choice.id),
        "back": url_for(".choices"),
        "deed": "File it",
        "text": text,
        "candidates": picking.candidates(g.account, text),
    }
    if asks_for_partial() and "q" in request.args:
        return render_template("mail_monitor/_candidates.html", **context)
    return page_or_partial("mail_monitor/pick.html", "mail_monitor/_pick.html", **context)
