from collections.abc import Callable, Iterator
from datetime import date
from typing import Any, ClassVar

import pytest
import sqlalchemy as sa
import time_machine

from app import work
from app.billing import customers, life, plans, subscriptions
from app.billing.life import Terms
from app.billing.life_models import CustomerMove, Deed, PlannedMove
from app.billing.models import Customer, CustomerStatus
from app.billing.plans import PlanDetails
from app.billing.subscription_models import Cycle, Subscription
from app.db import db, unit_of_work
from app.errors import Conflict, InvalidInput
from app.mailing.models import OutgoingMail
from tests import make
from tests.cast import Cast
from tests.visitors import HeardBell

LEAD, INACTIVE, SCHEDULED, ACTIVE, LOCKED, CANCELLED = CustomerStatus
NOON = "2026-11-22T12:00:00Z"


@pytest.fixture(autouse=True)
def noon() -> Iterator[None]:
    """It is 22 November 2026, 12:00 in Lisbon."""
    with time_machine.travel(NOON, tick=False):
        yield


@pytest.fixture
def terms(cast: Cast) -> Callable[..., Terms]:
    """39.00 a month and a setup fee of 25.00, billed from 22 November unless said otherwise."""
    with unit_of_work():
        plan = plans.add(cast.acme, PlanDetails("Business 12", "business", "39", setup="25"))

    def say(starts_on: date = date(2026, 11, 22), **said: Any) -> Terms:
        return Terms(plan, Cycle.MONTHLY, starts_on, **said)

    return say


def do(customer: Customer, deed: Callable[..., Any], *said: Any, **more: Any) -> Any:
    """One move in a unit of work of its own."""
    with unit_of_work() as session:
        return deed(session.get_one(Customer, customer.id, with_for_update=True), *said, **more)


def deeds(customer: Customer) -> list[Deed]:
    return [move.deed for move in reversed(life.moves_of(customer))]


def sweep(bell: HeardBell) -> None:
    """What the sweep and the workers do at this moment."""
    work.sweep_once()
    bell.answer()
    db.session.rollback()


class TestWhatIsAllowed:
    MOVES: ClassVar[dict[str, tuple[Callable[[Customer], Any], set[CustomerStatus]]]] = {
        "schedule": (lambda one: life.schedule(one, date(2026, 12, 1)), {LEAD, INACTIVE, SCHEDULED, CANCELLED}),
        "unschedule": (life.unschedule, {SCHEDULED}),
        "lock": (lambda one: life.lock(one, "Four attempts failed."), {ACTIVE, LOCKED}),
        "unlock": (life.unlock, {LOCKED, ACTIVE}),
        "activate": (life.activate, set(CustomerStatus)),
        "cancel": (life.cancel, {ACTIVE, LOCKED}),
        "cancel later": (lambda one: life.cancel(one, date(2026, 12, 1)), {ACTIVE, LOCKED}),
        "deactivate": (life.deactivate, set(CustomerStatus)),
        "keep": (life.keep, set()),
    }

    @pytest.mark.parametrize("status", list(CustomerStatus))
    @pytest.mark.parametrize("deed", list(MOVES))
    def test_a_status_allows_these_moves_and_refuses_the_others_in_words(
        self, cast: Cast, deed: str, status: CustomerStatus
    ) -> None:
        customer = make.customer(cast.acme, "Tamsin Quill", status=status)
        move, allowed = self.MOVES[deed]

        if status in allowed:
            do(customer, move)
        else:
            with pytest.raises(Conflict, match=r"^Tamsin Quill is .*\. [A-Z].*\.$"):
                do(customer, move)
            db.session.refresh(customer)
            assert customer.status == status
            assert deeds(customer) == []

    def test_a_move_says_who_when_and_why(self, cast: Cast) -> None:
        customer = make.customer(cast.acme)

        do(customer, life.lock, "Four attempts failed.", by="gateway")

        move = db.session.scalars(sa.select(CustomerMove)).one()
        assert (move.deed, move.status, move.by, move.why) == (Deed.LOCKED, LOCKED, "gateway", "Four attempts failed.")
        assert move.at.isoformat() == "2026-11-22T12:00:00+00:00"


