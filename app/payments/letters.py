"""Mails about charges: one that asks for a confirmation, and one that says that a card was declined."""

from app.accounts.models import Account
from app.billing.models import Customer
from app.db import db
from app.mailing.services import post
from app.payments import links
from app.payments.models import Charge, Collection, CollectionState


def ask_to_confirm(charge: Charge) -> None:
    """Send the customer to their bank."""
    account, customer = _both(charge)
    post(
        account,
        to=customer.email,
        template="confirm_payment",
        customer=customer,
        context={
            "customer": customer,
            "charge": charge,
            "invoice": charge.invoice,
            "zone": account.timezone,
            "link": links.address(account, "payments.confirm", links.CONFIRM, charge.id),
        },
    )


def say_that_it_failed(charge: Charge, collection: Collection) -> None:
    """Tell the customer why, when the next attempt is, and where to leave another card."""
    account, customer = _both(charge)
    post(
        account,
        to=customer.email,
        template="payment_failed",
        customer=customer,
        context={
            "customer": customer,
            "charge": charge,
            "invoice": charge.invoice,
            "zone": account.timezone,
            "again_at": collection.due_at if collection.state == CollectionState.WAITING else None,
            "link": card_link(account, customer),
        },
    )


def card_link(account: Account, customer: Customer) -> str:
    """The address at which a customer leaves a card, for mails; good for 30 days."""
    return links.address(account, "payments.leave_card", links.CARD, customer.id)


def _both(charge: Charge) -> tuple[Account, Customer]:
    return db.session.get_one(Account, charge.account_id), charge.invoice.customer
