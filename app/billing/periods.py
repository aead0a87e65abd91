"""Billing periods: whole months counted from the day on which billing starts. Pure; knows neither rows nor money."""

from calendar import monthrange
from datetime import date


def starts_on(anchor: date, months: int, number: int) -> date:
    """The first day of period `number` (0 is the first one), each `months` long.

    Always counted from `anchor`, so that billing that starts on 31 January comes back to 31 March after 28 February.
    """
    year, month = divmod(anchor.year * 12 + anchor.month - 1 + number * months, 12)
    return date(year, month + 1, min(anchor.day, monthrange(year, month + 1)[1]))


def number_on(anchor: date, months: int, day: date) -> int:
    """The number of the period that `day` belongs to; 0 for every day before the first one ends."""
    number = max(0, ((day.year - anchor.year) * 12 + day.month - anchor.month) // months)
    return number if number == 0 or starts_on(anchor, months, number) <= day else number - 1
