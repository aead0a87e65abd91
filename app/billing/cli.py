"""Commands for customers and invoices."""

import click


@click.group()
def customers() -> None:
    """Customers: whom an account serves and bills."""


@click.group()
def invoices() -> None:
    """Invoices: what customers are billed."""
