"""Invoices: raising them from pending sales and charges, numbers, tax, totals, and what may be done to them."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from babel.numbers import get_currency_precision

from plugins.nexudus.sandbox import clock, webhooks
from plugins.nexudus.sandbox.space import Space, rounded
from plugins.nexudus.sandbox.store import Record

DUE_DAYS = 3  # seen as the default of a location
NO_TAX = "[No Tax]"
NOT_AVAILABLE = "Not Available"  # what blank billing details are stored as

INVOICE_COUNTER = "Billing.CurrentInvoiceNumber"
DRAFT_COUNTER = "Billing.CurrentDraftNumber"
CREDIT_NOTE_COUNTER = "Billing.CurrentCreditNoteNumber"
DUE_DAYS_SETTING = "tariffDefaultDueDate"
STARTS = {INVOICE_COUNTER: "INV", DRAFT_COUNTER: "DRAFT", CREDIT_NOTE_COUNTER: "CN"}

BILL_TO = ("BillToName", "BillToAddress", "BillToCity", "BillToPostCode")


@dataclass(frozen=True, slots=True)
class Item:
    """Something to be invoiced: a sale or a charge, or what the sandbox makes up. `net` in major units."""

    description: str
    quantity: int
    net: Decimal
    tax_rate_id: int | None
    account_id: int | None
    origin: tuple[str, Record] | None = None  # ("CoworkerProduct" or "Charge", its record)


def next_number(here: Space, business_id: int, counter: str) -> str:
    """The next number of one of a business's sequences; deleting an invoice never turns it back."""
    row = next(iter(here.where("BusinessSetting", BusinessId=business_id, Name=counter)), None)
    if row is None:
        row = here.create("BusinessSetting", {"BusinessId": business_id, "Name": counter, "Value": "0"})
    number = int(row["Value"] or 0) + 1
    here.save("BusinessSetting", row | {"Value": str(number)})
    return f"{STARTS[counter]}-{number:04}"


def sale_item(here: Space, sale: Record) -> Item:
    product = here.need("Product", sale["ProductId"])
    price = sale["Price"] if sale["Price"] is not None else product["Price"]
    customer = here.need("Coworker", sale["CoworkerId"])
    rates = {2: product["ReducedTaxRateId"], 3: product["ExemptTaxRateId"]}
    return Item(
        description=sale["Notes"] or product["Name"],
        quantity=sale["Quantity"],
        net=price * sale["Quantity"] - sale["DiscountAmount"],
        tax_rate_id=rates.get(customer["TaxRateType"]) or product["TaxRateId"],
        account_id=product["FinancialAccountId"],
        origin=("CoworkerProduct", sale),
    )


def charge_item(charge: Record) -> Item:
    return Item(
        description=charge["InvoiceLineDisplayAs"] or charge["Description"] or "",
        quantity=charge["Quantity"],
        net=charge["TotalAmount"] - charge["DiscountAmount"],
        tax_rate_id=charge["TaxRateId"],
        account_id=charge["FinancialAccountId"],
        origin=("Charge", charge),
    )


def pending(here: Space, business_id: int, coworker_id: int) -> list[Item]:
    """Everything of a customer that the next invoice of this business would bill."""
    mine = {"BusinessId": business_id, "CoworkerId": coworker_id, "Invoiced": False}
    return [sale_item(here, one) for one in here.where("CoworkerProduct", **mine)] + [
        charge_item(one) for one in here.where("Charge", **mine)
    ]


def raise_invoice(here: Space, business_id: int, coworker_id: int, items: list[Item], *, draft: bool = False) -> Record:
    """One invoice of these items; the sales and charges they came from are invoiced from now on."""
    customer, business = here.need("Coworker", coworker_id), here.need("Business", business_id)
    number = next_number(here, business_id, DRAFT_COUNTER if draft else INVOICE_COUNTER)
    invoice = here.create(
        "CoworkerInvoice",
        bill_to(customer, business)
        | {
            "CoworkerId": coworker_id,
            "BusinessId": business_id,
            "CurrencyId": business["CurrencyId"],
            "InvoiceNumber": number,
            "PaymentReference": number,
            "Draft": draft,
            "DueDate": due_date(here, customer, business_id),
        },
    )
    for item in items:
        _add_line(here, invoice, item)
    invoice = total_up(here, invoice["Id"])
    if not draft:
        invoice = mail_out(here, invoice)
    webhooks.remember(webhooks.INVOICE_CREATED, invoice)
    return invoice


def bill_to(customer: Record, business: Record) -> Record:
    """The address block of a new invoice, from the customer's billing details or else their own."""
    texts = {
        "BillToName": customer["BillingName"] or customer["CompanyName"] or customer["FullName"],
        "BillToAddress": customer["BillingAddress"] or customer["Address"],
        "BillToCity": customer["BillingCityName"] or customer["CityName"],
        "BillToPostCode": customer["BillingPostCode"] or customer["PostCode"],
    }
    return {name: (text or "").strip() or NOT_AVAILABLE for name, text in texts.items()} | {
        "BillToPhone": customer["MobilePhone"],
        "BillToState": customer["BillingState"] or customer["State"],
        "BillToCountryId": customer["BillingCountryId"] or customer["CountryId"] or business["CountryId"],
        "BillToTaxIDNumber": customer["TaxIDNumber"],
    }


