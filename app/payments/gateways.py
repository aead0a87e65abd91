"""The account's gateway: connecting it, what it needs, letting it go. Changes rows, never commits."""

import secrets
from dataclasses import dataclass

import sqlalchemy as sa
from flask import current_app

from app import audit, clock
from app.accounts.models import Account
from app.addresses import public_url
from app.billing.models import Invoice, InvoiceStatus
from app.db import db
from app.errors import Conflict, InvalidInput
from app.memo import once_a_page
from app.money import Money
from app.payments.models import LIVE, Charge, Collection, CollectionState, Gateway, ProviderName, SavedCard
from app.payments.provider import Checked, Provider
from app.payments.test_gateway import TestGateway
from app.typed import tidy
from app.vault import Place, vault

EVENTS = (
    "checkout.session.completed",
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "charge.refunded",
    "payment_method.detached",
)


@dataclass(frozen=True, slots=True)
class Access:
    """Everything needed to speak to a gateway, as plain data: the row itself stays out of network calls."""

    gateway_id: int
    provider: ProviderName
    secret_key: str
    portal: str  # address of the account's portal, below which the test gateway has its pages

    def open(self) -> Provider:
        """The client; Stripe's library is loaded only by those who speak to Stripe."""
        settings = current_app.config["SETTINGS"]
        if self.provider == ProviderName.TEST:
            if not settings.is_demo:
                raise Conflict("The test gateway is not part of production.")
            return TestGateway(settings.data_dir, f"{self.portal}/test-gateway")
        from app.payments.stripe_client import StripeClient

        return StripeClient(self.secret_key, settings.stripe_url)


@once_a_page
def gateway_of(account_id: int) -> Gateway | None:
    """The account's gateway, or None while none is connected."""
    return db.session.scalar(sa.select(Gateway).where(Gateway.account_id == account_id, Gateway.ended_at.is_(None)))


def needed(account_id: int) -> Gateway:
    """The account's gateway, or `Conflict` with the way out."""
    gateway = gateway_of(account_id)
    if gateway is None:
        raise Conflict("No payment gateway is connected. An Operator does that under Business settings > Payments.")
    return gateway


def access_to(gateway: Gateway) -> Access:
    """How to speak to a gateway; `SignInNeeded` when its key cannot be read any more."""
    secret = vault().open(gateway.secret_key, _place(gateway, "secret_key")) if gateway.secret_key else ""
    account = db.session.get_one(Account, gateway.account_id)
    base = current_app.config["SETTINGS"].public_base
    return Access(gateway.id, gateway.provider, secret, f"{base}/portal/{account.slug}")


def read_key(typed: str) -> str:
    """A secret key of Stripe as typed; `InvalidInput` says what else it seems to be."""
    key = tidy(typed)
    if key.startswith("pk_"):
        raise InvalidInput(
            "This is the publishable key. Paste a restricted key (rk_…) or the secret one.", "secret_key"
        )
    if key.startswith("whsec_"):
        raise InvalidInput("This is a webhook's secret. It goes into the form below, once connected.", "secret_key")
    if not key.startswith(("rk_test_", "rk_live_", "sk_test_", "sk_live_")) or not key.isascii() or len(key) > 300:
        raise InvalidInput("A key of Stripe begins with rk_test_, rk_live_, sk_test_ or sk_live_.", "secret_key")
    return key


def connect(account: Account, provider: ProviderName, secret_key: str, found: Checked) -> Gateway:
    """Keep a key that was tried, or put it in place of the account's present one.

    A key of another Stripe account starts anew: the cards that were saved over there cannot be charged with it.
    """
    gateway = gateway_of(account.id)
    if gateway is not None and _is_another(gateway, provider, found):
        end(gateway)
        gateway = None
    if gateway is None:
        gateway = Gateway(
            account_id=account.id,
            provider=provider,
            webhook_key=secrets.token_urlsafe(24),
            tag=secrets.token_hex(5),
            due_at=clock.now(),
        )
        db.session.add(gateway)
        db.session.flush()
    gateway.secret_key = vault().seal(secret_key, _place(gateway, "secret_key")) if secret_key else None
    gateway.key_hint = f"{secret_key[:8]}…{secret_key[-4:]}" if secret_key else ""
    gateway.remote_account = found.account or gateway.remote_account
    gateway.is_live, gateway.is_restricted = found.is_live, found.is_restricted
    mend(gateway)
    audit.record("gateway_connected", gateway, provider=provider.value, live=found.is_live)
    return gateway


