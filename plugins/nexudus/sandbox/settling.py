"""What becomes of an invoice after it was raised: issued, paid, voided, cancelled, refunded, deleted."""

from decimal import Decimal
from typing import Any

from plugins.nexudus.sandbox import clock, webhooks
from plugins.nexudus.sandbox.billing import (
    CREDIT_NOTE_COUNTER,
    DRAFT_COUNTER,
    INVOICE_COUNTER,
    STARTS,
    lines_of,
    link,
    mail_out,
    next_number,
    total_up,
)
from plugins.nexudus.sandbox.space import Space
from plugins.nexudus.sandbox.store import Record


class NotPossible(Exception):
    """What was asked for cannot be done; the message says why."""


def issue(here: Space, invoice: Record) -> Record:
    """A draft becomes an invoice; a number of the drafts' sequence is replaced by one of the invoices'."""
    if invoice["InvoiceNumber"].startswith(f"{STARTS[DRAFT_COUNTER]}-"):
        number = next_number(here, invoice["BusinessId"], INVOICE_COUNTER)
        same = invoice["PaymentReference"] == invoice["InvoiceNumber"]
        invoice |= {"InvoiceNumber": number} | ({"PaymentReference": number} if same else {})
    return refresh_links(here, mail_out(here, here.save("CoworkerInvoice", invoice | {"Draft": False})))


def refresh_links(here: Space, invoice: Record) -> Record:
    """Let the sales of an invoice show its present number and whether it is paid."""
    for sale in here.where("CoworkerProduct", CoworkerInvoiceId=invoice["Id"]):
        here.save("CoworkerProduct", sale | link("CoworkerProduct", invoice))
    return invoice


def pay(here: Space, invoice: Record, gateway: int = 11, method: str | None = None) -> Record:
    """Record a payment of all that is due; `gateway` 11 is "Manual"."""
    if invoice["Draft"] or invoice["Void"] or invoice["Paid"]:
        raise NotPossible("Only an issued, unpaid invoice can be paid.")
    here.create(
        "CoworkerLedgerEntry",
        {
            "BusinessId": invoice["BusinessId"],
            "CoworkerId": invoice["CoworkerId"],
            "CoworkerInvoiceId": invoice["Id"],
            "Description": f"Payment of {invoice['InvoiceNumber']}",
            "Code": method or "Manual",
            "Credit": invoice["TotalAmount"],
            "PaymentGatewayName": gateway,
            "TransactionDate": clock.written(clock.now()),
        },
    )
    return mark_paid(here, invoice)


def mark_paid(here: Space, invoice: Record) -> Record:
    paid = here.save(
        "CoworkerInvoice",
        invoice
        | {
            "Paid": True,
            "PaidOn": invoice["PaidOn"] or clock.written(clock.now()),
            "PaidAmount": invoice["TotalAmount"],
            "DueAmount": Decimal(0),
        },
    )
    webhooks.remember(webhooks.INVOICE_PAID, paid)
    return refresh_links(here, paid)


def void(here: Space, invoice: Record) -> Record:
    if invoice["Paid"] or invoice["Void"]:
        raise NotPossible("Only an unpaid invoice can be voided.")
    voided = here.save("CoworkerInvoice", invoice | {"Void": True, "DueAmount": Decimal(0)})
    webhooks.remember(webhooks.INVOICE_UPDATED, voided)
    return voided


def delete(here: Space, invoice: Record) -> None:
    """Remove an invoice and its lines; its sales and charges are pending again."""
    lines = lines_of(here, invoice["Id"])
    for line in lines:
        for kind in ("CoworkerProduct", "Charge"):
            unique_id = line[f"Coworker{kind.removeprefix('Coworker')}UniqueId"]
            for item in here.where(kind, UniqueId=unique_id) if unique_id else []:
                here.save(kind, item | {"Invoiced": False, "InvoicedOn": None} | link(kind, None))
        here.store.drop("CoworkerInvoiceLine", line["Id"])
    here.store.drop("CoworkerInvoice", invoice["Id"])
    webhooks.remember(webhooks.INVOICE_DELETED, invoice)


def cancel(here: Space, invoice: Record) -> Record:
    """Take an issued invoice back by a credit note of the same lines, negative; answers the credit note."""
    if invoice["Draft"] or invoice["Void"] or invoice["CreditNote"] or invoice["CreditedAmount"]:
        raise NotPossible("Only an issued invoice that was not cancelled can be cancelled.")
    copied = {name: value for name, value in invoice.items() if name.startswith("BillTo")}
    number = next_number(here, invoice["BusinessId"], CREDIT_NOTE_COUNTER)
    credit = here.create(
        "CoworkerInvoice",
        copied
        | {name: invoice[name] for name in ("CoworkerId", "BusinessId", "CurrencyId", "PurchaseOrder")}
        | {
            "InvoiceNumber": number,
            "PaymentReference": number,
            "CreditNote": True,
            "OriginalInvoiceGuid": invoice["UniqueId"],
            "DueDate": clock.written(clock.now()),
        },
    )
    for line in lines_of(here, invoice["Id"]):
        negative = {name: -line[name] for name in ("SubTotal", "TaxAmount")}
        here.create(
            "CoworkerInvoiceLine",
            {**line, **negative, "CoworkerInvoiceId": credit["Id"], "CoworkerProductUniqueId": None}
            | {"CoworkerChargeUniqueId": None, "CancelledCoworkerInvoiceLineUniqueId": line["UniqueId"]},
        )
    here.save("CoworkerInvoice", invoice | {"CreditedAmount": invoice["TotalAmount"], "DueAmount": Decimal(0)})
    credit = total_up(here, credit["Id"])
    webhooks.remember(webhooks.CREDIT_NOTE, credit)
    return credit


def refund(here: Space, invoice: Record) -> Record:
    if not invoice["Paid"] or invoice["Refunded"]:
        raise NotPossible("Only a paid invoice can be refunded.")
    changes = {
        "Refunded": True,
        "RefundedOn": clock.written(clock.now()),
        "RefundedAmount": invoice["TotalAmount"],
    }
    refunded = here.save("CoworkerInvoice", invoice | changes)
    webhooks.remember(webhooks.INVOICE_REFUNDED, refunded)
    return refunded


def state(invoice: Record) -> str:
    """One word for where an invoice stands; Nexudus itself has only the flags."""
    words: tuple[tuple[Any, str], ...] = (
        (invoice["Void"], "void"),
        (invoice["Refunded"], "refunded"),
        (invoice["CreditNote"], "credit note"),
        (invoice["CreditedAmount"], "cancelled"),
        (invoice["Paid"], "paid"),
        (invoice["Draft"], "draft"),
    )
    return next((word for is_so, word in words if is_so), "issued")
