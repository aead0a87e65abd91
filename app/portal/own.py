"""What a customer changes and sees of what is the customer's own. Changes rows, never commits."""

from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa
from flask_sqlalchemy.pagination import Pagination

from app.accounts.models import Account
from app.billing import collecting, customers, invoices
from app.billing.customers import Details
from app.billing.models import Customer, Invoice, InvoiceStatus
from app.db import db
from app.errors import InvalidInput, NotFound
from app.mailing.services import post
from app.money import Money

SHOWN = (InvoiceStatus.PENDING, InvoiceStatus.PAID, InvoiceStatus.CLOSED, InvoiceStatus.VOID)


def change_contact(account: Account, customer: Customer, details: Details) -> bool:
    """Take over what a customer says about itself; a new email is told to the old address, too.

    Raises `InvalidInput` for the field that cannot be taken; whose an email is stays unsaid.
    """
    before = customer.email
    try:
        changed = customers.edit(account, customer, details)
    except InvalidInput as error:
        if error.field != "email" or "already" not in error.sentence:
            raise
        raise InvalidInput("This email cannot be taken here. Use another one.", "email") from error
    if customer.email != before:
        context = {"customer": customer, "before": before}
        post(account, to=before, template="portal_email_changed", context=context, customer=customer)
    return changed


def invoices_of(customer: Customer, page: int, per_page: int = 25) -> Pagination:
    """A customer's invoices, the newest first; drafts are nobody's but the account's."""
    query = sa.select(Invoice).where(Invoice.customer_id == customer.id, Invoice.status.in_(SHOWN))
    query = query.order_by(Invoice.created_at.desc(), Invoice.id.desc())
    return db.paginate(query, page=page, per_page=per_page, error_out=False)


def invoice(account: Account, customer: Customer, invoice_id: int) -> Invoice:
    """One of a customer's own invoices; a draft, and anybody else's, is `NotFound`."""
    row = invoices.get(account, invoice_id)
    if row.customer_id != customer.id or row.status not in SHOWN:
        raise NotFound("There is no such invoice.")
    return row


@dataclass(frozen=True, slots=True)
class Standing:
    """How an invoice stands for the one who pays: a word for the amount's label, and what there is to do."""

    kind: Literal["to_pay", "theirs", "paid", "void"]
    biller: str = ""  # the plugin whose system collects it; "" is the account itself


def standing(row: Invoice) -> Standing:
    """Who collects an invoice, as far as it concerns the customer: what is handed over is paid over there."""
    if row.status == InvoiceStatus.PAID:
        return Standing("paid")
    if row.status == InvoiceStatus.VOID:
        return Standing("void")
    if row.status == InvoiceStatus.CLOSED:
        return Standing("theirs", row.collector or "")
    goes_to = collecting.goes_to(row)
    if goes_to is not None and not row.do_not_send:
        return Standing("theirs", goes_to.plugin)
    return Standing("to_pay")


def to_pay(customer: Customer) -> list[Money]:
    """What a customer has to pay to the account itself, per currency."""
    rows = db.session.execute(
        sa.select(Invoice.currency, sa.func.sum(Invoice.total_minor))
        .where(Invoice.customer_id == customer.id, Invoice.status == InvoiceStatus.PENDING)
        .where(~collecting.billed_by_plugin())
        .group_by(Invoice.currency)
        .order_by(Invoice.currency)
    )
    return [Money(int(minor), currency) for currency, minor in rows]
