"""The smallest valid rows for tests: say what matters, the rest is made up.

    customer = make.customer(cast.acme, email="tamsin@quill.example")
    invoice = make.invoice(customer, number="A-7", lines=[("Storage", "2", 450, "23")])

Each call is a unit of work of its own. Times and amounts are what the product stores: aware UTC, minor units.
"""

import secrets
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from itertools import count
from typing import Any

from app import clock
from app.accounts.models import Account, Location
from app.accounts.services import add_location
from app.accounts.signing_in import hashed
from app.billing.models import Customer, CustomerStatus, Invoice, InvoiceLine, InvoiceStatus
from app.db import unit_of_work
from app.installations.models import Installation, InstallationState
from app.money import net_of_line, tax_of_line
from app.portal.models import PortalSignIn
from app.typed import email_key

_numbers = count(1)
Line = tuple[str, str, int, str]  # description, quantity, unit price in minor units, tax rate in percent


def location(account: Account, name: str = "Harbour Street", **fields: Any) -> Location:
    """A further place of `account`."""
    with unit_of_work():
        return add_location(account, name, **fields)


def customer(
    account: Account,
    full_name: str = "Tamsin Quill",
    *,
    email: str | None = None,
    status: CustomerStatus = CustomerStatus.ACTIVE,
    location: Location | None = None,
    **fields: Any,
) -> Customer:
    """A customer at the account's first location, active and with an email of its own unless said otherwise."""
    number = next(_numbers)
    email = email or f"customer-{number}@quill.example"
    with unit_of_work() as rows:
        row = Customer(
            account_id=account.id,
            location_id=(location or account.locations[0]).id,
            email=email,
            email_key=email_key(email),
            full_name=full_name,
            status=status,
            activated_at=clock.now() if status == CustomerStatus.ACTIVE else None,
            **fields,
        )
        rows.add(row)
    return row


def invoice(
    customer: Customer,
    *,
    number: str | None = None,
    status: InvoiceStatus = InvoiceStatus.PENDING,
    created_at: datetime | None = None,
    currency: str = "EUR",
    lines: Iterable[Line] = (("Storage", "1", 1000, "23"),),
    **fields: Any,
) -> Invoice:
    """An invoice over EUR 12.30, pending and created now unless said otherwise; totals follow from the lines."""
    with unit_of_work() as rows:
        row = Invoice(
            account_id=customer.account_id,
            customer_id=customer.id,
            number=number or f"A-{next(_numbers)}",
            status=status,
            currency=currency,
            created_at=created_at or clock.now(),
            **fields,
        )
        for position, (description, quantity, unit_minor, rate) in enumerate(lines, start=1):
            net = net_of_line(Decimal(quantity), unit_minor)
            row.lines.append(
                InvoiceLine(
                    position=position,
                    description=description,
                    quantity=Decimal(quantity),
                    unit_minor=unit_minor,
                    tax_rate=Decimal(rate),
                    net_minor=net,
                    tax_minor=tax_of_line(net, Decimal(rate)),
                )
            )
        row.net_minor = sum(line.net_minor for line in row.lines)
        row.tax_minor = sum(line.tax_minor for line in row.lines)
        row.total_minor = row.net_minor + row.tax_minor
        rows.add(row)
    return row


def installation(
    account: Account,
    plugin: str = "nexudus",
    state: InstallationState = InstallationState.CONNECTED,
    cutover_at: datetime | None = None,
    **fields: Any,
) -> Installation:
    """A plugin switched on for `account`."""
    with unit_of_work() as rows:
        row = Installation(
            account_id=account.id,
            plugin=plugin,
            state=state,
            switched_on_at=clock.now(),
            cutover_at=cutover_at,
            **fields,
        )
        rows.add(row)
    return row


def portal_sign_in(customer: Customer, token: str | None = None) -> PortalSignIn:
    """A browser in which `customer` is signed in at the portal; `token` is what it holds."""
    with unit_of_work() as rows:
        row = PortalSignIn(
            account_id=customer.account_id,
            customer_id=customer.id,
            token_hash=hashed(token or secrets.token_urlsafe(32)),
        )
        rows.add(row)
    return row
