"""The names and addresses on an invoice: as they are now, until somebody collects or mails it; then they stay."""

from typing import Any

from app.accounts.models import Account
from app.accounts.services import COUNTRIES
from app.billing.models import Customer, Invoice
from app.db import db


def names_on(invoice: Invoice) -> dict[str, Any]:
    """Lines of text: `account`, `issuer`, `contact`, `customer`, `mailbox`, `email`; those frozen where they are."""
    return invoice.printed or _present(invoice)


def freeze(invoice: Invoice) -> None:
    """Keep what stands on an invoice now; a later move or change of name leaves it alone."""
    if invoice.printed is None:
        invoice.printed = _present(invoice)


def _present(invoice: Invoice) -> dict[str, Any]:
    customer: Customer = invoice.customer
    location, account = customer.location, db.session.get_one(Account, invoice.account_id)
    return {
        "account": account.name,
        "issuer": _lines(
            location.address, _town(location.postcode, location.city), COUNTRIES.get(location.country, "")
        ),
        "contact": _lines(account.contact_email, account.contact_phone, account.website),
        "customer": _lines(
            customer.company,
            customer.full_name,
            customer.address,
            _town(customer.postcode, customer.city),
            COUNTRIES.get(customer.country, ""),
        ),
        "mailbox": customer.mailbox_number or "",
        "email": customer.email,
    }


def _lines(*parts: str) -> list[str]:
    return [part for part in parts if part]


def _town(postcode: str, city: str) -> str:
    return " ".join(part for part in (postcode, city) if part)
