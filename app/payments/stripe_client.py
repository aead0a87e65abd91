"""Speaks to Stripe and answers in our words. Card numbers never come by: cards are typed on Stripe's own page."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import stripe
from requests.adapters import BaseAdapter

from app import clock
from app.effects import Intent
from app.errors import Capped, NotSent, OutcomeUnknown, Refused, SignInNeeded
from app.http import Door
from app.money import Money
from app.payments.provider import Asked, CardFacts, Checked, HostedPage, Outcome, Returned, Verdict

API = "https://api.stripe.com"
MARK = "spheremail"  # our key in Stripe's metadata
WAIT_WHEN_THROTTLED = timedelta(seconds=30)
CLOCKS_DIFFER = timedelta(minutes=5)
AUTHENTICATION = "authentication_required"
# https://docs.stripe.com/declines/codes
DECLINES = {
    "insufficient_funds": "there is not enough money on it",
    "expired_card": "it has expired",
    "lost_card": "it is reported lost",
    "stolen_card": "it is reported stolen",
    "incorrect_cvc": "its security code is wrong",
    "do_not_honor": "the bank gives no reason",
    "generic_decline": "the bank gives no reason",
    "card_not_supported": "it does not take this kind of payment",
    "currency_not_supported": "it does not pay in this currency",
    "processing_error": "the bank could not work on it",
    "payment_intent_authentication_failure": "the confirmation failed",
}

stripe.enable_telemetry = False


class _Wire(stripe.HTTPClient):
    """Lets the official library send through our own door out: its limits, and never inside a transaction."""

    name = "door"

    def __init__(self, base: str, adapter: BaseAdapter | None) -> None:
        super().__init__()
        self._base = base
        self._door = Door(base, adapter, service="stripe")

    def request(
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None, **_: Any
    ) -> tuple[str, int, Mapping[str, str]]:
        path = url.removeprefix(self._base)
        answer = self._door.send(method.upper(), path, headers=dict(headers or {}), data=post_data)
        return answer.body.decode("utf-8", "replace"), answer.status, answer.headers

    def close(self) -> None:
        pass


class StripeClient:
    """One account's access. Every method may raise the errors named `Outside`; see `Provider`."""

    def __init__(self, secret_key: str, base: str = API, adapter: BaseAdapter | None = None) -> None:
        self._key = secret_key
        self._stripe = stripe.StripeClient(
            secret_key,
            base_addresses={"api": base},
            http_client=_Wire(base, adapter),
            max_network_retries=0,  # what is repeated, and when, is decided by the driver of effects
        ).v1

    def check(self) -> Checked:
        """Ask for things that do not exist: the answer "no such thing" proves the right to ask for it.

        https://docs.stripe.com/keys#limit-access
        """
        nobody = f"{MARK}_none"
        with _reading():
            self._stripe.customers.list({"limit": 1})
        for write in (
            lambda: self._stripe.customers.update(f"cus_{nobody}", {}),
            lambda: self._stripe.payment_intents.cancel(f"pi_{nobody}"),
            lambda: self._stripe.payment_methods.detach(f"pm_{nobody}"),
            lambda: self._stripe.setup_intents.cancel(f"seti_{nobody}"),
            lambda: self._stripe.checkout.sessions.expire(f"cs_{nobody}"),
            lambda: self._stripe.refunds.update(f"re_{nobody}", {}),
        ):
            try:
                with _reading():
                    write()
            except Refused:
                continue
        return Checked(self._account(), "_live_" in self._key, self._key.startswith("rk_"))

    def _account(self) -> str:
        """Whose key it is; a restricted key often may not ask."""
        try:
            with _reading():
                return self._stripe.accounts.retrieve_current().id
        except (Refused, SignInNeeded):
            return ""

    def add_payer(self, intent: Intent, key: str, name: str, email: str) -> str:
        """https://docs.stripe.com/api/customers/create."""
        with _writing():
            made = self._stripe.customers.create(
                {"name": name, "email": email, "metadata": {MARK: key}}, {"idempotency_key": key}
            )
        return made.id

    def find_payer(self, key: str, email: str) -> str | None:
        """https://docs.stripe.com/api/customers/list."""
        with _reading():
            found = self._stripe.customers.list({"email": email, "limit": 100})
            return next((one.id for one in found.data if _marked(one.to_dict(), key)), None)

    def card_page(self, key: str, payer: str, return_url: str) -> HostedPage:
        """https://docs.stripe.com/payments/save-and-reuse?platform=web&ui=stripe-hosted."""
        with _writing():
            session = self._stripe.checkout.sessions.create(
                {
                    "mode": "setup",
                    "customer": payer,
                    "allowed_payment_method_types": ["card"],
                    "success_url": return_url,
                    "cancel_url": return_url,
                    "client_reference_id": key,
                },
                {"idempotency_key": key},
            )
        if not session.url:
            raise Refused("Stripe gave no address for its page.", code="no_page")
        return HostedPage(session.id, session.url)

    def card_from(self, page_ref: str) -> CardFacts | None:
        """https://docs.stripe.com/api/checkout/sessions/retrieve."""
        with _reading():
            session = self._stripe.checkout.sessions.retrieve(page_ref, {"expand": ["setup_intent.payment_method"]})
        entered: Any = session.to_dict().get("setup_intent")
        if not isinstance(entered, dict) or entered["status"] != "succeeded":
            return None
        return _card(entered["payment_method"])

    def forget_card(self, intent: Intent, card: str) -> None:
        """https://docs.stripe.com/api/payment_methods/detach."""
        try:
            with _writing():
                self._stripe.payment_methods.detach(card)
        except Refused as error:
            if error.details.get("status") not in {400, 404}:  # gone already, or belongs to nobody any more
                raise

    def charge(self, intent: Intent, asked: Asked) -> Outcome:
        """https://docs.stripe.com/payments/save-and-reuse#charge-saved-payment-method."""
        try:
            with _writing():
                made = self._stripe.payment_intents.create(
                    {
                        "amount": asked.amount.minor,
                        "currency": asked.amount.currency.lower(),
                        "customer": asked.payer,
                        "payment_method": asked.card,
                        "allowed_payment_method_types": ["card"],
                        "off_session": True,
                        "confirm": True,
                        "description": asked.description,
                        "metadata": {MARK: asked.key, "invoice": asked.reference},
                    },
                    {"idempotency_key": asked.key},
                )
        except stripe.CardError as error:
            return _declined(error)
        return _outcome(made.to_dict())

    def find_charge(self, asked: Asked, since: datetime) -> Outcome | None:
        """https://docs.stripe.com/api/payment_intents/list; unlike a search it knows what was just made."""
        made_since = int((since - CLOCKS_DIFFER).timestamp())
        with _reading():
            found = self._stripe.payment_intents.list(
                {"customer": asked.payer, "created": {"gte": made_since}, "limit": 100}
            )
            for one in found.auto_paging_iter():
                if _marked(one.to_dict(), asked.key):
                    return _outcome(one.to_dict())
        return None

    def read_charge(self, ref: str) -> Outcome:
        """https://docs.stripe.com/api/payment_intents/retrieve."""
        with _reading():
            payment = self._stripe.payment_intents.retrieve(ref).to_dict()
        return _outcome(payment)

    def confirm(self, intent: Intent, ref: str, card: str, return_url: str) -> Outcome:
        """https://docs.stripe.com/payments/3d-secure/authentication-flow#return-url."""
        now = self.read_charge(ref)
        if now.verdict != Verdict.CONFIRM or now.url:
            return now
        try:
            with _writing():
                begun = self._stripe.payment_intents.confirm(ref, {"payment_method": card, "return_url": return_url})
        except stripe.CardError as error:
            return _declined(error)
        return _outcome(begun.to_dict())

    def cancel(self, intent: Intent, ref: str) -> Outcome:
        """https://docs.stripe.com/api/payment_intents/cancel; what is paid meanwhile stays paid."""
        try:
            with _writing():
                return _outcome(self._stripe.payment_intents.cancel(ref).to_dict())
        except Refused:
            now = self.read_charge(ref)
            if now.verdict in {Verdict.PAID, Verdict.CANCELLED}:
                return now
            raise

    def refund(self, intent: Intent, key: str, ref: str, amount: Money) -> Returned:
        """https://docs.stripe.com/api/refunds/create."""
        with _writing():
            made = self._stripe.refunds.create(
                {"payment_intent": ref, "amount": amount.minor, "metadata": {MARK: key}}, {"idempotency_key": key}
            )
        return _returned(made.to_dict())

    def refunds_of(self, ref: str) -> list[Returned]:
        """https://docs.stripe.com/api/refunds/list."""
        with _reading():
            found = self._stripe.refunds.list({"payment_intent": ref, "limit": 100})
            return [_returned(one.to_dict()) for one in found.auto_paging_iter()]