class TestActivating:
    def test_a_plan_begins_with_the_service(self, cast: Cast, terms: Callable[..., Terms]) -> None:
        customer = make.customer(cast.acme, status=INACTIVE)

        do(customer, life.activate, terms(setup_fee=False))

        row = subscriptions.of(customer)
        assert row is not None
        assert (row.setup_minor, row.due_at is not None) == (0, True)

    def test_a_plan_that_cannot_be_taken_leaves_everything_as_it_was(
        self, cast: Cast, terms: Callable[..., Terms]
    ) -> None:
        customer = make.customer(cast.acme, status=INACTIVE)

        with pytest.raises(InvalidInput, match="at most a year"):
            do(customer, life.activate, terms(date(2030, 1, 1)))
        db.session.refresh(customer)
        assert (customer.status, customer.mailbox_number) == (INACTIVE, None)

    def test_the_welcome_mail_names_address_number_and_plan(self, cast: Cast, terms: Callable[..., Terms]) -> None:
        customer = make.customer(cast.acme, "Tamsin Quill", email="tamsin@quill.example", status=INACTIVE)

        do(customer, life.activate, terms(), welcome=True)

        mail = db.session.scalars(sa.select(OutgoingMail)).one()
        assert mail.recipient == "tamsin@quill.example"
        assert all(part in mail.text for part in ("Tamsin Quill", "mailbox 1001", "Business 12: €39.00 a month"))

    def test_nobody_is_welcomed_unasked(self, cast: Cast) -> None:
        do(make.customer(cast.acme, status=INACTIVE), life.activate)

        assert db.session.scalars(sa.select(OutgoingMail)).all() == []

    def test_the_plan_of_an_active_customer_is_changed_and_not_taken_twice(
        self, cast: Cast, terms: Callable[..., Terms]
    ) -> None:
        customer = make.customer(cast.acme, status=INACTIVE)
        do(customer, life.activate, terms())

        with pytest.raises(Conflict, match="Change the plan instead"):
            do(customer, life.activate, terms())
        do(customer, life.change_plan, terms(date(2026, 12, 22)))

        first, second = db.session.scalars(sa.select(Subscription).order_by(Subscription.id))
        assert (first.ended_on, first.due_at) == (date(2026, 11, 22), None)
        assert second.due_at is not None


class TestScheduling:
    def test_the_service_begins_when_the_day_begins_at_the_location(
        self, cast: Cast, terms: Callable[..., Terms], bell: HeardBell
    ) -> None:
        with unit_of_work():
            cast.acme.locations[0].timezone = "America/New_York"
        customer = make.customer(cast.acme, status=INACTIVE)
        make.installation(cast.acme, "example")
        do(customer, life.schedule, date(2026, 12, 1), terms(date(2026, 12, 1)), welcome=True)
        bell.rings.clear()

        with time_machine.travel("2026-12-01T04:59:59Z", tick=False):
            sweep(bell)
            assert customer.status == SCHEDULED
        with time_machine.travel("2026-12-01T05:00:00Z", tick=False):
            sweep(bell)
            assert customer.status == ACTIVE
            assert customer.mailbox_number == "1001"
            assert len(db.session.scalars(sa.select(OutgoingMail)).all()) == 1
        assert subscriptions.of(customer).due_at is not None  # type: ignore[union-attr]
        assert deeds(customer) == [Deed.SCHEDULED, Deed.ACTIVATED]

    def test_a_missed_day_is_made_up_once_however_many_sweep(self, cast: Cast, bell: HeardBell) -> None:
        customer = make.customer(cast.acme, status=INACTIVE)
        move_id = do(customer, life.schedule, date(2026, 12, 1)).id

        with time_machine.travel("2026-12-24T08:00:00Z", tick=False):
            for _ in range(3):
                bell.ring("host.make_planned_move", move_id)
                sweep(bell)

        assert deeds(customer) == [Deed.SCHEDULED, Deed.ACTIVATED]
        assert db.session.scalars(sa.select(PlannedMove)).all() == []

    def test_a_plan_taken_back_is_never_billed(self, cast: Cast, terms: Callable[..., Terms], bell: HeardBell) -> None:
        customer = make.customer(cast.acme, status=INACTIVE)
        do(customer, life.schedule, date(2026, 12, 1), terms(date(2026, 12, 1)))

        do(customer, life.unschedule)

        with time_machine.travel("2026-12-02T12:00:00Z", tick=False):
            sweep(bell)
            assert customer.status == INACTIVE
            assert subscriptions.of(customer) is None
        row = db.session.scalars(sa.select(Subscription)).one()
        assert (row.bills_again, row.due_at) == (False, None)

    def test_a_later_day_takes_the_place_of_the_first(self, cast: Cast) -> None:
        customer = make.customer(cast.acme, status=INACTIVE)
        do(customer, life.schedule, date(2026, 12, 1))

        do(customer, life.schedule, date(2026, 12, 8))

        assert [move.day for move in db.session.scalars(sa.select(PlannedMove))] == [date(2026, 12, 8)]

    @pytest.mark.parametrize("day", [date(2026, 11, 22), date(2026, 11, 1), date(2030, 1, 1)])
    def test_a_day_is_after_today_and_not_years_away(self, cast: Cast, day: date) -> None:
        customer = make.customer(cast.acme, status=INACTIVE)

        with pytest.raises(InvalidInput, match="Choose a day"):
            do(customer, life.schedule, day)

    def test_a_day_in_another_zone_comes_when_it_comes_there(self, cast: Cast, bell: HeardBell) -> None:
        customer = make.customer(cast.acme, status=INACTIVE)
        do(customer, life.schedule, date(2026, 12, 1))
        with unit_of_work():
            cast.acme.locations[0].timezone = "Pacific/Honolulu"

        with time_machine.travel("2026-12-01T01:00:00Z", tick=False):
            sweep(bell)
            assert customer.status == SCHEDULED
        with time_machine.travel("2026-12-01T10:00:00Z", tick=False):
            sweep(bell)
            assert customer.status == ACTIVE


