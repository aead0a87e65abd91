"""Signing up on an account's own page: a lead with a plan, which becomes active once nothing is missing any more.

What is missing: a confirmed email, and a card where the account collects by card and no plugin bills here. Nothing here
commits.
"""

from datetime import timedelta

import sqlalchemy as sa

from app import clock
from app.accounts.models import Account, Location
from app.accounts.signing_in import count_try
from app.addresses import public_url
from app.billing import customers, deciding, life, plans, subscriptions
from app.billing.customers import Details
from app.billing.models import Customer, CustomerStatus
from app.billing.subscription_models import Cycle, Plan
from app.db import db
from app.errors import InvalidInput
from app.mailing.services import post
from app.payments import cards, gateways
from app.portal.models import SignUp
from app.typed import email_key

PER_ADDRESS, PER_EMAIL = 10, 3
LOOK_AGAIN, GIVEN_UP_AFTER = timedelta(minutes=30), timedelta(days=3)


def count(account: Account, email: str, address: str) -> None:
    """Slow down whoever signs up again and again; raises `TooManyTries`. Opens units of work of its own."""
    account_id = account.id
    count_try("sign_up_from", address, PER_ADDRESS)
    count_try("sign_up", f"{account_id} {email_key(email)}", PER_EMAIL)


def offers(account: Account) -> list[tuple[str, Plan, Cycle]]:
    """What can be chosen at one of the locations, each with the word that stands for it in a form."""
    billed = {location.currency for location in account.locations}
    shown = [plan for plan in plans.offered(account, shown_only=True) if plan.currency in billed]
    return [(f"{plan.id}-{cycle.value}", plan, cycle) for plan in shown for cycle in plan.cycles]


def register(account: Account, details: Details, plan: Plan, cycle: Cycle) -> Customer | None:
    """A lead with the chosen plan, at the prices of now; the same again for a lead whose email nobody has confirmed.

    None when the email belongs to somebody who is more than that. Raises `InvalidInput` for the field to blame.
    """
    known = db.session.scalar(
        sa.select(Customer)
        .where(Customer.account_id == account.id, Customer.email_key == email_key(details.email))
        .with_for_update()
    )
    if known is None:
        customer = customers.add(account, details)
        customer.status = CustomerStatus.LEAD
        db.session.add(SignUp(account_id=account.id, customer_id=customer.id))
        db.session.flush()
    elif _is_unconfirmed(known):
        customer = known
        customers.edit(account, customer, details)
        db.session.refresh(customer, ["location"])
    else:
        return None
    subscriptions.take(customer, plan, cycle, clock.today(customer.location.timezone))
    return customer


def tell_known(account: Account, email: str) -> None:
    """Somebody signs up with the email of a customer: only that mailbox is told so."""
    customer = db.session.scalars(
        sa.select(Customer).where(Customer.account_id == account.id, Customer.email_key == email_key(email))
    ).one()
    links = {name: public_url(f"portal.{name}", account_slug=account.slug) for name in ("sign_in", "forgotten")}
    post(
        account, to=customer.email, template="portal_known", context={"customer": customer, **links}, customer=customer
    )


def of(customer: Customer) -> SignUp | None:
    """How a customer signed up; None for whoever was added by staff."""
    return db.session.scalar(sa.select(SignUp).where(SignUp.customer_id == customer.id))


def confirm(customer: Customer) -> None:
    """The email is the customer's own: begin, unless a card is missing."""
    sign_up = of(customer)
    if sign_up is not None and sign_up.confirmed_at is None:
        sign_up.confirmed_at, sign_up.due_at = clock.now(), clock.now() + LOOK_AGAIN
        go_on(customer)


def needs_card(customer: Customer) -> bool:
    """Whether a sign-up waits for a card: the account collects by card, and no plugin that bills here could do it."""
    if customer.status != CustomerStatus.LEAD or not _waits(of(customer)):
        return False
    return _card_is_missing(customer)


def go_on(customer: Customer) -> bool:
    """Begin the service of a confirmed lead if nothing is missing; the customer is locked by the caller."""
    sign_up = of(customer)
    if sign_up is None or not _waits(sign_up):
        return False
    if customer.status != CustomerStatus.LEAD:
        sign_up.due_at = None  # staff decided meanwhile
        return False
    if _card_is_missing(customer):
        given_up = sign_up.begun_at < clock.now() - GIVEN_UP_AFTER
        sign_up.due_at, sign_up.nudged_at = None if given_up else clock.now() + LOOK_AGAIN, None
        return False
    subscription = subscriptions.of(customer)
    if subscription is not None:
        subscription.billing_starts_on = clock.today(customer.location.timezone)
    sign_up.finished_at, sign_up.due_at = clock.now(), None
    return life.activate(
        customer, by=customer.email, why="Signed up on the portal.", welcome=True, fell_due=sign_up.confirmed_at
    )


def chosen(account: Account, word: str, location_id: int) -> tuple[Plan, Cycle]:
    """The plan and cycle that a word of `offers` stands for; `InvalidInput` when it cannot be had at that location."""
    found = {one: (plan, cycle) for one, plan, cycle in offers(account)}
    if word not in found:
        raise InvalidInput("Choose one of these plans.", "offer")
    plan, cycle = found[word]
    location = db.session.get_one(Location, location_id)
    if plan.currency != location.currency:
        where = f"{plan.title} is priced in {plan.currency}, and {location.name} bills in {location.currency}"
        raise InvalidInput(f"{where}. Choose another location or another plan.", "location_id")
    return plan, cycle


def _card_is_missing(customer: Customer) -> bool:
    if deciding.biller_of(customer.account_id) is not None or gateways.gateway_of(customer.account_id) is None:
        return False
    return not cards.has_billing_info(customer)


def _waits(sign_up: SignUp | None) -> bool:
    return sign_up is not None and sign_up.confirmed_at is not None and sign_up.finished_at is None


def _is_unconfirmed(customer: Customer) -> bool:
    sign_up = of(customer)
    return customer.status == CustomerStatus.LEAD and sign_up is not None and sign_up.confirmed_at is None
