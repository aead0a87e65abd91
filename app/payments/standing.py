"""How an invoice stands with the gateway: whether it can be charged, to what, and what paying it brings about."""

from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.orm import selectinload

from app import clock
from app.billing import collecting, deciding, life
from app.billing.models import Customer, CustomerStatus, Invoice, InvoiceStatus
from app.db import db
from app.money import Money
from app.payments import cards, gateways
from app.payments.models import (
    PAID_TWICE,
    WAITS_FOR_A_PERSON,
    Charge,
    ChargeState,
    Collection,
    CollectionState,
    Gateway,
    SavedCard,
)

MOST_SHOWN = 100


def collection_of(invoice: Invoice) -> Collection | None:
    """How far collecting an invoice by card is; None while that was never begun."""
    return db.session.scalar(sa.select(Collection).where(Collection.invoice_id == invoice.id))


def last_charge(invoice: Invoice) -> Charge | None:
    """The latest attempt."""
    query = sa.select(Charge).where(Charge.invoice_id == invoice.id).order_by(Charge.id.desc()).limit(1)
    return db.session.scalars(query).first()


def charge_to_confirm(invoice: Invoice) -> Charge | None:
    """The attempt that waits for the customer's word to the bank; None when none does."""
    charge = last_charge(invoice)
    return charge if charge is not None and charge.state == ChargeState.CONFIRMING else None


def paid_charge(invoice: Invoice) -> Charge | None:
    """The attempt whose money settled the invoice."""
    settled = (Charge.invoice_id == invoice.id, Charge.state == ChargeState.PAID, Charge.code != PAID_TWICE)
    query = sa.select(Charge).where(*settled)
    return db.session.scalars(query.order_by(Charge.id)).first()


def refundable_charge(invoice: Invoice) -> Charge | None:
    """The attempt whose money can be given back, in part or whole: first the one that came twice."""
    query = sa.select(Charge).where(Charge.invoice_id == invoice.id, Charge.state == ChargeState.PAID)
    found = [one for one in db.session.scalars(query) if one.refundable and one.gateway.ended_at is None]
    return min(found, key=lambda one: (one.code != PAID_TWICE, one.id), default=None)


def refundable(invoice: Invoice) -> Money | None:
    """What can still be given back of an invoice that was paid by card; None when nothing can."""
    charge = refundable_charge(invoice)
    return charge.refundable if charge else None


def paid_twice(account_id: int) -> list[Charge]:
    """Money that settles no invoice and has not gone back yet, what came first on top."""
    query = sa.select(Charge).where(
        Charge.account_id == account_id, Charge.code == sa.literal_column(f"'{PAID_TWICE}'")
    )
    of_living = query.join(Charge.gateway).where(Gateway.ended_at.is_(None)).options(selectinload(Charge.refunds))
    return [one for one in db.session.scalars(of_living.order_by(Charge.id)) if one.refundable]


def wait_for_a_person(account_id: int) -> dict[CollectionState, tuple[int, int]]:
    """Open invoices that are not charged until somebody says so: how many, and the first one, by how they stand."""
    rows = db.session.execute(
        sa.select(Collection.state, sa.func.count(), sa.func.min(Collection.invoice_id))
        .join(Collection.invoice)
        .where(Collection.account_id == account_id, WAITS_FOR_A_PERSON)
        .where(Invoice.status == InvoiceStatus.PENDING, Invoice.collector.is_(None))
        .group_by(Collection.state)
    )
    return {state: (int(count), int(invoice_id)) for state, count, invoice_id in rows}


def why_not_chargeable(invoice: Invoice) -> str:
    """Why the gateway may not charge an invoice now, whatever the card; "" when it may."""
    if invoice.status != InvoiceStatus.PENDING:
        return f"{invoice.number} is not pending."
    if invoice.total_minor <= 0:
        return f"{invoice.number} comes to {invoice.total}: there is nothing to charge."
    if invoice.collector is not None:
        return f"{invoice.number} is collected already."
    if collecting.goes_to(invoice) is not None:
        return f"{invoice.number} is not billed here: charging it, too, would take the money twice."
    if deciding.is_open(invoice.customer):
        return f"It is not decided yet who bills {invoice.customer.full_name}: nothing is charged before that."
    gateway = gateways.gateway_of(invoice.account_id)
    return gateway.problem if gateway is not None else "No payment gateway is connected."


