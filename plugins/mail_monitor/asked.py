"""What pages read from an address or a form besides their forms' fields."""

from flask import g, request

from app.billing import customers
from app.billing.models import Customer
from app.errors import InvalidInput


def page_number() -> int:
    """The page of a list, at least 1."""
    return max(1, request.args.get("page", 1, type=int))


def chosen_customer() -> Customer:
    """The customer that was chosen, read inside the unit of work around the caller; `InvalidInput` without one."""
    customer_id = request.form.get("customer", type=int)
    if customer_id is None:
        raise InvalidInput("Choose a customer.", field="customer")
    return customers.get(g.account, customer_id)
