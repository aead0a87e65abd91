"""Background work of the gateway, and how its rows read in the list of jobs."""

from app import audit
from app.db import db, end_reading, unit_of_work
from app.effects import Done, Intent, Result, Subject, carry_out
from app.errors import Capped, NotSent, OutcomeUnknown, Refused, SignInNeeded
from app.payments import asking, charging, events, gateways, refunds, settling
from app.payments.models import Collection, Gateway, PaymentEvent, Refund, SavedCard
from app.payments.provider import Provider
from app.work import About, Bell, Lease


def look_for_due(gateway_id: int) -> None:
    """Begin to collect the invoices that fell due."""
    asking.look_for_due(gateway_id)


def collect_invoice(collection_id: int) -> None:
    """One attempt to collect an invoice, or a look at what became of one."""
    charging.work_on(collection_id)


def give_back_money(refund_id: int) -> None:
    """One refund."""
    refunds.work_on(refund_id)


def heed_payment_event(event_id: int) -> None:
    """One webhook."""
    events.heed(event_id)


class _Forget:
    """The one step of removing a card over there; doing it twice does no harm."""

    key = "forget"

    def __init__(self, ref: str) -> None:
        self.ref = ref

    def call(self, remote: Provider, intent: Intent) -> Result:
        remote.forget_card(intent, self.ref)
        return {}

    def look_up(self, remote: Provider, intent: Intent) -> Result | None:
        return None


def forget_card(card_id: int) -> None:
    """Let the gateway forget a card that was removed here."""
    lease = Lease.take(SavedCard, card_id)
    if lease is None:
        return
    try:
        _forget(lease)
    finally:
        lease.give_back()


def _forget(lease: Lease) -> None:
    card = db.session.get_one(SavedCard, lease.row_id)
    if card.due_at is None:
        return
    if card.gateway.ended_at is not None:
        with unit_of_work():
            lease.renew(due_at=None)  # the key is gone, and with it every right to that card
        return
    step = _Forget(card.ref)
    subject = Subject(card.account_id, "payments.card", card.id, made_at=card.added_at)
    attempts = card.attempts

    def next_step(done: Done) -> _Forget | None:
        return None if step.key in done else step

    try:
        access = gateways.access_to(card.gateway)
        end_reading()
        carry_out(subject, next_step, access.open(), lease)
    except (NotSent, OutcomeUnknown, Capped, SignInNeeded, Refused) as error:
        db.session.rollback()
        with unit_of_work():
            again = settling.when_again(error, attempts)
            lease.renew(due_at=again, nudged_at=None, attempts=attempts + 1, problem=error.sentence[:500])
    else:
        with unit_of_work() as session:
            lease.renew(due_at=None, problem="")
            audit.record("card_forgotten", session.get_one(SavedCard, lease.row_id))


def watch(bell: Bell) -> None:
    """Let the sweep ring for the rows of this folder."""
    bell.watch("host", Gateway, look_for_due, describe=_gateway_in_words, deed="Look for invoices that fell due")
    bell.watch("host", Collection, collect_invoice, describe=_collection_in_words, deed="Charge an invoice")
    bell.watch("host", Refund, give_back_money, describe=_refund_in_words)
    bell.watch("host", SavedCard, forget_card, describe=_card_in_words, deed="Remove a card")
    bell.watch("host", PaymentEvent, heed_payment_event, describe=_event_in_words, deed="Heed the gateway")


def _gateway_in_words(gateway: Gateway) -> About:
    return About(f"Invoices that fell due, through {gateway.title}", "payments.settings")


def _collection_in_words(collection: Collection) -> About:
    return About(f"Charging {collection.invoice.number}", "billing.invoice", {"invoice_id": collection.invoice_id})


def _refund_in_words(refund: Refund) -> About:
    invoice = refund.charge.invoice
    return About(f"Refund of {refund.amount} for {invoice.number}", "billing.invoice", {"invoice_id": invoice.id})


def _card_in_words(card: SavedCard) -> About:
    return About(f"Removing {card.name}", "billing.customer", {"customer_id": card.customer_id})


def _event_in_words(event: PaymentEvent) -> About:
    return About(f"{event.gateway.title} says {event.kind}")
