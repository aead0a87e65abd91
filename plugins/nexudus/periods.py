"""What a reconciliation is about: a month, or the time from one window to the next; pure functions of civil dates."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from plugins.nexudus import windows

MOST_MONTHS, MOST_WINDOWS = 24, 24


@dataclass(frozen=True, slots=True)
class Period:
    """`name` is "2026-11" for a month and "2026-11-25" for a window; it ends where the next one begins."""

    name: str
    begins: datetime
    ends: datetime


def offered(since: datetime, now: datetime, hour: int, zone: str) -> list[Period]:
    """The months since the cut-over, then the windows that opened since; the newest first, two years at most."""
    here = ZoneInfo(zone)
    first, today = since.astimezone(here).date(), now.astimezone(here).date()
    months = [_month(month, here) for month in islice(_months_back(today, first), MOST_MONTHS)]
    opened = windows.opened(since, now, hour, zone)[-MOST_WINDOWS:]
    return months + [_window(day, hour, zone) for day in reversed(opened)]


def _months_back(last: date, first: date) -> Iterator[date]:
    month = last.replace(day=1)
    while month >= first.replace(day=1):
        yield month
        month = (month - timedelta(days=1)).replace(day=1)


def _month(month: date, here: ZoneInfo) -> Period:
    after = (month + timedelta(days=32)).replace(day=1)
    return Period(f"{month:%Y-%m}", _midnight(month, here), _midnight(after, here))


def _midnight(day: date, here: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), tzinfo=here).astimezone(UTC)


def _window(day: date, hour: int, zone: str) -> Period:
    opens = windows.opening(day, hour, zone)
    return Period(day.isoformat(), opens, windows.opening(windows.next_window(opens, hour, zone), hour, zone))


def title(name: str) -> str:
    """The name of a period in words."""
    if len(name) == len("2026-11"):
        return f"{date.fromisoformat(f'{name}-01'):%B %Y}"
    day = date.fromisoformat(name)
    return f"Window of {day.day} {day:%B %Y}"
