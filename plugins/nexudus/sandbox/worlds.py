"""Countries, currencies and time zones: the lists every account has.

Four ids were seen in the wild and are kept; the others follow no pattern, so nobody can count on one.
"""

import hashlib
import zoneinfo
from datetime import UTC, datetime, timedelta
from functools import cache

from babel import Locale

from plugins.nexudus.sandbox.space import Space

SEEN_IDS = {("Country", "GB"): 1220, ("Currency", "EUR"): 3003, ("Currency", "GBP"): 3005}
SEEN_IDS |= {("SimpleTimeZone", "Europe/London"): 2023}


def fill(here: Space) -> None:
    """Write all three lists."""
    for code, name in _countries():
        _add(here, "Country", code, {"Name": name, "TwoDigitsCode": code, "Culture": f"en-{code}"})
    for code, name in sorted(Locale("en").currencies.items()):
        _add(here, "Currency", code, {"Name": name, "Code": code, "Format": "{0:N2}"})
    for name in _zones():
        _add(here, "SimpleTimeZone", name, _zone(name))


def id_of(kind: str, code: str) -> int:
    """The id of a country, currency or zone in every sandbox."""
    seen = SEEN_IDS.get((kind, code))
    if seen is not None:
        return seen
    digest = hashlib.sha256(f"{kind} {code}".encode()).digest()
    return 10_000 + int.from_bytes(digest[:4], "big") % 900_000_000


def _add(here: Space, kind: str, code: str, values: dict[str, object]) -> None:
    here.create(kind, dict(values), key=id_of(kind, code))


@cache
def _countries() -> list[tuple[str, str]]:
    """Territories with a code of two letters that are countries, not unions, regions or tests."""
    names = Locale("en").territories
    no_country = {"EU", "EZ", "UN", "QO", "XA", "XB", "ZZ"}
    return sorted((code, name) for code, name in names.items() if len(code) == 2 and code not in no_country)


@cache
def _zones() -> list[str]:
    regions = ("Africa", "America", "Antarctica", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")
    return sorted(name for name in zoneinfo.available_timezones() if name.partition("/")[0] in regions or name == "UTC")


@cache  # a sandbox per test would read 500 files each time
def _zone(name: str) -> dict[str, object]:
    zone = zoneinfo.ZoneInfo(name)
    offsets = {datetime(2026, month, 1, tzinfo=UTC).astimezone(zone).utcoffset() for month in (1, 7)}
    offset = min((one for one in offsets if one is not None), default=timedelta())
    sign = "-" if offset < timedelta() else "+"
    hours, seconds = divmod(abs(int(offset.total_seconds())), 3600)
    clock = f"{hours:02}:{seconds // 60:02}"
    return {
        "Name": name,
        "Iana": name,
        "Description": f"(UTC{sign}{clock}) {name.rsplit('/', maxsplit=1)[-1].replace('_', ' ')}",
        "TimeOffset": f"{sign}{clock}",
        "UsesSummerTime": len(offsets) > 1,
    }
