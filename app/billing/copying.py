"""A new invoice in place of one that was wrong and can no longer be changed. Changes rows, never commits."""

from datetime import timedelta

import sqlalchemy as sa

from app import clock
from app.accounts.models import Account
from app.billing import invoices
from app.billing.lines import as_written, discount_of
from app.billing.models import Invoice, InvoiceStatus
from app.db import db
from app.errors import Conflict

COPYABLE = frozenset({InvoiceStatus.CLOSED, InvoiceStatus.VOID})


def copies_of(invoice: Invoice) -> list[Invoice]:
    """What was written in place of an invoice, the first one first."""
    return list(db.session.scalars(sa.select(Invoice).where(Invoice.copied_from_id == invoice.id).order_by(Invoice.id)))


def refusal(invoice: Invoice) -> str:
    """Why there can be no copy; empty when there can. One copy stands for an invoice until it is void itself."""
    if invoice.status not in COPYABLE:
        return f"{invoice.number} was neither handed over nor is it void: it needs no copy."
    for copy in copies_of(invoice):
        if copy.status != InvoiceStatus.VOID:
            return f"{copy.number} is a copy of {invoice.number} already."
    return ""


def copy(account: Account, wrong: Invoice) -> Invoice:
    """A draft with the same lines, due as a new invoice is; `wrong` is locked. `Conflict` where `refusal` says why.

    A draft, because somebody has to put right what was wrong before it is collected. It stands for no period of
    a subscription: that one was billed.
    """
    if why := refusal(wrong):
        raise Conflict(why)
    return invoices.create(
        account,
        wrong.customer,
        as_written(wrong),
        due_on=clock.today(account.timezone) + timedelta(days=account.payment_days),
        note=wrong.note,
        currency=wrong.currency,
        status=InvoiceStatus.DRAFT,
        discount=discount_of(wrong),
        copied_from=wrong,
    )
