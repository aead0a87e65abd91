"""Choosing a customer by hand: a few of those that match what is typed."""

from dataclasses import dataclass

from app.accounts.models import Account
from app.billing import customers
from app.billing.customers import Search

MOST = 8


@dataclass(frozen=True, slots=True)
class Candidate:
    """One customer to choose."""

    customer_id: int
    name: str
    line: str


def candidates(account: Account, text: str) -> list[Candidate]:
    """Customers whose name, company, email or mailbox number holds every word of `text`, the first few by name."""
    if not text.strip():
        return []
    found = customers.find(account, Search(text=text)).items[:MOST]
    return [
        Candidate(
            row.id,
            row.full_name,
            " · ".join(part for part in (row.company, row.email, f"mailbox {row.mailbox_number or 'none'}") if part),
        )
        for row in found
    ]
