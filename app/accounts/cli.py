"""Commands for accounts, users and instance administrators."""

from typing import Any

import click

from app.access import Role
from app.accounts import services
from app.accounts.signing_in import hash_password
from app.command import answers, from_stdin
from app.db import end_reading, unit_of_work


@click.group()
def accounts() -> None:
    """Accounts: the organisations that work here."""


@accounts.command("create")
@click.option("--name", required=True)
@click.option("--slug", required=True, help="Its part of every address: small letters, digits, hyphens.")
@click.option("--operator-email", required=True)
@click.option("--timezone", default="Europe/London", show_default=True)
@click.option("--currency", default="EUR", show_default=True)
@click.option("--country", default="GB", show_default=True)
@answers
def create(name: str, slug: str, operator_email: str, timezone: str, currency: str, country: str) -> dict[str, Any]:
    """Make an account and its Operator; the Operator's password is read from standard input."""
    password_hash = _password()
    with unit_of_work():
        account = services.create_account(name, slug, timezone, currency, country)
        services.give_role(account, services.create_user(operator_email, password_hash), Role.OPERATOR)
    return {"account": slug}


@click.group()
def users() -> None:
    """Users: the people who sign in."""


@users.command("add")
@click.option("--account", "slug", required=True)
@click.option("--email", required=True)
@click.option("--role", type=click.Choice([role.value for role in Role]), required=True)
@click.option("--name", "full_name", default="")
@answers
def add(slug: str, email: str, role: str, full_name: str) -> dict[str, Any]:
    """Add a user to an account; the password is read from standard input."""
    password_hash = _password()
    with unit_of_work():
        account = services.account_by_slug(slug)
        services.give_role(account, services.create_user(email, password_hash, full_name), Role(role))
    return {"user": email}


@users.command("password")
@click.option("--email", required=True)
@answers
def password(email: str) -> dict[str, Any]:
    """Set a user's password, read from standard input; ends the user's sign-ins."""
    password_hash = _password()
    with unit_of_work():
        services.set_password(services.find_user(email), password_hash)
    return {"user": email}


@click.group()
def admins() -> None:
    """Instance administrators: they look after the machine, not after accounts."""


@admins.command("add")
@click.option("--email", required=True)
@answers
def add_admin(email: str) -> dict[str, Any]:
    """Add an instance administrator; the password is read from standard input."""
    password_hash = _password()
    with unit_of_work():
        services.create_user(email, password_hash, is_instance_admin=True)
    return {"user": email}


def _password() -> str:
    typed = from_stdin("Password")
    end_reading()
    return hash_password(typed)
