from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine

from app.accounts.models import User
from app.billing import life, plans, subscriptions
from app.billing.life_models import PlannedMove
from app.billing.models import Customer, CustomerStatus
from app.billing.plans import PlanDetails
from app.billing.subscription_models import Plan
from app.db import db, unit_of_work
from app.mailing.models import OutgoingMail
from tests import make
from tests.cast import Cast
from tests.visitors import Visitor

LEAD, INACTIVE, SCHEDULED, ACTIVE, LOCKED, CANCELLED = CustomerStatus


@pytest.fixture(autouse=True)
def noon() -> Iterator[None]:
    """It is Sunday, 22 November 2026, 12:00 in Lisbon."""
    with time_machine.travel("2026-11-22T12:00:00Z", tick=False):
        yield


@pytest.fixture
def ben(cast: Cast, sign_in: Callable[[User], Visitor]) -> Visitor:
    return sign_in(cast.ben)


@pytest.fixture
def plan(cast: Cast) -> Plan:
    with unit_of_work():
        return plans.add(
            cast.acme, PlanDetails("Business 12", "business", "39", long_cycle="yearly", long="420", setup="25")
        )


@pytest.fixture
def tamsin(cast: Cast) -> Customer:
    return make.customer(cast.acme, "Tamsin Quill", email="tamsin@quill.example", status=INACTIVE)


def press(visitor: Visitor, customer: Customer, deed: str, **typed: Any) -> Any:
    return visitor.post(f"/acme/customers/{customer.id}/{deed}", data=typed)


class TestActivating:
    def test_the_dialog_offers_every_plan_with_its_price_and_says_what_happens(
        self, ben: Visitor, tamsin: Customer, plan: Plan
    ) -> None:
        page = ben.get(f"/acme/customers/{tamsin.id}/activate").text

        assert "Business 12: €39.00 a month, setup fee €25.00" in page
        assert "Business 12: €420.00 a year" in page
        assert "The next free mailbox number at Acme is assigned." in page

    def test_with_a_plan_from_today_and_a_welcome(self, ben: Visitor, tamsin: Customer, plan: Plan) -> None:
        answer = press(
            ben,
            tamsin,
            "activate",
            offer=f"{plan.id}:yearly",
            billing_starts_on="2026-12-01",
            waive_setup_fee="y",
            welcome="y",
        )

        assert "Tamsin Quill is active, with mailbox number 1001." in ben.get(answer.location).text
        has = subscriptions.of(tamsin)
        assert has is not None
        assert (has.cycle, has.setup_minor, has.billing_starts_on) == ("yearly", 0, date(2026, 12, 1))
        assert db.session.scalars(sa.select(OutgoingMail.recipient)).all() == ["tamsin@quill.example"]
        assert life.moves_of(tamsin)[0].by == "ben@acme.example"

    def test_from_a_later_day_and_the_record_says_so(self, ben: Visitor, tamsin: Customer, plan: Plan) -> None:
        answer = press(ben, tamsin, "activate", offer=f"{plan.id}:monthly", activates_on="2026-12-03")

        page = ben.get(answer.location).text
        assert tamsin.status == SCHEDULED
        assert "Becomes active on 3 December, as ben@acme.example planned." in page
        assert subscriptions.of(tamsin).billing_starts_on == date(2026, 12, 3)  # type: ignore[union-attr]

    def test_a_planned_activation_is_made_at_once_with_the_plan_that_was_chosen(
        self, ben: Visitor, tamsin: Customer, plan: Plan
    ) -> None:
        press(ben, tamsin, "activate", offer=f"{plan.id}:monthly", activates_on="2026-12-03")
        assert "As chosen: Business 12, €39.00 a month" in ben.get(f"/acme/customers/{tamsin.id}/activate").text

        press(ben, tamsin, "activate", offer="keep", activates_on="2026-11-22")

        assert (tamsin.status, subscriptions.of(tamsin).title) == (ACTIVE, "Business 12")  # type: ignore[union-attr]
        assert db.session.scalars(sa.select(PlannedMove)).all() == []

    @pytest.mark.parametrize(
        ("typed", "sentence"),
        [
            ({"activates_on": "2026-11-21"}, "Choose today or a later day."),
            ({"activates_on": "2030-01-01"}, "within the next two years"),
            ({"activates_on": "soon"}, "Not a valid date value"),
            ({"offer": "999:monthly"}, "Not a valid choice"),
            ({"billing_starts_on": "2029-01-01"}, "at most a year from today"),
        ],
    )
    def test_what_cannot_be_is_said_beside_the_field_and_changes_nothing(
        self, ben: Visitor, tamsin: Customer, plan: Plan, typed: dict[str, str], sentence: str
    ) -> None:
        answer = press(ben, tamsin, "activate", **{"offer": f"{plan.id}:monthly", **typed})

        assert answer.status_code == 422
        assert sentence in answer.text
        db.session.refresh(tamsin)
        assert (tamsin.status, subscriptions.of(tamsin)) == (INACTIVE, None)

    def test_two_who_press_at_once_activate_once(self, ben: Visitor, tamsin: Customer, plan: Plan) -> None:
        press(ben, tamsin, "activate", offer=f"{plan.id}:monthly")

        answer = press(ben, tamsin, "activate", offer=f"{plan.id}:monthly")

        assert answer.status_code == 409
        assert "Tamsin Quill is active. Change the plan instead." in answer.text

    def test_undo_takes_the_plan_for_a_day_back(self, ben: Visitor, tamsin: Customer, plan: Plan) -> None:
        press(ben, tamsin, "activate", offer=f"{plan.id}:monthly", activates_on="2026-12-03")

        press(ben, tamsin, "unschedule")

        assert (tamsin.status, subscriptions.of(tamsin)) == (INACTIVE, None)

    def test_without_any_plan_the_dialog_says_why_there_is_none(self, ben: Visitor, tamsin: Customer) -> None:
        assert "No plan is offered in EUR yet." in ben.get(f"/acme/customers/{tamsin.id}/activate").text


