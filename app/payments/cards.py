"""Saved cards: which a customer has, which is charged, adding one on the gateway's own page, letting one go."""

import secrets
from collections.abc import Sequence

import sqlalchemy as sa

from app import audit, clock
from app.accounts.models import Account
from app.billing.models import Customer, CustomerStatus
from app.db import db, end_reading, unit_of_work
from app.effects import Done, Intent, Result, Subject, carry_out
from app.errors import Conflict, NotFound
from app.payments import gateways
from app.payments.models import CardEntry, Gateway, Payer, SavedCard
from app.payments.provider import CardFacts, Provider
from app.work import Lease, ring_after_commit

FORGET_JOB = "host.forget_card"


def cards_of(customer: Customer) -> Sequence[SavedCard]:
    """The cards that can be charged, the default one first. None while no gateway is connected."""
    query = sa.select(SavedCard).where(SavedCard.customer_id == customer.id, _is_usable())
    return db.session.scalars(query.order_by(SavedCard.is_default.desc(), SavedCard.id.desc())).all()


def default_card(customer_id: int) -> SavedCard | None:
    """The card that due invoices are charged to."""
    query = sa.select(SavedCard).where(SavedCard.customer_id == customer_id, _is_usable())
    return db.session.scalars(query.order_by(SavedCard.is_default.desc(), SavedCard.id.desc()).limit(1)).first()


def get(customer: Customer, card_id: int) -> SavedCard:
    """One of `cards_of`, or `NotFound`."""
    query = sa.select(SavedCard).where(SavedCard.id == card_id, SavedCard.customer_id == customer.id, _is_usable())
    card = db.session.scalars(query).one_or_none()
    if card is None:
        raise NotFound("There is no such card.")
    return card


def has_billing_info(customer: Customer) -> bool:
    """Whether a card of the customer can be charged."""
    return default_card(customer.id) is not None


def with_billing_info() -> sa.ColumnElement[bool]:
    """`has_billing_info` as part of a WHERE over customers."""
    return (
        sa.select(SavedCard.id).where(SavedCard.customer_id == Customer.id, _is_usable()).correlate(Customer).exists()
    )


def lacks_billing_info() -> sa.ColumnElement[bool]:
    """Active or locked, billed by the host, and without a card: who is to be asked for one. For a WHERE."""
    served = Customer.status.in_((CustomerStatus.ACTIVE, CustomerStatus.LOCKED))
    return sa.and_(served, Customer.billed_by == "", ~with_billing_info())


def make_default(card: SavedCard) -> None:
    """Charge this card from now on."""
    db.session.execute(
        sa.update(SavedCard)
        .where(SavedCard.customer_id == card.customer_id)
        .values(is_default=SavedCard.id == card.id)
        .execution_options(synchronize_session=False)
    )
    db.session.refresh(card)
    audit.record("card_made_default", card, customer=card.customer_id, card=card.name)


def remove_card(card: SavedCard) -> None:
    """Never charge a card again; the gateway forgets it as soon as it answers."""
    if card.removed_at is not None:
        return
    card.removed_at, card.is_default, card.due_at = clock.now(), False, clock.now()
    db.session.flush()
    following = default_card(card.customer_id)
    if following is not None:
        following.is_default = True
    audit.record("card_removed", card, customer=card.customer_id, card=card.name)
    ring_after_commit(FORGET_JOB, card.id)


def start_card_entry(customer_id: int, return_url: str) -> str:
    """Address of the gateway's page on which the customer types a card; it comes back to `return_url`, a path of ours.

    Call it outside a unit of work: it speaks to the gateway. Raises `Conflict` without a gateway, and what the
    gateway's client raises.
    """
    with unit_of_work():
        customer = db.session.get_one(Customer, customer_id)
        gateway = gateways.needed(customer.account_id)
        access = gateways.access_to(gateway)
        payer = _payer(gateway, customer)
        payer_id, ref = payer.id, payer.ref
        entry = CardEntry(
            account_id=customer.account_id,
            gateway_id=gateway.id,
            customer_id=customer.id,
            key=secrets.token_urlsafe(24),
            return_url=return_url,
        )
        db.session.add(entry)
        db.session.flush()
        audit.record("card_entry_begun", entry, customer=customer.id)
        entry_id, key = entry.id, entry.key
    provider = access.open()
    ref = ref or _make_known(payer_id, provider)
    page = provider.card_page(key, ref, f"{access.portal}/cards/{key}/back")
    with unit_of_work() as session:
        session.get_one(CardEntry, entry_id).page_ref = page.ref
    return page.url


