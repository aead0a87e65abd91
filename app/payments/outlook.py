"""What comes next for an invoice that is collected here: when, from which card, and what a person can do about it."""

from dataclasses import dataclass
from typing import Literal

from app import clock
from app.billing.models import GATEWAY, Customer, Invoice
from app.formats import moment, on_day, on_moment, zone
from app.payments import cards, gateways, standing
from app.payments.models import PAID_TWICE, Charge, ChargeState, Collection, CollectionState, RefundState

ORDINALS = ("First", "Second", "Third", "Fourth")


@dataclass(frozen=True, slots=True)
class Prospect:
    """One sentence; `way_out` is a page that mends what keeps it: "connect" (Payments), "card" (the customer)."""

    kind: Literal["next", "stuck"]
    sentence: str
    way_out: Literal["", "connect", "card"] = ""


def of_pending(invoice: Invoice) -> Prospect:
    """What the gateway does next with a pending invoice that no plugin bills."""
    collection = standing.collection_of(invoice)
    if invoice.collector == GATEWAY:
        return _in_hand(invoice, collection)
    if gateways.gateway_of(invoice.account_id) is None:
        return Prospect("next", f"{_due(invoice)} It stays pending: no payment gateway is connected.", "connect")
    if invoice.total_minor <= 0:
        return Prospect("next", "There is nothing to collect. Mark it as paid, or void it.")
    if collection is None or collection.state == CollectionState.ENDED:
        return _not_begun(invoice)
    return _begun(invoice, collection)


def of_locked(customer: Customer) -> str:
    """What unlocks a customer by itself; "" when nothing does."""
    numbers = list(standing.given_up(customer.id).values())
    return f"Paying or voiding {' and '.join(numbers)} unlocks by itself." if numbers else ""


def of_paid(invoice: Invoice) -> str:
    """From which card it was paid, and what went back; "" when it was not paid by the gateway."""
    charge = standing.paid_charge(invoice)
    return " ".join([f"Paid from {charge.card.name}.", *_went_back(charge)]) if charge else ""


def of_late_money(invoice: Invoice) -> str:
    """What is to be done with money that came in for nothing; "" when there is none, or it went back."""
    late = standing.refundable_charge(invoice)
    return f"{late.reason} It was taken from {late.card.name}." if late and late.code == PAID_TWICE else ""


def _went_back(charge: Charge) -> list[str]:
    sentences = []
    for refund in charge.refunds:
        if refund.state == RefundState.DONE:
            sentences.append(f"{refund.amount} went back {on_day(refund.ended_at)}.")
        elif refund.state == RefundState.WAITING:
            sentences.append(f"{refund.amount} is on its way back.")
        else:
            sentences.append(f"{refund.amount} could not be given back: {refund.problem}")
    return sentences


def _due(invoice: Invoice) -> str:
    if invoice.due_on is None:
        return "Collected here."
    was = invoice.due_on < clock.today(zone())
    return f"Was due {on_day(invoice.due_on)} and is still open." if was else f"Due {on_day(invoice.due_on)}."


def _not_begun(invoice: Invoice) -> Prospect:
    card = cards.default_card(invoice.customer_id)
    if card is None:
        return _no_card(invoice)
    if invoice.due_on is None:
        return Prospect("next", f"Without a due date it is charged to {card.name} when you say so.")
    if not standing.was_there_in_time(card, invoice):
        return _ask(invoice, card.name)
    if invoice.due_on > clock.today(zone()):
        when = on_day(invoice.due_on)
        return Prospect("next", f"Charged {when} from {card.name}. You can change it until then.")
    return Prospect("next", f"It is charged within minutes from {card.name}.")


def _begun(invoice: Invoice, collection: Collection) -> Prospect:
    if collection.state in {CollectionState.NO_CARD, CollectionState.ASK}:
        card = cards.default_card(invoice.customer_id)
        return _no_card(invoice) if card is None else _ask(invoice, card.name)
    charge = standing.last_charge(invoice)
    reason = charge.reason if charge is not None and charge.state == ChargeState.FAILED else ""
    if collection.state == CollectionState.GIVEN_UP:
        return Prospect(
            "stuck", f"All four attempts failed. {reason} {invoice.customer.full_name} is locked until it is paid."
        )
    if collection.state == CollectionState.HELD:
        return Prospect("stuck", f"{collection.problem} We do not try again until you say so.")
    card = collection.card or cards.default_card(invoice.customer_id)
    source = f" from {card.name}" if card is not None else ""
    if collection.problem:
        return Prospect("next", f"{collection.problem} We try again {on_moment(collection.due_at)}.")
    if collection.attempts == 0 or (collection.due_at is not None and collection.due_at <= clock.now()):
        return Prospect("next", f"It is charged now{source}.")
    ordinal = ORDINALS[min(collection.attempts, len(ORDINALS) - 1)]
    return Prospect("next", f"{ordinal} attempt {on_moment(collection.due_at)}{source}. {reason}")


def _in_hand(invoice: Invoice, collection: Collection | None) -> Prospect:
    charge = standing.last_charge(invoice)
    if collection is None or charge is None:
        return Prospect("next", "It is being charged by card and can no longer be changed.")
    if charge.state == ChargeState.CONFIRMING:
        return Prospect(
            "next",
            f"The bank wants a confirmation. {invoice.customer.full_name} has a mail with the link, good until "
            f"{moment(charge.confirm_until)}; nothing is taken before.",
        )
    if charge.is_unknown:
        return Prospect(
            "next",
            f"{charge.gateway.title} gave no answer. We look up whether {charge.card.name} was charged before anything "
            f"is repeated; next look {on_moment(collection.due_at)}.",
        )
    if collection.problem:
        return Prospect("next", f"{collection.problem} We go on {on_moment(collection.due_at)}.")
    return Prospect("next", f"It is being charged from {charge.card.name} and can no longer be changed.")


def _no_card(invoice: Invoice) -> Prospect:
    overdue = invoice.due_on is not None and invoice.due_on <= clock.today(zone())
    sentence = f"{_due(invoice)} It stays pending: {invoice.customer.full_name} has no card."
    return Prospect("stuck" if overdue else "next", sentence, "card")


def _ask(invoice: Invoice, card: str) -> Prospect:
    return Prospect("next", f"{_due(invoice)} {card} was added later, so we charge it when you say so.")