class TestLocking:
    def test_nothing_is_billed_while_locked_and_nothing_for_that_time_later(
        self, cast: Cast, terms: Callable[..., Terms]
    ) -> None:
        customer = make.customer(cast.acme, status=INACTIVE)
        do(customer, life.activate, terms())

        do(customer, life.lock, "Four attempts failed.")
        assert subscriptions.of(customer).due_at is None  # type: ignore[union-attr]
        with time_machine.travel("2027-03-01T12:00:00Z", tick=False):
            do(customer, life.unlock, why="Paid.")

            row = subscriptions.of(customer)
            assert row is not None
            assert (row.next_period_on, customer.status) == (date(2027, 2, 22), ACTIVE)

    def test_activating_a_locked_customer_unlocks(self, cast: Cast) -> None:
        customer = make.customer(cast.acme, status=LOCKED)

        assert do(customer, life.activate)

        assert deeds(customer) == [Deed.UNLOCKED]


class TestCancelling:
    @pytest.fixture
    def served(self, cast: Cast, terms: Callable[..., Terms]) -> Customer:
        """A customer whose first month is billed."""
        customer = make.customer(cast.acme, status=INACTIVE, mailbox_number="1042")
        do(customer, life.activate, terms())
        with unit_of_work():
            row = subscriptions.of(customer)
            assert row is not None
            row.next_period = 1
            subscriptions.begin(row)
        return customer

    def test_at_once_nothing_is_billed_any_more_and_the_number_stays(self, served: Customer) -> None:
        assert do(served, life.cancel, why="Moves abroad") is None

        row = db.session.scalars(sa.select(Subscription)).one()
        assert (served.status, served.mailbox_number) == (CANCELLED, "1042")
        assert (row.ended_on, row.due_at) == (date(2026, 11, 22), None)

    def test_at_the_end_of_the_paid_period_no_other_is_billed(self, served: Customer, bell: HeardBell) -> None:
        row = subscriptions.of(served)
        assert row is not None
        do(served, life.cancel, subscriptions.period_ends_on(row))

        assert (served.status, row.ended_on, row.due_at) == (ACTIVE, date(2026, 12, 22), None)
        with time_machine.travel("2026-12-21T23:59:00Z", tick=False):
            sweep(bell)
            assert served.status == ACTIVE
        with time_machine.travel("2026-12-22T00:00:00Z", tick=False):
            sweep(bell)
            assert served.status == CANCELLED
        assert deeds(served)[1:] == [Deed.CANCELLATION_PLANNED, Deed.CANCELLED]

    def test_a_later_day_lets_the_periods_before_it_be_billed(self, served: Customer) -> None:
        do(served, life.cancel, date(2026, 12, 22))
        do(served, life.cancel, date(2027, 1, 5))

        row = subscriptions.of(served)
        assert row is not None
        assert (row.ended_on, row.bills_again, row.due_at is not None) == (date(2027, 1, 5), True, True)

    def test_it_is_taken_back_while_it_is_planned(self, served: Customer, bell: HeardBell) -> None:
        do(served, life.cancel, date(2026, 12, 22))

        do(served, life.keep)

        row = subscriptions.of(served)
        assert row is not None
        assert (row.ended_on, row.due_at is not None) == (None, True)
        with time_machine.travel("2026-12-23T00:00:00Z", tick=False):
            sweep(bell)
            assert served.status == ACTIVE
        with pytest.raises(Conflict, match="No cancellation is planned"):
            do(served, life.keep)

    def test_a_locked_customer_is_not_billed_because_a_cancellation_is_taken_back(self, served: Customer) -> None:
        do(served, life.lock, "Four attempts failed.")
        do(served, life.cancel, date(2026, 12, 22))
        do(served, life.keep)

        assert subscriptions.of(served).due_at is None  # type: ignore[union-attr]

    def test_a_cancelled_customer_comes_back_with_the_same_number_and_a_new_plan(
        self, served: Customer, terms: Callable[..., Terms]
    ) -> None:
        do(served, life.cancel)

        do(served, life.activate, terms(date(2026, 11, 23)))

        assert (served.status, served.mailbox_number) == (ACTIVE, "1042")
        assert subscriptions.of(served).billing_starts_on == date(2026, 11, 23)  # type: ignore[union-attr]


def test_automatic_numbers_go_on_after_the_highest_whatever_people_typed(cast: Cast) -> None:
    for number in ("1007", "A-9", "999999999"):
        make.customer(cast.acme, mailbox_number=number)
    found = []
    for _ in range(2):
        customer = make.customer(cast.acme, status=INACTIVE)
        do(customer, life.activate)
        found.append(customer.mailbox_number)

    assert found == ["1008", "1009"]
    assert customers.count_by_status(cast.acme)[ACTIVE] == 5
