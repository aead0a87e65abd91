"""localstripe as a program of its own: on loopback only, and with what the newest API says and it does not know yet.

python tests/app/payments/local_stripe.py PORT
"""

import sys
from typing import Any

from aiohttp import web
from localstripe import resources, server

# Of these it would say "Unexpected"; none of them changes what a charge does.
UNKNOWN_THERE = ("description", "allowed_payment_method_types")


def teach() -> None:
    """Take what the newest API takes, and list payments by customer, as Stripe does."""
    create, list_all = resources.PaymentIntent._api_create, resources.PaymentIntent._api_list_all

    def api_create(cls: Any, /, **data: Any) -> Any:
        return create(**{name: value for name, value in data.items() if name not in UNKNOWN_THERE})

    def api_list_all(cls: Any, /, url: str, customer: Any = None, created: Any = None, **page: Any) -> Any:
        found = list_all(url, **page)
        found._list = [one for one in found._list if customer in {None, one.customer}]
        return found

    resources.PaymentIntent._api_create = classmethod(api_create)
    resources.PaymentIntent._api_list_all = classmethod(api_list_all)


if __name__ == "__main__":
    teach()
    web.run_app(server.app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
