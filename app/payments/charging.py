"""Collecting an invoice from a card: one attempt at a time, each an effect, until it is paid or given up.

A charge is made in three steps that a kill cannot mix up: the invoice is taken and the charge written down, the
gateway is asked with the charge's own key, and what it answered is stored together with the invoice's end. Whoever
comes later finds the charge, and looks its outcome up before anything is asked again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog
from flask import current_app

from app import audit, clock
from app.accounts.models import Account
from app.billing import collecting, life
from app.billing.models import GATEWAY, CustomerStatus, Invoice, InvoiceStatus
from app.db import db, end_reading, unit_of_work
from app.effects import Done, Step, Subject, carry_out, finished_steps, forget, open_step
from app.errors import Capped, Conflict, NotSent, OutcomeUnknown, Outside, Refused, SignInNeeded
from app.payments import cards, gateways, letters, standing
from app.payments.gateways import Access
from app.payments.models import (
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

KIND = "payments.charge"
PAUSES = (timedelta(days=1), timedelta(days=3), timedelta(days=5))  # after the first, second and third refusal
MOST_ATTEMPTS = len(PAUSES) + 1
CONFIRM_WITHIN = timedelta(days=3)
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=30), timedelta(hours=1)
TRY_KEY_AGAIN = timedelta(hours=1)


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
            _end(lease, job, outcome)
            found.append(None)

    if not _with_lease(collection_id, confirm):
        raise Conflict("This payment is being worked on. Try again in a moment.")
    return found[0] if found else None


def late_news(charge_id: int, outcome: Outcome) -> None:
    """A charge that had failed took the money after all. Inside a unit of work."""
    charge = db.session.get_one(Charge, charge_id, with_for_update=True)
    if charge.state in LIVE or charge.state == ChargeState.PAID or outcome.verdict != Verdict.PAID:
        return
    charge.state, charge.ended_at, charge.code, charge.reason = ChargeState.PAID, clock.now(), "", ""
    if collecting.collect(charge.invoice_id):
        _paid(charge)
        return
    charge.code = "paid_twice"
    charge.reason = "The money came in although the invoice was settled in another way. Refund it."
    audit.record("charged_twice", charge, outcome="failed", ref=charge.ref)


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
        _leave_for_later(lease, charge_id, error)
        return
    end_reading()
    try:
        outcome = _ask(job, lease)
    except OutcomeUnknown as error:
        _leave_unknown(lease, charge_id, error)
    except (NotSent, Capped, SignInNeeded) as error:
        _leave_for_later(lease, charge_id, error)
    except Refused as error:
        _hold(lease, job, error)
    else:
        _end(lease, job, outcome)


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
            _rest(collection, rests or CollectionState.NO_CARD)
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
        key=f"{gateway.tag}:{invoice.id}:{number}",
    )
    db.session.add(charge)
    return charge


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
        Subject(charge.account_id, KIND, charge.id, made_at=charge.created_at),
        asked,
        charge.ref,
        charge.state,
        charge.confirm_until,
        gateways.access_to(charge.gateway),
    )


def _end(lease: Lease, job: Job, outcome: Outcome) -> None:
    """Store what the gateway said together with what follows from it."""
    with unit_of_work() as session:
        lease.renew(tries=0)
        charge = session.get_one(Charge, job.charge_id)
        session.refresh(charge.collection)
        if charge.state not in LIVE:
            return
        charge.ref, charge.is_unknown = outcome.ref or charge.ref, False
        if outcome.verdict == Verdict.PAID:
            charge.state, charge.ended_at = ChargeState.PAID, clock.now()
            _paid(charge)
        elif outcome.verdict == Verdict.CONFIRM:
            _wait_for_confirmation(charge)
        else:
            late = outcome.verdict == Verdict.CANCELLED
            _declined(
                charge,
                "not_confirmed" if late else outcome.code,
                "The customer did not confirm it in time." if late else outcome.reason,
            )


def _paid(charge: Charge) -> None:
    collection = charge.collection
    had_been_given_up = collection.state == CollectionState.GIVEN_UP or collection.attempts >= MOST_ATTEMPTS
    collecting.charged(charge.invoice_id, f"{charge.card.name}, {charge.ref}")
    _rest(collection, CollectionState.ENDED)
    db.session.flush()
    if had_been_given_up:
        standing.unlock_if_paid(charge.invoice.customer_id, f"{charge.invoice.number} is paid.")


def _wait_for_confirmation(charge: Charge) -> None:
    collection = charge.collection
    if charge.state == ChargeState.CONFIRMING:
        collection.due_at = charge.confirm_until
        return
    charge.state, charge.confirm_until = ChargeState.CONFIRMING, clock.now() + CONFIRM_WITHIN
    collection.state, collection.due_at = CollectionState.CONFIRMING, charge.confirm_until
    audit.record("charge_needs_confirmation", charge, until=charge.confirm_until.isoformat())
    letters.ask_to_confirm(charge)


def _declined(charge: Charge, code: str, reason: str) -> None:
    """The bank said no: again after a pause, and after the fourth time never without a person."""
    charge.state, charge.ended_at = ChargeState.FAILED, clock.now()
    charge.code, charge.reason = code[:60], reason[:300]
    collecting.give_back(charge.invoice_id, GATEWAY)
    collection = charge.collection
    collection.attempts += 1
    audit.record("charge_declined", charge, outcome="failed", code=code, attempt=collection.attempts)
    if collection.attempts < MOST_ATTEMPTS:
        collection.state, collection.nudged_at = CollectionState.WAITING, None
        collection.due_at = clock.now() + PAUSES[collection.attempts - 1]
    else:
        _rest(collection, CollectionState.GIVEN_UP)
        _lock(charge)
    db.session.flush()
    letters.say_that_it_failed(charge, collection)


def _lock(charge: Charge) -> None:
    customer = standing.locked_customer(charge.invoice.customer_id)
    if customer.status == CustomerStatus.ACTIVE:
        life.lock(customer, f"{charge.invoice.number} could not be collected in {MOST_ATTEMPTS} attempts.")


def _leave_unknown(lease: Lease, charge_id: int, error: Outside) -> None:
    """It may have worked: look it up soon, then ever later; the invoice stays taken until that is known."""
    log.warning("charge_unknown", charge_id=charge_id, **error.details)
    until = error.details.get("until")
    with unit_of_work() as session:
        lease.renew()
        charge = session.get_one(Charge, charge_id)
        charge.is_unknown = True
        collection = charge.collection
        collection.tries += 1
        settle = timedelta(seconds=current_app.config["SETTINGS"].settle_s)
        pause = settle if collection.tries == 1 else _growing(collection.tries)
        collection.due_at = until if isinstance(until, datetime) else clock.now() + pause
        collection.nudged_at = None
        collection.problem = "No answer. We look up what became of it before anything is charged again."
        audit.record("charge_unknown", charge, outcome="unknown")


def _leave_for_later(lease: Lease, charge_id: int, error: Outside) -> None:
    """The gateway was not reached. What was surely not asked is undone, so the invoice is free meanwhile."""
    log.warning("charge_waits", charge_id=charge_id, **error.details)
    db.session.rollback()
    with unit_of_work() as session:
        lease.renew()
        charge = session.get_one(Charge, charge_id)
        collection = charge.collection
        if isinstance(error, SignInNeeded):
            gateways.breaks(charge.gateway, error.sentence)
        subject = Subject(charge.account_id, KIND, charge.id)
        if charge.state == ChargeState.RUNNING and open_step(subject) is None and not charge.is_unknown:
            collecting.give_back(charge.invoice_id, GATEWAY)
            forget(subject)
            session.delete(charge)
            collection.state = CollectionState.WAITING
        collection.tries += 1
        collection.due_at, collection.nudged_at = when_again(error, collection.tries), None
        collection.problem = error.sentence[:500]


def when_again(error: Outside, tries: int) -> datetime:
    """When what was not reached is asked again."""
    if isinstance(error, Capped):
        return error.until
    return clock.now() + (TRY_KEY_AGAIN if isinstance(error, SignInNeeded) else _growing(tries))


def _growing(tries: int) -> timedelta:
    return min(FIRST_PAUSE * (1 << min(tries, 10)), LONGEST_PAUSE)


def _hold(lease: Lease, job: Job, error: Refused) -> None:
    """The gateway refuses the request, not the card: trying again would not help, and nobody is locked for it."""
    log.warning("charge_refused", charge_id=job.charge_id, code=error.code, **error.details)
    with unit_of_work() as session:
        lease.renew()
        charge = session.get_one(Charge, job.charge_id)
        if charge.state == ChargeState.CONFIRMING:  # refused to cancel, or to say how it stands
            charge.collection.due_at, charge.collection.problem = clock.now() + LONGEST_PAUSE, error.sentence[:500]
            return
        charge.state, charge.ended_at = ChargeState.DROPPED, clock.now()
        charge.code, charge.reason = error.code[:60], error.sentence[:300]
        collecting.give_back(charge.invoice_id, GATEWAY)
        _rest(charge.collection, CollectionState.HELD)
        charge.collection.problem = error.sentence[:500]
        audit.record("charge_refused", charge, outcome="refused", code=error.code)


def _rest(collection: Collection, state: CollectionState) -> None:
    collection.state, collection.due_at, collection.nudged_at, collection.problem = state, None, None, ""


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
