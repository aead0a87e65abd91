"""Customers into the browser's files and out of them: a trial that stores nothing, the import itself, the export."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from app import audit
from app.accounts.models import Account
from app.billing import csv_files, customers
from app.billing.csv_files import CUSTOMER_COLUMNS, Outcome, Row
from app.billing.customers import Search
from app.db import unit_of_work
from app.errors import InvalidInput

NEEDED = ("email", "full_name")
LARGEST, MOST_ROWS = 400_000, 1000  # bytes and rows that a page takes; the command takes any number
AT_ONCE = 200
MOST_EXPORTED = 100_000


@dataclass(frozen=True, slots=True)
class Preview:
    """What would come of a file: the rows that would be added, and those that would not, with the reason."""

    good: Sequence[Row]
    skipped: Sequence[tuple[int, str]]
    rows: dict[int, Row]


class _NothingIsKept(Exception):  # no error: it ends a trial
    """Ends the unit of work of a trial."""


def _keep_nothing() -> NoReturn:
    raise _NothingIsKept


def parse(content: bytes, name: str) -> tuple[list[Row], Outcome]:
    """The rows of a file that a page takes, and what is wrong with those that are not whole."""
    if len(content) > LARGEST:
        raise InvalidInput(f"{name} is larger than {LARGEST // 1000} kB. Part it, or use the command.")
    outcome = Outcome()
    rows = csv_files.read_bytes(content, name, CUSTOMER_COLUMNS, NEEDED, outcome)
    if len(rows) > MOST_ROWS:
        raise InvalidInput(f"{name} has {len(rows)} rows; a page takes {MOST_ROWS}. Part it, or use the command.")
    if not rows and not outcome.skipped:
        raise InvalidInput(f"{name} has no rows below its heading.")
    return rows, outcome


def preview(account: Account, content: bytes, name: str) -> Preview:
    """Take the file on trial: the very import, in a unit of work that is never committed."""
    rows, outcome = parse(content, name)
    try:
        with unit_of_work() as session:
            csv_files.take_customers(session.get_one(Account, account.id), rows, outcome)
            _keep_nothing()
    except _NothingIsKept:
        bad = {row for row, _ in outcome.skipped}
        good = [row for row in rows if row.number not in bad]
        return Preview(good, sorted(outcome.skipped), {row.number: row for row in rows})


def take(account_id: int, content: bytes, name: str) -> Outcome:
    """Add the customers of a file, some at a time; rows that cannot be taken are skipped."""
    rows, outcome = parse(content, name)
    for start in range(0, len(rows), AT_ONCE):
        with unit_of_work() as session:
            csv_files.take_customers(session.get_one(Account, account_id), rows[start : start + AT_ONCE], outcome)
    with unit_of_work() as session:
        account = session.get_one(Account, account_id)
        audit.record(
            "customers_imported",
            account,
            account_id=account_id,
            created=outcome.created,
            skipped=len(outcome.skipped),
        )
    return outcome


def export(account: Account, wanted: Search) -> Iterator[list[Any]]:
    """The customers of a list as rows of a file that can be imported again, heading first."""
    texts = CUSTOMER_COLUMNS[:-3]
    yield [*texts, "location", "status", "signed_up_at", "billed_by"]
    for one in customers.each(account, wanted, MOST_EXPORTED):
        values = [getattr(one, name) for name in texts]
        yield [*values, one.location.name, one.status.value, one.signed_up_at.isoformat(), one.billed_by]
