import csv
import io
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from app import clock
from app.accounts.models import User
from app.billing.models import Customer, InvoiceStatus
from tests import make
from tests.cast import Cast
from tests.visitors import Visitor, counted_queries


@pytest.fixture
def customer(cast: Cast) -> Customer:
    return make.customer(cast.acme, "Tamsin Quill")


@pytest.fixture
def ben(cast: Cast, sign_in: Callable[[User], Visitor]) -> Visitor:
    return sign_in(cast.ben)


def rows(visitor: Visitor, query: str = "") -> list[dict[str, str]]:
    answer = visitor.get(f"/acme/invoices/export.csv{query}")
    assert answer.status_code == 200
    assert "attachment" in answer.headers["Content-Disposition"]
    return list(csv.DictReader(io.StringIO(answer.get_data(as_text=True))))


def numbers(visitor: Visitor, query: str = "") -> list[str]:
    return [row["number"] for row in rows(visitor, query)]


class TestPeriods:
    @pytest.fixture(autouse=True)
    def _invoices(self, customer: Customer, cast: Cast) -> None:
        today = clock.today(cast.acme.timezone)
        month = today.replace(day=1)
        last_month = month - timedelta(days=1)
        moments = {
            "NOW": clock.start_of(month, cast.acme.timezone),
            "BEFORE": clock.start_of(month, cast.acme.timezone) - timedelta(seconds=1),
            "EARLY": clock.start_of(last_month.replace(day=1), cast.acme.timezone) - timedelta(seconds=1),
            "OLD": datetime(2020, 2, 29, 12, tzinfo=UTC),
        }
        for number, moment in moments.items():
            make.invoice(customer, number=number, created_at=moment)

    @pytest.mark.parametrize(
        ("period", "found"),
        [("", ["NOW", "BEFORE", "EARLY", "OLD"]), ("month", ["NOW"]), ("last-month", ["BEFORE"])],
    )
    def test_a_period_begins_and_ends_at_midnight_of_the_account(
        self, ben: Visitor, period: str, found: list[str]
    ) -> None:
        page = ben.get(f"/acme/invoices?period={period}").text

        assert numbers(ben, f"?period={period}") == found
        assert [one for one in ("NOW", "BEFORE", "EARLY", "OLD") if f">{one}</a>" in page] == found

    def test_this_year_leaves_out_the_years_before(self, ben: Visitor) -> None:
        assert "OLD" not in numbers(ben, "?period=year")

    def test_days_in_the_address_narrow_it_and_both_belong_to_it(self, ben: Visitor) -> None:
        assert numbers(ben, "?since=2020-02-29&until=2020-02-29") == ["OLD"]
        assert "from 29 Feb 2020 to 29 Feb 2020" in ben.get("/acme/invoices?since=2020-02-29&until=2020-02-29").text

    def test_an_unknown_period_counts_as_not_said(self, ben: Visitor) -> None:
        assert len(numbers(ben, "?period=soon")) == 4
        assert ben.get("/acme/invoices?period=soon").status_code == 200

    @pytest.mark.parametrize(
        ("query", "sentence"),
        [
            ("?since=0001-01-01", "Choose days between 1970 and 2999."),
            ("?until=9999-12-31", "Choose days between 1970 and 2999."),
            ("?until=never", "“never” is no day such as 2026-11-28."),
            ("?since=2026-02-30", "“2026-02-30” is no day such as 2026-11-28."),
            ("?since=2026-03-02&until=2026-03-01", "The first day is after the last one."),
        ],
    )
    @pytest.mark.parametrize("htmx", [False, True])
    def test_days_that_are_none_are_refused_with_a_sentence_and_stay_typed(
        self, ben: Visitor, query: str, sentence: str, htmx: bool
    ) -> None:
        answer, file = ben.get(f"/acme/invoices{query}", htmx=htmx), ben.get(f"/acme/invoices/export.csv{query}")

        assert (answer.status_code, file.status_code) == (422, 422)
        assert sentence in answer.text
        assert ">OLD</a>" in answer.text
        assert sentence in file.text
        assert f'value="{query.rpartition("=")[2]}"' in answer.text

    def test_choosing_a_period_lets_go_of_the_days(self, ben: Visitor) -> None:
        page = ben.get("/acme/invoices?since=2020-02-29&until=2020-03-01&collector=nobody").text

        assert re.search(r'href="\?collector=nobody&amp;period=month"', page)


def test_the_file_holds_what_the_list_shows(ben: Visitor, cast: Cast, customer: Customer) -> None:
    make.invoice(customer, number="OPEN")
    make.invoice(customer, number="DONE", status=InvoiceStatus.PAID, collector="by_hand", paid_at=clock.now())
    make.invoice(make.customer(cast.zenith, "Canary Bird"), number="Z-1")

    assert set(numbers(ben)) == {"OPEN", "DONE"}
    (row,) = rows(ben, "?status=paid")
    assert (row["number"], row["customer"], row["collected_by"]) == ("DONE", "Tamsin Quill", "by_hand")
    assert (row["currency"], row["net"], row["tax"], row["total"]) == ("EUR", "10.00", "2.30", "12.30")
    assert row["paid_on"] == row["created_on"] == clock.today(cast.acme.timezone).isoformat()
    assert numbers(ben, "?q=open") == ["OPEN"]


def test_no_cell_is_a_formula(ben: Visitor, cast: Cast) -> None:
    make.invoice(make.customer(cast.acme, '=HYPERLINK("x")', company="@SUM(1)"))

    (row,) = rows(ben)

    assert (row["customer"], row["company"]) == ('\'=HYPERLINK("x")', "'@SUM(1)")


def test_many_cost_as_many_queries_as_few(ben: Visitor, customer: Customer) -> None:
    make.invoice(customer)
    with counted_queries() as few:
        rows(ben)
    for _ in range(30):
        make.invoice(customer)
    with counted_queries() as many:
        rows(ben)

    assert many.count == few.count
