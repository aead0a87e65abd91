"""The pages around cards: from the link of a mail to a paid invoice, the customer's record, and who may what."""

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from flask import Flask

from app import clock
from app.accounts.models import User
from app.billing.models import Customer
from app.db import db, unit_of_work
from app.payments import cards, gateways, letters
from app.payments.models import Gateway, SavedCard
from tests import make
from tests.app.payments.conftest import charge_now, path_of
from tests.cast import Cast
from tests.visitors import HeardBell, Visitor

LeaveCard = Callable[..., SavedCard]
SignIn = Callable[..., Visitor]


@pytest.fixture
def customer(cast: Cast) -> Customer:
    return make.customer(cast.acme)


def leave_at(client: Visitor, leaving: Any, kind: str) -> str:
    """Choose a card on the test gateway's page that a form led to; answers where the browser is sent then."""
    page = path_of(leaving.text.split("url=")[1].split('"')[0])
    assert "Choose a test card" in client.get(page).text
    return path_of(client.post(page, data={"card": kind}).location)


def test_from_the_link_of_a_mail_to_a_paid_invoice(
    cast: Cast, gateway: Gateway, customer: Customer, client: Visitor, bell: HeardBell
) -> None:
    invoice = make.invoice(customer, number="A-7", due_on=date(2026, 1, 1))
    link = path_of(letters.card_link(cast.acme, customer))
    assert "Acme" in client.get(link).text

    back = leave_at(client, client.post(link), "good")
    question = client.get(back)
    asked = client.get(question.location)
    assert "A-7" in asked.text
    bell.answer()
    db.session.rollback()
    assert invoice.status == "pending", "nothing is charged unasked"
    client.post(question.location, data={"invoices": [invoice.id]})
    bell.answer()

    db.session.rollback()
    assert invoice.status == "paid"


def test_coming_back_twice_keeps_one_card(cast: Cast, gateway: Gateway, customer: Customer, client: Visitor) -> None:
    back = leave_at(client, client.post(path_of(letters.card_link(cast.acme, customer))), "good")

    for _ in range(2):
        assert client.get(back).status_code == 302

    assert len(cards.cards_of(customer)) == 1


def test_invoices_of_somebody_else_cannot_be_slipped_in(
    cast: Cast, gateway: Gateway, customer: Customer, client: Visitor, bell: HeardBell
) -> None:
    make.invoice(customer, due_on=date(2026, 1, 1))
    other = make.invoice(make.customer(cast.acme), due_on=date(2026, 1, 1))
    back = leave_at(client, client.post(path_of(letters.card_link(cast.acme, customer))), "good")

    refused = client.post(client.get(back).location, data={"invoices": [other.id]})

    assert refused.status_code == 422
    assert bell.answer() == 0


def test_a_card_of_another_customer_is_not_found(
    cast: Cast, customer: Customer, leave_card: LeaveCard, sign_in: SignIn
) -> None:
    card, other = leave_card(customer), make.customer(cast.acme)
    invoice = make.invoice(other)
    ben = sign_in(cast.ben)

    assert ben.post(f"/acme/customers/{other.id}/cards/{card.id}/remove").status_code == 404
    assert ben.post(f"/acme/customers/{other.id}/cards/{card.id}/default").status_code == 404
    assert ben.post(f"/acme/invoices/{invoice.id}/charge", data={"card": card.id}).status_code == 422
    assert cards.has_billing_info(customer)


def test_the_last_added_card_is_charged_until_another_is_chosen_and_removal_goes_back(
    cast: Cast, customer: Customer, leave_card: LeaveCard, sign_in: SignIn
) -> None:
    first, second = leave_card(customer), leave_card(customer, "mastercard")
    ben, record = sign_in(cast.ben), f"/acme/customers/{customer.id}"
    assert cards.default_card(customer.id) == second

    ben.post(f"{record}/cards/{first.id}/default")
    db.session.rollback()
    assert cards.default_card(customer.id) == first
    ben.post(f"{record}/cards/{first.id}/remove")
    db.session.rollback()

    assert [card.id for card in cards.cards_of(customer)] == [second.id]
    page = ben.get(f"{record}/details").text
    assert f'id="card-{second.id}"' in page
    assert f'id="card-{first.id}"' not in page


