"""What is particular to one kind of record when it is created, updated or deleted."""

import json
import secrets
from pathlib import Path

from flask import g

from plugins.nexudus.sandbox import billing, clock, settling, webhooks
from plugins.nexudus.sandbox.replies import Refusal, complaint, refused, text_reply
from plugins.nexudus.sandbox.schema import ENTITIES, Entity
from plugins.nexudus.sandbox.space import Space, rounded
from plugins.nexudus.sandbox.store import Record

KNOWN = frozenset(ENTITIES)  # references to these must lead somewhere; others (tariffs, teams) are not kept here

ENUMS: dict[str, dict[int, str]] = {
    name: {int(number): word for number, word in words.items()}
    for name, words in json.loads((Path(__file__).parent / "enums.json").read_text(encoding="utf-8")).items()
}

# Seen on records that were created without naming these.
_COWORKER_DEFAULTS = {
    "CoworkerType": 1,
    "Gender": 1,
    "TaxRateType": 1,
    **{name: True for name in ENTITIES["Coworker"].fields if name.startswith(("NotifyOn", "Can"))},
    **{name: 5 for name in ENTITIES["Coworker"].fields if name.endswith("Attendance")},
}


def before_create(here: Space, entity: Entity, values: Record) -> None:
    """Refuse, or fill in what the server fills in."""
    if entity.name == "Coworker":
        _before_coworker(here, values)
    elif entity.name == "CoworkerProduct":
        _before_sale(here, values)
    elif entity.name == "Charge":
        values.setdefault("SaleDate", clock.written(clock.now()))
        values["ChargeNumber"] = f"C-{here.store.count('Charge') + 1:05}"
    elif entity.name == "CoworkerInvoice":
        _before_invoice(here, values)
    elif entity.name == "CoworkerInvoiceLine":
        _open_invoice(here, values)
        values["Position"] = len(billing.lines_of(here, values["CoworkerInvoiceId"])) + 1
        if values["Quantity"]:
            values["UnitPrice"] = rounded(values["SubTotal"] / values["Quantity"])


def _before_coworker(here: Space, values: Record) -> None:
    if not here.limits.may_create_coworker(here.faults.switches.creation_cap):
        raise Refusal(text_reply("Access Denied", 401))
    values.pop("Password", None)
    values["Active"] = values.get("Active", True)
    for name, value in _COWORKER_DEFAULTS.items():
        values.setdefault(name, value)
    # Whoever names no location is put into some location of the login, without a word.
    some = g.user["Businesses"][-1]
    values["Businesses"] = values.get("Businesses") or [some]
    values["InvoicingBusinessId"] = values.get("InvoicingBusinessId") or some
    values.setdefault("RegistrationDate", clock.written(clock.now()))
    values.setdefault("AccessPincode", str(secrets.randbelow(900_000) + 100_000))


def _before_sale(here: Space, values: Record) -> None:
    values.setdefault("SaleDate", clock.written(clock.now()))
    values["RepeatCycle"] = values.get("RepeatCycle") or 1
    values["Activated"] = values.get("ActivateNow", False)
    values["OrderNumber"] = f"S-{here.store.count('CoworkerProduct') + 1:05}"
    product = here.need("Product", values["ProductId"])
    price = values.get("Price")
    values["UnitPrice"] = product["Price"] if price is None else price
    values["TotalPrice"] = values["UnitPrice"] * values["Quantity"]


def _before_invoice(here: Space, values: Record) -> None:
    customer = here.need("Coworker", values["CoworkerId"])
    values.setdefault("PaymentReference", values["InvoiceNumber"])
    values.setdefault("DueDate", billing.due_date(here, customer, values["BusinessId"]))
    _only_currency_of_the_business(here, values)