def mend(gateway: Gateway) -> None:
    """The gateway works again: what waited for it is due now."""
    gateway.problem, gateway.due_at, gateway.nudged_at = "", clock.now(), None
    moving = (CollectionState.WAITING, CollectionState.CHARGING)
    db.session.execute(
        sa.update(Collection)
        .where(
            Collection.account_id == gateway.account_id,
            Collection.state.in_(moving),
            Collection.problem != "",
        )
        .values(due_at=clock.now(), nudged_at=None)
        .execution_options(synchronize_session=False)
    )


def breaks(gateway: Gateway, sentence: str) -> None:
    """The gateway takes the key no longer: an Operator must look."""
    if gateway.problem != sentence[:500]:
        gateway.problem = sentence[:500]
        audit.record("gateway_needs_attention", gateway, outcome="failed", problem=sentence)


def set_webhook_secret(gateway: Gateway, typed: str) -> None:
    """Keep the secret that webhooks are signed with; `InvalidInput` when it is none."""
    secret = tidy(typed)
    if not secret.startswith("whsec_") or not secret.isascii() or len(secret) > 300:
        raise InvalidInput("A webhook's secret begins with whsec_.", "webhook_secret")
    gateway.webhook_secret = vault().seal(secret, _place(gateway, "webhook_secret"))
    audit.record("gateway_webhook_secret", gateway)


def webhook_secret_of(gateway: Gateway) -> str | None:
    """The secret that this gateway's webhooks are signed with."""
    if gateway.webhook_secret is None:
        return None
    return vault().open(gateway.webhook_secret, _place(gateway, "webhook_secret"))


def webhook_url(gateway: Gateway) -> str:
    """Where the provider is to send its webhooks."""
    return public_url("webhooks.payments", key=gateway.webhook_key)


def end(gateway: Gateway) -> None:
    """Let go of a gateway and forget its keys. Its cards cannot be charged any more; what was paid stays known.

    `Conflict` while a charge may still take money: only this key can say what became of it.
    """
    if why := why_it_stays(gateway):
        raise Conflict(why)
    gateway.ended_at, gateway.due_at = clock.now(), None
    gateway.secret_key = gateway.webhook_secret = None
    db.session.execute(
        sa.update(Collection)
        .where(
            Collection.account_id == gateway.account_id,
            Collection.state.in_((CollectionState.WAITING, CollectionState.NO_CARD, CollectionState.ASK)),
        )
        .values(state=CollectionState.NO_CARD, due_at=None, card_id=None, problem="")
        .execution_options(synchronize_session=False)
    )
    db.session.flush()
    audit.record("gateway_disconnected", gateway, provider=gateway.provider.value)


def why_it_stays(gateway: Gateway) -> str:
    """Why a gateway cannot be let go now; "" when it can."""
    moving = charges_in_the_air(gateway)
    if not moving:
        return ""
    what, ends = ("1 charge is", "it ends") if moving == 1 else (f"{moving} charges are", "they end")
    return (
        f"{what} still on the way, and only this connection can tell how {ends}. "
        "Most take seconds; what a bank wants confirmed, at most three days."
    )


def charges_in_the_air(gateway: Gateway) -> int:
    """How many charges may still take money."""
    query = sa.select(sa.func.count()).where(Charge.gateway_id == gateway.id, Charge.state.in_(LIVE))
    return db.session.scalar(query) or 0


def cards_at(gateway: Gateway) -> int:
    """How many cards are saved there."""
    query = sa.select(sa.func.count()).where(SavedCard.gateway_id == gateway.id, SavedCard.removed_at.is_(None))
    return db.session.scalar(query) or 0


def pending_sums(account: Account) -> tuple[int, list[Money]]:
    """How many invoices are pending, and what they come to per currency."""
    rows = db.session.execute(
        sa.select(Invoice.currency, sa.func.count(), sa.func.sum(Invoice.total_minor))
        .where(Invoice.account_id == account.id, Invoice.status == InvoiceStatus.PENDING)
        .group_by(Invoice.currency)
        .order_by(Invoice.currency)
    ).all()
    return sum(count for _, count, _ in rows), [Money(int(minor), currency) for currency, _, minor in rows]


def _is_another(gateway: Gateway, provider: ProviderName, found: Checked) -> bool:
    if gateway.provider != provider or gateway.is_live != found.is_live:
        return True
    return bool(gateway.remote_account and found.account and gateway.remote_account != found.account)


def _place(gateway: Gateway, field: str) -> Place:
    return Place("payment_gateway", gateway.id, gateway.account_id, field)
