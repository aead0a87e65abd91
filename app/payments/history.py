"""What the gateway did for a customer, as moments of the timeline: declined, to be confirmed, charged twice, refunded.

An invoice that the gateway charged says so itself, by being paid.
"""

from datetime import datetime

import sqlalchemy as sa
from flask import url_for
from sqlalchemy.orm import contains_eager, joinedload

from app.billing.models import Customer, Invoice
from app.db import db
from app.payments.models import CONFIRM_WITHIN, Charge, ChargeState, Refund, RefundState
from app.plugin import Moment, Tone


def moments(customer: Customer, until: datetime, most: int) -> list[Moment]:
    """Attempts and refunds, newest first; at most `most` of each kind."""
    return [*_ended(customer, until, most), *_to_confirm(customer, until, most), *_refunds(customer, until, most)]


def _ended(customer: Customer, until: datetime, most: int) -> list[Moment]:
    """Attempts that brought nothing, and money that came in although the invoice was settled in another way."""
    missed = Charge.state.in_((ChargeState.FAILED, ChargeState.DROPPED))
    query = _charges(customer).where(sa.or_(missed, Charge.code != ""), Charge.ended_at <= until)
    return [
        _attempt(charge, charge.ended_at or until)
        for charge in db.session.scalars(query.order_by(Charge.ended_at.desc(), Charge.id.desc()).limit(most))
    ]


def _attempt(charge: Charge, at: datetime) -> Moment:
    number, card = charge.invoice.number, charge.card.name
    if charge.state == ChargeState.PAID:
        return _moment(charge, at, f"{number} paid twice, from {card}", charge.reason, "stop")
    if charge.state == ChargeState.DROPPED:
        return _moment(charge, at, f"{number} not charged: {charge.gateway.title} refused", charge.reason, "stop")
    return _moment(charge, at, f"{number} declined, attempt {charge.number} from {card}", charge.reason, "stop")


def _to_confirm(customer: Customer, until: datetime, most: int) -> list[Moment]:
    query = _charges(customer).where(Charge.confirm_until <= until + CONFIRM_WITHIN)
    return [
        _moment(
            charge,
            charge.confirm_until - CONFIRM_WITHIN,
            f"{charge.invoice.number} needs a confirmation by the bank",
            f"Asked of the customer by mail, for {charge.card.name}.",
            "",
        )
        for charge in db.session.scalars(query.order_by(Charge.confirm_until.desc(), Charge.id.desc()).limit(most))
        if charge.confirm_until is not None
    ]


def _refunds(customer: Customer, until: datetime, most: int) -> list[Moment]:
    at = sa.func.coalesce(Refund.ended_at, Refund.created_at)
    query = (
        sa.select(Refund)
        .join(Refund.charge)
        .join(Charge.invoice)
        .where(Invoice.customer_id == customer.id, at <= until)
        .options(contains_eager(Refund.charge).options(contains_eager(Charge.invoice), joinedload(Charge.card)))
        .order_by(at.desc(), Refund.id.desc())
        .limit(most)
    )
    return [_of_refund(refund) for refund in db.session.scalars(query)]


def _of_refund(refund: Refund) -> Moment:
    sentence, tone = _REFUNDED[refund.state]
    charge = refund.charge
    return _moment(
        charge,
        refund.ended_at or refund.created_at,
        f"{charge.invoice.number}: {sentence}",
        " ".join(filter(None, (f"To {charge.card.name}.", refund.reason, refund.problem))),
        tone,
        str(refund.amount),
    )


_REFUNDED: dict[RefundState, tuple[str, Tone]] = {
    RefundState.WAITING: ("a refund is on its way", ""),
    RefundState.DONE: ("refunded", ""),
    RefundState.FAILED: ("a refund failed", "stop"),
}


def _charges(customer: Customer) -> sa.Select[Charge]:
    return (
        sa.select(Charge)
        .join(Charge.invoice)
        .where(Invoice.customer_id == customer.id)
        .options(contains_eager(Charge.invoice), joinedload(Charge.card), joinedload(Charge.gateway))
    )


def _moment(charge: Charge, at: datetime, sentence: str, second: str, tone: Tone, amount: str = "") -> Moment:
    url = url_for("billing.invoice", invoice_id=charge.invoice_id)
    return Moment(at, sentence, second, "receipt", tone, amount or str(charge.amount), url)
