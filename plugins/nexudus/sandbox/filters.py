"""Lists: filters, order, pages. A filter that nobody knows is ignored without a word, as in Nexudus."""

import json
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

from werkzeug.datastructures import MultiDict

from plugins.nexudus.sandbox import clock
from plugins.nexudus.sandbox.schema import Entity, Field
from plugins.nexudus.sandbox.space import Space
from plugins.nexudus.sandbox.store import Record

LARGEST_PAGE = 1000
USUAL_PAGE = 25

Test = Callable[[Record], bool]


def ids_of(args: "MultiDict[str, str]") -> list[int] | None:
    """The ids of `?id=[1,2,3]`, or None when it is another kind of list."""
    for name, text in args.items():
        if name.lower() == "id" and text.strip().startswith("["):
            try:
                return [int(one) for one in json.loads(text)]
            except (TypeError, ValueError):
                return []
    return None


def found(here: Space, entity: Entity, args: "MultiDict[str, str]", *, user: Record) -> list[Record]:
    """The records that pass every filter, in order."""
    tests = [test for name, text in args.items() if (test := _test(here, entity, name, text))]
    rows = [one for one in visible(here, entity, user) if all(test(one) for test in tests)]
    order = {name.lower(): name for name in entity.fields}.get(args.get("orderby", args.get("orderBy", "")).lower())
    if order and order != "Id":
        rows.sort(key=lambda one: _sortable(here.value(entity, one, order)))
    else:
        rows.sort(key=lambda one: int(one["Id"]))
    if args.get("dir", "").lower() in ("descending", "desc", "-1"):
        rows.reverse()
    return rows


def visible(here: Space, entity: Entity, user: Record) -> list[Record]:
    """What lists may show: of the businesses only the user's own, of new rows none while the switch hides them."""
    rows = here.store.all(entity.name)
    if entity.name == "Business":
        rows = [one for one in rows if one["Id"] in user["Businesses"]]
    if here.faults.switches.hidden_s:
        before = clock.written(clock.now() - timedelta(seconds=here.faults.switches.hidden_s))
        rows = [one for one in rows if one["CreatedOn"] <= before]
    return rows


def _sortable(value: Any) -> tuple[bool, Any]:
    """Nothing first, then numbers or texts."""
    if isinstance(value, bool | int | Decimal):
        return (True, Decimal(value))
    return (value is not None, str(value or "").casefold())


def _test(here: Space, entity: Entity, name: str, text: str) -> Test | None:
    lower = name.lower()
    if lower in here.faults.names("ignored_filters"):
        return None
    bound = next((start for start in ("from_", "to_") if lower.startswith(start)), "")
    field = _field(entity, lower.removeprefix(bound))
    if field is None:
        return _custom_field_test(entity, name, text)
    try:
        wanted = _wanted(field, text)
    except ValueError:
        return lambda _: False
    if bound:
        if field.type not in ("datetime", "int", "decimal"):
            return None
        return lambda one: _within(bound, here.value(entity, one, field.name), wanted)
    return lambda one: _equals(here.value(entity, one, field.name), wanted)


def _field(entity: Entity, name: str) -> Field | None:
    """Record keys stand alone, everything else carries the entity's name; the dates of a record may be bounds."""
    if name in ("id", "uniqueid"):
        return entity.fields["Id" if name == "id" else "UniqueId"]
    for always in ("CreatedOn", "UpdatedOn", "SystemId"):
        if name == f"{entity.prefix}{always}".lower():
            return entity.fields[always]
    return entity.filter_fields.get(name)


def _wanted(field: Field, text: str) -> Any:
    if text.lower() == "null":
        return None
    if field.type == "bool":
        return text.lower() in ("true", "1")
    return field.asked_for(text)


def _equals(value: Any, wanted: Any) -> bool:
    """A list, such as a member's locations, is found by any of its members."""
    return wanted in value if isinstance(value, list) else bool(value == wanted)


def _within(bound: str, value: Any, wanted: Any) -> bool:
    if value is None or wanted is None:
        return False
    return bool(value >= wanted if bound == "from_" else value <= wanted)


def _custom_field_test(entity: Entity, name: str, text: str) -> Test | None:
    start = f"{entity.prefix}CustomFields_"
    if not name.startswith(start):
        return None
    wanted = (name.removeprefix(start), text)

    def test(record: Record) -> bool:
        data = (record.get("CustomFields") or {}).get("Data") or []
        return any((one.get("Name"), one.get("Value")) == wanted for one in data if isinstance(one, dict))

    return test


def envelope(rows: list[Record], args: "MultiDict[str, str]", order: str) -> Record:
    """One page of `rows` and where it stands among them."""
    size = min(max(_number(args.get("size"), USUAL_PAGE), 1), LARGEST_PAGE)
    page = max(_number(args.get("page"), 1), 1)
    start = (page - 1) * size
    shown = rows[start : start + size]
    pages = -(-len(rows) // size)
    return {
        "Records": shown,
        "CurrentPageSize": size,
        "CurrentPage": page,
        "CurrentOrderField": order,
        "CurrentSortDirection": 1,
        "FirstItem": start + 1 if shown else 0,
        "HasNextPage": page < pages,
        "HasPreviousPage": page > 1,
        "LastItem": start + len(shown),
        "PageNumber": page,
        "PageSize": size,
        "TotalItems": len(rows),
        "TotalPages": pages,
    }


def _number(text: str | None, usual: int) -> int:
    try:
        return int(text or usual)
    except ValueError:
        return usual
