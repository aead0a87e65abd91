"""Collecting an invoice from a card: one attempt at a time, each an effect; `settling` says what comes of it.

A charge is made in three steps that a kill cannot mix up: the invoice is taken and the charge written down, the
gateway is asked with the charge's own key, and what it answered is stored together with the invoice's end. Whoever
comes later finds the charge, and looks its outcome up before anything is asked again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
import structlog

from app import clock
from app.accounts.models import Account
from app.billing import collecting
from app.billing.models import Invoice, InvoiceStatus
from app.db import db, end_reading, unit_of_work
from app.effects import Done, Step, Subject, carry_out, finished_steps
from app.errors import Capped, Conflict, NotSent, OutcomeUnknown, Refused, SignInNeeded
from app.payments import cards, gateways, settling, standing
from app.payments.gateways import Access
from app.payments.models import (
    CHARGE,
    LIVE,
    Charge,
    ChargeState,
    Collection,
    CollectionState,
    Gateway,
    Payer,
    SavedCard,
)
from app.payments.provider import Asked, Outcome, Verdict
from app.payments.steps import Cancel, Confirm, Pay
from app.work import Lease, LeaseLost

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Job:
    """One attempt as plain data: nothing of the database is held while the gateway is asked."""

    charge_id: int
    subject: Subject
    asked: Asked
    ref: str
    state: ChargeState
    confirm_until: datetime | None
    access: Access


def work_on(collection_id: int) -> None:
    """Bring one collection as far as it goes: begin an attempt, look one up, or end it."""
    _with_lease(collection_id, _attempt)


def begin_confirmation(charge_id: int, return_url: str) -> str | None:
    """Where the customer confirms a charge at their bank; None when nothing is to be confirmed any more.

    Outside a unit of work. Raises `Conflict` while somebody else works on it, and the errors of the client.
    """
    collection_id = db.session.get_one(Charge, charge_id).collection_id
    found: list[str | None] = []

    def confirm(lease: Lease) -> None:
        job = _job_of(charge_id)
        if job.state != ChargeState.CONFIRMING:
            found.append(None)
            return
        provider = job.access.open()
        number = 1 + _confirmations(job.subject)
        step = Confirm(number, job.ref, job.asked.card, return_url)
        end_reading()
        carry_out(job.subject, _only(step), provider, lease)
        outcome = provider.read_charge(job.ref)
        if outcome.verdict == Verdict.CONFIRM and outcome.url:
            found.append(outcome.url)
        else:
            settling.store(lease, job.charge_id, outcome)
            found.append(None)

    if not _with_lease(collection_id, confirm):
        raise Conflict("This payment is being worked on. Try again in a moment.")
    return found[0] if found else None


def _with_lease(collection_id: int, work: Callable[[Lease], None]) -> bool:
    lease = Lease.take(Collection, collection_id)
    if lease is None:
        return False
    try:
        work(lease)
    except LeaseLost:
        log.info("lease_lost", collection_id=collection_id)
    finally:
        lease.give_back()
    return True


def _attempt(lease: Lease) -> None:
    charge_id = _begin(lease)
    if charge_id is None:
        return
    try:
        job = _job_of(charge_id)
    except SignInNeeded as error:  # our own vault cannot open the key
        settling.leave_for_later(lease, charge_id, error)
        return
    end_reading()
    try:
        outcome = _ask(job, lease)
    except OutcomeUnknown as error:
        settling.leave_unknown(lease, charge_id, error)
    except (NotSent, Capped, SignInNeeded) as error:
        settling.leave_for_later(lease, charge_id, error)
    except Refused as error:
        settling.hold(lease, job.charge_id, error)
    else:
        settling.store(lease, job.charge_id, outcome)


def _ask(job: Job, lease: Lease) -> Outcome:
    provider = job.access.open()
    if job.state == ChargeState.RUNNING:
        return _last(carry_out(job.subject, _only(Pay(job.asked)), provider, lease), "pay")
    outcome = provider.read_charge(job.ref)
    overdue = job.confirm_until is not None and clock.now() >= job.confirm_until
    if outcome.verdict == Verdict.CONFIRM and overdue:
        return _last(carry_out(job.subject, _only(Cancel(job.ref)), provider, lease), "cancel")
    return outcome


def _begin(lease: Lease) -> int | None:
    """The charge to make or look up: the one that is live, else a new one, for which the invoice is taken first."""
    with unit_of_work() as session:
        lease.renew(nudged_at=None)
        collection = session.get_one(Collection, lease.row_id)
        live = session.scalar(sa.select(Charge.id).where(Charge.collection_id == collection.id, Charge.state.in_(LIVE)))
        if live is not None:
            return live
        if collection.due_at is None or collection.due_at > clock.now():
            return None  # rung twice, or too early: the next attempt has its time
        invoice = session.get_one(Invoice, collection.invoice_id, with_for_update=True, populate_existing=True)
        gateway, card = gateways.gateway_of(collection.account_id), _card_for(collection, invoice)
        rests = _why_it_rests(collection, invoice, card)
        # A plugin may bill it by now; should it come back, looking for what is due revives it.
        if rests is None and not collecting.collect(invoice.id):
            rests = CollectionState.ENDED
        if rests is not None or gateway is None or card is None:
            settling.rest(collection, rests or CollectionState.NO_CARD)
            return None
        charge = _new_charge(collection, invoice, gateway, card)
        collection.state, collection.problem = CollectionState.CHARGING, ""
        session.flush()
        return charge.id


def _why_it_rests(collection: Collection, invoice: Invoice, card: SavedCard | None) -> CollectionState | None:
    if invoice.status != InvoiceStatus.PENDING or invoice.collector is not None or invoice.total_minor <= 0:
        return CollectionState.ENDED
    if card is None:
        return CollectionState.NO_CARD
    if collection.card_id is None and not standing.was_there_in_time(card, invoice):
        return CollectionState.ASK
    return None


def _new_charge(collection: Collection, invoice: Invoice, gateway: Gateway, card: SavedCard) -> Charge:
    earlier = db.session.scalar(sa.select(sa.func.max(Charge.number)).where(Charge.invoice_id == invoice.id)) or 0
    number = earlier + 1
    charge = Charge(
        account_id=collection.account_id,
        collection_id=collection.id,
        invoice_id=invoice.id,
        gateway_id=gateway.id,
        card_id=card.id,
        number=number,
        amount_minor=invoice.total_minor,
        currency=invoice.currency,
        key=_key(gateway, invoice, number),
    )
    db.session.add(charge)
    return charge


def _key(gateway: Gateway, invoice: Invoice, number: int) -> str:
    """Names an attempt by what it is for: numbers of rows come twice when a backup is brought back, these do not.

    A fee that is billed anew then keeps its key, so that what was charged for its period is found.
    """
    if invoice.period_from is not None:
        return f"{gateway.tag}:fee:{invoice.subscription_id}:{invoice.period_from:%Y%m%d}:{number}"
    return f"{gateway.tag}:{invoice.id}:{invoice.created_at:%Y%m%d%H%M%S%f}:{number}"


def _job_of(charge_id: int) -> Job:
    charge = db.session.get_one(Charge, charge_id, populate_existing=True)
    payer = db.session.scalars(
        sa.select(Payer).where(Payer.gateway_id == charge.gateway_id, Payer.customer_id == charge.invoice.customer_id)
    ).one()
    account = db.session.get_one(Account, charge.account_id)
    asked = Asked(
        charge.key,
        charge.amount,
        payer.ref,
        charge.card.ref,
        f"{account.name}: invoice {charge.invoice.number}",
        charge.invoice.number,
    )
    return Job(
        charge.id,
        Subject(charge.account_id, CHARGE, charge.id, made_at=charge.invoice.came_about),
        asked,
        charge.ref,
        charge.state,
        charge.confirm_until,
        gateways.access_to(charge.gateway),
    )


def _card_for(collection: Collection, invoice: Invoice) -> SavedCard | None:
    """The card that a person chose for this invoice, if it is still there, else the default."""
    chosen = [card for card in cards.cards_of(invoice.customer) if card.id == collection.card_id]
    if collection.card_id is not None and not chosen:
        collection.card_id = None
    return chosen[0] if chosen else cards.default_card(invoice.customer_id)


def _only(step: Step) -> Callable[[Done], Step | None]:
    return lambda done: None if step.key in done else step


def _last(done: Done, key: str) -> Outcome:
    return Outcome.of(done[key])


def _confirmations(subject: Subject) -> int:
    return sum(key.startswith("confirm:") for key in finished_steps(subject))
