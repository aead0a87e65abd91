"""Commands for customers and invoices."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
import sqlalchemy as sa

from app.accounts.services import account_by_slug
from app.billing import csv_files, life
from app.billing import customers as service
from app.billing.csv_files import Outcome
from app.billing.models import Customer, CustomerStatus
from app.command import answers
from app.db import db, unit_of_work
from app.errors import InvalidInput, NotFound
from app.typed import email_key

AT_ONCE = 200  # rows per unit of work: few commits, and others need not wait long for their turn to write
Item = TypeVar("Item")
CsvFile = click.Path(path_type=Path)


@click.group()
def customers() -> None:
    """Customers: whom an account serves and bills."""


@customers.command("import")
@click.argument("file", type=CsvFile)
@click.option("--account", "slug", required=True)
@answers
def import_customers(file: Path, slug: str) -> dict[str, Any]:
    """Add the customers of a CSV file; a bad row is skipped and named, the rest is taken."""
    outcome = Outcome()
    rows = csv_files.read(file, csv_files.CUSTOMER_COLUMNS, ("email", "full_name"), outcome)
    for some in _in_parts(rows):
        with unit_of_work():
            csv_files.take_customers(account_by_slug(slug), some, outcome)
    return outcome.answer()


@customers.command("activate")
@click.option("--account", "slug", required=True)
@click.option("--email", help="One customer.")
@click.option("--all", "everybody", is_flag=True, help="Every inactive customer.")
@answers
def activate(slug: str, email: str | None, everybody: bool) -> dict[str, Any]:
    """Make customers active, as the button on their page does."""
    if bool(email) == everybody:
        raise InvalidInput("Say either --email or --all.")
    account = account_by_slug(slug)
    chosen = sa.select(Customer.id).where(Customer.account_id == account.id).order_by(Customer.id)
    if everybody:
        chosen = chosen.where(Customer.status == CustomerStatus.INACTIVE)
    else:
        chosen = chosen.where(Customer.email_key == email_key(email or ""))
    ids = db.session.scalars(chosen).all()
    if email and not ids:
        raise NotFound(f"No customer has the email {email}.")
    activated = 0
    for some in _in_parts(ids):
        with unit_of_work():
            account = account_by_slug(slug)
            activated += sum(life.activate(service.locked(account, one)) for one in some)
    return {"activated": activated}


@click.group()
def invoices() -> None:
    """Invoices: what customers are billed."""


@invoices.command("import")
@click.argument("file", type=CsvFile)
@click.option("--account", "slug", required=True)
@answers
def import_invoices(file: Path, slug: str) -> dict[str, Any]:
    """Add the invoices of a CSV file, a row per line; a bad row keeps its invoice out, the rest is taken."""
    outcome = Outcome()
    needed = ("number", "customer_email", "line_description", "unit_price")
    rows = csv_files.read(file, csv_files.INVOICE_COLUMNS, needed, outcome)
    for some in _in_parts(csv_files.by_invoice(rows)):
        with unit_of_work():
            csv_files.take_invoices(account_by_slug(slug), some, outcome)
    return outcome.answer()


def _in_parts(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), AT_ONCE):
        yield items[start : start + AT_ONCE]
