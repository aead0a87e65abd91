"""The calendar of export windows, as pure functions of civil dates."""

from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

DAYS = (5, 10, 15, 20, 25, 30)


def windows_of(year: int, month: int) -> list[date]:
    """The window dates of a month; in a month without a 30th the last one is its last day."""
    last = monthrange(year, month)[1]
    return [date(year, month, min(day, last)) for day in DAYS]


def windows_between(first: date, last: date) -> Iterator[date]:
    """Window dates from `first` to `last`, both included, in order."""
    year, month = first.year, first.month
    while (year, month) <= (last.year, last.month):
        yield from (day for day in windows_of(year, month) if first <= day <= last)
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)


def opening(day: date, hour: int, zone: str) -> datetime:
    """The moment (UTC) at which the window of `day` opens on the wall clock of `zone`.

    An hour that the clock skips that day opens as soon as the skipped time is over.
    """
    return datetime.combine(day, time(hour), tzinfo=ZoneInfo(zone)).astimezone(UTC)


def opened(since: datetime, now: datetime, hour: int, zone: str) -> list[date]:
    """Window dates that opened after `since` and not later than `now`, in order."""
    here = ZoneInfo(zone)
    first, last = since.astimezone(here).date() - timedelta(days=1), now.astimezone(here).date()
    return [day for day in windows_between(first, last) if since < opening(day, hour, zone) <= now]


def next_window(now: datetime, hour: int, zone: str) -> date:
    """The date of the first window that opens after `now`."""
    today = now.astimezone(ZoneInfo(zone)).date()
    return next(day for day in windows_between(today, today + timedelta(days=40)) if opening(day, hour, zone) > now)
