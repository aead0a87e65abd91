"""What sets a charge going: an invoice's day has come, or a person says so. Workers do the rest."""

from datetime import timedelta

import sqlalchemy as sa

from app import audit, clock
from app.accounts.models import Account
from app.billing import collecting
from app.billing.models import Customer, Invoice, InvoiceStatus
from app.db import db, unit_of_work
from app.errors import Conflict
from app.payments import cards, standing
from app.payments.models import Collection, CollectionState, Gateway, SavedCard
from app.work import Lease, ring_after_commit

JOB = "host.collect_invoice"
LOOK_AGAIN = timedelta(minutes=5)
MOST_AT_ONCE = 200


def charge_now(invoice: Invoice, card: SavedCard | None = None, *, by: str = "") -> Collection:
    """Let a person have an invoice charged at once, to `card` or the customer's default; a worker does it.

    Call it inside a unit of work with the invoice locked. Raises `Conflict` with the reason why it cannot be.
    """
    why_not = standing.why_not_chargeable(invoice)
    if why_not:
        raise Conflict(why_not)
    chosen = card or cards.default_card(invoice.customer_id)
    if chosen is None:
        raise Conflict(f"{invoice.customer.full_name} has no card. Add one first.")
    collection = _collection_of(invoice)
    if collection.state in {CollectionState.CHARGING, CollectionState.CONFIRMING}:
        raise Conflict(f"{invoice.number} is being charged already.")
    collection.card_id, collection.asked_by, collection.tries = chosen.id, by or audit.current_actor(), 0
    collection.state, collection.problem = CollectionState.WAITING, ""
    collection.due_at, collection.nudged_at = clock.now(), None
    db.session.flush()
    audit.record("charge_asked_for", invoice, card=chosen.name, by=collection.asked_by)
    ring_after_commit(JOB, collection.id)
    return collection


def charge_chosen(customer: Customer, invoice_ids: list[int], *, by: str = "") -> int:
    """Let those of a customer's open invoices be charged that were chosen; answers how many. Inside a unit of work."""
    chosen = [one for one in standing.open_here(customer) if one.id in invoice_ids]
    for invoice in chosen:
        charge_now(invoice, by=by)
    if not chosen:
        audit.record("nothing_charged", customer, actor=by or None)
    return len(chosen)


def look_for_due(gateway_id: int) -> int:
    """Begin to collect what fell due in a gateway's account; answers how many. Safe to run twice, or by two at once."""
    lease = Lease.take(Gateway, gateway_id)
    if lease is None:
        return 0
    try:
        with unit_of_work() as session:
            gateway = session.get_one(Gateway, gateway_id)
            if gateway.ended_at is not None:
                lease.renew(due_at=None)
                return 0
            found = _newly_due(session.get_one(Account, gateway.account_id))
            for invoice in found:
                collection = _collection_of(invoice)
                collection.state, collection.due_at, collection.nudged_at = CollectionState.WAITING, clock.now(), None
                session.flush()
                ring_after_commit(JOB, collection.id)
            more = len(found) == MOST_AT_ONCE
            lease.renew(due_at=clock.now() if more else clock.now() + LOOK_AGAIN, nudged_at=None)
            return len(found)
    finally:
        lease.give_back()


def _collection_of(invoice: Invoice) -> Collection:
    collection = db.session.scalar(sa.select(Collection).where(Collection.invoice_id == invoice.id))
    if collection is None:
        collection = Collection(account_id=invoice.account_id, invoice_id=invoice.id)
        db.session.add(collection)
        db.session.flush()
    return collection


def _newly_due(account: Account) -> list[Invoice]:
    """Pending invoices whose day has come in the account's zone, that nobody collects and no plugin bills."""
    asked_for = sa.or_(Collection.id.is_(None), Collection.state == CollectionState.ENDED)
    return list(
        db.session.scalars(
            sa.select(Invoice)
            .outerjoin(Collection, Collection.invoice_id == Invoice.id)
            .where(
                Invoice.account_id == account.id,
                Invoice.status == InvoiceStatus.PENDING,
                Invoice.collector.is_(None),
                Invoice.due_on <= clock.today(account.timezone),
                Invoice.total_minor > 0,
                ~collecting.not_collected_here(),
                asked_for,
            )
            .order_by(Invoice.due_on, Invoice.id)
            .limit(MOST_AT_ONCE)
        )
    )
