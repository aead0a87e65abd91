from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
import time_machine

from app import clock
from app.billing import periods, plans, subscriptions
from app.billing.models import Customer
from app.billing.plans import PlanDetails
from app.billing.subscription_models import Cycle, Plan, Subscription
from app.db import db, unit_of_work
from app.errors import Conflict, InvalidInput, NotFound
from tests import make
from tests.cast import Cast


@pytest.fixture
def noon() -> Iterator[None]:
    """It is 22 November 2026, 12:00 in Lisbon."""
    with time_machine.travel("2026-11-22T12:00:00Z", tick=False):
        yield


def details(**said: Any) -> PlanDetails:
    """A plan for 39.00 a month or 420.00 a year; say what is different."""
    usual = {"title": "Business 12", "kind": "business", "monthly": "39.00", "long_cycle": "yearly", "long": "420"}
    return PlanDetails(**{**usual, **said})


def add(cast: Cast, **said: Any) -> Plan:
    with unit_of_work():
        return plans.add(cast.acme, details(**said))


def take(customer: Customer, plan: Plan, cycle: Cycle = Cycle.MONTHLY, **said: Any) -> Subscription:
    with unit_of_work():
        return subscriptions.take(customer, plan, cycle, said.pop("starts_on", date(2026, 11, 22)), **said)


class TestPeriods:
    def test_the_end_of_a_month_comes_back_after_a_shorter_one(self) -> None:
        days = [periods.starts_on(date(2027, 1, 31), 1, number) for number in range(4)]

        assert days == [date(2027, 1, 31), date(2027, 2, 28), date(2027, 3, 31), date(2027, 4, 30)]

    def test_a_leap_day_is_kept_by_those_who_began_on_one(self) -> None:
        days = [periods.starts_on(date(2024, 2, 29), 12, number) for number in range(5)]

        assert days[1:] == [date(2025, 2, 28), date(2026, 2, 28), date(2027, 2, 28), date(2028, 2, 29)]

    @pytest.mark.parametrize("months", [1, 6, 12])
    @pytest.mark.parametrize("anchor", [date(2024, 2, 29), date(2026, 1, 31), date(2026, 12, 1)])
    def test_every_day_belongs_to_the_period_that_began_last(self, anchor: date, months: int) -> None:
        for number in range(30):
            begins, following = (periods.starts_on(anchor, months, one) for one in (number, number + 1))
            assert periods.number_on(anchor, months, begins) == number
            assert periods.number_on(anchor, months, following.fromordinal(following.toordinal() - 1)) == number

    def test_before_the_first_period_it_is_the_first(self) -> None:
        assert periods.number_on(date(2026, 12, 1), 1, date(2026, 11, 1)) == 0


class TestPlans:
    def test_a_new_plan_is_hidden_and_keeps_minor_units(self, cast: Cast) -> None:
        plan = add(cast, setup="25", recipient="4,50", tax_rate="23")

        assert (plan.monthly_minor, plan.long_minor, plan.setup_minor, plan.recipient_minor) == (3900, 42000, 2500, 450)
        assert (plan.shown, plan.tax_rate, plan.currency) == (False, Decimal(23), "EUR")
        assert plan.cycles == [Cycle.MONTHLY, Cycle.YEARLY]

    @pytest.mark.parametrize(
        ("said", "field"),
        [
            ({"title": " "}, "title"),
            ({"title": "x" * 81}, "title"),
            ({"monthly": ""}, "monthly"),
            ({"monthly": "-1"}, "monthly"),
            ({"monthly": "1.005"}, "monthly"),
            ({"monthly": "99999999999"}, "monthly"),
            ({"kind": "royal"}, "kind"),
            ({"long_cycle": "monthly"}, "long_cycle"),
            ({"long_cycle": "", "long": "420"}, "long_cycle"),
            ({"long": ""}, "long"),
            ({"tax_rate": "101"}, "tax_rate"),
            ({"tax_rate": "1.0001"}, "tax_rate"),
        ],
    )
    def test_what_cannot_be_taken_names_its_field(self, cast: Cast, said: dict[str, str], field: str) -> None:
        with pytest.raises(InvalidInput) as refused:
            add(cast, **said)
        assert refused.value.field == field

    def test_a_title_is_taken_once_per_account(self, cast: Cast) -> None:
        add(cast)

        with pytest.raises(InvalidInput, match="Another plan has this title"):
            add(cast)
        with unit_of_work():
            assert plans.add(cast.zenith, details()).id

    def test_an_archived_plan_is_neither_offered_nor_shown(self, cast: Cast) -> None:
        plan = add(cast)
        with unit_of_work():
            plans.show(plan, shown=True)
        assert plans.offered(cast.acme, shown_only=True) == [plan]

        with unit_of_work():
            plans.archive(plans.locked(cast.acme, plan.id))

        assert plans.offered(cast.acme) == []
        with pytest.raises(Conflict), unit_of_work():
            plans.show(plans.locked(cast.acme, plan.id), shown=True)
        with unit_of_work():
            plans.bring_back(plans.locked(cast.acme, plan.id))
        assert [one.shown for one in plans.offered(cast.acme)] == [False]

    def test_another_accounts_plan_is_not_there(self, cast: Cast) -> None:
        plan = add(cast)

        with pytest.raises(NotFound):
            plans.get(cast.zenith, plan.id)