def _only_currency_of_the_business(here: Space, values: Record) -> None:
    if values["CurrencyId"] != here.need("Business", values["BusinessId"])["CurrencyId"]:
        errors = [complaint("Currency", "is not the currency of the location", values["CurrencyId"])]
        raise Refusal(refused("Currency: is not the currency of the location", errors))


def _open_invoice(here: Space, values: Record) -> Record:
    invoice = here.need("CoworkerInvoice", values["CoworkerInvoiceId"])
    if invoice["Paid"] or invoice["Void"] or invoice["CreditNote"]:
        raise Refusal(refused("This invoice can no longer be changed."))
    return invoice


def after_create(here: Space, entity: Entity, record: Record) -> None:
    """What follows from a new record."""
    if entity.name == "Coworker":
        webhooks.remember(webhooks.COWORKER_CREATED, record)
    elif entity.name == "CoworkerProduct":
        webhooks.remember(webhooks.SALE_CREATED, record)
    elif entity.name == "CoworkerInvoice":
        webhooks.remember(webhooks.INVOICE_CREATED, record)
    elif entity.name == "CoworkerInvoiceLine":
        billing.total_up(here, record["CoworkerInvoiceId"])
    elif entity.name == "CoworkerLedgerEntry":
        _settle(here, record)


def _settle(here: Space, entry: Record) -> None:
    """A credit of an invoice's whole total marks it as paid."""
    invoice = here.get("CoworkerInvoice", entry["CoworkerInvoiceId"])
    if invoice and not invoice["Paid"] and entry["Credit"] == invoice["TotalAmount"] and not entry["Debit"]:
        settling.mark_paid(here, invoice)


def before_update(here: Space, entity: Entity, before: Record, values: Record) -> None:
    """Refuse, or keep what no update may clear."""
    if entity.name == "Coworker":
        _move(before, values)
    elif entity.name == "CoworkerInvoice":
        if before["Void"] or before["CreditNote"]:
            raise Refusal(refused("This invoice can no longer be changed."))
        if values["Draft"] and not before["Draft"]:
            raise Refusal(refused("Draft: an issued invoice cannot become a draft again"))
        _only_currency_of_the_business(here, values)
    elif entity.name == "CoworkerInvoiceLine":
        _open_invoice(here, values)


def _move(before: Record, values: Record) -> None:
    """`AddedBusinesses` and `RemovedBusinesses` change the list; they read as null."""
    values.pop("Password", None)
    added, removed = values.pop("AddedBusinesses", None), values.pop("RemovedBusinesses", None)
    mine = values.get("Businesses") or before["Businesses"]
    values["Businesses"] = [one for one in dict.fromkeys([*mine, *(added or [])]) if one not in (removed or [])]


def after_update(here: Space, entity: Entity, before: Record, record: Record) -> None:
    """What follows from a changed record."""
    if entity.name == "Coworker":
        webhooks.remember(webhooks.COWORKER_UPDATED, record)
    elif entity.name == "CoworkerProduct":
        webhooks.remember(webhooks.SALE_UPDATED, record)
    elif entity.name == "CoworkerInvoiceLine":
        billing.total_up(here, record["CoworkerInvoiceId"])
    elif entity.name == "CoworkerInvoice":
        if before["Draft"] and not record["Draft"]:
            record = settling.issue(here, record)
        else:
            settling.refresh_links(here, record)
        webhooks.remember(webhooks.INVOICE_UPDATED, record)


def before_delete(here: Space, entity: Entity, record: Record) -> None:
    if entity.name in ("Charge", "CoworkerProduct") and record["Invoiced"]:
        raise Refusal(refused("What has been invoiced cannot be deleted."))
    if entity.name == "CoworkerProduct":
        webhooks.remember(webhooks.SALE_DELETED, record)


def has_bills(here: Space, coworker_id: int) -> bool:
    """Whether anything stands in the way of deleting a customer."""
    return any(here.where(kind, CoworkerId=coworker_id) for kind in ("CoworkerInvoice", "CoworkerProduct", "Charge"))
