"""The page of the day: what needs somebody, what comes next, charts with tables behind, steps that tick themselves."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from app.access import Role
from app.accounts.models import User
from app.billing.models import CustomerStatus, InvoiceStatus
from app.charts import Bar, BarChart, Part, Series, ShareChart
from app.installations.models import InstallationState
from tests import make
from tests.cast import Cast
from tests.visitors import Visitor, counted_queries

SignIn = Callable[[User], Visitor]
NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def noon() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


def test_the_office_lands_on_it(cast: Cast, sign_in: SignIn) -> None:
    assert sign_in(cast.ben).get("/acme/").location == "/acme/today"
    assert sign_in(cast.mia).get("/acme/").status_code == 200


def test_it_names_the_day_and_what_needs_somebody(cast: Cast, sign_in: SignIn) -> None:
    make.customer(cast.acme, status=CustomerStatus.LOCKED)

    page = sign_in(cast.ana).get("/acme/today").text

    for words in ("Saturday 28 November", "One thing needs you. Everything else runs.", "A customer is locked"):
        assert words in page


def test_it_says_what_a_plugin_does_next_and_how_it_stands(cast: Cast, sign_in: SignIn) -> None:
    make.installation(cast.acme, "example")

    page = sign_in(cast.ana).get("/acme/today").text

    for words in ("Example works", "3 things", "Things sorted", "As a table"):
        assert words in page


def test_a_plugin_with_a_fault_leaves_the_rest_of_the_page(cast: Cast, sign_in: SignIn) -> None:
    make.installation(cast.acme, "example", state=InstallationState.ATTENTION, problem="breaks the list")

    page = sign_in(cast.ana).get("/acme/today")

    assert page.status_code == 200
    assert "Invoices by month" in page.text
    assert "Things sorted" not in page.text


def test_invoices_are_counted_by_the_month_of_the_accounts_calendar(cast: Cast, sign_in: SignIn) -> None:
    customer = make.customer(cast.acme)
    # Midnight in Lisbon is midnight UTC in winter and eleven at night in summer.
    for moment in (datetime(2026, 10, 31, 23, 59, tzinfo=UTC), datetime(2026, 11, 1, 0, 1, tzinfo=UTC)):
        make.invoice(customer, created_at=moment)
    make.invoice(customer, created_at=datetime(2026, 6, 30, 23, 30, tzinfo=UTC), status=InvoiceStatus.PAID)
    make.invoice(customer, created_at=datetime(2026, 5, 31, 12, tzinfo=UTC))

    page = " ".join(sign_in(cast.ana).get("/acme/today").text.split())

    none = "\N{EN DASH}"
    for month, counts in (("Jun", (none, none, none)), ("Jul", (none, "1", none)), ("Oct", (none, none, "1"))):
        cells = "".join(f'<td class="sm-right">{count}</td>' for count in counts)
        assert f'<th scope="row">{month}</th>{cells}' in page
    assert "so far" in page


def test_an_empty_account_gets_steps_and_each_ticks_itself(cast: Cast, sign_in: SignIn) -> None:
    ana = sign_in(cast.ana)
    assert "First steps" in ana.get("/acme/today").text

    make.customer(cast.acme)

    page = ana.get("/acme/today").text
    assert (
        page.count('<span class="visually-hidden">Done</span>') == 2
    )  # the customer, and that somebody else works here
    make.invoice(make.customer(cast.acme))
    assert ana.get("/acme/today").text.count('<span class="visually-hidden">Done</span>') == 3


def test_who_has_worked_for_a_month_needs_no_first_steps(cast: Cast, sign_in: SignIn) -> None:
    ana = sign_in(cast.ana)
    make.invoice(make.customer(cast.acme), created_at=NOW - timedelta(days=29))
    assert "First steps" in ana.get("/acme/today").text

    make.invoice(make.customer(cast.acme), created_at=NOW - timedelta(days=31))

    assert "First steps" not in ana.get("/acme/today").text


def test_steps_are_for_operators(cast: Cast, sign_in: SignIn) -> None:
    assert "First steps" not in sign_in(cast.ben).get("/acme/today").text


def test_mail_admins_are_refused(cast: Cast, sign_in: SignIn) -> None:
    assert sign_in(cast.staff[Role.MAIL_ADMIN]).get("/acme/today").status_code == 403


def test_nothing_of_another_account_is_counted(cast: Cast, sign_in: SignIn) -> None:
    make.invoice(make.customer(cast.zenith, status=CustomerStatus.LOCKED))

    page = sign_in(cast.ana).get("/acme/today").text

    assert "Nothing needs you" in page
    assert "Nothing yet." in page


def test_it_costs_the_same_however_much_there_is(cast: Cast, sign_in: SignIn) -> None:
    ana = sign_in(cast.ana)
    make.invoice(make.customer(cast.acme))
    with counted_queries() as few:
        ana.get("/acme/today")
    for _ in range(10):
        make.invoice(make.customer(cast.acme))
    with counted_queries() as many:
        ana.get("/acme/today")

    assert many.count == few.count


class TestDrawing:
    SERIES = (Series("up", "received", "received"), Series("down", "sent", "sent", below=True))

    def test_the_tallest_bar_fills_the_room_and_the_others_keep_its_measure(self) -> None:
        chart = BarChart("Mail", self.SERIES, [Bar("1", {"up": 4}), Bar("2", {"up": 2})])

        tall, short = chart.boxes
        assert tall.height == pytest.approx(2 * short.height)
        assert tall.y == 16
        assert tall.y + tall.height == pytest.approx(chart.baseline)

    def test_what_is_below_hangs_from_the_line(self) -> None:
        chart = BarChart("Mail", self.SERIES, [Bar("1", {"up": 3, "down": 1})])

        up, down = chart.boxes
        assert down.y == pytest.approx(chart.baseline)
        assert up.height == pytest.approx(3 * down.height, abs=0.1)

    def test_of_many_words_only_some_are_written_and_the_last_is_bold(self) -> None:
        chart = BarChart("Mail", self.SERIES, [Bar(str(number), {"up": 1}) for number in range(1, 15)])

        words = [word for word in chart.words if word.y > 140]
        assert len(words) < 6
        assert words[-1].text == "14"
        assert words[-1].strong

    def test_nothing_draws_nothing(self) -> None:
        assert BarChart("Mail", self.SERIES, [Bar("1", {"up": 0})]).is_empty
        assert ShareChart("Links", (Part("Linked", 0, "there"),)).boxes == []

    def test_parts_stand_side_by_side_and_fill_the_whole(self) -> None:
        boxes = ShareChart("Links", (Part("Linked", 3, "there"), Part("Not", 1, "sent"))).boxes

        assert [box.width for box in boxes] == [198, 66]
        assert boxes[1].x == 198
