"""Who bills a customer is open for a while after activation, if a plugin bills here: until it has said yes or no.

Until then nothing is collected, and no billing info is asked for. Should the plugin never say anything, the host's own
billing takes over after a week.
"""

from datetime import timedelta

import sqlalchemy as sa

from app import clock
from app.billing import asking
from app.billing.models import Customer
from app.db import db
from app.installations.models import Installation, InstallationState

LONGEST = timedelta(days=7)


def biller_of(account_id: int) -> Installation | None:
    """A plugin that bills in this account since its cut-over; None while the host alone does."""
    return db.session.scalars(
        sa.select(Installation)
        .where(
            Installation.account_id == account_id,
            Installation.state != InstallationState.OFF,
            Installation.cutover_at.is_not(None),
        )
        .limit(1)
    ).first()


def begin(customer: Customer) -> None:
    """The customer became active: the plugin that bills here, if any, decides first."""
    if not customer.billed_by and biller_of(customer.account_id) is not None:
        customer.billing_undecided_until = clock.now() + LONGEST


def decided(customer: Customer) -> None:
    """A plugin has said whether it bills a customer; told by plugins, as is `customers.set_billed_by`."""
    if customer.billing_undecided_until is not None:
        customer.billing_undecided_until = None
        if not customer.billed_by:
            asking.look_now(customer.id)


def is_open(customer: Customer) -> bool:
    """Whether it is still open who bills a customer."""
    until = customer.billing_undecided_until
    return until is not None and until > clock.now()
