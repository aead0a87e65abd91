"""Stripe: against localstripe where it can, against recorded answers for the hosted page and idempotency keys."""

import hashlib
import hmac
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import requests
import sqlalchemy as sa
from flask import Flask
from requests.adapters import BaseAdapter
from urllib3 import HTTPResponse

from app import clock
from app.billing.models import Customer, Invoice
from app.db import db, unit_of_work
from app.effects import Intent, Subject
from app.errors import Capped, Conflict, NotSent, OutcomeUnknown, Refused, SignInNeeded
from app.money import Money
from app.payments import cards, charging, gateways, refunds, standing
from app.payments.models import (
    CardEntry,
    Charge,
    ChargeState,
    CollectionState,
    Gateway,
    PaymentEvent,
    ProviderName,
    Refund,
    RefundState,
    SavedCard,
)
from app.payments.provider import Asked, CardFacts, Checked, HostedPage, Outcome, Verdict
from app.payments.stripe_client import StripeClient
from tests import make
from tests.app.payments.conftest import charge_now, charges_of, collection_of
from tests.cast import Cast
from tests.services import eventually, free_port
from tests.visitors import HeardBell, Visitor

KEY, SECRET = "sk_test_12345", "whsec_made_up"
INTENT = Intent(Subject(1, "payments.charge", 1), "pay", clock.now())
ASKED = Asked("tag:7:1", Money(1230, "EUR"), "cus_1", "pm_1", "Acme: invoice A-7", "A-7")


class Stripe:
    """localstripe, asked as a person with the key would."""

    def __init__(self, base: str) -> None:
        self.base = base

    def post(self, path: str, **form: str) -> Any:
        answer = requests.post(f"{self.base}/v1/{path}", data=form, auth=(KEY, ""), timeout=10)
        answer.raise_for_status()
        return answer.json()

    def get(self, path: str) -> Any:
        return requests.get(f"{self.base}/v1/{path}", auth=(KEY, ""), timeout=10).json()

    def card(self, number: str, payer: str) -> CardFacts:
        """A test card, attached to a customer through the API."""
        form = {"card[number]": number, "card[exp_month]": "12", "card[exp_year]": "2030", "card[cvc]": "123"}
        method = self.post("payment_methods", type="card", **form)
        self.post(f"payment_methods/{method['id']}/attach", customer=payer)
        return CardFacts(method["id"], "Visa", number[-4:], 12, 2030)

    @property
    def taken(self) -> list[int]:
        """Every amount that was really taken."""
        return [one["amount"] for one in self.get("charges?limit=100")["data"] if one["status"] == "succeeded"]


