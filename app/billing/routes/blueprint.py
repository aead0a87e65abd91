"""The blueprint of customers and invoices, and what their lists read from the address."""

from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, g, request, url_for

from app.billing.life_models import PlannedMove
from app.billing.models import Customer, InvoiceMail
from app.billing.subscription_models import Subscription
from app.installations.services import active_installations
from app.work import About

pages = Blueprint("billing", __name__)


def describe_customer(customer: Customer) -> About:
    """A customer in the words of the job list."""
    return About(customer.full_name, "billing.customer", {"customer_id": customer.id})


def describe_planned_move(move: PlannedMove) -> About:
    """A planned move in the words of the job list."""
    words = f"{move.customer.full_name}: {move.aim.value} on {move.day.isoformat()}"
    return About(words, "billing.customer", {"customer_id": move.customer_id})


def describe_subscription(subscription: Subscription) -> About:
    """A subscription in the words of the job list."""
    words = f"{subscription.customer.full_name}: {subscription.title} from {subscription.next_period_on.isoformat()}"
    return About(words, "billing.customer", {"customer_id": subscription.customer_id})


def describe_invoice_mail(mail: InvoiceMail) -> About:
    """An invoice that is to be mailed in the words of the job list."""
    return About(f"{mail.invoice.number} by mail", "billing.invoice", {"invoice_id": mail.invoice_id})


def plugin_titles() -> dict[str, str]:
    """Titles of the plugins switched on in this account, by name."""
    return {plugin.name: plugin.title for plugin, _ in active_installations(g.account.id)}


def tab(label: str, endpoint: str, status: str, count: int | None, *, current: bool) -> dict[str, Any]:
    """One tab of a list, an address that keeps the search and drops the page."""
    kept = {name: value for name, value in request.args.items() if name not in {"status", "page"} and value}
    query = urlencode({**kept, "status": status} if status else kept)
    return {
        "label": label,
        "url": f"{url_for(endpoint)}?{query}" if query else url_for(endpoint),
        "count": count,
        "current": current,
    }
