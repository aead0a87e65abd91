"""Whether a customer is to be asked for billing info, and asking: with the first invoice, and once more."""

from datetime import timedelta
from typing import Literal

import sqlalchemy as sa

from app import audit, clock
from app.accounts.models import Account
from app.billing import deciding
from app.billing.asking import BillingInfoRequest
from app.billing.models import Customer, CustomerStatus, Invoice, InvoiceStatus
from app.db import db
from app.mailing.services import post
from app.payments import cards, gateways, letters, standing
from app.portal import signing_up

REMINDED_AFTER = timedelta(days=3)


def lacks(customer: Customer) -> bool:
    """Whether an active customer whom the host bills has no card, though one could be kept."""
    if customer.status not in {CustomerStatus.ACTIVE, CustomerStatus.LOCKED} or customer.billed_by:
        return False
    if deciding.is_open(customer) or gateways.gateway_of(customer.account_id) is None:
        return False
    return not cards.has_billing_info(customer)


def wish_of(customer: Customer) -> Literal["", "finish", "card"]:
    """What the banner of the portal asks for: a card to finish signing up, or one to pay with from now on."""
    if signing_up.needs_card(customer):
        return "finish"
    return "card" if lacks(customer) else ""


def can_pay(invoice: Invoice) -> bool:
    """Whether the customer can pay an invoice by card now."""
    return standing.why_not_chargeable(invoice) == "" and not standing.is_moving(invoice)


def ask(request: BillingInfoRequest) -> None:
    """Send what is due: the first mail once there is an invoice, the second one three days later; each once."""
    if request.due_at is None or request.due_at > clock.now():
        return  # a ring that came twice
    customer = request.customer
    request.nudged_at, request.due_at = None, None
    if deciding.is_open(customer):
        request.due_at = customer.billing_undecided_until
    elif not lacks(customer):
        return
    elif request.asked_at is None:
        if _open_invoice(customer) is not None:
            request.asked_at, request.due_at = clock.now(), clock.now() + REMINDED_AFTER
            _mail(customer, again=False)
    elif request.reminded_at is None:
        request.reminded_at = clock.now()
        _mail(customer, again=True)


def _mail(customer: Customer, *, again: bool) -> None:
    account = db.session.get_one(Account, customer.account_id)
    post(
        account,
        to=customer.email,
        template="billing_info_wanted",
        context={
            "customer": customer,
            "invoice": _open_invoice(customer),
            "link": letters.card_link(account, customer),
            "again": again,
            "zone": account.timezone,
        },
        customer=customer,
        reply_to=account.contact_email,
    )
    audit.record("billing_info_asked_for", customer, again=again)


def _open_invoice(customer: Customer) -> Invoice | None:
    query = sa.select(Invoice).where(Invoice.customer_id == customer.id, Invoice.status == InvoiceStatus.PENDING)
    return db.session.scalars(query.order_by(Invoice.created_at, Invoice.id).limit(1)).first()
