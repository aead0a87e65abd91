"""Background work of customers: what was planned for a day, fees of the periods that began, invoices by mail."""

import sqlalchemy as sa
import structlog

from app import clock
from app.billing import fees, invoice_mails, life, printing
from app.billing.life_models import PlannedMove
from app.billing.models import Customer, Invoice, InvoiceMail
from app.billing.subscription_models import Subscription
from app.db import db, end_reading, unit_of_work

log = structlog.get_logger()


def make_planned_move(move_id: int) -> None:
    """Make a planned move whose day has come. Its row goes with it, so a second ring finds nothing to do."""
    customer_id = db.session.scalar(sa.select(PlannedMove.customer_id).where(PlannedMove.id == move_id))
    if customer_id is None:
        return
    with unit_of_work() as session:
        customer = session.get_one(Customer, customer_id, with_for_update=True, populate_existing=True)
        move = session.get(PlannedMove, move_id, populate_existing=True)
        made = move is not None and life.carry_out(customer, move)
    log.info("planned_move", customer_id=customer_id, made=made)


def bill_subscription(subscription_id: int) -> None:
    """Write the invoices of the periods that have begun. A second ring finds them billed and does nothing."""
    customer_id = db.session.scalar(sa.select(Subscription.customer_id).where(Subscription.id == subscription_id))
    if customer_id is None:
        return
    with unit_of_work() as session:
        session.execute(sa.select(Customer.id).where(Customer.id == customer_id).with_for_update(key_share=True))
        subscription = session.get_one(Subscription, subscription_id, populate_existing=True)
        if subscription.due_at is None or subscription.due_at > clock.now():
            return
        numbers = [invoice.number for invoice in fees.bill(subscription)]
    log.info("fees_billed", customer_id=customer_id, invoices=numbers)


def mail_invoice(mail_id: int) -> None:
    """Draw an invoice with no transaction open, then give it to the post, unless that has happened already."""
    row = db.session.get(InvoiceMail, mail_id)
    if row is None or row.due_at is None or row.due_at > clock.now():
        return
    sheet, invoice_id = printing.sheet_of(row.invoice), row.invoice_id
    end_reading()
    pdf = printing.draw(sheet)
    with unit_of_work() as session:
        session.get_one(Invoice, invoice_id, with_for_update=True, populate_existing=True)
        row = session.get_one(InvoiceMail, mail_id, populate_existing=True)
        if row.due_at is None:
            return
        handed_over = invoice_mails.hand_over(row, sheet, pdf)
        if not handed_over:
            row.nudged_at = None  # it changed while it was drawn: at once again
    log.info("invoice_mail", mail_id=mail_id, handed_over=handed_over)