def due_date(here: Space, customer: Record, business_id: int) -> str:
    setting = next(iter(here.where("BusinessSetting", BusinessId=business_id, Name=DUE_DAYS_SETTING)), None)
    days = customer["InvoiceDueDatePeriod"]
    if days is None:
        days = int(setting["Value"]) if setting and str(setting["Value"]).isdecimal() else DUE_DAYS
    return clock.written(clock.now() + timedelta(days=days))


def _add_line(here: Space, invoice: Record, item: Item) -> None:
    rate = here.get("TaxRate", item.tax_rate_id)
    account = here.get("FinancialAccount", item.account_id) or {}
    digits = digits_of(here, invoice)
    net, percent = rounded(item.net, digits), rate["Rate"] if rate else Decimal(0)
    kind, origin = item.origin or ("", {})
    line = here.create(
        "CoworkerInvoiceLine",
        {
            "CoworkerInvoiceId": invoice["Id"],
            "Description": item.description,
            "Quantity": item.quantity,
            "SubTotal": net,
            "UnitPrice": rounded(net / item.quantity, digits) if item.quantity else net,
            "TaxRate": percent,
            "TaxAmount": rounded(net * percent / 100, digits),
            "TaxCategoryName": rate["Name"] if rate else NO_TAX,
            "FinancialAccountCode": account.get("Code"),
            "FinancialAccountName": account.get("Name"),
            "PurchaseOrder": origin.get("PurchaseOrder"),
            "SaleDate": origin.get("SaleDate"),
            "DiscountAmount": origin.get("DiscountAmount"),
            "Position": len(lines_of(here, invoice["Id"])) + 1,
            "CoworkerProductUniqueId": origin["UniqueId"] if kind == "CoworkerProduct" else None,
            "CoworkerChargeUniqueId": origin["UniqueId"] if kind == "Charge" else None,
        },
    )
    if item.origin:
        _mark_invoiced(here, kind, origin, invoice, line["CreatedOn"])


def _mark_invoiced(here: Space, kind: str, item: Record, invoice: Record, moment: str) -> None:
    here.save(kind, item | {"Invoiced": True, "InvoicedOn": moment} | link(kind, invoice))


def link(kind: str, invoice: Record | None) -> Record:
    """How a sale points to its invoice; charges have no such fields."""
    if kind != "CoworkerProduct":
        return {}
    return {
        "CoworkerInvoiceId": invoice["Id"] if invoice else None,
        "CoworkerInvoiceNumber": invoice["InvoiceNumber"] if invoice else None,
        "CoworkerInvoicePaid": invoice["Paid"] if invoice else None,
    }


def digits_of(here: Space, invoice: Record) -> int:
    currency = here.get("Currency", invoice["CurrencyId"])
    return get_currency_precision(currency["Code"]) if currency else 2


def lines_of(here: Space, invoice_id: int) -> list[Record]:
    return here.where("CoworkerInvoiceLine", CoworkerInvoiceId=invoice_id)


def total_up(here: Space, invoice_id: int) -> Record:
    """Write the sums of an invoice anew from its lines."""
    invoice, lines = here.need("CoworkerInvoice", invoice_id), lines_of(here, invoice_id)
    tax = sum((one["TaxAmount"] for one in lines), Decimal(0))
    total = sum((one["SubTotal"] for one in lines), Decimal(0)) + tax
    return here.save(
        "CoworkerInvoice",
        invoice
        | {
            "Description": ", ".join(one["Description"] for one in lines)[:500],
            "TaxAmount": tax,
            "TotalAmount": total,
            "DiscountAmount": sum((one["DiscountAmount"] or Decimal(0) for one in lines), Decimal(0)),
            "DueAmount": Decimal(0) if invoice["Paid"] or invoice["Void"] else total,
        },
    )


def mail_out(here: Space, invoice: Record) -> Record:
    """Mail the customer about it, unless that is switched off: here that is a line in the invoice's history."""
    customer = here.need("Coworker", invoice["CoworkerId"])
    if not customer["NotifyOnNewInvoice"]:
        return invoice
    address = customer["BillingEmail"] or customer["Email"]
    note(here, invoice, "Invoice emailed", f"Nexudus would have mailed this invoice to {address}.")
    return here.save("CoworkerInvoice", invoice | {"Sent": True, "SentOn": clock.written(clock.now())})


def note(here: Space, invoice: Record, name: str, text: str) -> None:
    values = {"CoworkerInvoiceId": invoice["Id"], "Name": name, "Description": text}
    here.create("CoworkerInvoiceHistory", values)


def renew(here: Space, business_id: int, coworker_id: int) -> Record:
    """What Nexudus does by itself when a contract renews: bill it, and everything pending with it."""
    foreign = Item("Hot desk, one month (renewed by itself)", 1, Decimal(120), None, None)
    return raise_invoice(here, business_id, coworker_id, [foreign, *pending(here, business_id, coworker_id)])