def finish_card_entry(entry_id: int) -> SavedCard | None:
    """Keep the card that was typed on the gateway's page, once; None while there is none. Outside a unit of work."""
    entry = db.session.get_one(CardEntry, entry_id)
    if entry.card is not None:
        return entry.card
    gateway = db.session.get_one(Gateway, entry.gateway_id)
    page_ref = entry.page_ref
    if page_ref is None or gateway.ended_at is not None:
        return None
    provider = gateways.access_to(gateway).open()
    end_reading()
    facts = provider.card_from(page_ref)
    if facts is None:
        return None
    with unit_of_work():
        return _keep(entry_id, facts)


def entry_by_key(account: Account, key: str) -> CardEntry:
    """The visit that a browser comes back from, or `NotFound`."""
    query = sa.select(CardEntry).where(CardEntry.account_id == account.id, CardEntry.key == key)
    entry = db.session.scalars(query).one_or_none()
    if entry is None:
        raise NotFound
    return entry


def _keep(entry_id: int, facts: CardFacts) -> SavedCard:
    """Two who come back at once (browser and webhook) keep one card."""
    entry = db.session.get_one(CardEntry, entry_id, with_for_update=True, populate_existing=True)
    known = db.session.scalar(
        sa.select(SavedCard).where(SavedCard.gateway_id == entry.gateway_id, SavedCard.ref == facts.ref)
    )
    if known is None:
        known = SavedCard(
            account_id=entry.account_id,
            gateway_id=entry.gateway_id,
            customer_id=entry.customer_id,
            ref=facts.ref,
            brand=facts.brand,
            last4=facts.last4,
            exp_month=facts.exp_month,
            exp_year=facts.exp_year,
        )
        db.session.add(known)
        db.session.flush()
        make_default(known)
        audit.record("card_added", known, customer=entry.customer_id, card=known.name)
    entry.card_id = known.id
    return known


def _is_usable() -> sa.ColumnElement[bool]:
    current = sa.select(Gateway.id).where(Gateway.account_id == SavedCard.account_id, Gateway.ended_at.is_(None))
    return sa.and_(SavedCard.removed_at.is_(None), SavedCard.gateway_id.in_(current.correlate(SavedCard)))


def _payer(gateway: Gateway, customer: Customer) -> Payer:
    payer = db.session.scalar(sa.select(Payer).where(Payer.gateway_id == gateway.id, Payer.customer_id == customer.id))
    if payer is None:
        payer = Payer(account_id=gateway.account_id, gateway_id=gateway.id, customer_id=customer.id)
        db.session.add(payer)
        db.session.flush()
    return payer


class _AddPayer:
    """The one step of making a customer known to a gateway."""

    key = "payer"

    def __init__(self, mark: str, name: str, email: str) -> None:
        self.mark, self.name, self.email = mark, name, email

    def call(self, remote: Provider, intent: Intent) -> Result:
        return {"ref": remote.add_payer(intent, self.mark, self.name, self.email)}

    def look_up(self, remote: Provider, intent: Intent) -> Result | None:
        ref = remote.find_payer(self.mark, self.email)
        return {"ref": ref} if ref else None


def _make_known(payer_id: int, provider: Provider) -> str:
    lease = Lease.take(Payer, payer_id)
    if lease is None:
        raise Conflict("This customer's card is being added in another window. Try again in a moment.")
    try:
        payer = db.session.get_one(Payer, payer_id)
        if payer.ref:
            return payer.ref
        gateway = db.session.get_one(Gateway, payer.gateway_id)
        step = _AddPayer(f"{gateway.tag}:payer:{payer.id}", payer.customer.full_name, payer.customer.email)
        subject = Subject(payer.account_id, "payments.payer", payer.id, made_at=payer.created_at)
        end_reading()

        def next_step(done: Done) -> _AddPayer | None:
            return None if step.key in done else step

        ref = str(carry_out(subject, next_step, provider, lease)[step.key]["ref"])
        with unit_of_work():
            lease.renew(ref=ref)
    finally:
        lease.give_back()
    return ref
