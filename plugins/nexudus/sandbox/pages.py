"""What a person can look at: new customers, the invoice log, and the sandbox's own switches. No JavaScript."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from babel.dates import format_date, format_datetime
from babel.numbers import format_currency, format_decimal
from flask import Blueprint, Response, abort, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from plugins.nexudus.sandbox import billing, clock, control, settling, webhooks
from plugins.nexudus.sandbox.inventions import INVENTIONS
from plugins.nexudus.sandbox.schema import ENTITIES
from plugins.nexudus.sandbox.seed import EMAIL, PASSWORD
from plugins.nexudus.sandbox.space import PROFILES, Space, space
from plugins.nexudus.sandbox.store import Record, dumped
from plugins.nexudus.sandbox.switchboard import GROUPS

PAGE_SIZE = 50
SHOWN_CALLS = 20
NOTHING = "\N{EN DASH}"
LANGUAGE = "en_GB"

SAID = {
    "issued": "Issued.",
    "paid": "Marked as paid.",
    "cancelled": "Cancelled: a credit note takes it back.",
    "deleted": "The invoice is deleted. Its number is not given again.",
    "turned": "The switches are set.",
    "off": "Every fault is off.",
    "reset": "Everything is as on the first day.",
    "expired": "Every access token has run out.",
    "revoked": "Every token is revoked: a program has to sign in with the password again.",
    "password": "The password is changed, and every token is revoked.",
    "calls": "The counters are at zero.",
}

pages = Blueprint("pages", __name__)


@dataclass(frozen=True, slots=True)
class Slice:
    """One page of a list."""

    rows: Sequence[Record]
    number: int
    pages: int
    total: int


@pages.before_app_request
def refuse_other_sites() -> Response | None:
    """A page on another site may not press buttons here; programs send no such header."""
    if request.method == "POST" and request.headers.get("Sec-Fetch-Site", "none") in ("cross-site", "same-site"):
        abort(403)
    return None


@pages.after_app_request
def add_policy(response: Response) -> Response:
    """Nothing from elsewhere, no script at all: names and texts on these pages were typed by strangers."""
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    )
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


@pages.app_template_filter("money")
def money(amount: Decimal | None, currency: str) -> str:
    return format_currency(amount or 0, currency, locale=LANGUAGE)


@pages.app_template_filter("figure")
def figure(amount: Decimal | None) -> str:
    return format_decimal(amount or 0, locale=LANGUAGE)


@pages.app_template_filter("day")
def day(written: str | None) -> str:
    return format_date(clock.read(written), "d MMM y", locale=LANGUAGE) if written else NOTHING


@pages.app_template_filter("moment")
def moment(written: str | None) -> str:
    return format_datetime(clock.read(written), "d MMM y, HH:mm 'UTC'", locale=LANGUAGE) if written else NOTHING


@pages.app_context_processor
def shared() -> dict[str, Any]:
    """What every page shows."""
    here = space()
    return {"here": here, "said": SAID.get(request.args.get("said", "")), "profile": here.profile}


@pages.get("/")
@pages.get("/new-customers")
def show_customers() -> str:
    """Members, the newest first."""
    here, wanted = space(), request.args.get("q", "").strip()
    rows = [shown(here, "Coworker", one) for one in here.store.all("Coworker") if _matches(one, wanted)]
    rows.sort(key=lambda one: (one["RegistrationDate"] or "", one["Id"]), reverse=True)
    return render_template("sandbox/customers.html", slice=_slice(rows), q=wanted)


def _matches(record: Record, wanted: str) -> bool:
    fields = ("FullName", "Email", "CompanyName", "ReferenceNumber", "BillToName", "InvoiceNumber", "PurchaseOrder")
    return not wanted or any(wanted.casefold() in str(record.get(name) or "").casefold() for name in fields)


@pages.get("/new-customers/<int:customer_id>")
def show_customer(customer_id: int) -> str:
    """One member, what they bought and what they were billed."""
    here = space()
    customer = here.get("Coworker", customer_id) or abort(404)
    sales = [shown(here, "CoworkerProduct", one) for one in here.where("CoworkerProduct", CoworkerId=customer_id)]
    invoices = [_with_state(here, one) for one in here.where("CoworkerInvoice", CoworkerId=customer_id)]
    names = {one["Id"]: one["Name"] for one in here.store.all("Business")}
    record = shown(here, "Coworker", customer)
    return render_template(
        "sandbox/customer.html",
        customer=record,
        country=here.get("Country", customer["CountryId"]),
        zone=here.get("SimpleTimeZone", customer["SimpleTimeZoneId"]),
        locations=[names.get(one, one) for one in customer["Businesses"]],
        sales=sales[::-1],
        invoices=invoices[::-1],
        text=_raw(record),
    )


@pages.get("/invoice-log")
def show_invoices() -> str:
    """Invoices, the newest first."""
    here, wanted = space(), request.args.get("q", "").strip()
    rows = [_with_state(here, one) for one in here.store.all("CoworkerInvoice") if _matches(one, wanted)]
    rows.sort(key=lambda one: (one["CreatedOn"], one["Id"]), reverse=True)
    return render_template("sandbox/invoices.html", slice=_slice(rows), q=wanted)


@pages.get("/invoice-log/<int:invoice_id>")
def show_invoice(invoice_id: int) -> str:
    """One invoice with its lines, and what can be done to it."""
    here = space()
    invoice = _with_state(here, here.get("CoworkerInvoice", invoice_id) or abort(404))
    return render_template(
        "sandbox/invoice.html",
        invoice=invoice,
        lines=sorted(billing.lines_of(here, invoice_id), key=lambda one: one["Position"]),
        history=here.where("CoworkerInvoiceHistory", CoworkerInvoiceId=invoice_id),
        text=_raw(shown(here, "CoworkerInvoice", invoice)),
    )


DEEDS: dict[str, Callable[[Space, Record], object]] = {
    "issue": settling.issue,
    "pay": settling.pay,
    "cancel": settling.cancel,
    "delete": settling.delete,
}
DONE = {"issue": "issued", "pay": "paid", "cancel": "cancelled", "delete": "deleted"}


@pages.post("/invoice-log/<int:invoice_id>/<any(issue, pay, cancel, delete):deed>")
def change_invoice(invoice_id: int, deed: str) -> AnyResponse:
    """What an operator would do in the admin panel."""
    here = space()
    invoice = here.get("CoworkerInvoice", invoice_id) or abort(404)
    if deed == "issue" and not invoice["Draft"]:
        abort(409)
    try:
        with here.store.change():
            DEEDS[deed](here, invoice)
    except settling.NotPossible:
        abort(409)
    webhooks.deliver_remembered(here)
    if deed == "delete":
        return redirect(url_for(".show_invoices", said=DONE[deed]), 303)
    return redirect(url_for(".show_invoice", invoice_id=invoice_id, said=DONE[deed]), 303)


@pages.get("/sandbox")
def show_sandbox() -> str:
    """The switches, the counters, and what is made up here."""
    here = space()
    return render_template(
        "sandbox/sandbox.html",
        groups=GROUPS,
        state=control.state(here),
        boxes=control.BOXES,
        profiles=PROFILES,
        limits=control.LIMITS,
        calls=here.calls.counts(),
        last=here.calls.last()[:SHOWN_CALLS],
        counts={kind: here.store.count(kind) for kind in ("Coworker", "CoworkerInvoice", "CoworkerProduct", "Charge")},
        inventions=INVENTIONS,
        email=EMAIL,
        password=PASSWORD,
    )


def shown(here: Space, kind: str, record: Record) -> Record:
    return here.shown(ENTITIES[kind], record)


def _with_state(here: Space, invoice: Record) -> Record:
    return shown(here, "CoworkerInvoice", invoice) | {"state": settling.state(invoice)}


def _slice(rows: list[Record]) -> Slice:
    """The page of `rows` that the address asks for."""
    pages_there = max(1, -(-len(rows) // PAGE_SIZE))
    number = min(max(request.args.get("page", 1, type=int), 1), pages_there)
    start = (number - 1) * PAGE_SIZE
    return Slice(rows[start : start + PAGE_SIZE], number, pages_there, len(rows))


def _raw(record: Record) -> str:
    """The record as the API answers it, one field a line, without what is empty."""
    return ",\n".join(f'  "{name}": {dumped(value)}' for name, value in record.items() if value not in (None, "", []))
