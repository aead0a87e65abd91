"""Pages of the portal: several modules hang their views on one blueprint."""

from app.portal.routes import billing_pages, entry_pages, invoice_pages, own_pages, sign_up_pages, staff_pages
from app.portal.routes.blueprint import pages

__all__ = [
    "billing_pages",
    "entry_pages",
    "invoice_pages",
    "own_pages",
    "pages",
    "sign_up_pages",
    "staff_pages",
]