def signed_event(body: bytes, signature: str, secret: str) -> dict[str, Any] | None:
    """What Stripe says in a webhook; None when the signature is not theirs or older than five minutes.

    https://docs.stripe.com/webhooks#verify-official-libraries
    """
    try:
        stripe.WebhookSignature.verify_header(body.decode(), signature, secret, tolerance=300)
    except (stripe.SignatureVerificationError, UnicodeDecodeError):
        return None
    import json  # only a signed body is read at all

    try:
        event = json.loads(body)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def _marked(thing: Mapping[str, Any], key: str) -> bool:
    return (thing.get("metadata") or {}).get(MARK) == key


def _card(method: Mapping[str, Any]) -> CardFacts:
    card = method["card"]
    brand = str(card.get("brand") or "card").replace("_", " ")
    brand = {"amex": "American Express", "mastercard": "Mastercard", "jcb": "JCB"}.get(brand, brand.title())
    return CardFacts(method["id"], brand[:30], str(card["last4"]), int(card["exp_month"]), int(card["exp_year"]))


def _outcome(payment: Mapping[str, Any]) -> Outcome:
    """https://docs.stripe.com/payments/paymentintents/lifecycle."""
    error, ref, status = payment.get("last_payment_error") or {}, str(payment["id"]), payment["status"]
    code = str(error.get("decline_code") or error.get("code") or "")
    if status == "succeeded":
        return Outcome(Verdict.PAID, ref)
    if status == "canceled":
        return Outcome(Verdict.CANCELLED, ref)
    if status == "requires_action":
        action: Any = payment.get("next_action") or {}
        return Outcome(Verdict.CONFIRM, ref, url=(action.get("redirect_to_url") or {}).get("url") or "")
    if status == "requires_payment_method":
        if AUTHENTICATION in {code, error.get("code")}:
            return Outcome(Verdict.CONFIRM, ref, AUTHENTICATION)
        return Outcome(Verdict.FAILED, ref, code[:60], _reason(code))
    raise OutcomeUnknown("Stripe is still working on the payment.", status=status)


