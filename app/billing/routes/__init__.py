"""Pages of customers, invoices, plans and locations: several modules hang their views on one blueprint."""

from app.billing.routes import (
    customer_pages,
    file_pages,
    invoice_pages,
    life_pages,
    location_pages,
    plan_pages,
    recipient_pages,
    writing_pages,
)
from app.billing.routes.blueprint import (
    describe_customer,
    describe_invoice_mail,
    describe_planned_move,
    describe_subscription,
    pages,
)

__all__ = [
    "customer_pages",
    "describe_customer",
    "describe_invoice_mail",
    "describe_planned_move",
    "describe_subscription",
    "file_pages",
    "invoice_pages",
    "life_pages",
    "location_pages",
    "pages",
    "plan_pages",
    "recipient_pages",
    "writing_pages",
]
