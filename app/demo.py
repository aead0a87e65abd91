"""The demo: an account with people in every role, customers in every state and invoices in every status."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import click
import sqlalchemy as sa
from flask.cli import with_appcontext
from flask_migrate import upgrade

from app import clock
from app.access import Role
from app.accounts import services
from app.accounts.models import Account
from app.accounts.signing_in import hash_password
from app.billing import csv_files, invoices, life, periods, plans, recipients, subscriptions
from app.billing.collecting import PaidBy
from app.billing.csv_files import Outcome
from app.billing.life import Terms
from app.billing.lines import Line
from app.billing.models import BY_HAND, GATEWAY, Customer, CustomerStatus, Invoice, InvoiceStatus
from app.billing.plans import PlanDetails
from app.billing.recipients import RecipientDetails
from app.billing.subscription_models import Cycle, Plan
from app.db import db, unit_of_work
from app.payments import demo as payments
from app.plugin import registry
from app.portal import entering

SIGN_INS = [
    ("Operator", "hanna@quayside.example", "quayside-operator"),
    ("Admin", "marek@quayside.example", "quayside-admin"),
    ("Mail Admin", "ines@quayside.example", "quayside-mail-admin"),
    ("Instance administrator", "root@quayside.example", "quayside-instance"),
]
# At the portal: the customer's email and password.
CUSTOMER_SIGN_IN = ("benno@ashgrove-tea.example", "quayside-customer")
_NAMES = ("Hanna Velde", "Marek Stroud", "Ines Rocha", "Rui Tavares")
_ROLES = (Role.OPERATOR, Role.ADMIN, Role.MAIL_ADMIN, None)
_PEOPLE = Path(__file__).parent / "demo_people.csv"
_FIRST_NUMBER = 1072
_MONTHS = 4
_STAFF = SIGN_INS[1][1]
_LEAVING = {12, 22}  # places in the file of those whose service ends soon
_TAX = Decimal(23)


@click.command()
@click.option("--upgrade", "upgrades", is_flag=True, help="Make the tables, or bring them up to date, before.")
@with_appcontext
def demo(*, upgrades: bool) -> None:
    """Fill an empty database with the demo account and print its slug; does nothing otherwise."""
    if upgrades:
        upgrade()
    if db.session.scalar(sa.select(Account.id).limit(1)) is not None:
        return
    db.session.rollback()  # hashing takes a while and holds no transaction open
    hashes = [hash_password(password) for _, _, password in SIGN_INS]
    customers_hash = hash_password(CUSTOMER_SIGN_IN[1])
    with unit_of_work():
        account = _account()
        for (_, email, _), name, role, password_hash in zip(SIGN_INS, _NAMES, _ROLES, hashes, strict=True):
            user = services.create_user(email, password_hash, name, is_instance_admin=role is None)
            if role is not None:
                services.give_role(account, user, role)
        customers = _customers(account)
        _live(customers, _plans(account))
        for customer, month, created_at in _billed(account, customers):
            _end(_invoice(account, customer, month, created_at), customer, month)
        entering.set_password(next(one for one in customers if one.email == CUSTOMER_SIGN_IN[0]), customers_hash)
        account_id, slug = account.id, account.slug
    payments.fill(account_id)
    click.echo(slug)


def _account() -> Account:
    account = services.create_account("Quayside Works", "quayside", "Europe/Lisbon", "EUR", "PT")
    account.next_invoice_number = _FIRST_NUMBER
    harbour_street = account.locations[0]
    harbour_street.name, harbour_street.address = "Harbour Street", "Rua do Porto 4"
    harbour_street.city, harbour_street.postcode = "Lisboa", "1100-040"
    harbour_street.tax_rate = _TAX
    services.add_location(
        account, "Mill Lane", tax_rate=_TAX, address="Rua do Moinho 21", city="Lisboa", postcode="1350-204"
    )
    db.session.flush()
    db.session.expire(account)
    return account


def _customers(account: Account) -> list[Customer]:
    """The people of the file, who came one after another over the last two years."""
    outcome = Outcome()
    rows = csv_files.read(_PEOPLE, csv_files.CUSTOMER_COLUMNS, ("email", "full_name"), outcome)
    csv_files.take_customers(account, rows, outcome)
    customers = list(db.session.scalars(sa.select(Customer).where(Customer.account_id == account.id)))
    for age, customer in enumerate(sorted(customers, key=lambda one: one.id)):
        customer.signed_up_at = clock.now() - timedelta(days=130 + 17 * age)
        if customer.status in {CustomerStatus.LEAD, CustomerStatus.SCHEDULED}:
            customer.signed_up_at = clock.now() - timedelta(days=age % 9, hours=age)
        elif customer.activated_at is not None:
            customer.activated_at = customer.signed_up_at + timedelta(days=1)
    return customers


def _plans(account: Account) -> list[Plan]:
    """Two plans on the sign-up page, a personal one that is hidden, and one that nobody can take any more."""
    offers = [
        PlanDetails("Business 12", "business", "39", long_cycle="yearly", long="420", setup="25", recipient="4.50"),
        PlanDetails("Business 48", "business", "89", long_cycle="yearly", long="960", setup="25", recipient="3"),
        PlanDetails("Personal", "personal", "19", subtitle="Letters only"),
        PlanDetails("Founders", "business", "29"),
    ]
    made = [plans.add(account, offer) for offer in offers]
    for plan in made[:2]:
        plans.show(plan, shown=True)
    plans.archive(made[3])
    return made[:3]


def _live(customers: list[Customer], offered: list[Plan]) -> None:
    """Let everybody come to the status of the file: with a plan, a day that is planned, and a reason."""
    business, larger, personal = offered
    for place, customer in enumerate(customers):
        today = clock.today(customer.location.timezone)
        if customer.status == CustomerStatus.SCHEDULED:
            day = today + timedelta(days=3 + 4 * (place % 3))
            life.schedule(customer, day, Terms(business, Cycle.MONTHLY, day), by=_STAFF, welcome=True)
        elif customer.status in {CustomerStatus.ACTIVE, CustomerStatus.LOCKED, CustomerStatus.CANCELLED}:
            wanted, customer.status = customer.status, CustomerStatus.ACTIVE
            plan = larger if place % 6 == 5 else personal if place % 11 == 10 else business
            _serve(customer, plan, Cycle.YEARLY if place % 6 == 5 else Cycle.MONTHLY)
            if wanted == CustomerStatus.LOCKED:
                life.lock(customer, "Four attempts to collect failed.", by="gateway")
            elif wanted == CustomerStatus.CANCELLED:
                life.cancel(customer, by=_STAFF, why="Moves abroad.")
            elif place in _LEAVING:
                has = subscriptions.of(customer)
                life.cancel(customer, subscriptions.period_ends_on(has) if has else None, by=_STAFF, why="Closes shop.")
            elif place % 5 == 1:
                _receive(customer)


def _serve(customer: Customer, plan: Plan, cycle: Cycle) -> None:
    """A service that runs for a while: billed from the first of a month, this period included."""
    today = clock.today(customer.location.timezone)
    months_ago = 2 + customer.id % 9
    year, month = divmod(today.year * 12 + today.month - 1 - months_ago, 12)
    row = subscriptions.take(customer, plan, cycle, date(year, month + 1, 1), setup_fee=False)
    row.taken_at = customer.activated_at or customer.signed_up_at
    row.next_period = periods.number_on(row.billing_starts_on, cycle.months, today) + 1
    subscriptions.begin(row)
    for move in life.moves_of(customer):
        move.at, move.by = row.taken_at, _STAFF


def _receive(customer: Customer) -> None:
    """Somebody else receives mail there, too."""
    name = customer.full_name.split()[-1]
    host = customer.email.rpartition("@")[2]
    recipients.add(customer, RecipientDetails(f"{name} Holding", "free"))
    recipients.add(customer, RecipientDetails(f"Office of {customer.full_name}", "paid", f"bureau@{host}"))


def _billed(account: Account, customers: list[Customer]) -> Iterator[tuple[Customer, int, datetime]]:
    """Who is billed when, oldest first: month 0 is this one. Who left is billed for the oldest month only."""
    served = {CustomerStatus.ACTIVE: 0, CustomerStatus.LOCKED: 1, CustomerStatus.CANCELLED: _MONTHS - 1}
    now = clock.local(clock.now(), account.timezone)
    for month in reversed(range(_MONTHS)):
        first = (now.replace(day=1) - timedelta(days=30 * month)).replace(day=1)
        for place, customer in enumerate(customers):
            if customer.status in served and month >= served[customer.status]:
                planned = first.replace(hour=8, minute=place) + timedelta(days=place % 5)
                yield customer, month, min(planned, now - timedelta(minutes=len(customers) - place))


def _invoice(account: Account, customer: Customer, month: int, created_at: datetime) -> Invoice:
    named = f"{created_at:%B}"
    lines = [Line(f"Business 12, {named}", Decimal(1), 3900, _TAX)]
    if customer.id % 3 == 0:
        lines.append(Line("Parcel forwarded, handling", Decimal(1), 450, _TAX))
        lines.append(Line("Postage, as paid", Decimal(1), 926 + 35 * month, _TAX))
    if customer.id % 4 == 0:
        lines.append(Line("Letters opened and scanned", Decimal(2 + month), 150, _TAX))
    if customer.id % 5 == 0:
        lines.append(Line("Parcel storage, kilograms", Decimal("2.5"), 120, _TAX))
    if customer.id % 7 == 0:
        lines.append(Line("Registered letter, postage", Decimal(1), 455, Decimal(0)))
    due_on = (created_at + timedelta(days=14)).date()
    return invoices.create(account, customer, lines, due_on=due_on, created_at=created_at)


def _end(invoice: Invoice, customer: Customer, month: int) -> None:
    """What became of an invoice: older ones are mostly paid, this month's mostly pending."""
    turn = (customer.id + month) % 10
    ended_at = min(invoice.created_at + timedelta(days=2, hours=turn), clock.now())
    if month == 0:
        if turn == 0:
            invoice.status = InvoiceStatus.DRAFT
        elif turn in {1, 2}:
            _pay(invoice, ended_at, GATEWAY, PaidBy.CARD)
    elif customer.status == CustomerStatus.LOCKED or (month == 1 and turn in {3, 7}):
        return  # pending, and overdue by now
    elif turn == 9 and month == 2:
        invoice.status, invoice.voided_at = InvoiceStatus.VOID, ended_at
        invoice.void_reason = "Written twice."
    elif turn == 8 and month == 1:
        _hand_over(invoice, ended_at)
    elif turn in {4, 6}:
        _pay(invoice, ended_at, BY_HAND, PaidBy.TRANSFER)
    else:
        _pay(invoice, ended_at, GATEWAY, PaidBy.CARD)


def _pay(invoice: Invoice, paid_at: datetime, collector: str, how: PaidBy) -> None:
    invoice.status, invoice.paid_at, invoice.paid_how = InvoiceStatus.PAID, paid_at, how.value
    invoice.collector, invoice.collected_at = collector, paid_at


def _hand_over(invoice: Invoice, closed_at: datetime) -> None:
    """Closed by a connection of earlier times; paid by card where no plugin connects to anything."""
    plugin = next((plugin for plugin in registry() if plugin.connect), None)
    if plugin is None:
        _pay(invoice, closed_at, GATEWAY, PaidBy.CARD)
        return
    invoice.status, invoice.closed_at = InvoiceStatus.CLOSED, closed_at
    invoice.collector, invoice.collected_at = plugin.name, closed_at
    invoice.handed_over_as = f"INV-{2000 + invoice.id}"