def _declined(error: stripe.CardError) -> Outcome:
    body: Any = (error.json_body or {}).get("error", {}) if isinstance(error.json_body, dict) else {}
    ref = str((body.get("payment_intent") or {}).get("id") or "")
    code = str(body.get("decline_code") or error.code or "")
    if AUTHENTICATION in {code, error.code}:
        return Outcome(Verdict.CONFIRM, ref, AUTHENTICATION)
    return Outcome(Verdict.FAILED, ref, code[:60], _reason(code))


def _reason(code: str) -> str:
    why = DECLINES.get(code)
    return f"The bank declined the card: {why}." if why else f"The bank declined the card ({code or 'no reason'})."


def _returned(refund: Mapping[str, Any]) -> Returned:
    failed = refund["status"] in {"failed", "canceled"}
    return Returned(
        refund["id"],
        int(refund["amount"]),
        failed=failed,
        reason="The card's bank did not take it back." if failed else "",
        key=str((refund.get("metadata") or {}).get(MARK) or ""),
    )


@contextmanager
def _reading() -> Iterator[None]:
    """A read whose answer is lost was not made."""
    try:
        with _writing():
            yield
    except OutcomeUnknown as error:
        raise NotSent("Stripe does not answer.", **error.details) from error
    except stripe.CardError as error:
        raise NotSent("Stripe gave an answer that cannot be read.", cause=str(error)) from error


@contextmanager
def _writing() -> Iterator[None]:
    """Stripe's errors in our words; a declined card is an answer and passes through.

    https://docs.stripe.com/api/errors
    """
    try:
        yield
    except stripe.CardError:
        raise
    except stripe.AuthenticationError as error:
        raise SignInNeeded("Stripe does not take this key any more.", code="key", cause=str(error)) from error
    except stripe.PermissionError as error:
        raise SignInNeeded(
            "The key lacks a right. It needs to write customers, payment intents, payment methods, setup intents, "
            "checkout sessions and refunds.",
            code="right",
            cause=str(error),
        ) from error
    except stripe.RateLimitError as error:
        raise Capped("Stripe asks us to wait.", clock.now() + WAIT_WHEN_THROTTLED, cause=str(error)) from error
    except stripe.InvalidRequestError as error:
        if error.http_status == 409:
            raise OutcomeUnknown("Stripe is still working on the first of these calls.", cause=str(error)) from error
        raise Refused(
            f"Stripe refused it: {error.user_message or error}"[:300],
            code=str(error.code or "invalid_request")[:40],
            status=error.http_status,
        ) from error
    except stripe.StripeError as error:
        # A broken answer, a fault on their side, two calls with one key at once: it may have been done.
        raise OutcomeUnknown("Stripe gave no answer that can be read.", cause=str(error)) from error
