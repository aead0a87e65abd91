"""From the public sign-up page to a paid invoice, and what happens while a plugin that bills is connected."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
import sqlalchemy as sa
import time_machine

from app import clock
from app.billing import customers, deciding, invoice_mails, invoices, life, subscriptions
from app.billing.asking import BillingInfoRequest
from app.billing.jobs import bill_subscription, mail_invoice
from app.billing.life import Terms
from app.billing.lines import Line
from app.billing.models import Customer, CustomerStatus, Invoice, InvoiceMail, InvoiceStatus
from app.billing.subscription_models import Cycle, Plan, Subscription
from app.db import db, unit_of_work
from app.mailing.models import OutgoingMail
from app.payments import gateways, standing
from app.payments.models import ProviderName, SavedCard
from app.payments.provider import Checked
from app.portal import jobs
from app.portal.models import SignUp
from tests import make
from tests.app.portal.test_entering import link_in_mail
from tests.app.portal.test_own_pages import CONTACT
from tests.cast import PASSWORD, Cast
from tests.visitors import HeardBell, Visitor

EMAIL = CONTACT["email"]


@pytest.fixture
def plan(cast: Cast) -> Plan:
    with unit_of_work() as rows:
        plan = Plan(
            account_id=cast.acme.id,
            title="Business 12",
            kind="business",
            currency="EUR",
            monthly_minor=3900,
            shown=True,
        )
        rows.add(plan)
    return plan


@pytest.fixture
def form(plan: Plan, cast: Cast) -> dict[str, str]:
    """What somebody types who signs up."""
    return {**CONTACT, "offer": f"{plan.id}-monthly", "location_id": str(cast.acme.locations[0].id)}


@pytest.fixture
def gateway(cast: Cast) -> None:
    with unit_of_work():
        gateways.connect(cast.acme, ProviderName.TEST, "", Checked("test", is_live=False, is_restricted=True))


def lead() -> Customer:
    return db.session.scalars(sa.select(Customer).where(Customer.email == EMAIL)).one()


def mails(template: str) -> int:
    query = sa.select(sa.func.count(OutgoingMail.id)).where(OutgoingMail.template == template)
    return db.session.scalar(query) or 0


def sign_up(client: Visitor, form: dict[str, str]) -> None:
    assert client.post("/portal/acme/sign-up", data=form).status_code == 303
    assert client.post(link_in_mail("portal_confirmation"), data={"password": PASSWORD}).status_code == 303


def bill(customer: Customer, cast: Cast) -> Invoice:
    with unit_of_work():
        line = Line("Business 12", Decimal(1), 3900, Decimal(23))
        today = clock.today("Europe/Lisbon")
        return invoices.create(cast.acme, db.session.get_one(Customer, customer.id), [line], due_on=today)


def test_the_page_shows_visible_plans_with_their_prices(client: Visitor, plan: Plan, cast: Cast) -> None:
    with unit_of_work() as rows:
        rows.add(Plan(account_id=cast.acme.id, title="Hidden 5", kind="personal", currency="EUR", monthly_minor=500))

    page = client.get("/portal/acme/sign-up").text

    assert "Business 12" in page
    assert "€39.00 a month" in page
    assert "Hidden 5" not in page


def test_who_signs_up_is_a_lead_until_the_email_is_confirmed(
    client: Visitor, form: dict[str, str], bell: HeardBell, cast: Cast
) -> None:
    installation = make.installation(cast.acme, "example")
    client.post("/portal/acme/sign-up", data=form)

    assert lead().status == CustomerStatus.LEAD
    assert ("example.greet", installation.id, lead().id) not in bell.rings
    client.post(link_in_mail("portal_confirmation"), data={"password": PASSWORD})

    assert lead().status == CustomerStatus.ACTIVE
    assert ("example.greet", installation.id, lead().id) in bell.rings
    subscription = subscriptions.of(lead())
    assert subscription is not None
    assert (subscription.title, subscription.cycle, str(subscription.price)) == ("Business 12", Cycle.MONTHLY, "€39.00")
    assert subscription.due_at is not None
    assert mails("welcome") == 1


def test_the_email_of_a_customer_gets_the_same_answer_and_changes_nothing(
    client: Visitor, form: dict[str, str], cast: Cast
) -> None:
    known = make.customer(cast.acme, "Wren Winter", email=EMAIL)
    answer = client.post("/portal/acme/sign-up", data=form)

    assert answer.location == "/portal/acme/look-in-your-mail?what=confirmation"
    assert mails("portal_known") == 1
    assert mails("portal_confirmation") == 0
    assert db.session.get_one(Customer, known.id).full_name == "Wren Winter"


def test_signing_up_again_before_confirming_takes_what_was_said_last(client: Visitor, form: dict[str, str]) -> None:
    client.post("/portal/acme/sign-up", data=form)
    first = link_in_mail("portal_confirmation")
    client.post("/portal/acme/sign-up", data={**form, "full_name": "Tamsin Yarrow"})

    assert client.get(first).status_code == 404
    assert lead().full_name == "Tamsin Yarrow"
    assert db.session.scalar(sa.select(sa.func.count(SignUp.id))) == 1


def test_a_program_that_fills_the_trap_leaves_nothing(client: Visitor, form: dict[str, str]) -> None:
    answer = client.post("/portal/acme/sign-up", data={**form, "website": "https://spam.example"})

    assert answer.location == "/portal/acme/look-in-your-mail?what=confirmation"
    assert db.session.scalar(sa.select(sa.func.count(Customer.id))) == 0


def test_signing_up_again_and_again_is_slowed_down(client: Visitor, form: dict[str, str]) -> None:
    answers = [client.post("/portal/acme/sign-up", data=form).status_code for _ in range(4)]

    assert answers == [303, 303, 303, 429]


def test_where_no_plan_can_be_had_is_not_offered(client: Visitor, form: dict[str, str], cast: Cast) -> None:
    there = make.location(cast.acme, "Old Port", currency="CAD")

    page = client.get("/portal/acme/sign-up").text
    forged = client.post("/portal/acme/sign-up", data={**form, "location_id": str(there.id)})

    assert "Old Port" not in page
    assert forged.status_code == 422
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Customer)) == 0


@pytest.mark.parametrize("known", [False, True])
def test_a_plan_in_another_currency_than_the_locations_is_refused_whoever_asks(
    client: Visitor, form: dict[str, str], cast: Cast, plan: Plan, known: bool
) -> None:
    there = make.location(cast.acme, "Old Port", currency="CAD")
    with unit_of_work() as rows:
        rows.add(
            Plan(
                account_id=cast.acme.id,
                title="Port",
                kind="business",
                currency="CAD",
                monthly_minor=3000,
                shown=True,
            )
        )
    if known:
        make.customer(cast.acme, email=EMAIL)

    answer = client.post("/portal/acme/sign-up", data={**form, "location_id": str(there.id)})

    assert answer.status_code == 422
    assert "Business 12 is priced in EUR, and Old Port bills in CAD." in answer.text
    assert mails("portal_known") + mails("portal_confirmation") == 0


def test_what_no_location_bills_in_any_more_is_not_offered(client: Visitor, plan: Plan, cast: Cast) -> None:
    with unit_of_work():
        cast.acme.locations[0].currency = "CAD"

    answer = client.get("/portal/acme/sign-up")

    assert answer.status_code == 200
    assert "Business 12" not in answer.text


def test_a_plan_that_is_not_shown_cannot_be_taken(client: Visitor, form: dict[str, str], plan: Plan) -> None:
    with unit_of_work() as rows:
        rows.get_one(Plan, plan.id).shown = False
    answer = client.post("/portal/acme/sign-up", data=form)

    assert answer.status_code == 422
    assert db.session.scalar(sa.select(sa.func.count(Customer.id))) == 0


def test_with_a_gateway_a_card_comes_before_the_service(
    client: Visitor, form: dict[str, str], gateway: None, cast: Cast, bell: HeardBell
) -> None:
    sign_up(client, form)
    assert lead().status == CustomerStatus.LEAD
    assert "One step is left." in client.get("/portal/acme/billing").text

    page = client.post("/portal/acme/billing/cards", htmx=True).headers["HX-Redirect"]
    back = client.post(page[page.index("/portal/") :], data={"card": "good"})
    returned = client.get(back.location[back.location.index("/portal/") :])
    client.get(returned.location)

    assert lead().status == CustomerStatus.ACTIVE
    invoice = bill(lead(), cast)
    assert client.post(f"/portal/acme/invoices/{invoice.id}/pay").status_code == 303
    bell.answer()
    assert db.session.get_one(Invoice, invoice.id).status == InvoiceStatus.PAID


def test_a_browser_that_does_not_come_back_does_not_stop_a_sign_up(
    client: Visitor, form: dict[str, str], gateway: None, cast: Cast
) -> None:
    sign_up(client, form)
    found = gateways.gateway_of(cast.acme.id)
    assert found is not None
    customer_id, gateway_id = lead().id, found.id
    with unit_of_work() as rows:
        rows.add(
            SavedCard(
                account_id=cast.acme.id,
                gateway_id=gateway_id,
                customer_id=customer_id,
                ref="pm_1",
                brand="Visa",
                last4="4242",
                exp_month=12,
                exp_year=2099,
            )
        )
    jobs.finish_sign_up(db.session.scalars(sa.select(SignUp.id)).one())

    assert lead().status == CustomerStatus.ACTIVE


def test_while_a_plugin_bills_no_card_is_asked_for_and_nothing_is_collected_before_it_decides(
    client: Visitor, form: dict[str, str], gateway: None, cast: Cast
) -> None:
    make.installation(cast.acme, "example", cutover_at=clock.now() - timedelta(days=9))
    sign_up(client, form)
    assert lead().status == CustomerStatus.ACTIVE
    invoice = bill(lead(), cast)
    page = client.get("/portal/acme/billing").text

    assert "There is nothing for you to do." in page
    assert "No card yet" not in page
    assert standing.open_here(lead()) == []
    assert "not decided yet" in standing.why_not_chargeable(db.session.get_one(Invoice, invoice.id))
    jobs.ask_for_billing_info(db.session.scalars(sa.select(BillingInfoRequest.id)).one())
    assert mails("billing_info_wanted") == 0

    with unit_of_work():
        deciding.decided(customers.locked(cast.acme, lead().id))
    assert [one.id for one in standing.open_here(lead())] == [invoice.id]
    assert "No card yet" in client.get("/portal/acme/invoices").text


def test_whoever_a_plugin_takes_is_asked_for_nothing(
    client: Visitor, form: dict[str, str], gateway: None, cast: Cast
) -> None:
    make.installation(cast.acme, "example", cutover_at=clock.now() - timedelta(days=9))
    sign_up(client, form)
    with unit_of_work():
        customers.set_billed_by(customers.locked(cast.acme, lead().id), "example")
    bill(lead(), cast)
    jobs.ask_for_billing_info(db.session.scalars(sa.select(BillingInfoRequest.id)).one())

    assert lead().billing_undecided_until is None
    assert mails("billing_info_wanted") == 0
    assert "you need no card here" in client.get("/portal/acme/billing").text


def test_billing_info_is_asked_for_with_the_first_invoice_and_once_more(
    client: Visitor, gateway: None, cast: Cast, enter_portal: Callable[[Customer], Visitor]
) -> None:
    customer = make.customer(cast.acme, status=CustomerStatus.INACTIVE)
    with unit_of_work():
        life.activate(customers.locked(cast.acme, customer.id))
    request = db.session.scalars(sa.select(BillingInfoRequest)).one()
    request_id = request.id
    assert request.due_at is None
    bill(customer, cast)
    assert db.session.get_one(BillingInfoRequest, request_id, populate_existing=True).due_at is not None
    for days in (0, 0, 2, 3, 9):
        with time_machine.travel(clock.now() + timedelta(days=days, minutes=1)):
            db.session.rollback()
            jobs.ask_for_billing_info(request_id)
            db.session.rollback()
            assert mails("billing_info_wanted") == (1 if days < 3 else 2)

    assert db.session.get_one(BillingInfoRequest, request_id, populate_existing=True).due_at is None
    assert "No card yet." in enter_portal(customer).get("/portal/acme/invoices").text


@pytest.mark.parametrize("asks_first", [True, False])
def test_a_fee_that_is_mailed_asks_for_billing_info_itself_and_once_more_after_three_days(
    gateway: None, cast: Cast, plan: Plan, bell: HeardBell, asks_first: bool
) -> None:
    customer = make.customer(cast.acme, status=CustomerStatus.INACTIVE)
    with unit_of_work():
        terms = Terms(db.session.merge(plan), Cycle.MONTHLY, clock.today("Europe/Lisbon"))
        life.activate(customers.locked(cast.acme, customer.id), terms)
    bill_subscription(db.session.scalars(sa.select(Subscription.id)).one())
    request_id = db.session.scalars(sa.select(BillingInfoRequest.id)).one()
    mail_id = db.session.scalars(sa.select(InvoiceMail.id)).one()
    ask, mail = (jobs.ask_for_billing_info, request_id), (mail_invoice, mail_id)
    for job, row_id in (ask, mail, ask) if asks_first else (mail, ask):
        db.session.rollback()
        job(row_id)

    db.session.rollback()
    (sent,) = db.session.scalars(sa.select(OutgoingMail))
    assert sent.template == "invoice"
    assert "has no billing info of you yet" in sent.text
    with time_machine.travel(clock.now() + timedelta(days=3, minutes=1)):
        jobs.ask_for_billing_info(request_id)
    db.session.rollback()
    assert mails("billing_info_wanted") == 1
    assert db.session.get_one(BillingInfoRequest, request_id).due_at is None


def test_a_fee_that_is_not_mailed_after_all_is_no_reason_to_stay_silent(gateway: None, cast: Cast, plan: Plan) -> None:
    customer = make.customer(cast.acme, status=CustomerStatus.INACTIVE)
    with unit_of_work():
        terms = Terms(db.session.merge(plan), Cycle.MONTHLY, clock.today("Europe/Lisbon"))
        life.activate(customers.locked(cast.acme, customer.id), terms)
    bill_subscription(db.session.scalars(sa.select(Subscription.id)).one())
    request_id = db.session.scalars(sa.select(BillingInfoRequest.id)).one()
    jobs.ask_for_billing_info(request_id)
    with unit_of_work() as session:
        invoice_mails.give_up(session.scalars(sa.select(InvoiceMail)).one(), "Not mailed.")
    with time_machine.travel(clock.now() + timedelta(minutes=11)):
        jobs.ask_for_billing_info(request_id)

    assert mails("billing_info_wanted") == 1
