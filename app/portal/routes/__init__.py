"""Pages of the portal: several modules hang their views on one blueprint."""

from app.portal.routes import entry_pages, invoice_pages, own_pages, staff_pages
from app.portal.routes.blueprint import pages

__all__ = ["entry_pages", "invoice_pages", "own_pages", "pages", "staff_pages"]
