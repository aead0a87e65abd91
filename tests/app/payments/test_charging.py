"""Collecting by card, against the test gateway: on the due day, by hand, declined, confirmed, given up."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest
import sqlalchemy as sa
import time_machine

from app import clock as hands
from app.billing import life
from app.billing.models import Customer, Invoice, InvoiceStatus
from app.db import db, unit_of_work
from app.effects import Intent
from app.errors import Capped, OutcomeUnknown
from app.installations.models import InstallationState
from app.mailing.models import OutgoingMail
from app.payments import charging, links, outlook, settling, standing
from app.payments.models import CONFIRM_WITHIN, ChargeState, CollectionState, Gateway, SavedCard
from app.payments.provider import Asked, Outcome
from app.payments.test_gateway import TestGateway
from app.work import sweep_once
from tests import make
from tests.app.payments.conftest import charge_now, charges_of, collection_of, path_of
from tests.cast import Cast
from tests.visitors import HeardBell, Visitor

LeaveCard = Callable[..., SavedCard]
NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
DUE = date(2026, 12, 10)


@pytest.fixture
def customer(cast: Cast) -> Customer:
    return make.customer(cast.acme)


def the_day_comes(bell: HeardBell) -> None:
    """The sweep looks, workers do what it rang for, and what came of that too."""
    for _ in range(3):
        sweep_once()
        bell.answer()
    db.session.rollback()


def give_up(invoice: Invoice, bell: HeardBell) -> None:
    """Charge a card that declines as often as it is tried."""
    for _ in range(settling.MOST_ATTEMPTS):
        charge_now(invoice)
        bell.answer()
        db.session.rollback()


def paid_there(bank: TestGateway, invoice: Invoice) -> list[int]:
    """What the gateway took for an invoice."""
    keys = {charge.key for charge in charges_of(invoice)}
    db.session.rollback()
    return [one["minor"] for one in bank.payments() if one["key"] in keys and one["verdict"] == "paid"]


class TestOnTheDueDay:
    def test_it_is_charged_by_itself_and_not_before(
        self, customer: Customer, leave_card: LeaveCard, bank: TestGateway, bell: HeardBell
    ) -> None:
        with time_machine.travel(NOON, tick=False) as clock:
            card = leave_card(customer)
            invoice = make.invoice(customer, due_on=DUE)
            the_day_comes(bell)
            assert invoice.status == InvoiceStatus.PENDING
            said = outlook.of_pending(invoice).sentence
            assert "10 December" in said
            assert card.name in said

            clock.move_to(datetime(2026, 12, 10, 0, 30, tzinfo=UTC))
            the_day_comes(bell)

        assert (invoice.status, invoice.paid_how, invoice.collector) == ("paid", "Card", "gateway")
        assert paid_there(bank, invoice) == [1230]

    def test_the_day_is_the_accounts(
        self, cast: Cast, customer: Customer, leave_card: LeaveCard, bell: HeardBell
    ) -> None:
        with unit_of_work():
            cast.acme.timezone = "Pacific/Auckland"
        with time_machine.travel(NOON, tick=False) as clock:
            leave_card(customer)
            invoice = make.invoice(customer, due_on=DUE)
            clock.move_to(datetime(2026, 12, 9, 11, 30, tzinfo=UTC))  # half past midnight there
            the_day_comes(bell)

        assert invoice.status == InvoiceStatus.PAID

    def test_without_a_gateway_it_stays_pending_and_says_why(self, customer: Customer, bell: HeardBell) -> None:
        invoice = make.invoice(customer, due_on=date(2026, 1, 1))

        the_day_comes(bell)

        assert invoice.status == InvoiceStatus.PENDING
        said = outlook.of_pending(invoice)
        assert "no payment gateway is connected" in said.sentence
        assert said.way_out == "connect"

    def test_without_a_card_it_stays_pending_and_says_why(
        self, gateway: Gateway, customer: Customer, bell: HeardBell
    ) -> None:
        invoice = make.invoice(customer, due_on=date(2026, 1, 1))

        the_day_comes(bell)

        assert invoice.collector is None
        said = outlook.of_pending(invoice)
        assert "has no card" in said.sentence
        assert (said.kind, said.way_out) == ("stuck", "card")

    def test_what_a_plugin_bills_is_left_alone_on_its_day(
        self, cast: Cast, customer: Customer, leave_card: LeaveCard, bank: TestGateway, bell: HeardBell
    ) -> None:
        with time_machine.travel(NOON, tick=False) as clock:
            leave_card(customer)
            make.installation(cast.acme, "example", cutover_at=NOON - timedelta(days=1))
            with unit_of_work():
                customer.billed_by = "example"
            theirs = make.invoice(customer, due_on=DUE)
            older = make.invoice(customer, due_on=DUE, created_at=NOON - timedelta(days=2))
            other = make.invoice(make.customer(cast.acme), due_on=DUE)
            leave_card(other.customer)
            clock.move_to(datetime(2026, 12, 10, 9, tzinfo=UTC))
            the_day_comes(bell)

        assert (theirs.status, theirs.collector) == ("pending", None)
        assert older.status == "paid", "created before the cut-over: stays with default billing"
        assert other.status == "paid", "connecting changes nothing for who is not connected"
        assert paid_there(bank, theirs) == []

    def test_an_invoice_that_comes_back_from_a_plugin_is_charged(
        self, cast: Cast, customer: Customer, leave_card: LeaveCard, bell: HeardBell
    ) -> None:
        installation = make.installation(cast.acme, "example", cutover_at=datetime(2026, 1, 1, tzinfo=UTC))
        leave_card(customer)
        with unit_of_work():
            customer.billed_by = "example"
        invoice = make.invoice(customer, due_on=date(2027, 1, 1))
        with time_machine.travel(datetime(2027, 1, 1, 9, tzinfo=UTC), tick=False):
            the_day_comes(bell)
            assert invoice.status == "pending"
            with unit_of_work():
                installation.state = InstallationState.OFF
            with time_machine.travel(datetime(2027, 1, 1, 10, tzinfo=UTC), tick=False):
                the_day_comes(bell)

        assert invoice.status == InvoiceStatus.PAID


class TestANewCard:
    def test_it_does_not_pay_what_was_due_before(
        self, customer: Customer, leave_card: LeaveCard, bank: TestGateway, bell: HeardBell
    ) -> None:
        with time_machine.travel(NOON, tick=False) as clock:
            invoice = make.invoice(customer, due_on=date(2026, 11, 20))
            newer = make.invoice(customer, due_on=DUE)
            leave_card(customer)
            the_day_comes(bell)
            clock.move_to(datetime(2026, 12, 10, 9, tzinfo=UTC))
            the_day_comes(bell)

        assert (invoice.status, paid_there(bank, invoice)) == ("pending", [])
        assert collection_of(invoice).state == CollectionState.ASK
        assert "when you say so" in outlook.of_pending(invoice).sentence
        assert newer.status == "paid"

    def test_staff_says_which_are_charged(
        self,
        cast: Cast,
        customer: Customer,
        leave_card: LeaveCard,
        sign_in: Callable[..., Visitor],
        bell: HeardBell,
    ) -> None:
        chosen, left = (make.invoice(customer, due_on=date(2026, 1, day)) for day in (1, 2))
        leave_card(customer)

        answer = sign_in(cast.ben).post(f"/acme/customers/{customer.id}/charge", data={"invoices": [chosen.id]})
        bell.answer()

        assert answer.status_code == 303
        db.session.rollback()
        assert (chosen.status, left.status) == ("paid", "pending")


class TestADeclinedCard:
    def test_four_attempts_with_growing_pauses_then_locked_and_paying_unlocks(
        self, customer: Customer, leave_card: LeaveCard, bank: TestGateway, bell: HeardBell
    ) -> None:
        with time_machine.travel(NOON, tick=False) as clock:
            leave_card(customer, "empty")
            invoice = make.invoice(customer, due_on=date(2026, 12, 1))
            moments = []
            for day in range(15):
                clock.move_to(NOON + timedelta(days=day))
                before = len(charges_of(invoice))
                the_day_comes(bell)
                if len(charges_of(invoice)) > before:
                    moments.append(day)
                if day == 1:
                    said = outlook.of_pending(invoice).sentence
                    assert said.startswith("Third attempt on")
                    assert "not enough money" in said
            assert moments == [0, 1, 4, 9]
            assert (invoice.status, invoice.collector) == ("pending", None)
            assert customer.status == "locked"
            assert "attempts" in life.moves_of(customer, most=1)[0].why
            mails = db.session.scalars(sa.select(OutgoingMail).where(OutgoingMail.customer_id == customer.id)).all()
            assert [mail.template for mail in mails] == ["payment_failed"] * 4
            assert "We try again on 2 December" in mails[0].text or "We try again on Wednesday" in mails[0].text
            assert "We do not try again" in mails[3].text

            leave_card(customer)
            the_day_comes(bell)
            assert invoice.status == "pending", "a new card pays nothing unasked"
            charge_now(invoice)
            bell.answer()
            db.session.rollback()

        assert invoice.status == "paid"
        assert customer.status == "active"
        assert len(paid_there(bank, invoice)) == 1

    def test_a_second_ring_is_no_second_attempt(
        self, customer: Customer, leave_card: LeaveCard, bell: HeardBell
    ) -> None:
        leave_card(customer, "declined")
        invoice = make.invoice(customer)
        collection_id = charge_now(invoice)
        for _ in range(3):
            charging.work_on(collection_id)
            db.session.rollback()

        assert (len(charges_of(invoice)), collection_of(invoice).attempts) == (1, 1)

    @pytest.mark.parametrize(("ending", "typed"), [("paid", {"how": "Cash"}), ("void", {"reason": "Written twice."})])
    def test_who_pays_by_hand_or_owes_nothing_any_more_is_unlocked_too(
        self,
        cast: Cast,
        customer: Customer,
        leave_card: LeaveCard,
        bell: HeardBell,
        sign_in: Callable[..., Visitor],
        ending: str,
        typed: dict[str, str],
    ) -> None:
        leave_card(customer, "declined")
        invoice = make.invoice(customer)
        give_up(invoice, bell)
        assert customer.status == "locked"

        ben = sign_in(cast.ben)
        said = f"Paying or voiding {invoice.number} unlocks by itself."
        assert said in ben.get(f"/acme/customers/{customer.id}").text

        ben.post(f"/acme/invoices/{invoice.id}/{ending}", data=typed)

        db.session.rollback()
        assert (invoice.status, customer.status) == (ending, "active")
        assert (
            f"{invoice.number} is {ending}. By {cast.ben.email}."
            in ben.get(f"/acme/customers/{customer.id}/timeline?show=status").text
        )

    def test_a_new_card_asks_for_what_was_given_up_even_on_its_due_day(
        self, customer: Customer, leave_card: LeaveCard, bell: HeardBell
    ) -> None:
        leave_card(customer, "declined")
        invoice = make.invoice(customer, due_on=hands.today("Europe/Lisbon"))
        give_up(invoice, bell)

        leave_card(customer)

        db.session.rollback()
        assert standing.waiting_for_a_word(customer) == [invoice]

    def test_voiding_one_of_two_that_were_given_up_leaves_the_customer_locked(
        self,
        cast: Cast,
        customer: Customer,
        leave_card: LeaveCard,
        bell: HeardBell,
        sign_in: Callable[..., Visitor],
    ) -> None:
        leave_card(customer, "declined")
        one, other = make.invoice(customer), make.invoice(customer)
        give_up(one, bell)
        give_up(other, bell)

        sign_in(cast.ben).post(f"/acme/invoices/{one.id}/void", data={"reason": "Written twice."})

        db.session.rollback()
        assert (one.status, other.status, customer.status) == ("void", "pending", "locked")

    def test_a_customer_locked_for_something_else_stays_locked(
        self, customer: Customer, leave_card: LeaveCard, bell: HeardBell
    ) -> None:
        leave_card(customer)
        invoice = make.invoice(customer)
        with unit_of_work():
            life.lock(db.session.get_one(Customer, customer.id), "Sent us bees.")

        charge_now(invoice)
        bell.answer()
        db.session.rollback()

        assert (invoice.status, customer.status) == ("paid", "locked")

    def test_between_attempts_the_invoice_is_free(
        self, customer: Customer, leave_card: LeaveCard, bell: HeardBell
    ) -> None:
        leave_card(customer, "declined")
        invoice = make.invoice(customer)
        charge_now(invoice)

        bell.answer()

        db.session.rollback()
        assert invoice.can_change
        assert charges_of(invoice)[0].state == ChargeState.FAILED


class TestAThrottledGateway:
    def test_it_is_asked_again_when_it_said_and_the_invoice_is_free_meanwhile(
        self,
        customer: Customer,
        leave_card: LeaveCard,
        bank: TestGateway,
        bell: HeardBell,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        leave_card(customer)
        invoice = make.invoice(customer, due_on=date(2026, 12, 1))
        charge, asked = TestGateway.charge, []

        def busy(self: TestGateway, intent: Intent, wanted: Asked) -> Outcome:
            asked.append(hands.now())
            if len(asked) < 4:
                raise Capped("The gateway asks us to wait.", hands.now() + timedelta(hours=6))
            return charge(self, intent, wanted)

        monkeypatch.setattr(TestGateway, "charge", busy)
        with time_machine.travel(NOON, tick=False) as clock:
            charge_now(invoice)
            for hours in range(20):
                clock.move_to(NOON + timedelta(hours=hours))
                the_day_comes(bell)
                if hours == 5:
                    assert (invoice.status, invoice.collector) == ("pending", None)
                    assert "The gateway asks us to wait. We try again" in outlook.of_pending(invoice).sentence

        assert asked == [NOON + timedelta(hours=hours) for hours in (0, 6, 12, 18)]
        assert invoice.status == "paid"
        assert (collection_of(invoice).attempts, len(charges_of(invoice))) == (0, 1)
        assert paid_there(bank, invoice) == [1230]
        assert customer.status == "active"

    def test_an_unknown_outcome_stays_unknown_while_nobody_may_look(
        self,
        customer: Customer,
        leave_card: LeaveCard,
        bank: TestGateway,
        bell: HeardBell,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        leave_card(customer)
        invoice = make.invoice(customer)
        charge, find = TestGateway.charge, TestGateway.find_charge

        def arrive_and_lose(self: TestGateway, intent: Intent, wanted: Asked) -> Outcome:
            charge(self, intent, wanted)
            raise OutcomeUnknown("No whole answer came back.")

        def busy(self: TestGateway, wanted: Asked, since: datetime) -> Outcome | None:
            raise Capped("The gateway asks us to wait.", hands.now() + timedelta(hours=6))

        monkeypatch.setattr(TestGateway, "charge", arrive_and_lose)
        with time_machine.travel(NOON, tick=False) as clock:
            charge_now(invoice)
            bell.answer()
            monkeypatch.setattr(TestGateway, "find_charge", busy)
            clock.move_to(NOON + timedelta(minutes=5))
            the_day_comes(bell)
            assert (invoice.status, invoice.collector) == ("pending", "gateway")
            assert collection_of(invoice).due_at == NOON + timedelta(hours=6, minutes=5)
            monkeypatch.setattr(TestGateway, "find_charge", find)
            clock.move_to(NOON + timedelta(hours=6, minutes=6))
            the_day_comes(bell)

        assert invoice.status == "paid"
        assert paid_there(bank, invoice) == [1230]


class TestConfirming:
    @pytest.fixture
    def invoice(self, customer: Customer, leave_card: LeaveCard, bell: HeardBell) -> Invoice:
        leave_card(customer, "confirm")
        invoice = make.invoice(customer)
        charge_now(invoice)
        bell.answer()
        db.session.rollback()
        return invoice

    def link_in_mail(self, invoice: Invoice) -> str:
        mail = db.session.scalars(sa.select(OutgoingMail).where(OutgoingMail.template == "confirm_payment")).one()
        assert mail.recipient == invoice.customer.email
        return path_of(next(word for word in mail.text.split() if word.startswith("http")))

    def test_the_customer_gets_a_mail_and_nothing_is_taken(self, invoice: Invoice, bank: TestGateway) -> None:
        assert self.link_in_mail(invoice)
        assert paid_there(bank, invoice) == []
        assert invoice.collector == "gateway"
        assert "wants a confirmation" in outlook.of_pending(invoice).sentence

    def test_the_portal_leads_to_the_bank_as_well(
        self, invoice: Invoice, enter_portal: Callable[[Customer], Visitor]
    ) -> None:
        browser = enter_portal(invoice.customer)

        page = browser.get(f"/portal/acme/invoices/{invoice.id}").text

        assert "Your bank wants you to confirm this payment." in page
        asked = re.search(r'href="(/portal/acme/confirm/[^"]+)"', page)
        assert asked is not None
        assert "Go to your bank" in browser.get(asked[1]).text

    @pytest.mark.parametrize(("decision", "status"), [("approve", "paid"), ("refuse", "pending")])
    def test_from_the_mail_to_the_bank_and_back(
        self, invoice: Invoice, client: Visitor, bank: TestGateway, decision: str, status: str
    ) -> None:
        link = self.link_in_mail(invoice)
        assert "Confirm this payment" in client.get(link).text
        leaving = client.post(link)
        bank_page = leaving.text.split("url=")[1].split('"')[0]
        assert "Test bank" in client.get(path_of(bank_page)).text
        back = client.post(path_of(bank_page), data={"decision": decision})
        ended = client.get(path_of(back.location), follow_redirects=True)

        db.session.rollback()
        assert invoice.status == status
        assert ("Paid, thank you" if status == "paid" else "did not go through") in ended.text
        assert len(paid_there(bank, invoice)) == (status == "paid")

    def test_who_never_confirms_is_tried_again_and_the_old_one_never_takes_money(
        self, invoice: Invoice, bank: TestGateway, bell: HeardBell, client: Visitor
    ) -> None:
        link = self.link_in_mail(invoice)
        with time_machine.travel(hands.now() + CONFIRM_WITHIN + timedelta(minutes=1), tick=False):
            the_day_comes(bell)
            (charge,) = charges_of(invoice)
            assert (charge.state, charge.code) == (ChargeState.FAILED, "not_confirmed")
            ref = charge.ref
            db.session.rollback()
            assert bank.read_charge(ref).verdict == "cancelled"
            assert collection_of(invoice).attempts == 1
            assert "did not go through" in client.get(link).text
            client.post(link)
        assert paid_there(bank, invoice) == []

    def test_a_link_of_another_account_leads_nowhere(self, invoice: Invoice, client: Visitor, cast: Cast) -> None:
        link = self.link_in_mail(invoice)

        assert client.get(link.replace("/acme/", "/zenith/")).status_code == 404
        assert client.get(link[:-4] + "AAAA").status_code == 404
        token = links.address(cast.zenith, "payments.confirm", links.CONFIRM, charges_of(invoice)[0].id)
        assert client.get(path_of(token)).status_code == 404
