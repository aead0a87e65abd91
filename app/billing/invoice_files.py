"""A list of invoices as rows of a file, for bookkeeping."""

from collections.abc import Iterator
from typing import Any

from app import clock
from app.accounts.models import Account
from app.billing import invoices
from app.billing.invoices import Search

MOST_EXPORTED = 100_000
HEADING = (
    "number",
    "status",
    "created_on",
    "due_on",
    "customer",
    "company",
    "customer_email",
    "currency",
    "net",
    "tax",
    "total",
    "collected_by",
    "paid_on",
    "paid_how",
    "handed_over_as",
)


def export(account: Account, wanted: Search) -> Iterator[list[Any]]:
    """The invoices of a list, heading first, in its order; amounts in major units, days of the account's calendar."""
    yield list(HEADING)
    for one in invoices.each(account, wanted, MOST_EXPORTED):
        paid_on = clock.local(one.paid_at, account.timezone).date() if one.paid_at else None
        yield [
            one.number,
            one.status.value,
            clock.local(one.created_at, account.timezone).date(),
            one.due_on,
            one.customer.full_name,
            one.customer.company,
            one.customer.email,
            one.currency,
            one.net.major,
            one.tax.major,
            one.total.major,
            one.collector,
            paid_on,
            one.paid_how,
            one.handed_over_as,
        ]
