"""Background work of the portal: finishing sign-ups whose browser did not come back, and asking for billing info."""

from app.billing.asking import BillingInfoRequest
from app.billing.models import Customer
from app.db import unit_of_work
from app.portal import billing_info, signing_up
from app.portal.models import SignUp
from app.work import About, Bell


def finish_sign_up(sign_up_id: int) -> None:
    """Begin the service of somebody who left a card and did not come back to us, or look again later."""
    with unit_of_work() as rows:
        customer_id = rows.get_one(SignUp, sign_up_id).customer_id
        signing_up.go_on(rows.get_one(Customer, customer_id, with_for_update=True, populate_existing=True))


def ask_for_billing_info(request_id: int) -> None:
    """Send the mail that is due, if it is still wanted."""
    with unit_of_work() as rows:
        billing_info.ask(rows.get_one(BillingInfoRequest, request_id, with_for_update=True, populate_existing=True))


def watch(bell: Bell) -> None:
    """Let the sweep ring for what is due here."""
    bell.watch("host", SignUp, finish_sign_up, describe=_in_words)
    bell.watch("host", BillingInfoRequest, ask_for_billing_info, describe=_in_words)


def _in_words(row: SignUp | BillingInfoRequest) -> About:
    return About(row.customer.full_name, "billing.customer", {"customer_id": row.customer_id})
