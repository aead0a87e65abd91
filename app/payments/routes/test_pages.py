"""The test gateway's own pages: leaving a made-up card, and what its bank asks. No production has them."""

from flask import Response, current_app, render_template

from app import audit
from app.access import PUBLIC, allow
from app.db import end_reading, unit_of_work
from app.errors import NotFound
from app.htmx import go_to
from app.payments.forms import DecisionForm, TestCardForm
from app.payments.routes.blueprint import account_of_address, pages
from app.payments.test_gateway import CARDS, TestGateway

Answer = str | tuple[str, int] | Response


@pages.route("/portal/<account_slug>/test-gateway/cards/<ref>", methods=["GET", "POST"])
@allow(PUBLIC)
def test_card_page(ref: str) -> Answer:
    gateway = _gateway()
    back = gateway.return_url_of(ref)
    if back is None:
        raise NotFound
    form = TestCardForm()
    if not form.validate_on_submit():
        html = render_template("payments/test_card.html", form=form, cards=CARDS.values(), back=back)
        return (html, 422) if form.is_submitted() else html
    gateway.leave_card(ref, form.card.data)
    with unit_of_work():
        audit.record("test_card_left", actor="visitor", kind=form.card.data)
    return go_to(back)


@pages.route("/portal/<account_slug>/test-gateway/confirm/<ref>", methods=["GET", "POST"])
@allow(PUBLIC)
def test_bank_page(ref: str) -> Answer:
    gateway = _gateway()
    payment = gateway.waiting_payment(ref)
    if payment is None or not payment["return_url"]:
        raise NotFound
    form = DecisionForm()
    if not form.validate_on_submit():
        html = render_template("payments/test_bank.html", form=form, payment=payment)
        return (html, 422) if form.is_submitted() else html
    gateway.decide(ref, approved=form.decision.data == "approve")
    with unit_of_work():
        audit.record("test_bank_decided", actor="visitor", decision=form.decision.data)
    return go_to(payment["return_url"])


def _gateway() -> TestGateway:
    account_of_address()
    settings = current_app.config["SETTINGS"]
    if not settings.is_demo:
        raise NotFound
    end_reading()
    return TestGateway(settings.data_dir, "")
