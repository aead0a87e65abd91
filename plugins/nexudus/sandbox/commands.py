"""Commands: `POST .../runcommand` with a key and ids. The answer is HTTP 200 even when nothing was done.

https://developers.nexudus.com/rest-api/sdk/commands
"""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, g, url_for

from plugins.nexudus.sandbox import billing, printing, rules, settling, webhooks
from plugins.nexudus.sandbox.auth import demand
from plugins.nexudus.sandbox.replies import Refusal, json_reply, mutation, not_found, refused
from plugins.nexudus.sandbox.schema import ENTITIES, Entity
from plugins.nexudus.sandbox.space import Space, space
from plugins.nexudus.sandbox.store import Record

pages = Blueprint("commands", __name__)

Parameters = dict[str, Any]
Command = Callable[[Space, list[Record], Parameters], Response]


def run(here: Space, entity: Entity, body: Record) -> Response:
    """Run one command; whatever it cannot do undoes all of it."""
    g.command = key = str(body.get("Key", ""))
    command = COMMANDS.get((entity.name, key))
    if command is None:
        return refused("There is no such command.", status=200)
    ids, given = body.get("Ids") or [], body.get("Parameters") or []
    if not _are(ids, int) or not _are(given, dict):
        return refused("The request is invalid.")
    records = [here.get(entity.name, one) for one in dict.fromkeys(ids)]
    if not records or None in records:
        return refused("Not found", status=200)
    parameters = {str(one.get("Name")): one.get("Value") for one in given}
    try:
        return command(here, [one for one in records if one is not None], parameters)
    except settling.NotPossible as error:
        raise Refusal(refused(str(error), status=200)) from None


def _are(values: Any, kind: type) -> bool:
    return isinstance(values, list) and all(isinstance(one, kind) for one in values)


def described(key: str, order: int) -> Record:
    """A command as `GET .../commands` lists it."""
    return {
        "Key": key,
        "Name": key.replace("_", " ").capitalize(),
        "AppliesOnlyToMultipleEntities": False,
        "AppliesOnlyToOneEntity": False,
        "AppliesOnlyToTwoEntities": False,
        "NeedsEntitiesToRun": True,
        "Order": order,
        "RequiresParameters": [],
    }


def _invoice_sales(here: Space, sales: list[Record], _: Parameters) -> Response:
    """Invoice exactly these sales of one customer, as one invoice."""
    first = sales[0]
    if any((one["CoworkerId"], one["BusinessId"]) != (first["CoworkerId"], first["BusinessId"]) for one in sales):
        raise settling.NotPossible("The sales belong to different customers or locations.")
    if here.faults.strikes("renewal"):
        _renew_first(here, first["BusinessId"], first["CoworkerId"])
        sales = [here.need("CoworkerProduct", one["Id"]) for one in sales]
    if any(one["Invoiced"] for one in sales):
        raise settling.NotPossible("Already invoiced.")
    apart = here.faults.switches.one_invoice_per_sale
    for group in [[one] for one in sales] if apart else [sales]:
        items = [billing.sale_item(here, one) for one in group]
        billing.raise_invoice(here, first["BusinessId"], first["CoworkerId"], items)
    return mutation(None, "Invoice created")


def _renew_first(here: Space, business_id: int, coworker_id: int) -> None:
    """A contract renews just before a call that invoices; it stays renewed even if that call is refused."""
    billing.renew(here, business_id, coworker_id)
    here.store.keep()


def _pay(here: Space, invoices: list[Record], parameters: Parameters) -> Response:
    gateway = parameters.get("Payment Method")
    for invoice in invoices:
        settling.pay(here, invoice, gateway if isinstance(gateway, int) else 11)
    return mutation(None, "Payment recorded")


def _void(here: Space, invoices: list[Record], _: Parameters) -> Response:
    for invoice in invoices:
        settling.void(here, invoice)
    return mutation(None, "Invoice voided")


def _delete(here: Space, invoices: list[Record], _: Parameters) -> Response:
    for invoice in invoices:
        settling.delete(here, invoice)
    return mutation(None, "Invoice deleted")


def _cancel(here: Space, invoices: list[Record], parameters: Parameters) -> Response:
    if str(parameters.get("Preview", "")).lower() == "true":
        return mutation([], "Preview")
    return mutation([{"Id": settling.cancel(here, one)["Id"]} for one in invoices], "Credit note created")


