"""What a provider tells us by webhook. Signed, taken once, and only a hint: everything is read anew over there."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
import structlog

from app import audit, clock
from app.db import db, end_reading, unit_of_work
from app.errors import Capped, Conflict, Outside
from app.payments import asking, cards, gateways, refunds, settling
from app.payments.models import LIVE, CardEntry, Charge, Collection, Gateway, PaymentEvent, SavedCard
from app.work import ring_after_commit

log = structlog.get_logger()

JOB = "host.heed_payment_event"
MOST_TRIES = 8
FIRST_PAUSE = timedelta(seconds=30)
HEEDED = {
    "checkout.session.completed": "page",
    "payment_intent.succeeded": "charge",
    "payment_intent.payment_failed": "charge",
    "payment_intent.canceled": "charge",
    "charge.refunded": "refund",
    "refund.updated": "refund",
    "refund.failed": "refund",
    "payment_method.detached": "card",
}


def by_webhook_key(key: str) -> Gateway | None:
    """The gateway whose webhooks come to this address."""
    return db.session.scalar(sa.select(Gateway).where(Gateway.webhook_key == key, Gateway.ended_at.is_(None)))


def take(gateway: Gateway, event: Mapping[str, Any]) -> bool:
    """Keep an event whose signature was right; False when it came before. Inside a unit of work."""
    event_id, kind = str(event.get("id") or "")[:100], str(event.get("type") or "")[:60]
    known = sa.select(PaymentEvent.id).where(PaymentEvent.gateway_id == gateway.id, PaymentEvent.event_id == event_id)
    if not event_id or db.session.scalar(known):
        return False
    gateway.heard_at = clock.now()
    about = _about(event) if kind in HEEDED else {}
    row = PaymentEvent(
        account_id=gateway.account_id,
        gateway_id=gateway.id,
        event_id=event_id,
        kind=kind,
        about=about,
        due_at=clock.now() if about else None,
    )
    db.session.add(row)
    db.session.flush()
    audit.record("webhook_taken", row, actor=gateway.title, kind=kind)
    if about:
        ring_after_commit(JOB, row.id)
    return True


def heed(event_id: int) -> None:
    """Look over there at what an event is about; what does not answer is asked again, ever later."""
    event = db.session.get_one(PaymentEvent, event_id)
    if event.due_at is None or event.gateway.ended_at is not None:
        return
    try:
        _DEEDS[HEEDED[event.kind]](event.gateway, str(event.about["id"]))
    except (Outside, Conflict) as error:
        log.warning("webhook_waits", event_id=event_id, **error.details)
        _again(event_id, error)
    else:
        _rest(event_id, "")


def _about(event: Mapping[str, Any]) -> dict[str, Any]:
    """The id of what an event is about: of the payment where it is about a charge or a refund."""
    data = event.get("data")
    thing = data.get("object") if isinstance(data, dict) else None
    if not isinstance(thing, dict):
        return {}
    named = thing.get("payment_intent") if HEEDED[str(event["type"])] == "refund" else thing.get("id")
    return {"id": str(named)[:200]} if named else {}


def _page(gateway: Gateway, ref: str) -> None:
    entry_id = db.session.scalar(
        sa.select(CardEntry.id).where(CardEntry.gateway_id == gateway.id, CardEntry.page_ref == ref)
    )
    if entry_id is not None:
        cards.finish_card_entry(entry_id)


def _charge(gateway: Gateway, ref: str) -> None:
    """A live charge is looked at by whoever works on its collection; one that had ended may have had late luck."""
    charge = _charge_by(gateway, ref)
    if charge is None:
        return  # its answer is still on the way, and will be found by its key
    charge_id, is_live, collection_id = charge.id, charge.state in LIVE, charge.collection_id
    if is_live:
        with unit_of_work() as session:
            collection = session.get_one(Collection, collection_id)
            collection.due_at, collection.nudged_at = min(collection.due_at or clock.now(), clock.now()), None
            ring_after_commit(asking.JOB, collection_id)
        return
    provider = gateways.access_to(gateway).open()
    end_reading()
    outcome = provider.read_charge(ref)
    with unit_of_work():
        settling.late_news(charge_id, outcome)


def _refund(gateway: Gateway, ref: str) -> None:
    charge = _charge_by(gateway, ref)
    if charge is None:
        return
    charge_id, provider = charge.id, gateways.access_to(gateway).open()
    end_reading()
    there = provider.refunds_of(ref)
    with unit_of_work():
        refunds.take_over(charge_id, there)


def _card(gateway: Gateway, ref: str) -> None:
    with unit_of_work() as session:
        card = session.scalar(sa.select(SavedCard).where(SavedCard.gateway_id == gateway.id, SavedCard.ref == ref))
        if card is not None:
            cards.remove_card(card)


_DEEDS = {"page": _page, "charge": _charge, "refund": _refund, "card": _card}


def _charge_by(gateway: Gateway, ref: str) -> Charge | None:
    return db.session.scalar(sa.select(Charge).where(Charge.gateway_id == gateway.id, Charge.ref == ref))


def _again(event_id: int, error: Outside | Conflict) -> None:
    db.session.rollback()
    with unit_of_work() as session:
        event = session.get_one(PaymentEvent, event_id)
        event.attempts += 1
        if event.attempts >= MOST_TRIES:
            event.due_at, event.problem = None, error.sentence[:500]
            return
        pause = FIRST_PAUSE * 2**event.attempts
        event.due_at = error.until if isinstance(error, Capped) else clock.now() + pause
        event.nudged_at, event.problem = None, error.sentence[:500]


def _rest(event_id: int, problem: str) -> None:
    with unit_of_work() as session:
        event = session.get_one(PaymentEvent, event_id)
        event.due_at, event.problem = None, problem
