"""What a list of invoices, on a page or in a file, reads from the address."""

from dataclasses import replace
from datetime import date, timedelta

from flask import g

from app import clock
from app.asked import asked, asked_day
from app.billing.invoices import Search
from app.billing.models import InvoiceStatus
from app.errors import InvalidInput

# The words of the menu, and what the address says for them; the first is the usual one.
PERIODS = (("", "all"), ("month", "this month"), ("last-month", "last month"), ("year", "this year"))
_FIRST_YEAR, _LAST_YEAR = 1970, 2999  # a day beyond has no moments to compare with


def wanted_invoices() -> Search:
    """What the address asks for; a status, period or collector that does not exist is none.

    Raises `InvalidInput` with a sentence for days that are none.
    """
    since, until = _days(asked("period"), clock.today(g.account.timezone))
    return replace(without_days(), since=since, until=until)


def without_days() -> Search:
    """The same for an address whose days cannot be taken."""
    try:
        status = InvoiceStatus(asked("status")) if asked("status") else None
    except ValueError:
        status = None
    return Search(
        text=asked("q"),
        status=status,
        collector=asked("collector") or None,
        oldest_first=asked("sort") == "created",
    )


def _days(period: str, today: date) -> tuple[date | None, date | None]:
    """First and last day of a period; without one the days that the address names by `since` and `until`."""
    month = today.replace(day=1)
    match period:
        case "month":
            return month, None
        case "last-month":
            last = month - timedelta(days=1)
            return last.replace(day=1), last
        case "year":
            return today.replace(month=1, day=1), None
    since, until = _day("since"), _day("until")
    if since and until and since > until:
        raise InvalidInput("The first day is after the last one.", "since")
    return since, until


def _day(name: str) -> date | None:
    text = asked(name)
    if not text:
        return None
    day = asked_day(name)
    if day is None:
        raise InvalidInput(f"“{text}” is no day such as 2026-11-28.", name)
    if not _FIRST_YEAR <= day.year <= _LAST_YEAR:
        raise InvalidInput(f"Choose days between {_FIRST_YEAR} and {_LAST_YEAR}.", name)
    return day
