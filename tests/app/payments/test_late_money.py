"""Money that comes in after its attempt had ended, told by webhook: it pays what is open, and is refunded otherwise."""

from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine

from app import clock
from app.accounts.models import User
from app.billing import collecting, customers, invoices
from app.billing.collecting import PaidBy
from app.billing.models import GATEWAY, Customer, Invoice, InvoiceStatus
from app.db import db, unit_of_work
from app.payments import charging, events, settling
from app.payments.models import CONFIRM_WITHIN, Charge, ChargeState, Gateway, SavedCard
from app.payments.provider import Outcome, Verdict
from app.payments.test_gateway import TestGateway
from tests import make
from tests.app.payments.conftest import charge_now, charges_of, collection_of
from tests.cast import Cast
from tests.visitors import HeardBell, Visitor

LeaveCard = Callable[..., SavedCard]


@pytest.fixture
def customer(cast: Cast) -> Customer:
    return make.customer(cast.acme)


@pytest.fixture
def declined(customer: Customer, leave_card: LeaveCard, bell: HeardBell) -> Invoice:
    """An invoice whose first attempt was declined; the next one has its time."""
    leave_card(customer, "declined")
    invoice = make.invoice(customer, number="A-7")
    charge_now(invoice)
    bell.answer()
    (charge,) = charges_of(invoice)
    assert charge.state == ChargeState.FAILED
    return invoice


@pytest.fixture
def money_comes(gateway: Gateway, bell: HeardBell, monkeypatch: pytest.MonkeyPatch) -> Callable[[Charge], None]:
    """`money_comes(charge)`: the bank changed its mind about that attempt, and the gateway says so."""
    read = TestGateway.read_charge

    def come(charge: Charge) -> None:
        ref, gateway_id = charge.ref, gateway.id

        def read_charge(self: TestGateway, asked: str) -> Outcome:
            return Outcome(Verdict.PAID, ref) if asked == ref else read(self, asked)

        monkeypatch.setattr(TestGateway, "read_charge", read_charge)
        event = {"id": f"evt-{ref}", "type": "payment_intent.succeeded", "data": {"object": {"id": ref}}}
        with unit_of_work() as session:
            assert events.take(session.get_one(Gateway, gateway_id), event)
        bell.answer()
        db.session.rollback()

    return come


def end(invoice: Invoice, how: str) -> None:
    with unit_of_work():
        row = db.session.get_one(Invoice, invoice.id)
        if how == "void":
            invoices.void(row, "Written by mistake")
        elif how == "by_hand":
            collecting.mark_paid_by_hand(row, PaidBy.CASH)
        else:
            assert collecting.claim(row.id, "example")
            if how == "closed":
                collecting.close_as_handed_over(row.id, "example", "INV-9")


def test_an_open_invoice_is_paid_by_it(declined: Invoice, money_comes: Callable[[Charge], None]) -> None:
    money_comes(charges_of(declined)[0])

    assert (declined.status, declined.collector) == (InvoiceStatus.PAID, GATEWAY)
    assert collection_of(declined).due_at is None


