"""The calendar: the 5th, 10th, 15th, 20th, 25th and 30th, on the wall clock of the account."""

from calendar import isleap, monthrange
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from plugins.nexudus.windows import next_window, opened, opening, windows_of

ZONES = (
    "Europe/Lisbon",
    "Africa/Cairo",
    "America/Havana",
    "America/Santiago",
    "Asia/Beirut",
    "Pacific/Pago_Pago",
    "Pacific/Kiritimati",
    "Asia/Kathmandu",
)


@pytest.mark.parametrize("year", range(2024, 2033))
def test_every_month_has_six_windows_and_february_ends_on_its_last_day(year: int) -> None:
    for month in range(1, 13):
        days = [day.day for day in windows_of(year, month)]
        last = monthrange(year, month)[1]
        assert days[:5] == [5, 10, 15, 20, 25]
        assert days[5] == min(30, last)
    assert windows_of(year, 2)[-1] == date(year, 2, 29 if isleap(year) else 28)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("hour", [0, 2, 6, 23])
def test_each_window_of_a_decade_opens_once_on_its_own_date(zone: str, hour: int) -> None:
    since = opening(date(2024, 1, 5), hour, zone) - timedelta(microseconds=1)
    until = opening(date(2032, 12, 30), hour, zone)
    seen = opened(since, until, hour, zone)
    assert seen == [day for year in range(2024, 2033) for month in range(1, 13) for day in windows_of(year, month)]


@pytest.mark.parametrize("zone", ZONES)
def test_looking_every_hour_finds_each_window_exactly_once(zone: str) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    found: list[date] = []
    for _ in range(24 * 62):
        found += opened(now - timedelta(hours=1), now, 6, zone)
        now += timedelta(hours=1)
    assert len(found) == len(set(found))
    assert found == sorted(found)
    assert {day for day in found if day.month == 3} >= set(windows_of(2026, 3)[:5])


def test_a_window_opens_at_the_hour_on_the_wall_on_both_sides_of_a_clock_change() -> None:
    for day in (date(2026, 3, 25), date(2026, 3, 30), date(2026, 10, 20), date(2026, 10, 30)):
        assert opening(day, 6, "Europe/Lisbon").astimezone(ZoneInfo("Europe/Lisbon")).hour == 6


def test_a_window_that_opened_at_that_very_moment_is_over_and_the_next_one_follows() -> None:
    at = opening(date(2026, 2, 25), 6, "Europe/Lisbon")
    assert next_window(at - timedelta(microseconds=1), 6, "Europe/Lisbon") == date(2026, 2, 25)
    assert next_window(at, 6, "Europe/Lisbon") == date(2026, 2, 28)
    assert opened(at - timedelta(microseconds=1), at, 6, "Europe/Lisbon") == [date(2026, 2, 25)]
    assert opened(at, at + timedelta(hours=1), 6, "Europe/Lisbon") == []


def test_days_missed_while_away_are_all_named() -> None:
    since = opening(date(2026, 1, 5), 6, "UTC")
    now = datetime(2026, 1, 17, tzinfo=UTC)
    assert opened(since, now, 6, "UTC") == [date(2026, 1, 10), date(2026, 1, 15)]
