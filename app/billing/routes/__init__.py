"""Pages of customers and invoices: two modules hang their views on one blueprint."""

from app.billing.routes import customers, invoices
from app.billing.routes.blueprint import pages

__all__ = ["customers", "invoices", "pages"]