def test_an_open_invoice_that_a_plugin_would_hand_over_is_paid_by_it_and_never_goes_there(
    cast: Cast, customer: Customer, declined: Invoice, money_comes: Callable[[Charge], None]
) -> None:
    make.installation(cast.acme, "example", cutover_at=clock.now() - timedelta(days=9))
    with unit_of_work():
        customers.set_billed_by(customers.locked(cast.acme, customer.id), "example")
    money_comes(charges_of(declined)[0])

    assert declined.status == InvoiceStatus.PAID
    with unit_of_work():
        assert not collecting.claim(declined.id, "example")


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("void", "after the invoice was voided"),
        ("by_hand", "after the invoice was paid in another way"),
        ("closed", "after the invoice was handed over"),
        ("on its way", "while the invoice was collected in another way"),
    ],
)
def test_where_the_invoice_is_settled_a_person_is_told_to_give_it_back_and_can(
    cast: Cast,
    declined: Invoice,
    money_comes: Callable[[Charge], None],
    sign_in: Callable[[User], Visitor],
    bell: HeardBell,
    how: str,
    words: str,
) -> None:
    ben, address = sign_in(cast.ben), f"/acme/invoices/{declined.id}"
    end(declined, how)
    before = (declined.status, declined.collector)
    money_comes(charges_of(declined)[0])

    (charge,) = charges_of(declined)
    assert (charge.state, charge.code) == (ChargeState.PAID, "paid_twice")
    assert (declined.status, declined.collector) == before
    assert f"came in {words}. Refund it." in ben.get(address).text
    assert "Money came in for nothing" in ben.get("/acme/problems").text
    assert "paid twice" in ben.get(f"/acme/customers/{declined.customer_id}/timeline").text

    assert ben.post(f"{address}/refund", data={"amount": "12.30"}).status_code == 303
    assert words not in ben.get(address).text
    assert "Money came in for nothing" not in ben.get("/acme/problems").text


class TestWhileAnotherAttemptIsUnderWay:
    @pytest.fixture
    def confirming(
        self, customer: Customer, declined: Invoice, leave_card: LeaveCard, bell: HeardBell
    ) -> tuple[Charge, Charge]:
        """The declined attempt, and one that the customer's bank wants confirmed."""
        leave_card(customer, "confirm")
        charge_now(declined)
        bell.answer()
        first, second = charges_of(declined)
        assert second.state == ChargeState.CONFIRMING
        return first, second

    def test_it_is_called_off_and_the_invoice_is_settled_once(
        self,
        declined: Invoice,
        confirming: tuple[Charge, Charge],
        money_comes: Callable[[Charge], None],
        bank: TestGateway,
    ) -> None:
        money_comes(confirming[0])
        assert "another attempt was under way" in charges_of(declined)[0].reason
        collection_id = collection_of(declined).id
        db.session.rollback()
        charging.work_on(collection_id)

        first, second = charges_of(declined)
        assert declined.status == InvoiceStatus.PAID
        assert (first.state, first.code, second.state) == (ChargeState.PAID, "", ChargeState.FAILED)
        ref, attempts = second.ref, collection_of(declined).attempts
        db.session.rollback()
        assert bank.read_charge(ref).verdict == Verdict.CANCELLED
        assert attempts == 1, "what was called off counts as no attempt"

    def test_if_that_is_paid_too_the_first_money_goes_back(
        self,
        cast: Cast,
        declined: Invoice,
        confirming: tuple[Charge, Charge],
        money_comes: Callable[[Charge], None],
        bank: TestGateway,
        sign_in: Callable[[User], Visitor],
    ) -> None:
        ref = confirming[1].ref
        money_comes(confirming[0])
        bank.decide(ref, approved=True)
        collection_id = collection_of(declined).id
        db.session.rollback()
        charging.work_on(collection_id)

        first, second = charges_of(declined)
        assert declined.status == InvoiceStatus.PAID
        assert (first.code, second.state) == ("paid_twice", ChargeState.PAID)
        assert "came in after the invoice was paid in another way. Refund it." in first.reason
        ben = sign_in(cast.ben)
        ben.post(f"/acme/invoices/{declined.id}/refund", data={"amount": "12.30"})
        first, second = charges_of(declined)
        assert [len(first.refunds), len(second.refunds)] == [1, 0]


def test_a_webhook_that_comes_twice_pays_once(declined: Invoice, money_comes: Callable[[Charge], None]) -> None:
    (charge,) = charges_of(declined)
    money_comes(charge)
    paid_at = declined.paid_at
    with time_machine.travel(clock.now() + CONFIRM_WITHIN), unit_of_work():
        settling.late_news(charge.id, Outcome(Verdict.PAID, charge.ref))

    db.session.rollback()
    assert declined.paid_at == paid_at
    assert charges_of(declined)[0].code == ""
