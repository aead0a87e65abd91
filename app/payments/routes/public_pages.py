"""What customers see without signing in: coming back from the gateway, and the links in mails."""

from datetime import timedelta

from flask import flash, g, redirect, render_template, url_for
from werkzeug import Response

from app import audit, clock
from app.access import PUBLIC, allow
from app.accounts.models import Account
from app.addresses import public_url
from app.billing.models import Customer
from app.db import db, end_reading, unit_of_work
from app.errors import AppError, NotFound
from app.htmx import go_to, leave_to
from app.payments import asking, cards, charging, links, standing
from app.payments.forms import SureForm, WhichForm
from app.payments.models import CardEntry, Charge, ChargeState
from app.payments.routes.blueprint import account_of_address, pages

ASKED_FOR = timedelta(days=1)  # how long the address that a browser came back to answers the question
Answer = str | tuple[str, int] | Response


@pages.get("/portal/<account_slug>/cards/<key>/back")
@allow(PUBLIC)
def card_back(key: str) -> Response:
    """Back from the gateway's page: keep the card if there is one, ask about open invoices, go on."""
    entry = cards.entry_by_key(account_of_address(), key)
    entry_id, return_url = entry.id, entry.return_url
    had_one = entry.card_id is not None
    try:
        card = cards.finish_card_entry(entry_id)
    except AppError as error:
        flash(f"{error.sentence} The card appears here as soon as we hear of it.", "failed")
        return redirect(return_url)
    if card is None:
        flash("No card was added.", "failed")
        return redirect(return_url)
    if not had_one:
        flash(f"{card.name} is saved.", "done")
    entry = db.session.get_one(CardEntry, entry_id)
    if standing.waiting_for_a_word(entry.customer) and "/portal/" in return_url:
        return redirect(url_for(".which_open", key=key))
    return redirect(return_url)


@pages.route("/portal/<account_slug>/cards/<key>/open-invoices", methods=["GET", "POST"])
@allow(PUBLIC)
def which_open(key: str) -> Answer:
    """A new card pays no old invoice unasked: here the customer says which."""
    entry = cards.entry_by_key(account_of_address(), key)
    if entry.card is None or entry.card.removed_at is not None or entry.begun_at < clock.now() - ASKED_FOR:
        raise NotFound
    back, customer_id, customer = entry.return_url, entry.customer_id, entry.customer
    found = standing.waiting_for_a_word(customer)
    if not found:
        return go_to(back)
    form = WhichForm(found)
    if not form.validate_on_submit():
        html = render_template("payments/portal_which.html", found=found, card=entry.card, form=form, back=back)
        return (html, 422) if form.is_submitted() else html
    email = customer.email
    with unit_of_work():
        customer = standing.locked_customer(customer_id)
        count = asking.charge_chosen(customer, form.invoices.data or [], by=email)
    flash("Thank you. The payment is on its way." if count else "Nothing is charged now.", "done")
    return go_to(back)


@pages.route("/portal/<account_slug>/leave-card/<token>", methods=["GET", "POST"])
@allow(PUBLIC)
def leave_card(token: str) -> Answer:
    """The link of a mail: one button that leads to the gateway's page."""
    account = account_of_address()
    customer = _customer(account, links.opened(account, links.CARD, token))
    problem = ""
    if SureForm().validate_on_submit():
        customer_id, here = customer.id, url_for(".leave_card", token=token)
        end_reading()
        try:
            return leave_to(cards.start_card_entry(customer_id, here))
        except AppError as error:
            problem = error.sentence
            customer = _customer(account_of_address(), customer_id)
    html = render_template(
        "payments/leave_card.html",
        customer=customer,
        cards=cards.cards_of(customer),
        open=standing.waiting_for_a_word(customer),
        token=token,
        problem=problem,
    )
    return (html, 503) if problem else html


@pages.route("/portal/<account_slug>/confirm/<token>", methods=["GET", "POST"])
@allow(PUBLIC)
def confirm(token: str) -> Answer:
    """The link of a mail: the customer sees what is asked for, and goes on to the bank."""
    charge = _charge(token)
    if not SureForm().validate_on_submit():
        return _draw_charge(charge, token)
    charge_id, email, slug = charge.id, charge.invoice.customer.email, g.account.slug
    end_reading()
    try:
        url = charging.begin_confirmation(charge_id, public_url("payments.confirmed", account_slug=slug, token=token))
    except AppError as error:
        return _draw_charge(_charge(token), token, error.sentence), error.status
    with unit_of_work():
        audit.record("charge_confirmation_begun", db.session.get_one(Charge, charge_id), actor=email)
    return leave_to(url) if url else go_to(url_for(".confirm", token=token))


@pages.get("/portal/<account_slug>/confirm/<token>/back")
@allow(PUBLIC)
def confirmed(token: str) -> Response:
    """Back from the bank: look at once how it ended."""
    charge = _charge(token)
    collection_id, confirming = charge.collection_id, charge.state == ChargeState.CONFIRMING
    end_reading()
    if confirming:
        charging.work_on(collection_id)
    return redirect(url_for(".confirm", token=token))


def _draw_charge(charge: Charge, token: str, problem: str = "") -> str:
    return render_template("payments/confirm.html", charge=charge, token=token, problem=problem)


def _charge(token: str) -> Charge:
    account = account_of_address()
    charge = db.session.get(Charge, links.opened(account, links.CONFIRM, token), populate_existing=True)
    if charge is None or charge.account_id != account.id:
        raise NotFound
    return charge


def _customer(account: Account, customer_id: int) -> Customer:
    customer = db.session.get(Customer, customer_id)
    if customer is None or customer.account_id != account.id:
        raise NotFound
    return customer
