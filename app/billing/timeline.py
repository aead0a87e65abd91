"""A customer's timeline: invoices, payments, mails, moves and what plugins know, newest first and in one order.

Each source is one query that answers as many rows as a page can take, so a page costs the same however long the past.
Where the next page begins is a moment and how many of that very moment were shown already.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import takewhile
from typing import Any

import sqlalchemy as sa
from flask import url_for

from app.audit import AuditEntry
from app.billing.life_models import CustomerMove, Deed
from app.billing.models import BY_HAND, GATEWAY, Customer, Invoice, InvoiceStatus
from app.billing.outlook import title_of
from app.db import db
from app.formats import amount, on_day
from app.installations.panels import Source, timeline_sources
from app.mailing.models import MailState, OutgoingMail
from app.payments import history
from app.plugin import Moment, Tone

PER_PAGE = 25
MOST_OF_ONE_MOMENT = 500
END = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page begins: nothing after `until`, and of what happened right then not the first `skip`."""

    until: datetime = END
    skip: int = 0

    @classmethod
    def read(cls, text: str) -> "Place":
        """A place as `str` wrote it; the beginning for anything else."""
        moment, _, skip = text.rpartition("_")
        try:
            until = datetime.fromisoformat(moment)
            return cls(until, min(max(int(skip), 0), MOST_OF_ONE_MOMENT)) if until.tzinfo else cls()
        except ValueError:
            return cls()

    def __str__(self) -> str:
        return f"{self.until.isoformat()}_{self.skip}"


@dataclass(frozen=True, slots=True)
class Page:
    """Some moments, newest first, and where the older ones begin; None when these are the oldest."""

    moments: Sequence[Moment]
    older: Place | None


def sources(customer: Customer) -> list[Source]:
    """Everything that knows something of a customer's past, the host's own first."""
    own = [
        Source("invoices", "Invoices", _invoices),
        Source("payments", "Payments", _payments),
        Source("mails", "Mails", _mails),
        Source("status", "Status", _moves),
        Source("changes", "Changes", _changes),
    ]
    return [*own, *timeline_sources(customer.account_id)]


def page(customer: Customer, chosen: Sequence[Source], begins: Place) -> Page:
    """One page of what `chosen` know."""
    most = PER_PAGE + begins.skip + 1
    found = [moment for source in chosen for moment in source.moments(customer, begins.until, most)]
    found.sort(key=lambda moment: moment.at, reverse=True)  # keeps the order of the sources within one moment
    rest = found[begins.skip :]
    shown = rest[:PER_PAGE]
    if len(rest) <= PER_PAGE:
        return Page(shown, None)
    last = shown[-1].at
    again = len(list(takewhile(lambda moment: moment.at == last, reversed(shown))))
    return Page(shown, Place(last, again + (begins.skip if last == begins.until else 0)))


def _invoices(customer: Customer, until: datetime, most: int) -> list[Moment]:
    """Written, handed over and void: up to three moments of one invoice, by one query."""
    said = {"written": Invoice.created_at, "handed_over": Invoice.closed_at, "void": Invoice.voided_at}
    parts = [
        sa.select(
            sa.literal(what).label("what"),
            at.label("at"),
            *(Invoice.id, Invoice.number, Invoice.total_minor, Invoice.currency),
            *(Invoice.collector, Invoice.handed_over_as, Invoice.void_reason, Invoice.period_from),
        ).where(Invoice.customer_id == customer.id, Invoice.status != InvoiceStatus.DRAFT, at <= until)
        for what, at in said.items()
    ]
    rows = sa.union_all(*parts).subquery()
    query = sa.select(rows).order_by(rows.c.at.desc(), rows.c.id.desc(), rows.c.what).limit(most)
    return [_of_invoice(row) for row in db.session.execute(query)]


def _of_invoice(row: Any) -> Moment:
    what, at, number = row.what, row.at, row.number
    url, total = url_for("billing.invoice", invoice_id=row.id), amount(row.total_minor, row.currency)
    if what == "handed_over":
        there = f" as {row.handed_over_as}" if row.handed_over_as else ""
        sentence = f"{number} handed over to {title_of(row.collector or '')}{there}"
        return Moment(at, sentence, "Not paid by this.", "arrow-right", "there", total, url)
    if what == "void":
        return Moment(at, f"{number} voided", row.void_reason, "close", "", total, url)
    why = "For a period of the plan." if row.period_from else ""
    return Moment(at, f"{number} written", why, "receipt", "", total, url)


def _payments(customer: Customer, until: datetime, most: int) -> list[Moment]:
    query = (
        sa.select(Invoice)
        .where(Invoice.customer_id == customer.id, Invoice.paid_at <= until)
        .order_by(Invoice.paid_at.desc(), Invoice.id.desc())
        .limit(most)
    )
    paid = [
        Moment(
            row.paid_at or row.created_at,
            f"{row.number} paid",
            _how_paid(row),
            "check",
            "good",
            str(row.total),
            url_for("billing.invoice", invoice_id=row.id),
        )
        for row in db.session.scalars(query)
    ]
    return [*paid, *history.moments(customer, until, most)]


