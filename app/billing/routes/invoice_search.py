"""What a list of invoices, on a page or in a file, reads from the address."""

from datetime import date, timedelta

from flask import g

from app import clock
from app.asked import asked, asked_day
from app.billing.invoices import Search
from app.billing.models import InvoiceStatus

# The words of the menu, and what the address says for them; the first is the usual one.
PERIODS = (("", "all"), ("month", "this month"), ("last-month", "last month"), ("year", "this year"))
_FIRST_YEAR, _LAST_YEAR = 1970, 2999  # a day beyond has no moments to compare with


def wanted_invoices() -> Search:
    """What the address asks for; a status, period, day or collector that does not exist is none."""
    try:
        status = InvoiceStatus(asked("status")) if asked("status") else None
    except ValueError:
        status = None
    since, until = _days(asked("period"), clock.today(g.account.timezone))
    return Search(
        text=asked("q"),
        status=status,
        collector=asked("collector") or None,
        since=since,
        until=until,
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
        case _:
            return _usable(asked_day("since")), _usable(asked_day("until"))


def _usable(day: date | None) -> date | None:
    return day if day and _FIRST_YEAR <= day.year <= _LAST_YEAR else None
