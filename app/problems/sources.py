"""What of the host itself waits for a person: the gateway, money, charges, mails that may not have gone out, locks."""

from typing import Any

import sqlalchemy as sa

from app.access import OPERATORS
from app.billing.models import Customer, CustomerStatus
from app.db import db
from app.mailing.models import MailState, OutgoingMail
from app.payments.gateways import gateway_of
from app.payments.models import CollectionState
from app.payments.standing import paid_twice, wait_for_a_person
from app.plugin import Problem


def host_problems(account_id: int) -> list[Problem]:
    """The host's own problems; a constant number of queries."""
    found = [
        _gateway(account_id),
        _paid_twice(account_id),
        *_charges(account_id),
        *_mails(account_id),
        _locked(account_id),
    ]
    return [problem for problem in found if problem is not None]


def _gateway(account_id: int) -> Problem | None:
    gateway = gateway_of(account_id)
    if gateway is None or not gateway.needs_attention:
        return None
    return Problem(
        "gateway",
        "stop",
        1,
        f"{gateway.title} does not take our key",
        f"{gateway.problem} Nothing is charged until then.",
        "Replace the key",
        "payments.new_key",
        roles=OPERATORS,
    )


def _paid_twice(account_id: int) -> Problem | None:
    charges = paid_twice(account_id)
    if not charges:
        return None
    return Problem(
        "paid_twice",
        "stop",
        len(charges),
        "Money came in for nothing" if len(charges) == 1 else "Money came in for nothing more than once",
        charges[0].reason,
        "See the invoice",
        "billing.invoice",
        {"invoice_id": charges[0].invoice_id},
    )


def _charges(account_id: int) -> list[Problem]:
    """Invoices that the gateway does not charge until a person says so; the words stand on each invoice's own page."""
    found = wait_for_a_person(account_id)
    problems = []
    if CollectionState.HELD in found:
        count, invoice_id = found[CollectionState.HELD]
        problems.append(
            Problem(
                "charges_held",
                "stop",
                count,
                "The gateway would not charge an invoice" if count == 1 else "The gateway would not charge invoices",
                "It refuses what was asked, not the card. See why; then charge it again, or collect it in another way.",
                "See the invoice" if count == 1 else "See the first",
                "billing.invoice",
                {"invoice_id": invoice_id},
            )
        )
    if CollectionState.ASK in found:
        count, invoice_id = found[CollectionState.ASK]
        problems.append(
            Problem(
                "charges_asked",
                "ask",
                count,
                "An invoice is older than its card" if count == 1 else "Invoices are older than their cards",
                "The card was added after the invoice fell due. Nothing is charged to it until you say so.",
                "See the invoice" if count == 1 else "See the first",
                "billing.invoice",
                {"invoice_id": invoice_id},
            )
        )
    return problems


def _mails(account_id: int) -> list[Problem]:
    rows = db.session.execute(
        sa.select(OutgoingMail.state, sa.func.count())
        .where(
            OutgoingMail.account_id == account_id,
            OutgoingMail.state.in_((MailState.REFUSED, MailState.UNKNOWN)),
            OutgoingMail.seen_at.is_(None),
        )
        .group_by(OutgoingMail.state)
    )
    counts = {state: int(count) for state, count in rows}
    problems = []
    if count := counts.get(MailState.REFUSED, 0):
        problems.append(
            Problem(
                "mails_refused",
                "stop",
                count,
                "A mail was refused" if count == 1 else "Mails were refused",
                "A mail server would not take it. Read why and mend the address; then send it again, or ask for a new "
                "one.",
                "See the mails",
                "activity.mails_sent",
                {"show": "failed"},
            )
        )
    if count := counts.get(MailState.UNKNOWN, 0):
        problems.append(
            Problem(
                "mails_unknown",
                "ask",
                count,
                "A mail may have been sent" if count == 1 else "Mails may have been sent",
                "It cannot be found out, so we do not send it again on our own. Send it again, or leave it.",
                "See the mails",
                "activity.mails_sent",
                {"show": "failed"},
            )
        )
    return problems


def _locked(account_id: int) -> Problem | None:
    count = _count(Customer, Customer.account_id == account_id, Customer.status == CustomerStatus.LOCKED)
    if not count:
        return None
    return Problem(
        "customers_locked",
        "ask",
        count,
        "A customer is locked" if count == 1 else "Customers are locked",
        "After four failed payments, or by hand. Paying what failed unlocks; so can you, or you end the service.",
        "See who",
        "billing.customers",
        {"status": CustomerStatus.LOCKED.value},
    )


def _count(model: Any, *conditions: sa.ColumnElement[bool]) -> int:
    return int(db.session.scalar(sa.select(sa.func.count()).select_from(model).where(*conditions)) or 0)