def test_a_customer_removes_a_card_only_after_a_question(
    customer: Customer, leave_card: LeaveCard, enter_portal: Callable[[Customer], Visitor]
) -> None:
    card, browser = leave_card(customer), enter_portal(customer)
    address = f"/portal/acme/billing/cards/{card.id}/remove"

    asked = browser.get(address, htmx=True).text
    db.session.rollback()
    assert "It is your only card" in asked
    assert cards.has_billing_info(customer)
    assert browser.post(address).location == "/portal/acme/billing"
    db.session.rollback()
    assert not cards.has_billing_info(customer)


def test_who_has_no_card_is_found_in_the_list(
    cast: Cast, customer: Customer, leave_card: LeaveCard, sign_in: SignIn
) -> None:
    leave_card(customer)
    without = make.customer(cast.acme, "Wanda Without")
    elsewhere = make.customer(cast.acme, "Else Where", billed_by="example")

    page = sign_in(cast.ben).get("/acme/customers?billing_info=none").text

    assert without.full_name in page
    assert customer.full_name not in page
    assert elsewhere.full_name not in page


@pytest.mark.parametrize("who", ["ben", "mia"])
def test_only_operators_see_and_change_the_gateway(cast: Cast, gateway: Gateway, sign_in: SignIn, who: str) -> None:
    visitor = sign_in(getattr(cast, who))

    assert visitor.get("/acme/settings/payments").status_code == 403
    assert visitor.post("/acme/settings/payments/disconnect").status_code == 403
    assert gateways.gateway_of(cast.acme.id) is not None


def test_disconnecting_says_what_becomes_of_what_and_does_it(
    cast: Cast, customer: Customer, leave_card: LeaveCard, sign_in: SignIn
) -> None:
    leave_card(customer)
    make.invoice(customer)
    ana = sign_in(cast.ana)

    asked = ana.get("/acme/settings/payments/disconnect").text
    assert "1 pending invoice" in asked
    assert "1 saved card" in asked
    ana.post("/acme/settings/payments/disconnect")

    db.session.rollback()
    assert gateways.gateway_of(cast.acme.id) is None
    assert not cards.has_billing_info(customer)


def test_production_has_no_test_gateway(
    app: Flask, cast: Cast, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    with unit_of_work() as session:
        session.get_one(User, cast.ana.id).second_factor_since = clock.now()  # Operators owe one there
    ana = sign_in(cast.ana)
    settings = app.config["SETTINGS"].model_copy(update={"env": "production"})
    monkeypatch.setitem(app.config, "SETTINGS", settings)

    assert "Test gateway" not in ana.get("/acme/settings/payments").text
    assert ana.post("/acme/settings/payments/test").status_code == 404
    assert ana.get("/portal/acme/test-gateway/cards/x").status_code == 404
    assert gateways.gateway_of(cast.acme.id) is None


def test_a_gateway_with_a_charge_on_its_way_says_so_before_it_is_let_go(
    cast: Cast, customer: Customer, leave_card: LeaveCard, bell: HeardBell, sign_in: SignIn
) -> None:
    ana, address, deed = sign_in(cast.ana), "/acme/settings/payments/disconnect", "Disconnect and forget the keys"
    leave_card(customer, "confirm")
    assert deed in ana.get(address).text
    charge_now(make.invoice(customer))
    bell.answer()

    page = ana.get(address).text

    assert "1 charge is still on the way, and only this connection can tell how it ends." in page
    assert deed not in page
    assert ana.post(address).status_code == 409
