"""The blueprint of the gateway's pages."""

from flask import Blueprint, g

from app.accounts.models import Account
from app.accounts.services import account_by_slug

pages = Blueprint("payments", __name__)


def account_of_address() -> Account:
    """The account whose portal a visitor is in, or `NotFound`; its zone and name count for the page."""
    account = account_by_slug(g.account_slug)
    g.account = account
    return account