@pytest.mark.usefixtures("noon")
class TestSubscriptions:
    def test_a_changed_price_leaves_what_customers_have(self, cast: Cast) -> None:
        plan, customer = add(cast, setup="25", recipient="4.50"), make.customer(cast.acme)
        taken = take(customer, plan, Cycle.YEARLY)

        with unit_of_work():
            plans.edit(cast.acme, plans.locked(cast.acme, plan.id), details(title="Business 14", long="500"))

        assert (taken.title, taken.price_minor, taken.setup_minor) == ("Business 12", 42000, 2500)
        assert taken.recipient_minor == 450

    def test_it_is_due_at_the_start_of_the_day_in_the_locations_zone(self, cast: Cast) -> None:
        lisbon = make.location(cast.acme, "Warsaw", timezone="Europe/Warsaw")
        taken = take(make.customer(cast.acme, location=lisbon), add(cast), starts_on=date(2026, 12, 1))
        before = taken.due_at

        with unit_of_work():
            subscriptions.begin(taken := db.session.merge(taken))

        assert before is None, "nobody is billed before being active"
        assert str(taken.due_at) == "2026-11-30 23:00:00+00:00"

    def test_a_waived_setup_fee_is_not_billed(self, cast: Cast) -> None:
        assert take(make.customer(cast.acme), add(cast, setup="25"), setup_fee=False).setup_minor == 0

    def test_a_second_plan_ends_the_first(self, cast: Cast) -> None:
        customer = make.customer(cast.acme)
        first = take(customer, add(cast))
        second = take(customer, add(cast, title="Business 30"))

        assert first.ended_on == date(2026, 11, 22)
        assert subscriptions.of(customer) == second

    def test_the_period_that_is_paid_for_ends_where_the_next_begins(self, cast: Cast) -> None:
        taken = take(make.customer(cast.acme), add(cast), starts_on=date(2026, 10, 31))
        assert subscriptions.period_ends_on(taken) == date(2026, 11, 30)

        with unit_of_work():
            taken = db.session.merge(taken)
            taken.next_period = 3
        assert subscriptions.period_ends_on(taken) == date(2027, 1, 31)

    def test_before_billing_starts_an_end_costs_nothing(self, cast: Cast) -> None:
        taken = take(make.customer(cast.acme), add(cast), starts_on=date(2026, 12, 1))

        assert subscriptions.period_ends_on(taken) == date(2026, 12, 1)

    def test_after_a_pause_it_goes_on_with_the_present_period(self, cast: Cast) -> None:
        taken = take(make.customer(cast.acme), add(cast), starts_on=date(2026, 6, 15))
        with unit_of_work():
            taken = db.session.merge(taken)
            taken.next_period = 2
            subscriptions.pause(taken)
            subscriptions.resume(taken)

        assert taken.next_period_on == date(2026, 11, 15)
        assert taken.due_at == clock.start_of(date(2026, 11, 15), "Europe/Lisbon")

    def test_a_planned_end_stops_the_periods_behind_it_and_can_be_taken_back(self, cast: Cast) -> None:
        taken = take(make.customer(cast.acme), add(cast), starts_on=date(2026, 12, 1))
        with unit_of_work():
            taken = db.session.merge(taken)
            subscriptions.begin(taken)
            subscriptions.end(taken, date(2026, 12, 1))
        assert not taken.bills_again

        with unit_of_work():
            subscriptions.keep(taken := db.session.merge(taken))
        assert taken.bills_again

    @pytest.mark.parametrize("said", [{"cycle": Cycle.HALF_YEARLY}, {"starts_on": date(2030, 1, 1)}])
    def test_what_is_not_offered_cannot_be_taken(self, cast: Cast, said: dict[str, Any]) -> None:
        with pytest.raises(InvalidInput):
            take(make.customer(cast.acme), add(cast), **said)

    def test_the_plans_tax_rate_goes_before_the_locations(self, cast: Cast) -> None:
        with unit_of_work():
            cast.acme.locations[0].tax_rate = Decimal(23)
        own = take(make.customer(cast.acme), add(cast, tax_rate="0"))
        usual = take(make.customer(cast.acme), add(cast, title="Business 30"))

        assert (subscriptions.tax_rate(own), subscriptions.tax_rate(usual)) == (Decimal(0), Decimal(23))

    def test_a_plan_in_another_currency_than_the_locations_cannot_be_taken(self, cast: Cast) -> None:
        plan = add(cast)
        abroad = make.location(cast.acme, "Warsaw", currency="PLN")

        with pytest.raises(InvalidInput, match="priced in EUR, and Warsaw bills in PLN"):
            take(make.customer(cast.acme, location=abroad), plan)
