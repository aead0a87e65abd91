"""Invoices by mail: asked for by a person or by themselves, drawn by a worker, once each. Never commits.

What a plugin hands over is a statement here: the invoice comes from the other system, so it is never mailed.
"""

from collections.abc import Sequence
from datetime import timedelta

import sqlalchemy as sa

from app import audit, clock
from app.accounts.models import Account
from app.billing import asking, collecting, printed, printing
from app.billing.models import Customer, Invoice, InvoiceMail, InvoiceStatus
from app.billing.printing import Sheet
from app.db import db
from app.errors import Conflict
from app.installations.models import Installation, InstallationState
from app.mailing.letters import Attached
from app.mailing.services import post
from app.payments import letters, standing
from app.work import ring_after_commit

JOB = "host.mail_invoice"
BY_ITSELF = "system"
# A new customer of an account with a billing plugin may be linked in a moment; the invoice is that plugin's then.
LINKING_TAKES = timedelta(hours=1)
_NOT_MAILED = {
    InvoiceStatus.DRAFT: "A draft is not mailed. Issue it first.",
    InvoiceStatus.VOID: "A void invoice is not mailed.",
}


def refusal(invoice: Invoice) -> str:
    """Why an invoice is not mailed to its customer, in a sentence; "" when it may be."""
    if invoice.status in _NOT_MAILED:
        return _NOT_MAILED[invoice.status]
    if collecting.statement_of(invoice):
        return "It goes out from the other system; what is here is a statement and is not mailed."
    return ""


def ask(invoice: Invoice, seen: int) -> InvoiceMail:
    """Mail a locked invoice because a person wants it; `seen` is the id of the last such mail that the page showed.

    So one press is one mail, however often its form arrives: `Conflict` when there is a newer one.
    """
    why_not = refusal(invoice)
    if why_not:
        raise Conflict(why_not)
    last = latest(invoice)
    if (last.id if last else 0) != seen:
        raise Conflict("It was mailed a moment ago. Look at the invoice before you send it again.")
    row = InvoiceMail(account_id=invoice.account_id, asked_by=audit.current_actor(), due_at=clock.now())
    return _add(row, invoice)


def ask_by_itself(invoice: Invoice) -> InvoiceMail | None:
    """Mail a new invoice to a customer who is billed here; None for one whose invoices a plugin hands over."""
    if refusal(invoice):
        return None
    waits = LINKING_TAKES if _may_still_be_linked(invoice) else timedelta(0)
    row = InvoiceMail(account_id=invoice.account_id, asked_by=BY_ITSELF, due_at=clock.now() + waits)
    return _add(row, invoice)


def of(invoice: Invoice) -> Sequence[InvoiceMail]:
    """The mails of an invoice that were asked for, the newest first."""
    query = sa.select(InvoiceMail).where(InvoiceMail.invoice_id == invoice.id)
    return db.session.scalars(query.order_by(InvoiceMail.id.desc()).limit(20)).all()


def latest(invoice: Invoice) -> InvoiceMail | None:
    """The last mail of an invoice that was asked for."""
    return next(iter(of(invoice)), None)


def hand_over(row: InvoiceMail, sheet: Sheet, pdf: bytes) -> bool:
    """Give a drawn invoice to the post; False when it changed since it was drawn, and must be drawn again.

    The invoice must be locked. One that became a statement or void meanwhile is not mailed, and the row says so.
    """
    invoice = row.invoice
    why_not = refusal(invoice)
    if why_not:
        give_up(row, why_not)
        return True
    if printing.sheet_of(invoice) != sheet:
        return False
    account, customer = db.session.get_one(Account, row.account_id), invoice.customer
    printed.freeze(invoice)
    wants_card = invoice.status == InvoiceStatus.PENDING and standing.lacks_card(customer)
    mail = post(
        account,
        to=customer.email,
        template="invoice",
        context={
            "customer": customer,
            "invoice": invoice,
            "due": sheet.due,
            "card_link": letters.card_link(account, customer) if wants_card else "",
        },
        customer=customer,
        attachments=[Attached(f"{invoice.number}.pdf", "application/pdf", pdf)],
        reply_to=account.contact_email,
        came_about=invoice.came_about if row.asked_by == BY_ITSELF else row.asked_at,
    )
    row.outgoing_mail_id, row.due_at, row.problem = mail.id, None, ""
    invoice.mailed_at = clock.now()
    if wants_card:
        asking.asked(customer.id)
    audit.record("invoice_mailed", invoice, actor=row.asked_by, to=customer.email)
    return True


def give_up(row: InvoiceMail, why: str) -> None:
    """Let a mail rest that is not sent."""
    row.due_at, row.problem = None, why


def _add(row: InvoiceMail, invoice: Invoice) -> InvoiceMail:
    row.invoice_id = invoice.id
    db.session.add(row)
    db.session.flush()
    audit.record("invoice_mail_asked", invoice, actor=row.asked_by)
    if row.due_at is not None and row.due_at <= clock.now():
        ring_after_commit(JOB, row.id)
    return row


def _may_still_be_linked(invoice: Invoice) -> bool:
    customer: Customer = invoice.customer
    if customer.billed_by:
        return False
    taking_over = sa.select(Installation.id).where(
        Installation.account_id == invoice.account_id,
        Installation.state != InstallationState.OFF,
        Installation.cutover_at.is_not(None),
    )
    return db.session.scalar(taking_over.limit(1)) is not None