class TestCancelling:
    @pytest.fixture
    def served(self, tamsin: Customer, plan: Plan, ben: Visitor) -> Customer:
        press(ben, tamsin, "activate", offer=f"{plan.id}:monthly")
        return tamsin

    def test_the_dialog_says_what_becomes_of_invoices_link_and_number(
        self, ben: Visitor, cast: Cast, served: Customer
    ) -> None:
        make.invoice(served)
        with unit_of_work():
            db.session.get_one(Customer, served.id).billed_by = "example"

        page = ben.get(f"/acme/customers/{served.id}/cancel").text

        assert "When the paid period ends" in page
        assert "€12.30 is open and stays due" in page
        assert "The link to Example stays as it is" in page
        assert "Mailbox number 1001 stays" in page

    def test_now(self, ben: Visitor, served: Customer) -> None:
        press(ben, served, "cancel", when="now", why="Moves abroad")

        assert (served.status, subscriptions.of(served)) == (CANCELLED, None)
        assert life.moves_of(served)[0].why == "Moves abroad"

    def test_at_the_end_of_what_is_paid_and_back_again(self, ben: Visitor, served: Customer) -> None:
        with unit_of_work():
            subscriptions.of(served).next_period = 1  # type: ignore[union-attr]
        answer = press(ben, served, "cancel", when="period_end")

        assert "The service ends on 22 December" in ben.get(answer.location).text
        assert served.status == ACTIVE
        answer = press(ben, served, "keep")
        assert "The service of Tamsin Quill goes on." in ben.get(answer.location).text
        assert subscriptions.of(served).ended_on is None  # type: ignore[union-attr]

    @pytest.mark.parametrize(
        ("day", "sentence"),
        [
            ("", "Choose the first day without service."),
            ("2026-11-01", "Choose a day after today."),
            ("x", "Not a valid date"),
        ],
    )
    def test_a_day_that_cannot_be_is_refused_beside_the_field(
        self, ben: Visitor, served: Customer, day: str, sentence: str
    ) -> None:
        answer = press(ben, served, "cancel", when="day", day=day)

        assert answer.status_code == 422
        assert sentence in answer.text
        assert served.status == ACTIVE

    def test_a_reason_that_is_too_long_is_refused_beside_the_field(self, ben: Visitor, served: Customer) -> None:
        answer = press(ben, served, "cancel", when="now", why="x" * 301)

        assert answer.status_code == 422
        assert "there is room for 300" in answer.text
        db.session.refresh(served)
        assert served.status == ACTIVE


def test_what_is_still_open_when_the_service_has_ended_is_said(ben: Visitor, tamsin: Customer) -> None:
    make.invoice(tamsin)

    answer = press(ben, tamsin, "deactivate")

    assert "No service runs, and no further period is billed. €12.30 is still open." in ben.get(answer.location).text


def test_a_person_locks_and_unlocks_and_the_record_says_why(ben: Visitor, tamsin: Customer) -> None:
    press(ben, tamsin, "activate")
    assert "The service is suspended" in ben.get(f"/acme/customers/{tamsin.id}/lock").text

    answer = press(ben, tamsin, "lock", why="Mail came back.")
    assert "Locked: Mail came back. Nothing is open: unlock." in ben.get(answer.location).text
    make.invoice(tamsin)
    assert "Locked: Mail came back. Collect what is open, then unlock." in ben.get(answer.location).text
    press(ben, tamsin, "unlock")

    assert tamsin.status == ACTIVE


def test_the_plan_of_a_running_service_is_chosen_later(ben: Visitor, tamsin: Customer, plan: Plan) -> None:
    press(ben, tamsin, "activate")
    assert "Choose a plan for Tamsin Quill" in ben.get(f"/acme/customers/{tamsin.id}/plan").text

    answer = press(ben, tamsin, "plan", offer=f"{plan.id}:monthly", billing_starts_on="2026-12-01")

    page = ben.get(answer.location).text
    assert "€39.00 a month" in page
    assert "1 December" in page


@pytest.mark.parametrize("deed", ["activate", "plan", "cancel", "lock", "unlock", "deactivate", "unschedule", "keep"])
def test_another_accounts_customer_is_not_moved(ben: Visitor, cast: Cast, deed: str) -> None:
    theirs = make.customer(cast.zenith, "Canary Bird")

    answer = press(ben, theirs, deed, when="now")

    assert answer.status_code == 404
    db.session.refresh(theirs)
    assert (theirs.status, life.moves_of(theirs)) == (ACTIVE, [])
