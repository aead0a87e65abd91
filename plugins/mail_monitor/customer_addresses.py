"""Further addresses of customers: of a company, a second mailbox, whoever else receives mail for them."""

from collections.abc import Sequence

import sqlalchemy as sa

from app import audit
from app.accounts.services import checked_email
from app.billing.models import Customer
from app.db import db
from app.errors import Conflict, InvalidInput, NotFound
from app.typed import line
from plugins.mail_monitor import directory, late_recipients, strangers
from plugins.mail_monitor.address_lists import address_key
from plugins.mail_monitor.waiting import CustomerAddress, RememberedAddress

MOST = 50


def of(customer: Customer) -> Sequence[CustomerAddress]:
    """A customer's further addresses, oldest first."""
    return db.session.scalars(
        sa.select(CustomerAddress).where(CustomerAddress.customer_id == customer.id).order_by(CustomerAddress.id)
    ).all()


def add(customer: Customer, address: str, whose: str = "", by: str = "") -> CustomerAddress:
    """Give a customer one more address, inside the unit of work around the caller; kept messages of it are fetched.

    Another customer may have it too: messages from it then need a choice.
    """
    address = checked_email(address)
    key = address_key(address)
    if key in directory.own_keys(customer.account_id):
        raise InvalidInput("This address is watched itself; it cannot be a customer's.", field="address")
    theirs = of(customer)
    if key == customer.email_key or key in {one.address_key for one in theirs}:
        raise Conflict(f"{customer.full_name} has this address already.")
    if len(theirs) >= MOST:
        raise Conflict(f"A customer has at most {MOST} further addresses.")
    row = CustomerAddress(
        account_id=customer.account_id,
        customer_id=customer.id,
        address=address,
        address_key=key,
        whose=line(whose, 120, "whose"),
        added_by=by,
    )
    db.session.add(row)
    # "Nobody's" was said of it before; now it is somebody's.
    db.session.execute(
        sa.delete(RememberedAddress).where(
            RememberedAddress.account_id == customer.account_id,
            RememberedAddress.address_key == key,
            RememberedAddress.customer_id.is_(None),
        )
    )
    db.session.flush()
    audit.record("address_added", customer, actor=by or None, address=address)
    strangers.look_again(customer.account_id)
    late_recipients.look_again(customer.account_id)
    return row


def remove(customer: Customer, address_id: int, by: str) -> CustomerAddress:
    """Take an address away; what was filed by it stays filed."""
    row = db.session.scalar(
        sa.select(CustomerAddress).where(CustomerAddress.customer_id == customer.id, CustomerAddress.id == address_id)
    )
    if row is None:
        raise NotFound("This customer has no such address.")
    db.session.delete(row)
    audit.record("address_removed", customer, actor=by, address=row.address)
    return row