def was_there_in_time(card: SavedCard, invoice: Invoice) -> bool:
    """Whether a card was left before the day on which the invoice fell due was over: then it is charged unasked."""
    if invoice.due_on is None:
        return False
    return card.added_at < clock.start_of(invoice.due_on + timedelta(days=1), invoice.customer.location.timezone)


def is_moving(invoice: Invoice) -> bool:
    """Whether an attempt is being made right now, so that a page is worth asking again in a moment."""
    collection = collection_of(invoice)
    if collection is None or invoice.status != InvoiceStatus.PENDING or collection.due_at is None:
        return False
    moving = {CollectionState.WAITING, CollectionState.CHARGING}
    return collection.state in moving and collection.due_at <= clock.now()


def open_here(customer: Customer) -> list[Invoice]:
    """Open invoices that the gateway could charge now if somebody said so, oldest first."""
    query = sa.select(Invoice).where(
        Invoice.customer_id == customer.id,
        Invoice.status == InvoiceStatus.PENDING,
        Invoice.collector.is_(None),
        Invoice.total_minor > 0,
        ~collecting.not_collected_here(),
    )
    return list(db.session.scalars(query.order_by(Invoice.created_at, Invoice.id).limit(MOST_SHOWN)))


def waiting_for_a_word(customer: Customer) -> list[Invoice]:
    """Those of `open_here` that a card added now is not charged for unasked: they were due before, or given up."""
    card, tried = cards.default_card(customer.id), given_up(customer.id)
    return [one for one in open_here(customer) if card is None or one.id in tried or not was_there_in_time(card, one)]


def lacks_card(customer: Customer) -> bool:
    """Whether an active customer whom the host bills has no card, though one could be kept."""
    if customer.status not in {CustomerStatus.ACTIVE, CustomerStatus.LOCKED} or customer.billed_by:
        return False
    if deciding.is_open(customer) or gateways.gateway_of(customer.account_id) is None:
        return False
    return not cards.has_billing_info(customer)


def locked_customer(customer_id: int) -> Customer:
    """A customer, read anew; nobody else changes them until the unit of work is committed."""
    return db.session.get_one(Customer, customer_id, with_for_update=True, populate_existing=True)


def given_up(customer_id: int) -> dict[int, str]:
    """The numbers of a customer's open invoices that could not be collected in all attempts, by the invoice's id."""
    query = (
        sa.select(Invoice.id, Invoice.number)
        .join(Collection, Collection.invoice_id == Invoice.id)
        .where(
            Invoice.customer_id == customer_id,
            Invoice.status == InvoiceStatus.PENDING,
            Collection.state == CollectionState.GIVEN_UP,
        )
        .order_by(Invoice.id)
    )
    return dict(db.session.execute(query).all())


def unlock_if_paid(customer_id: int, why: str) -> bool:
    """Unlock a customer who was locked for invoices that could not be collected, once none of these is open."""
    customer = locked_customer(customer_id)
    if customer.status != CustomerStatus.LOCKED or given_up(customer_id):
        return False
    return life.unlock(customer, why=why)


def settled(invoice: Invoice, why: str) -> None:
    """A person ended an invoice: nothing more is charged for it, and who was locked for it is unlocked with `why`."""
    collection = collection_of(invoice)
    if collection is None:
        return
    was_given_up = collection.state == CollectionState.GIVEN_UP
    collection.state, collection.due_at, collection.problem = CollectionState.ENDED, None, ""
    db.session.flush()
    if was_given_up:
        unlock_if_paid(invoice.customer_id, why)
