"""What an attempt came to, and what follows: paid, to be confirmed, declined and tried again, given up, or unknown.

Everything here stores an outcome together with its consequences, in one transaction.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog
from flask import current_app

from app import audit, clock
from app.billing import collecting, life
from app.billing.models import GATEWAY, CustomerStatus, Invoice, InvoiceStatus
from app.db import db, unit_of_work
from app.effects import Subject, forget, open_step
from app.errors import Capped, Outside, Refused, SignInNeeded
from app.payments import gateways, letters, standing
from app.payments.models import (
    CHARGE,
    CONFIRM_WITHIN,
    LIVE,
    PAID_TWICE,
    Charge,
    ChargeState,
    Collection,
    CollectionState,
)
from app.payments.provider import Outcome, Verdict
from app.work import Lease

log = structlog.get_logger()

PAUSES = (timedelta(days=1), timedelta(days=3), timedelta(days=5))  # after the first, second and third refusal
MOST_ATTEMPTS = len(PAUSES) + 1
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=30), timedelta(hours=1)
TRY_KEY_AGAIN = timedelta(hours=1)


def store(lease: Lease, charge_id: int, outcome: Outcome) -> None:
    """Store what the gateway said together with what follows from it."""
    with unit_of_work() as session:
        lease.renew(tries=0)
        charge = session.get_one(Charge, charge_id)
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


def late_news(charge_id: int, outcome: Outcome) -> None:
    """A charge that had ended took the money after all. Inside a unit of work.

    An invoice that is still open is paid by it, whoever would have collected it: the money is here. Otherwise it
    came twice, or for nothing, and a person gives it back.
    """
    charge = db.session.get_one(Charge, charge_id, with_for_update=True, populate_existing=True)
    if charge.state in LIVE or charge.state == ChargeState.PAID or outcome.verdict != Verdict.PAID:
        return
    charge.state, charge.ended_at, charge.code, charge.reason = ChargeState.PAID, clock.now(), "", ""
    if collecting.claim(charge.invoice_id, GATEWAY):
        _paid(charge)
        return
    invoice = charge.invoice
    charge.code, charge.reason = PAID_TWICE, _too_late(invoice)
    audit.record("charged_twice", charge, outcome="failed", ref=charge.ref)
    confirming = standing.last_charge(invoice)
    if invoice.collector == GATEWAY and confirming is not None and confirming.state == ChargeState.CONFIRMING:
        # Nobody needs to confirm anything any more: it is called off, and the invoice is settled with this money.
        confirming.confirm_until = clock.now()
        confirming.collection.due_at, confirming.collection.nudged_at = clock.now(), None


def _too_late(invoice: Invoice) -> str:
    if invoice.status == InvoiceStatus.PENDING and invoice.collector == GATEWAY:
        return f"{invoice.total} came in while another attempt was under way. We see what becomes of that first."
    when = {
        InvoiceStatus.VOID: "after the invoice was voided",
        InvoiceStatus.CLOSED: "after the invoice was handed over",
        InvoiceStatus.PAID: "after the invoice was paid in another way",
    }.get(invoice.status, "while the invoice was collected in another way")
    return f"{invoice.total} came in {when}. Refund it."


def _let_go(charge: Charge) -> bool:
    """Give an attempt's invoice back; True when money of an earlier attempt, come late, settles it at once."""
    invoice_id = charge.invoice_id
    collecting.give_back(invoice_id, GATEWAY)
    db.session.flush()
    for late in _came_late(invoice_id):
        if late.refundable == late.amount and collecting.claim(invoice_id, GATEWAY):
            late.code, late.reason = "", ""
            _paid(late)
            return True
    return False


def _came_late(invoice_id: int) -> Sequence[Charge]:
    query = sa.select(Charge).where(Charge.invoice_id == invoice_id, Charge.code == PAID_TWICE)
    return db.session.scalars(query.order_by(Charge.id)).all()


def _paid(charge: Charge) -> None:
    collection = charge.collection
    had_been_given_up = collection.state == CollectionState.GIVEN_UP or collection.attempts >= MOST_ATTEMPTS
    collecting.charged(charge.invoice_id, f"{charge.card.name}, {charge.ref}")
    rest(collection, CollectionState.ENDED)
    db.session.flush()
    for late in _came_late(charge.invoice_id):
        late.reason = _too_late(charge.invoice)
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
    if _let_go(charge):
        return
    collection = charge.collection
    collection.attempts += 1
    audit.record("charge_declined", charge, outcome="failed", code=code, attempt=collection.attempts)
    if collection.attempts < MOST_ATTEMPTS:
        collection.state, collection.nudged_at = CollectionState.WAITING, None
        collection.due_at = clock.now() + PAUSES[collection.attempts - 1]
    else:
        rest(collection, CollectionState.GIVEN_UP)
        _lock(charge)
    db.session.flush()
    letters.say_that_it_failed(charge, collection)


def _lock(charge: Charge) -> None:
    customer = standing.locked_customer(charge.invoice.customer_id)
    if customer.status == CustomerStatus.ACTIVE:
        life.lock(customer, f"{charge.invoice.number} could not be collected in {MOST_ATTEMPTS} attempts.")


def leave_unknown(lease: Lease, charge_id: int, error: Outside) -> None:
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


def leave_for_later(lease: Lease, charge_id: int, error: Outside) -> None:
    """The gateway was not reached. What was surely not asked is undone, so the invoice is free meanwhile."""
    log.warning("charge_waits", charge_id=charge_id, **error.details)
    db.session.rollback()
    with unit_of_work() as session:
        lease.renew()
        charge = session.get_one(Charge, charge_id)
        collection = charge.collection
        if isinstance(error, SignInNeeded):
            gateways.breaks(charge.gateway, error.sentence)
        subject = Subject(charge.account_id, CHARGE, charge.id)
        if charge.state == ChargeState.RUNNING and open_step(subject) is None and not charge.is_unknown:
            forget(subject)
            session.delete(charge)
            collection.state = CollectionState.WAITING
            if _let_go(charge):
                return
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


def hold(lease: Lease, charge_id: int, error: Refused) -> None:
    """The gateway refuses the request, not the card: trying again would not help, and nobody is locked for it."""
    log.warning("charge_refused", charge_id=charge_id, code=error.code, **error.details)
    with unit_of_work() as session:
        lease.renew()
        charge = session.get_one(Charge, charge_id)
        if charge.state == ChargeState.CONFIRMING:  # refused to cancel, or to say how it stands
            charge.collection.due_at, charge.collection.problem = clock.now() + LONGEST_PAUSE, error.sentence[:500]
            return
        charge.state, charge.ended_at = ChargeState.DROPPED, clock.now()
        charge.code, charge.reason = error.code[:60], error.sentence[:300]
        audit.record("charge_refused", charge, outcome="refused", code=error.code)
        if not _let_go(charge):
            rest(charge.collection, CollectionState.HELD)
            charge.collection.problem = error.sentence[:500]


def rest(collection: Collection, state: CollectionState) -> None:
    collection.state, collection.due_at, collection.nudged_at, collection.problem = state, None, None, ""
