"""The one place that asks what time it is; everything stored is UTC, everything shown names its zone."""

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo


def now() -> datetime:
    """The present moment, aware, in UTC."""
    return datetime.now(UTC)


def local(moment: datetime, zone: str) -> datetime:
    """`moment` on the wall clock of `zone` (an IANA name)."""
    return moment.astimezone(ZoneInfo(zone))


def today(zone: str) -> date:
    """The civil date it is in `zone` (an IANA name) right now."""
    return local(now(), zone).date()


def start_of(day: date, zone: str) -> datetime:
    """The first moment of a civil day in `zone`; where a clock change takes midnight away, the change itself."""
    return datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)
