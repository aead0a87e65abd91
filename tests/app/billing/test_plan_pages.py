from collections.abc import Callable

import pytest

from app.accounts.models import User
from app.billing import plans
from app.billing.plans import PlanDetails
from app.billing.subscription_models import Plan
from app.db import unit_of_work
from tests.cast import Cast
from tests.visitors import Visitor, counted_queries

TYPED = {"title": "Business 12", "kind": "business", "currency": "EUR", "monthly": "39.00"}


@pytest.fixture
def ana(cast: Cast, sign_in: Callable[[User], Visitor]) -> Visitor:
    return sign_in(cast.ana)


def add(cast: Cast, title: str = "Business 12") -> Plan:
    with unit_of_work():
        return plans.add(cast.acme, PlanDetails(title=title, kind="business", monthly="39"))


def test_an_account_without_plans_is_shown_the_first_act(ana: Visitor) -> None:
    assert "Add the first one" in ana.get("/acme/settings/plans").text


def test_a_plan_is_added_hidden_and_stands_in_the_list(ana: Visitor, cast: Cast) -> None:
    answer = ana.post("/acme/settings/plans/new", data={**TYPED, "long_cycle": "yearly", "long": "420"})

    assert answer.location == "/acme/settings/plans"
    page = ana.get(answer.location).text
    for words in ("Business 12 is added and hidden.", "€39.00", "€420.00", "a year", 'aria-checked="false"'):
        assert words in page


def test_a_refused_plan_says_why_at_the_field_and_is_not_kept(ana: Visitor, cast: Cast) -> None:
    answer = ana.post("/acme/settings/plans/new", data={**TYPED, "monthly": "much", "subtitle": "Ten letters"})

    assert answer.status_code == 422
    assert "“much” is not an amount." in answer.text
    assert 'value="Ten letters"' in answer.text
    assert plans.count(cast.acme) == (0, 0)


def test_a_change_is_kept_and_the_form_says_who_keeps_the_old_price(ana: Visitor, cast: Cast) -> None:
    plan = add(cast)
    assert 'value="39.00"' in ana.get(f"/acme/settings/plans/{plan.id}").text

    ana.post(f"/acme/settings/plans/{plan.id}", data={**TYPED, "monthly": "41"})

    assert plan.monthly_minor == 4100


def test_showing_and_archiving_take_effect_at_once_and_can_be_undone(ana: Visitor, cast: Cast) -> None:
    plan = add(cast)
    ana.post(f"/acme/settings/plans/{plan.id}/show", data={"on": "1"})
    assert plan.shown

    ana.post(f"/acme/settings/plans/{plan.id}/archive")
    assert (plan.shown, plan.archived_at is None) == (False, False)
    assert "Business 12" in ana.get("/acme/settings/plans?show=archived").text

    ana.post(f"/acme/settings/plans/{plan.id}/bring-back")
    assert plan.archived_at is None


def test_an_admin_reads_and_changes_nothing(cast: Cast, sign_in: Callable[[User], Visitor]) -> None:
    plan, ben = add(cast), sign_in(cast.ben)

    page = ben.get("/acme/settings/plans").text

    assert "Business 12" in page
    assert "Add plan" not in page
    assert "Archive" not in page
    assert ben.post(f"/acme/settings/plans/{plan.id}/show", data={"on": "1"}).status_code == 403


@pytest.mark.parametrize("path", ["", "/show", "/archive", "/bring-back"])
def test_another_accounts_plan_is_not_found(cast: Cast, sign_in: Callable[[User], Visitor], path: str) -> None:
    plan, zoe = add(cast), sign_in(cast.zoe)

    assert zoe.post(f"/zenith/settings/plans/{plan.id}{path}", data=TYPED).status_code == 404


def test_the_number_of_queries_does_not_grow_with_the_list(ana: Visitor, cast: Cast) -> None:
    add(cast)
    with counted_queries() as few:
        ana.get("/acme/settings/plans")
    for number in range(10):
        add(cast, f"Personal {number}")
    with counted_queries() as many:
        ana.get("/acme/settings/plans")

    assert many.count == few.count
