"""Where a record can be looked at over there, for links on our pages."""

from flask import current_app

from app.config import NEXUDUS_URL, Settings
from plugins.nexudus.models import Connection

DASHBOARD = "https://dashboard.nexudus.com"


def remote_member_url(connection: Connection, member_id: int) -> str:
    """A member's record."""
    return _at(f"/new-customers/{member_id}", f"/operations/coworkers/{member_id}")


def remote_invoice_url(connection: Connection, invoice_id: int) -> str:
    """An invoice in the invoice log."""
    return _at(f"/invoice-log/{invoice_id}", f"/finance/coworkerInvoices/{invoice_id}")


def remote_business_url(connection: Connection) -> str:
    """The business itself."""
    return _at("/new-customers", f"/settings/businesses/{connection.business_id}")


def _at(in_sandbox: str, in_dashboard: str) -> str:
    settings: Settings = current_app.config["SETTINGS"]
    base = settings.nexudus_base
    return f"{DASHBOARD}{in_dashboard}" if base == NEXUDUS_URL else f"{base}{in_sandbox}"