@pytest.fixture(scope="module")
def program() -> Iterator[str]:
    port = free_port()
    command = [sys.executable, str(Path(__file__).with_name("local_stripe.py")), str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            base = f"http://127.0.0.1:{port}"
            eventually(lambda: _answers(base), "localstripe answers", 20)
            yield base
        finally:
            process.kill()


def _answers(base: str) -> bool:
    try:
        return requests.get(f"{base}/v1/customers", auth=(KEY, ""), timeout=2).ok
    except requests.ConnectionError:
        return False


@pytest.fixture
def stripe(program: str, app: Flask, monkeypatch: pytest.MonkeyPatch) -> Stripe:
    requests.delete(f"{program}/_config/data", timeout=10)
    settings = app.config["SETTINGS"].model_copy(update={"stripe_url": program})
    monkeypatch.setitem(app.config, "SETTINGS", settings)
    return Stripe(program)


@pytest.fixture
def connected(stripe: Stripe, cast: Cast) -> Gateway:
    with unit_of_work():
        gateway = gateways.connect(cast.acme, ProviderName.STRIPE, KEY, Checked("", False, False))
        gateways.set_webhook_secret(gateway, SECRET)
        return gateway


@pytest.fixture
def customer(cast: Cast) -> Customer:
    return make.customer(cast.acme, email="tamsin@quill.example")


@pytest.fixture
def with_card(
    connected: Gateway, customer: Customer, stripe: Stripe, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., SavedCard]:
    """`with_card("4242424242424242")`: that card, typed on a hosted page that localstripe does not have."""
    left: dict[str, str] = {}

    def card_page(self: StripeClient, key: str, payer: str, return_url: str) -> Any:
        left["payer"] = payer
        return HostedPage("cs_1", "https://checkout.stripe.example/cs_1")

    monkeypatch.setattr(StripeClient, "card_page", card_page)

    def leave(number: str = "4242424242424242") -> SavedCard:
        db.session.rollback()
        cards.start_card_entry(customer.id, "/back")
        facts = stripe.card(number, left["payer"])
        monkeypatch.setattr(StripeClient, "card_from", lambda self, ref: facts)
        entry = db.session.scalar(sa.select(sa.func.max(CardEntry.id)))
        assert entry is not None
        card = cards.finish_card_entry(entry)
        assert card is not None
        return card

    return leave


class TestAgainstLocalstripe:
    def test_the_customer_is_made_known_once_and_the_card_charged(
        self, with_card: Callable[..., SavedCard], stripe: Stripe, customer: Customer, bell: HeardBell
    ) -> None:
        with_card()
        with_card()
        invoice = make.invoice(customer, number="A-7")
        charge_now(invoice)
        bell.answer()

        db.session.rollback()
        assert (invoice.status, invoice.paid_how) == ("paid", "Card")
        assert stripe.taken == [1230]
        assert [one["email"] for one in stripe.get("customers")["data"]] == ["tamsin@quill.example"]
        (payment,) = stripe.get("payment_intents")["data"]
        assert payment["metadata"]["invoice"] == "A-7"
        assert payment["metadata"]["spheremail"] == charges_of(invoice)[0].key

    def test_a_declined_card_is_an_answer_and_frees_the_invoice(
        self, with_card: Callable[..., SavedCard], stripe: Stripe, customer: Customer, bell: HeardBell
    ) -> None:
        with_card("4000000000000341")
        invoice = make.invoice(customer)
        charge_now(invoice)
        bell.answer()

        (charge,) = charges_of(invoice)
        assert (charge.state, charge.code) == (ChargeState.FAILED, "card_declined")
        assert invoice.collector is None
        assert collection_of(invoice).state == CollectionState.WAITING
        assert stripe.taken == []

    def test_a_lost_answer_is_looked_up_and_nothing_is_charged_twice(
        self,
        with_card: Callable[..., SavedCard],
        stripe: Stripe,
        customer: Customer,
        bell: HeardBell,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        with_card()
        invoice = make.invoice(customer)
        charge = StripeClient.charge

        def charge_and_lose(self: StripeClient, intent: Intent, asked: Asked) -> Outcome:
            charge(self, intent, asked)
            raise OutcomeUnknown("No whole answer came back.")

        monkeypatch.setattr(StripeClient, "charge", charge_and_lose)
        charge_now(invoice)
        bell.answer()
        db.session.rollback()
        assert (invoice.status, invoice.collector) == ("pending", "gateway")
        assert charges_of(invoice)[0].is_unknown

        run_again(invoice, bell)

        assert invoice.status == "paid"
        assert stripe.taken == [1230]

    def test_money_goes_back_in_part_and_never_more_than_came(
        self,
        with_card: Callable[..., SavedCard],
        stripe: Stripe,
        customer: Customer,
        cast: Cast,
        bell: HeardBell,
        sign_in: Callable[..., Visitor],
    ) -> None:
        with_card()
        invoice = make.invoice(customer)
        charge_now(invoice)
        bell.answer()
        ben, address = sign_in(cast.ben), f"/acme/invoices/{invoice.id}/refund"

        assert ben.post(address, data={"amount": "2.30"}).status_code == 303
        bell.answer()
        too_much = ben.post(address, data={"amount": "10.01"})

        assert too_much.status_code == 422
        assert "€10.00 can be given back" in too_much.text
        assert [one["amount"] for one in stripe.get("refunds")["data"]] == [230]
        assert "€2.30 went back today" in ben.get(f"/acme/invoices/{invoice.id}").text
        (charge,) = charges_of(invoice)
        assert [(one.state, one.amount_minor) for one in charge.refunds] == [(RefundState.DONE, 230)]

    def test_a_lost_answer_of_a_refund_is_looked_up(
        self,
        with_card: Callable[..., SavedCard],
        stripe: Stripe,
        customer: Customer,
        bell: HeardBell,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        with_card()
        invoice = make.invoice(customer)
        charge_now(invoice)
        bell.answer()
        refund = StripeClient.refund

        def refund_and_lose(self: StripeClient, *said: Any) -> Any:
            refund(self, *said)
            raise OutcomeUnknown("No whole answer came back.")

        monkeypatch.setattr(StripeClient, "refund", refund_and_lose)
        charge_id = charges_of(invoice)[0].id
        with unit_of_work():
            refund_id = refunds.ask(refunds.locked_charge(charge_id), Money(500, "EUR"), "").id
        bell.answer()
        assert db.session.get_one(Refund, refund_id).is_unknown
        db.session.rollback()
        refunds.work_on(refund_id)

        assert db.session.get_one(Refund, refund_id).state == RefundState.DONE
        assert [one["amount"] for one in stripe.get("refunds")["data"]] == [500]

    def test_a_removed_card_is_forgotten_there_too(
        self, with_card: Callable[..., SavedCard], stripe: Stripe, customer: Customer, bell: HeardBell
    ) -> None:
        card = with_card()
        with unit_of_work():
            cards.remove_card(db.session.get_one(SavedCard, card.id))
        bell.answer()

        db.session.rollback()
        assert not cards.has_billing_info(customer)
        assert stripe.get(f"payment_methods/{card.ref}")["customer"] is None


def run_again(invoice: Invoice, bell: HeardBell) -> None:
    """The next ring for a collection comes."""
    collection_id = collection_of(invoice).id
    db.session.rollback()
    charging.work_on(collection_id)
    bell.answer()
    db.session.rollback()


class TestWebhooks:
    def sent(self, gateway: Gateway, client: Visitor, event: Any, secret: str = SECRET, age_s: int = 0) -> int:
        body, at = json.dumps(event).encode(), int(time.time()) - age_s
        sign = hmac.new(secret.encode(), b"%d." % at + body, hashlib.sha256).hexdigest()
        answer = client.post(
            f"/webhooks/payments/{gateway.webhook_key}",
            data=body,
            csrf=False,
            headers={"Stripe-Signature": f"t={at},v1={sign}"},
        )
        return answer.status_code

    def event(self, kind: str, **thing: Any) -> dict[str, Any]:
        return {"id": "evt_1", "type": kind, "data": {"object": thing}}

    def test_it_is_believed_only_with_a_fresh_signature_of_ours(self, connected: Gateway, client: Visitor) -> None:
        event = self.event("payment_intent.succeeded", id="pi_1")

        assert self.sent(connected, client, event, secret="whsec_other") == 401
        assert self.sent(connected, client, event, age_s=301) == 401
        assert client.post("/webhooks/payments/nobody", csrf=False, data=b"{}").status_code == 404
        large = client.post(f"/webhooks/payments/{connected.webhook_key}", csrf=False, data=b" " * 300_000)
        assert large.status_code == 413
        assert db.session.scalar(sa.select(sa.func.count()).select_from(PaymentEvent)) == 0
        assert self.sent(connected, client, event) == 204

    def test_the_same_one_twice_is_taken_once(self, connected: Gateway, client: Visitor) -> None:
        event = self.event("payment_intent.succeeded", id="pi_1")

        assert [self.sent(connected, client, event) for _ in range(2)] == [204, 204]
        assert db.session.scalar(sa.select(sa.func.count()).select_from(PaymentEvent)) == 1

    def test_what_it_claims_is_read_anew(
        self,
        with_card: Callable[..., SavedCard],
        connected: Gateway,
        stripe: Stripe,
        client: Visitor,
        customer: Customer,
        bell: HeardBell,
    ) -> None:
        """A signed "paid" for a charge that was declined changes nothing: over there it is not paid."""
        with_card("4000000000000341")
        invoice = make.invoice(customer)
        charge_now(invoice)
        bell.answer()
        (payment,) = stripe.get("payment_intents")["data"]
        with unit_of_work() as rows:  # Stripe says the payment's id with a refusal, localstripe does not
            charge = rows.scalars(sa.select(Charge).where(Charge.invoice_id == invoice.id)).one()
            charge.ref = ref = payment["id"]

        assert self.sent(connected, client, self.event("payment_intent.succeeded", id=ref)) == 204
        bell.answer()

        db.session.rollback()
        assert invoice.status == "pending"

    def test_a_refund_made_at_stripe_is_noted_here(
        self,
        with_card: Callable[..., SavedCard],
        connected: Gateway,
        stripe: Stripe,
        client: Visitor,
        customer: Customer,
        bell: HeardBell,
    ) -> None:
        with_card()
        invoice = make.invoice(customer)
        charge_now(invoice)
        bell.answer()
        ref = charges_of(invoice)[0].ref
        stripe.post("refunds", payment_intent=ref, amount="100")

        self.sent(connected, client, self.event("charge.refunded", id="ch_1", payment_intent=ref))
        bell.answer()

        db.session.rollback()
        assert standing.refundable(invoice) == Money(1130, "EUR")


class Recorded(BaseAdapter):
    """Answers from a list, and keeps what was asked."""

    def __init__(self, *answers: tuple[int, Any] | Exception) -> None:
        super().__init__()
        self.answers, self.asked = list(answers), list[requests.PreparedRequest]()

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        response = requests.Response()
        response.status_code, body = answer
        response.raw = HTTPResponse(BytesIO(json.dumps(body).encode()), preload_content=False)
        return response

    def close(self) -> None:
        pass

    def form(self, number: int = 0) -> dict[str, list[str]]:
        body = self.asked[number].body
        return parse_qs(body.decode() if isinstance(body, bytes) else str(body))


def client_over(wire: Recorded) -> StripeClient:
    return StripeClient("rk_test_abc", "https://stripe.example", wire)


def refusal(status: int, code: str = "", kind: str = "invalid_request_error") -> tuple[int, Any]:
    return status, {"error": {"type": kind, "code": code, "message": "No."}}


PAID = {"id": "pi_1", "object": "payment_intent", "status": "succeeded", "metadata": {}}


class TestWhatIsSaid:
    def test_the_hosted_page_takes_cards_only_and_comes_back_to_us(self) -> None:
        wire = Recorded((200, {"id": "cs_1", "object": "checkout.session", "url": "https://checkout.example/1"}))

        page = client_over(wire).card_page("key-1", "cus_1", "https://ours.example/back")

        assert (page.ref, page.url) == ("cs_1", "https://checkout.example/1")
        assert wire.asked[0].headers["Idempotency-Key"] == "key-1"
        form = wire.form()
        assert (form["mode"], form["customer"]) == (["setup"], ["cus_1"])
        assert form["success_url"] == form["cancel_url"] == ["https://ours.example/back"]
        assert form["allowed_payment_method_types[0]"] == ["card"]

    def test_the_card_is_read_from_the_finished_page(self) -> None:
        card = {"brand": "visa", "last4": "4242", "exp_month": 7, "exp_year": 2031}
        entered = {"id": "seti_1", "status": "succeeded", "payment_method": {"id": "pm_1", "card": card}}
        wire = Recorded((200, {"id": "cs_1", "object": "checkout.session", "setup_intent": entered}))

        assert client_over(wire).card_from("cs_1") == CardFacts("pm_1", "Visa", "4242", 7, 2031)

    def test_a_page_that_was_left_has_no_card(self) -> None:
        wire = Recorded((200, {"id": "cs_1", "object": "checkout.session", "setup_intent": None}))

        assert client_over(wire).card_from("cs_1") is None

    def test_a_charge_carries_the_key_of_its_attempt_every_time(self) -> None:
        wire = Recorded((200, PAID))

        for _ in range(2):
            assert client_over(wire).charge(INTENT, ASKED).verdict == Verdict.PAID

        assert {one.headers["Idempotency-Key"] for one in wire.asked} == {"tag:7:1"}
        form = wire.form()
        assert (form["off_session"], form["confirm"], form["amount"], form["currency"]) == (
            ["true"],
            ["true"],
            ["1230"],
            ["eur"],
        )

    def test_a_bank_that_wants_a_confirmation_is_no_refusal(self) -> None:
        error = {"type": "card_error", "code": "authentication_required", "payment_intent": {"id": "pi_9"}}
        wire = Recorded((402, {"error": error}))

        outcome = client_over(wire).charge(INTENT, ASKED)

        assert (outcome.verdict, outcome.ref) == (Verdict.CONFIRM, "pi_9")

    def test_confirming_leads_to_the_page_of_the_bank(self) -> None:
        waiting = {
            **PAID,
            "status": "requires_payment_method",
            "last_payment_error": {"code": "authentication_required"},
        }
        action = {"type": "redirect_to_url", "redirect_to_url": {"url": "https://bank.example/3ds"}}
        wire = Recorded((200, waiting), (200, {**PAID, "status": "requires_action", "next_action": action}))

        outcome = client_over(wire).confirm(INTENT, "pi_1", "pm_1", "https://ours.example/back")

        assert (outcome.verdict, outcome.url) == (Verdict.CONFIRM, "https://bank.example/3ds")

    @pytest.mark.parametrize(
        ("answer", "error"),
        [
            (refusal(401), SignInNeeded),
            (refusal(403), SignInNeeded),
            (refusal(429, "rate_limit"), Capped),
            (refusal(400, "amount_too_small"), Refused),
            (refusal(409, "idempotency_key_in_use", "idempotency_error"), OutcomeUnknown),
            (refusal(500, kind="api_error"), OutcomeUnknown),
            ((200, {**PAID, "status": "processing"}), OutcomeUnknown),
            (requests.ReadTimeout("lost"), OutcomeUnknown),
            (requests.ConnectTimeout("nobody there"), NotSent),
        ],
    )
    def test_each_trouble_says_what_to_do_next(self, answer: Any, error: type[Exception]) -> None:
        with pytest.raises(error):
            client_over(Recorded(answer)).charge(INTENT, ASKED)

    def test_a_key_is_tried_without_making_anything(self) -> None:
        listed = {"object": "list", "data": [], "has_more": False, "url": "/v1/customers"}
        wire = Recorded((200, listed), refusal(404, "resource_missing"))

        found = client_over(wire).check()

        assert (found.is_restricted, found.is_live) == (True, False)
        posts = [one.url for one in wire.asked if one.method == "POST"]
        assert all("spheremail_none" in str(url) for url in posts)
        assert len(posts) == 6

    def test_a_key_without_a_right_is_refused(self) -> None:
        listed = {"object": "list", "data": [], "has_more": False, "url": "/v1/customers"}
        wire = Recorded((200, listed), refusal(403))

        with pytest.raises(SignInNeeded, match="lacks a right"):
            client_over(wire).check()


class TestSettings:
    @pytest.fixture
    def taken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def check(self: StripeClient) -> Checked:
            if "bad" in self._key:
                raise SignInNeeded("Stripe does not take this key any more.", code="key")
            return Checked("acct_1", "_live_" in self._key, self._key.startswith("rk_"))

        monkeypatch.setattr(StripeClient, "check", check)

    def test_a_key_is_tried_kept_sealed_and_never_shown(
        self, taken: None, cast: Cast, sign_in: Callable[..., Visitor]
    ) -> None:
        ana, address = sign_in(cast.ana), "/acme/settings/payments/stripe"

        assert ana.post(address, data={"secret_key": "rk_test_canary1234"}).status_code == 303

        gateway = gateways.gateway_of(cast.acme.id)
        assert gateway is not None
        assert "canary" not in str(gateway.secret_key)
        assert gateways.access_to(gateway).secret_key == "rk_test_canary1234"
        page = ana.get("/acme/settings/payments").text
        assert "canary" not in page
        assert "1234" in page
        assert gateway.webhook_key in page
        assert "plain secret key" not in page

    def test_a_plain_secret_key_is_remarked_on(self, taken: None, cast: Cast, sign_in: Callable[..., Visitor]) -> None:
        ana = sign_in(cast.ana)
        ana.post("/acme/settings/payments/stripe", data={"secret_key": "sk_live_canary1234"})

        assert "plain secret key" in ana.get("/acme/settings/payments").text

    @pytest.mark.parametrize(
        ("typed", "said"),
        [
            ("pk_test_1", "publishable key"),
            ("whsec_1", "webhook"),
            ("hello", "begins with"),
            ("", "begins with"),
            ("rk_test_bad", "does not know this key"),
        ],
    )
    def test_what_is_no_good_key_changes_nothing(
        self, taken: None, cast: Cast, sign_in: Callable[..., Visitor], typed: str, said: str
    ) -> None:
        answer = sign_in(cast.ana).post("/acme/settings/payments/stripe", data={"secret_key": typed})

        assert answer.status_code == 422
        assert said in answer.text
        assert gateways.gateway_of(cast.acme.id) is None

    def test_another_stripe_account_begins_without_the_old_cards(
        self, with_card: Callable[..., SavedCard], cast: Cast, customer: Customer
    ) -> None:
        with_card()
        with unit_of_work():
            gateways.connect(cast.acme, ProviderName.STRIPE, "rk_live_2", Checked("acct_2", True, True))

        assert not cards.has_billing_info(customer)

    def test_a_gateway_with_a_charge_on_the_way_is_not_let_go(
        self,
        with_card: Callable[..., SavedCard],
        customer: Customer,
        cast: Cast,
        monkeypatch: pytest.MonkeyPatch,
        bell: HeardBell,
    ) -> None:
        with_card()
        invoice = make.invoice(customer)

        def lose(self: StripeClient, intent: Intent, asked: Asked) -> Outcome:
            raise OutcomeUnknown("No whole answer came back.")

        monkeypatch.setattr(StripeClient, "charge", lose)
        charge_now(invoice)
        bell.answer()

        with pytest.raises(Conflict, match="still on the way"), unit_of_work():
            gateways.end(gateways.needed(cast.acme.id))

    def test_a_key_that_is_refused_while_charging_stops_all_and_frees_the_invoice(
        self,
        with_card: Callable[..., SavedCard],
        customer: Customer,
        cast: Cast,
        monkeypatch: pytest.MonkeyPatch,
        bell: HeardBell,
        sign_in: Callable[..., Visitor],
    ) -> None:
        with_card()
        invoice = make.invoice(customer)

        def refuse(self: StripeClient, intent: Intent, asked: Asked) -> Outcome:
            raise SignInNeeded("Stripe does not take this key any more.", code="key")

        monkeypatch.setattr(StripeClient, "charge", refuse)
        charge_now(invoice)
        bell.answer()

        db.session.rollback()
        assert (invoice.collector, charges_of(invoice)) == (None, [])
        assert "does not take this key" in sign_in(cast.ana).get("/acme/settings/payments").text
        assert "does not take this key" in sign_in(cast.ben).get(f"/acme/invoices/{invoice.id}").text
