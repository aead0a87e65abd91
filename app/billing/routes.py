"""Pages for customers and invoices."""

from flask import Blueprint

from app.access import OFFICE, allow

pages = Blueprint("billing", __name__)


@pages.get("/<account_slug>/customers")
@allow(OFFICE)
def customers() -> str:
    return ""


@pages.get("/<account_slug>/invoices")
@allow(OFFICE)
def invoices() -> str:
    return ""
