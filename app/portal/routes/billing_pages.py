"""A customer's billing info: the plan, the cards, and adding one on the gateway's own page."""

from flask import flash, g, render_template, request, url_for
from werkzeug import Response

from app.access import CUSTOMERS, allow
from app.billing import collecting, customers, deciding, subscriptions
from app.db import end_reading, unit_of_work
from app.errors import AppError
from app.htmx import go_to, leave_to, page_or_partial
from app.payments import cards, gateways
from app.portal import signing_up
from app.portal.routes.blueprint import pages


@pages.get("/portal/<account_slug>/billing")
@allow(CUSTOMERS)
def billing() -> str:
    return render_template(
        "portal/billing.html",
        subscription=subscriptions.of(g.customer),
        biller=collecting.taken_over_by(g.customer),
        undecided=deciding.is_open(g.customer),
        gateway=gateways.gateway_of(g.account.id),
        cards=cards.cards_of(g.customer),
    )


@pages.post("/portal/<account_slug>/billing/cards")
@allow(CUSTOMERS)
def add_card() -> Response:
    """On to the gateway's page; no card number ever comes to us."""
    customer_id, back, here = g.customer.id, url_for(".card_added"), url_for(".billing")
    end_reading()
    try:
        return leave_to(cards.start_card_entry(customer_id, back))
    except AppError as error:
        flash(error.sentence, "failed")
        return go_to(here)


@pages.get("/portal/<account_slug>/billing/added")
@allow(CUSTOMERS)
def card_added() -> Response:
    """Back from the gateway: a sign-up that waited for the card begins now. Nothing happens to anybody else."""
    if signing_up.of(g.customer) is not None and cards.has_billing_info(g.customer):
        with unit_of_work():
            if signing_up.go_on(customers.locked(g.account, g.customer.id)):
                flash("Welcome. Your mailbox is yours from now on.", "done")
    return go_to(url_for(".billing"))


@pages.post("/portal/<account_slug>/billing/cards/<int:card_id>/default")
@allow(CUSTOMERS)
def default_card(card_id: int) -> Response:
    with unit_of_work():
        card = cards.get(g.customer, card_id)
        cards.make_default(card)
        sentence = f"{card.name} pays from now on."
    flash(sentence, "done")
    return go_to(url_for(".billing"))


@pages.route("/portal/<account_slug>/billing/cards/<int:card_id>/remove", methods=["GET", "POST"])
@allow(CUSTOMERS)
def remove_card(card_id: int) -> str | Response:
    """Asked first: no card comes back."""
    if request.method == "GET":
        card = cards.get(g.customer, card_id)
        left = [one for one in cards.cards_of(g.customer) if one.id != card.id]
        return page_or_partial(
            "portal/remove_card.html", "portal/_remove_card.html", card=card, next_card=left[0] if left else None
        )
    with unit_of_work():
        card = cards.get(g.customer, card_id)
        cards.remove_card(card)
        sentence = f"{card.name} is removed."
    flash(sentence, "done")
    return go_to(url_for(".billing"))
