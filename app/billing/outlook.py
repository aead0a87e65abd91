"""What happens next with a customer or an invoice: the one sentence under the head of its page."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from app import clock
from app.billing import collecting, invoices, life
from app.billing.life_models import Aim, Deed
from app.billing.models import BY_HAND, GATEWAY, Customer, CustomerStatus, Invoice, InvoiceStatus
from app.formats import day, moment, on_day, zone
from app.installations.models import Installation
from app.payments import outlook as payments
from app.plugin import registry


@dataclass(frozen=True, slots=True)
class Outlook:
    """`next`: something is still to come; `done`: nothing is; `stuck`: a person must act."""

    kind: Literal["next", "done", "stuck"]
    sentence: str
    way_out: Literal["", "connect", "card"] = ""  # a page that mends it: Payments, or the customer's cards


def of_customer(customer: Customer) -> Outlook:
    """What comes next for a customer."""
    move = life.planned(customer)
    if move is not None:
        doing = "Becomes active" if move.aim == Aim.ACTIVATE else "The service ends"
        return Outlook("next", f"{doing} {on_day(move.day)}, as {move.by} planned.")
    if customer.status == CustomerStatus.LOCKED:
        why = next((one.why for one in life.moves_of(customer, most=1) if one.deed == Deed.LOCKED), "")
        by_hand = (
            "Collect what is open, then unlock." if invoices.open_of([customer.id]) else "Nothing is open: unlock."
        )
        then = payments.of_locked(customer) or by_hand
        return Outlook("stuck", f"Locked: {(why or 'for non-payment').rstrip('.')}. {then}")
    open_sums = " and ".join(str(money) for money in invoices.open_of([customer.id]).get(customer.id, []))
    if customer.status != CustomerStatus.ACTIVE:
        return _without_service(customer, open_sums)
    if not open_sums:
        return Outlook("done", "No invoice is open.")
    taken_over = collecting.taken_over_by(customer)
    if taken_over is None:
        return Outlook("next", f"{open_sums} is open and is collected here.")
    since, title = moment(taken_over.cutover_at), title_of(taken_over.plugin)
    sentence = f"{open_sums} is open. What was created after {since} goes to {title}; the rest stays here."
    return Outlook("next", sentence)


def _without_service(customer: Customer, open_sums: str) -> Outlook:
    if customer.status in {CustomerStatus.INACTIVE, CustomerStatus.CANCELLED} and open_sums:
        return Outlook("next", f"No service runs, and no further period is billed. {open_sums} is still open.")
    return _INACTIVE[customer.status]


_INACTIVE = {
    CustomerStatus.LEAD: Outlook("next", "Signed up, but did not finish. Activate to begin the service."),
    CustomerStatus.SCHEDULED: Outlook("stuck", "No day is planned. Activate when the service begins."),
    CustomerStatus.INACTIVE: Outlook("done", "No service runs, and nothing further is billed."),
    CustomerStatus.CANCELLED: Outlook("done", "Cancelled. Nothing further is billed."),
}


def of_invoice(invoice: Invoice) -> Outlook:
    """What comes next for an invoice; `closed` and `paid` never sound alike."""
    if late := payments.of_late_money(invoice):
        return Outlook("stuck", late)
    if invoice.status == InvoiceStatus.DRAFT:
        return Outlook("next", "A draft: nobody collects it until you issue it.")
    if invoice.status == InvoiceStatus.VOID:
        return Outlook("done", f"Void since {day(invoice.voided_at)}: {invoice.void_reason or 'no reason is known'}")
    if invoice.status == InvoiceStatus.CLOSED:
        return Outlook("next", _closed(invoice))
    if invoice.status == InvoiceStatus.PAID:
        return Outlook("done", _paid(invoice))
    return _of_pending(invoice, collecting.taken_over_by(invoice.customer))


def collector_words(invoice: Invoice) -> str:
    """Who collects an invoice, in words."""
    if invoice.collector is None:
        return "nobody yet"
    if invoice.collector == GATEWAY:
        return "gateway, by card"
    if invoice.collector == BY_HAND:
        return f"by hand, {invoice.paid_how.lower()}" if invoice.paid_how else "by hand"
    return title_of(invoice.collector)


def title_of(plugin_name: str) -> str:
    """How a plugin is called on screens, one that was taken away meanwhile included."""
    plugin = registry().get(plugin_name)
    return plugin.title if plugin else plugin_name.replace("_", " ").capitalize()


def _closed(invoice: Invoice) -> str:
    collector = title_of(invoice.collector or "")
    as_number = f" as {invoice.handed_over_as}" if invoice.handed_over_as else ""
    return f"Closed: handed over to {collector} on {_date(invoice.closed_at)}{as_number}. Not paid yet."


def _paid(invoice: Invoice) -> str:
    how = f" ({invoice.paid_how.lower()})" if invoice.paid_how else ""
    said = "Collected here by card" if invoice.collector == GATEWAY else f"Marked as paid by hand{how}"
    taken_over = collecting.taken_over_by(invoice.customer)
    said_of_card = payments.of_paid(invoice)
    never = f" It will never go to {title_of(taken_over.plugin)}." if taken_over else ""
    return " ".join(filter(None, [f"{said} on {_date(invoice.paid_at)}.{never}", said_of_card]))


def _of_pending(invoice: Invoice, taken_over: Installation | None) -> Outlook:
    if invoice.collector not in {None, GATEWAY}:
        return Outlook("next", f"{title_of(invoice.collector or '')} is taking it over. It can no longer be changed.")
    if invoice.collector == GATEWAY or taken_over is None or taken_over.cutover_at is None:
        return _collected_here(invoice)
    title = title_of(taken_over.plugin)
    if invoice.created_at <= taken_over.cutover_at:
        when = moment(taken_over.cutover_at)
        here = _collected_here(invoice)
        before = f"Created before {when}, when {title} was connected: stays with default billing."
        return Outlook(here.kind, f"{before} {here.sentence}", here.way_out)
    if invoice.do_not_send:
        return Outlook("next", f"It is not sent to {title}: somebody said so. Collect it here.")
    return Outlook("next", f"It goes to {title} with the next export. Until then you can change it.")


def _collected_here(invoice: Invoice) -> Outlook:
    prospect = payments.of_pending(invoice)
    return Outlook(prospect.kind, prospect.sentence, prospect.way_out)


def _date(value: date | datetime | None) -> str:
    """The civil date in words, where "today" would read oddly; "" for None."""
    if value is None:
        return ""
    civil = clock.local(value, zone()).date() if isinstance(value, datetime) else value
    year = f" {civil.year}" if civil.year != clock.today(zone()).year else ""
    return f"{civil.day} {civil:%B}{year}"
