"""Giving money back: asked for by a person, done by a worker, once; refunds made in the provider's back office too."""

from datetime import timedelta

import structlog
from flask import current_app

from app import audit, clock
from app.db import db, end_reading, unit_of_work
from app.effects import Done, Intent, Result, Subject, carry_out
from app.errors import Capped, Conflict, InvalidInput, NotSent, OutcomeUnknown, Outside, Refused, SignInNeeded
from app.money import Money
from app.payments import gateways
from app.payments.models import Charge, ChargeState, Refund, RefundState
from app.payments.provider import Provider, Returned
from app.typed import line
from app.work import Lease, LeaseLost, ring_after_commit

log = structlog.get_logger()

JOB = "host.give_back_money"
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=30), timedelta(hours=1)


class _GiveBack:
    """The one step of a refund."""

    key = "refund"

    def __init__(self, mark: str, ref: str, amount: Money) -> None:
        self.mark, self.ref, self.amount = mark, ref, amount

    def call(self, remote: Provider, intent: Intent) -> Result:
        return _stored(remote.refund(intent, self.mark, self.ref, self.amount))

    def look_up(self, remote: Provider, intent: Intent) -> Result | None:
        return next((_stored(one) for one in remote.refunds_of(self.ref) if one.key == self.mark), None)


def ask(charge: Charge, amount: Money, reason: str) -> Refund:
    """Give back part or all of a charge. Inside a unit of work, with the charge locked.

    Raises `InvalidInput` for an amount that is not there, `Conflict` when the charge brought no money.
    """
    if charge.state != ChargeState.PAID:
        raise Conflict("Nothing was paid that could be given back.")
    gateway = gateways.gateway_of(charge.account_id)
    if gateway is None or gateway.id != charge.gateway_id:
        raise Conflict(f"It was paid through a connection that has ended. Refund it at {charge.gateway.title}.")
    left = charge.refundable
    if amount.minor <= 0 or amount.minor > left.minor:
        raise InvalidInput(f"Between {Money(1, amount.currency)} and {left} can be given back.", "amount")
    number = 1 + len(charge.refunds)
    refund = Refund(
        account_id=charge.account_id,
        charge_id=charge.id,
        amount_minor=amount.minor,
        reason=line(reason, 300, "reason"),
        key=f"{charge.key}:back:{number}",
        asked_by=audit.current_actor(),
        due_at=clock.now(),
    )
    charge.refunds.append(refund)
    db.session.flush()
    audit.record("refund_asked_for", charge.invoice, amount=str(amount), reason=refund.reason)
    ring_after_commit(JOB, refund.id)
    return refund


def locked_charge(charge_id: int) -> Charge:
    """A charge, read anew; nobody else gives anything of it back until the unit of work is committed."""
    return db.session.get_one(Charge, charge_id, with_for_update=True, populate_existing=True)


def work_on(refund_id: int) -> None:
    """Give the money back, or find out whether that has happened."""
    lease = Lease.take(Refund, refund_id)
    if lease is None:
        return
    try:
        _work(lease)
    except LeaseLost:
        log.info("lease_lost", refund_id=refund_id)
    finally:
        lease.give_back()


def take_over(charge_id: int, there: list[Returned]) -> None:
    """Note refunds that somebody made in the provider's back office. Inside a unit of work."""
    charge = locked_charge(charge_id)
    ours = {one.key for one in charge.refunds}
    known = {one.ref: one for one in charge.refunds}
    for one in there:
        if one.ref in known:
            if one.failed and known[one.ref].state == RefundState.DONE:
                known[one.ref].state, known[one.ref].problem = RefundState.FAILED, one.reason
        elif one.key not in ours:
            charge.refunds.append(
                Refund(
                    account_id=charge.account_id,
                    amount_minor=one.amount_minor,
                    state=RefundState.FAILED if one.failed else RefundState.DONE,
                    key=f"{charge.key}:there:{one.ref}"[:80],
                    ref=one.ref,
                    reason=f"Made at {charge.gateway.title}.",
                    ended_at=clock.now(),
                )
            )
            audit.record("refund_found", charge.invoice, amount_minor=one.amount_minor, ref=one.ref)


def _work(lease: Lease) -> None:
    refund = db.session.get_one(Refund, lease.row_id)
    if refund.state != RefundState.WAITING:
        return
    charge = refund.charge
    step = _GiveBack(refund.key, charge.ref, refund.amount)
    subject = Subject(refund.account_id, "payments.refund", refund.id, made_at=refund.created_at)

    def next_step(done: Done) -> _GiveBack | None:
        return None if step.key in done else step

    try:
        access = gateways.access_to(charge.gateway)
        end_reading()
        result = carry_out(subject, next_step, access.open(), lease)[step.key]
    except OutcomeUnknown as error:
        _again(lease, error, "No answer. We look up whether it was given back before it is asked for again.")
    except (NotSent, Capped, SignInNeeded) as error:
        _again(lease, error, error.sentence)
    except Refused as error:
        _rest(lease, RefundState.FAILED, None, error.sentence)
    else:
        state = RefundState.FAILED if result["failed"] else RefundState.DONE
        _rest(lease, state, result["ref"], result["reason"])


def _again(lease: Lease, error: Outside, sentence: str) -> None:
    log.warning("refund_waits", refund_id=lease.row_id, **error.details)
    db.session.rollback()
    with unit_of_work() as session:
        refund = session.get_one(Refund, lease.row_id)
        if isinstance(error, SignInNeeded):
            gateways.breaks(refund.charge.gateway, error.sentence)
        refund.is_unknown = refund.is_unknown or isinstance(error, OutcomeUnknown)
        until = error.until if isinstance(error, Capped) else error.details.get("until")
        settle = timedelta(seconds=current_app.config["SETTINGS"].settle_s)
        pause = settle if isinstance(error, OutcomeUnknown) and refund.attempts == 0 else _growing(refund.attempts)
        session.flush()
        lease.renew(
            due_at=until or clock.now() + pause,
            nudged_at=None,
            attempts=Refund.attempts + 1,
            problem=sentence[:500],
        )


def _growing(attempts: int) -> timedelta:
    return min(FIRST_PAUSE * (1 << min(attempts, 10)), LONGEST_PAUSE)


def _rest(lease: Lease, state: RefundState, ref: str | None, problem: str) -> None:
    with unit_of_work() as session:
        lease.renew(due_at=None)
        refund = session.get_one(Refund, lease.row_id)
        session.refresh(refund)
        refund.state, refund.ref, refund.problem = state, ref, problem[:500]
        refund.is_unknown, refund.ended_at = False, clock.now()
        audit.record("refunded", refund.charge.invoice, outcome=state.value, amount=str(refund.amount))


def _stored(returned: Returned) -> Result:
    return {"ref": returned.ref, "failed": returned.failed, "reason": returned.reason}
