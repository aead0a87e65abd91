"""Mails about charges: one that asks for a confirmation, and one that says that a card was declined."""

from datetime import datetime

from app.accounts.models import Account
from app.billing.models import Customer
from app.db import db
from app.effects import Subject, was_only_found
from app.mailing.services import post
from app.payments import links
from app.payments.models import CHARGE, Charge, Collection, CollectionState


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
        came_about=_came_about(charge),
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
        came_about=_came_about(charge),
    )


def card_link(account: Account, customer: Customer) -> str:
    """The address at which a customer leaves a card, for mails; good for 30 days."""
    return links.address(account, "payments.leave_card", links.CARD, customer.id)


def _came_about(charge: Charge) -> datetime:
    """An attempt that was only found after a restore came about before it, and may have been told of then."""
    only_found = was_only_found(Subject(charge.account_id, CHARGE, charge.id))
    return charge.invoice.came_about if only_found else charge.created_at


def _both(charge: Charge) -> tuple[Account, Customer]:
    return db.session.get_one(Account, charge.account_id), charge.invoice.customer
