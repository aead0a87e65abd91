"""Whether a customer is to be asked for billing info, and asking: with the first invoice, and once more."""

from datetime import datetime, timedelta
from typing import Literal

import sqlalchemy as sa

from app import audit, clock
from app.accounts.models import Account
from app.billing import asking, deciding, invoice_mails
from app.billing.asking import BillingInfoRequest
from app.billing.models import Customer, Invoice, InvoiceStatus
from app.db import db
from app.mailing.services import post
from app.payments import letters, standing
from app.portal import signing_up

LOOK_AGAIN = timedelta(minutes=10)


def wish_of(customer: Customer) -> Literal["", "finish", "card"]:
    """What the banner of the portal asks for: a card to finish signing up, or one to pay with from now on."""
    if signing_up.needs_card(customer):
        return "finish"
    return "card" if standing.lacks_card(customer) else ""


def can_pay(invoice: Invoice) -> bool:
    """Whether the customer can pay an invoice by card now."""
    return standing.why_not_chargeable(invoice) == "" and not standing.is_moving(invoice)


def ask(request: BillingInfoRequest) -> None:
    """Send what is due: the first mail once there is an invoice, the second one three days later; each once.

    An invoice that is mailed asks in its own mail, so that a customer gets one about it and not two.
    """
    if request.due_at is None or request.due_at > clock.now():
        return  # a ring that came twice
    customer = request.customer
    fell_due, request.nudged_at, request.due_at = request.due_at, None, None
    if deciding.is_open(customer):
        request.due_at = customer.billing_undecided_until
    elif not standing.lacks_card(customer):
        return
    elif request.asked_at is None:
        invoice = _open_invoice(customer)
        if invoice is None:
            return
        mail = invoice_mails.latest(invoice)
        if mail is not None and mail.due_at is not None:
            request.due_at = max(mail.due_at, clock.now()) + LOOK_AGAIN  # that mail asks, unless nothing comes of it
        else:
            request.asked_at, request.due_at = clock.now(), clock.now() + asking.REMINDED_AFTER
            _mail(customer, invoice.came_about, again=False)
    elif request.reminded_at is None:
        request.reminded_at = clock.now()
        _mail(customer, fell_due, again=True)


def _mail(customer: Customer, came_about: datetime | None, *, again: bool) -> None:
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
        came_about=came_about,
    )
    audit.record("billing_info_asked_for", customer, again=again)


def _open_invoice(customer: Customer) -> Invoice | None:
    query = sa.select(Invoice).where(Invoice.customer_id == customer.id, Invoice.status == InvoiceStatus.PENDING)
    return db.session.scalars(query.order_by(Invoice.created_at, Invoice.id).limit(1)).first()
