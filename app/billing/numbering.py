"""Numbers of invoices: "QW-1001", "QW-1002", in each account without gap or repeat. Changes rows, never commits.

The account's row is where they are counted on and what everybody waits at. It is locked as an UPDATE of its counter
locks it, never stronger: whoever writes a row that points to the account would wait too, and might hold what we need.
"""

import re

import sqlalchemy as sa

from app.accounts.models import Account
from app.billing.models import Invoice
from app.db import db


def hold(account: Account) -> None:
    """Read the account anew; until the unit of work is committed nobody else takes or moves its numbers."""
    db.session.refresh(account, with_for_update={"key_share": True})


def next_number(account: Account) -> str:
    """Take the account's next invoice number. A unit of work that is rolled back gives it back: no gaps."""
    prefix, following = db.session.execute(
        sa.update(Account)
        .where(Account.id == account.id)
        .values(next_invoice_number=Account.next_invoice_number + 1)
        .returning(Account.invoice_prefix, Account.next_invoice_number)
        .execution_options(synchronize_session=False)
    ).one()
    return f"{prefix}-{following - 1}"


def is_taken(account: Account, number: str) -> bool:
    """Whether an invoice has this number. Only on a held account nobody else takes it meanwhile."""
    query = sa.select(Invoice.id).where(Invoice.account_id == account.id, Invoice.number == number)
    return db.session.scalar(query) is not None


def keep_clear(account: Account, number: str) -> None:
    """Let the account's own numbers go on behind one that came from elsewhere. The account is held."""
    ours = _counted(account.invoice_prefix, number)
    if ours is not None and ours >= account.next_invoice_number:
        account.next_invoice_number = ours + 1


def begin_with(account: Account, prefix: str) -> None:
    """Number under another prefix: never with a number that was given out under it before. The account is held."""
    numbers = sa.select(Invoice.number).where(Invoice.account_id == account.id)
    used = db.session.scalars(numbers.where(Invoice.number.startswith(f"{prefix}-", autoescape=True)))
    counted = [one for one in (_counted(prefix, number) for number in used) if one is not None]
    account.invoice_prefix = prefix
    account.next_invoice_number = max(account.next_invoice_number, *(one + 1 for one in counted), 1)


def _counted(prefix: str, number: str) -> int | None:
    found = re.fullmatch(rf"{re.escape(prefix)}-(\d{{1,9}})", number)
    return int(found[1]) if found else None