def _how_paid(row: Invoice) -> str:
    if row.collector == GATEWAY:
        return f"From {row.paid_note.partition(', ')[0] or 'a card'}."
    how = f"{row.paid_how}, by hand." if row.collector == BY_HAND and row.paid_how else ""
    return f"{how} {row.paid_note}".strip()


def _mails(customer: Customer, until: datetime, most: int) -> list[Moment]:
    query = (
        sa.select(OutgoingMail.created_at, OutgoingMail.subject, OutgoingMail.recipient, OutgoingMail.state)
        .where(OutgoingMail.customer_id == customer.id, OutgoingMail.created_at <= until)
        .order_by(OutgoingMail.created_at.desc(), OutgoingMail.id.desc())
        .limit(most)
    )
    words: dict[MailState, tuple[str, Tone]] = {
        MailState.WAITING: ("Waits to be sent to", ""),
        MailState.SENT: ("Sent to", "ink"),
        MailState.UNKNOWN: ("May have arrived at", "stop"),
        MailState.REFUSED: ("Could not be sent to", "stop"),
    }
    return [
        Moment(at, subject, f"{words[state][0]} {recipient}.", "send", words[state][1])
        for at, subject, recipient, state in db.session.execute(query)
    ]


def _moves(customer: Customer, until: datetime, most: int) -> list[Moment]:
    """The moves, and at the very beginning that there is such a customer."""
    query = (
        sa.select(CustomerMove)
        .where(CustomerMove.customer_id == customer.id, CustomerMove.at <= until)
        .order_by(CustomerMove.at.desc(), CustomerMove.id.desc())
        .limit(most)
    )
    found = [
        Moment(move.at, _deed(move), f"{move.why.rstrip('.')}. By {move.by}.".removeprefix(". "), *_DRESS[move.deed])
        for move in db.session.scalars(query)
    ]
    if len(found) < most and customer.signed_up_at <= until:
        found.append(Moment(customer.signed_up_at, "Became known here", icon="person"))
    return found


def _deed(move: CustomerMove) -> str:
    day = on_day(move.day)
    return {
        Deed.ACTIVATED: "Activated",
        Deed.SCHEDULED: f"Activation planned: {day}",
        Deed.UNSCHEDULED: "Planned activation taken back",
        Deed.LOCKED: "Locked",
        Deed.UNLOCKED: "Unlocked",
        Deed.CANCELLATION_PLANNED: f"Cancelled: the service ends {day}",
        Deed.CANCELLATION_UNDONE: "Cancellation taken back",
        Deed.CANCELLED: "The service ended",
        Deed.DEACTIVATED: "Put aside",
        Deed.PLAN_CHANGED: "Plan changed",
    }[move.deed]


_DRESS: dict[Deed, tuple[str, Tone]] = {
    Deed.ACTIVATED: ("check", ""),
    Deed.SCHEDULED: ("history", ""),
    Deed.UNSCHEDULED: ("history", ""),
    Deed.LOCKED: ("key", "stop"),
    Deed.UNLOCKED: ("key", ""),
    Deed.CANCELLATION_PLANNED: ("history", ""),
    Deed.CANCELLATION_UNDONE: ("history", ""),
    Deed.CANCELLED: ("close", "stop"),
    Deed.DEACTIVATED: ("close", ""),
    Deed.PLAN_CHANGED: ("document", ""),
}


def _changes(customer: Customer, until: datetime, most: int) -> list[Moment]:
    """Changed contact data and recipients, out of the audit."""
    entries = audited(customer, ("customer_changed", "recipient_added", "recipient_changed"), until, most)
    return [Moment(entry.at, _change(entry), f"By {entry.actor}.", "pencil") for entry in entries]


def _change(entry: AuditEntry) -> str:
    if entry.action == "customer_changed":
        hidden = {"email_key", "name_key", "search_key", "location"}
        fields = [name for name in entry.details.get("fields", []) if name not in hidden]
        return f"Changed: {', '.join(name.removesuffix('_id').replace('_', ' ') for name in fields)}"
    name = entry.details.get("recipient", "")
    return f"Recipient {name} {'added' if entry.action == 'recipient_added' else 'changed'}"


def audited(customer: Customer, actions: Sequence[str], until: datetime, most: int) -> Sequence[AuditEntry]:
    """What the audit says about a customer, newest first; plugins use it for what they record there."""
    query = (
        sa.select(AuditEntry)
        .where(
            AuditEntry.object_kind == "Customer",
            AuditEntry.object_id == customer.id,
            AuditEntry.action.in_(actions),
            AuditEntry.at <= until,
        )
        .order_by(AuditEntry.at.desc(), AuditEntry.id.desc())
        .limit(most)
    )
    return db.session.scalars(query).all()