def _refund(here: Space, invoices: list[Record], parameters: Parameters) -> Response:
    if str(parameters.get("Preview", "")).lower() != "true":
        for invoice in invoices:
            settling.refund(here, invoice)
    return mutation(None, "Invoice refunded")


def _print(here: Space, invoices: list[Record], _: Parameters) -> Response:
    ticket = printing.ticket(here, [one["Id"] for one in invoices])
    return mutation(None, redirect=url_for("printing.show_pdf", ticket=ticket, _external=True))


def _bill_run(here: Space, customers: list[Record], _: Parameters) -> Response:
    for customer in customers:
        business_id = customer["InvoicingBusinessId"]
        items = billing.pending(here, business_id, customer["Id"])
        if items:
            billing.raise_invoice(here, business_id, customer["Id"], items)
    return mutation(None)


def _delete_customer(here: Space, customers: list[Record], _: Parameters) -> Response:
    for customer in customers:
        if rules.has_bills(here, customer["Id"]):
            raise settling.NotPossible("An error has occurred.")
        here.store.drop("Coworker", customer["Id"])
        webhooks.remember(webhooks.COWORKER_DELETED, customer)
    return mutation(None, "Coworker deleted")


def _nothing_to_see(here: Space, records: list[Record], _: Parameters) -> Response:
    """Mails, portal access and exports to others: accepted, and nothing here shows them."""
    return mutation(None)


def _cancel_contract(here: Space, contracts: list[Record], _: Parameters) -> Response:
    for contract in contracts:
        here.save("CoworkerContract", contract | {"Cancelled": True, "Active": False})
    return mutation(None)


def _delete_contract(here: Space, contracts: list[Record], _: Parameters) -> Response:
    if any(not one["Cancelled"] for one in contracts):
        raise settling.NotPossible("Cancel the contract first.")
    for contract in contracts:
        here.store.drop("CoworkerContract", contract["Id"])
    return mutation(None)


COMMANDS: dict[tuple[str, str], Command] = {
    ("CoworkerProduct", "COWORKER_PRODUCT_INVOICE"): _invoice_sales,
    ("CoworkerInvoice", "PAY_COWORKER_INVOICE_MANUAL"): _pay,
    ("CoworkerInvoice", "VOID_INVOICE"): _void,
    ("CoworkerInvoice", "COWORKER_INVOICE_DELETE"): _delete,
    ("CoworkerInvoice", "COWORKER_INVOICE_CANCEL"): _cancel,
    ("CoworkerInvoice", "COWORKER_INVOICE_REFUND"): _refund,
    ("CoworkerInvoice", "COWORKER_INVOICE_PRINT"): _print,
    ("CoworkerInvoice", "TRANSFER_INVOICE_XERO"): _nothing_to_see,
    ("Coworker", "COWORKER_BILL_RUN"): _bill_run,
    ("Coworker", "COWORKER_DELETE"): _delete_customer,
    ("Coworker", "COWORKER_SENDWELCOME"): _nothing_to_see,
    ("Coworker", "COWORKER_NEW_USER"): _nothing_to_see,
    ("Coworker", "COWORKER_REMOVE_USER"): _nothing_to_see,
    ("Coworker", "COWORKER_PIN_REMINDER"): _nothing_to_see,
    ("Coworker", "ADD_COWORKER_TO_GROUP"): _nothing_to_see,
    ("CoworkerContract", "CANCEL_CONTRACT"): _cancel_contract,
    ("CoworkerContract", "DELETE_CONTRACT"): _delete_contract,
}


@pages.post("/api/billing/coworkerinvoices/<int:business_id>/create/<int:coworker_id>")
def raise_pending(business_id: int, coworker_id: int) -> Response:
    """Invoice whatever is pending for a customer: seen in the admin panel, documented nowhere."""
    here = space()
    demand("CoworkerInvoice", "Create")
    if here.get("Business", business_id) is None or here.get("Coworker", coworker_id) is None:
        return not_found()
    if here.faults.strikes("renewal"):
        _renew_first(here, business_id, coworker_id)
    items = billing.pending(here, business_id, coworker_id)
    if not items:
        return refused("There is nothing to invoice.", status=200)
    invoice = billing.raise_invoice(here, business_id, coworker_id, items)
    return json_reply(here.shown(ENTITIES["CoworkerInvoice"], invoice))
