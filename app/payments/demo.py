"""The demo's payments: the test gateway connected, a few cards, one of them declined, one that waits for its bank."""

from datetime import timedelta
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute

from app import clock
from app.accounts.models import Account
from app.billing import invoices
from app.billing.lines import Line
from app.billing.models import Customer, CustomerStatus, Invoice, InvoiceStatus
from app.db import db, end_reading, unit_of_work
from app.payments import asking, cards, charging, gateways
from app.payments.models import CardEntry, ProviderName
from app.payments.provider import Checked
from app.payments.test_gateway import TestGateway

KINDS = ("good", "empty", "mastercard", "confirm", "good", "good", "mastercard")
CHARGED = ("empty", "confirm")  # one attempt was made; the next is due, or the bank waits


def fill(account_id: int) -> None:
    """Connect the test gateway and let customers leave their cards there. Outside a unit of work."""
    with unit_of_work() as session:
        account = session.get_one(Account, account_id)
        gateway = gateways.connect(account, ProviderName.TEST, "", Checked("test", is_live=False, is_restricted=True))
        access = gateways.access_to(gateway)
        served = sa.select(Customer.id).where(
            Customer.account_id == account_id, Customer.status == CustomerStatus.ACTIVE
        )
        with_open = served.where(Customer.id.in_(_open(account_id, Invoice.customer_id))).order_by(Customer.id)
        customers = list(session.scalars(with_open.limit(len(KINDS))))
    there = access.open()
    assert isinstance(there, TestGateway)
    for customer_id, kind in zip(customers, KINDS, strict=False):
        _leave_card(customer_id, kind, there)
        if kind == KINDS[0]:
            _bill(account_id, customer_id)
        if kind in CHARGED:
            _charge(account_id, customer_id)


def _open(account_id: int, column: InstrumentedAttribute[int]) -> sa.Select[int]:
    return sa.select(column).where(
        Invoice.account_id == account_id,
        Invoice.status == InvoiceStatus.PENDING,
        Invoice.collector.is_(None),
    )


def _leave_card(customer_id: int, kind: str, there: TestGateway) -> None:
    url = cards.start_card_entry(customer_id, "/")
    there.leave_card(url.rpartition("/")[2], kind)
    entry_id = db.session.scalar(sa.select(sa.func.max(CardEntry.id)).where(CardEntry.customer_id == customer_id))
    if entry_id is not None:
        cards.finish_card_entry(entry_id)


def _bill(account_id: int, customer_id: int) -> None:
    """One more invoice, due in some days: it is charged by itself then."""
    end_reading()
    with unit_of_work() as session:
        account, customer = session.get_one(Account, account_id), session.get_one(Customer, customer_id)
        due_on = clock.today(account.timezone) + timedelta(days=9)
        invoices.create(account, customer, [Line("Parcel forwarded", Decimal(1), 1450, Decimal(23))], due_on=due_on)


def _charge(account_id: int, customer_id: int) -> None:
    end_reading()
    newest = _open(account_id, Invoice.id).where(Invoice.customer_id == customer_id).order_by(Invoice.id.desc())
    with unit_of_work() as session:
        invoice = session.get_one(Invoice, session.scalars(newest).first())
        collection_id = asking.charge_now(invoice, by="demo").id
    charging.work_on(collection_id)
