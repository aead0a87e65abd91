"""The public sign-up page of an account: visible plans, registration, and a mail to confirm the email."""

from itertools import groupby

from flask import g, request, url_for
from werkzeug import Response

from app import audit
from app.access import VISITORS, allow
from app.db import unit_of_work
from app.htmx import go_to
from app.portal import links, signing_up
from app.portal.forms import SignUpForm
from app.portal.models import Purpose
from app.portal.routes.blueprint import Answer, pages, take


@pages.route("/portal/<account_slug>/sign-up", methods=["GET", "POST"])
@allow(VISITORS)
def sign_up() -> Answer:
    """Everybody who fills it in gets the same answer; who is a customer already is told by mail."""
    found = signing_up.offers(g.account)
    words = [(word, f"{plan.title}, {plan.price(cycle)} {cycle.per}") for word, plan, cycle in found]
    currencies = {plan.currency for _, plan, _ in found}
    places = [(one.id, one.name) for one in g.account.locations if one.currency in currencies or not found]

    def deed(form: SignUpForm) -> Response:
        details = form.details(form.location_id.data, None)
        if not form.was_filled_by_a_program:
            signing_up.count(g.account, details.email, request.remote_addr or "")
            with unit_of_work():
                plan, cycle = signing_up.chosen(g.account, form.offer.data, form.location_id.data)
                customer = signing_up.register(g.account, details, plan, cycle)
                if customer is not None:
                    links.send(g.account, customer, Purpose.CONFIRMATION)
                else:
                    signing_up.tell_known(g.account, details.email)
                audit.record("signed_up", customer, account_id=g.account.id, actor=details.email[:254])
        return go_to(url_for(".look_in_your_mail", what=Purpose.CONFIRMATION.value))

    plans = [list(several) for _, several in groupby(found, key=lambda one: one[1].id)]
    first = {"offer": words[0][0]} if len(words) == 1 else {}
    return take(
        SignUpForm(places, words, data=first), deed, "portal/sign_up.html", "portal/_sign_up_form.html", plans=plans
    )
