"""What every tab of a customer's record shows: head, docket, tabs and what plugins say."""

from typing import Any

from app.billing import collecting, invoices, life, outlook, recipients, subscriptions
from app.billing.models import Customer, InvoiceStatus
from app.installations.panels import customer_tabs, draw_panels


def record_of(customer: Customer) -> dict[str, Any]:
    """What every tab of a customer's page shows."""
    counts = invoices.count_of(customer)
    return {
        "customer": customer,
        "outlook": outlook.of_customer(customer),
        "has": subscriptions.of(customer),
        "move": life.planned(customer),
        "open": invoices.open_of([customer.id]).get(customer.id, []),
        "open_count": counts.get(InvoiceStatus.PENDING, 0),
        "invoice_count": sum(counts.values()),
        "biller": collecting.taken_over_by(customer),
        "title_of": outlook.title_of,
        "panels": draw_panels("customer", customer),
        "recipient_count": recipients.count(customer),
        "plugin_tabs": customer_tabs(customer),
    }
