"""Which records Nexudus knows: their fields, types, rights and filters, out of schema.json.

schema.json is a digest of the public documentation (https://developers.nexudus.com/rest-api). A field reads
"int! >Coworker": its type, `!` required on create, `~` read only, `>` what it points to, `=` its known numbers.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cached_property
from pathlib import Path
from typing import Any

from plugins.nexudus.sandbox import clock

# Left out of every list row although they are no collections; seen in traffic, documented nowhere.
HIDDEN_IN_LISTS = {"Charge": {"DiscountAmount", "CreditAmount", "PurchaseOrder"}}

# Accepted on update although the documentation lists them as read only.
SEEN_WRITABLE = {"CoworkerInvoice": {"CreatedOn", "SentOn", "RefundedOn"}}

# In no list of read-only fields, yet only the server can know them.
COMPUTED = {"CoworkerProduct": {"CoworkerInvoiceId", "CoworkerInvoiceNumber", "CoworkerInvoicePaid"}}

MOST_DIGITS = 15  # before the point: more would not survive as a JSON number
LARGEST_WHOLE = 2**31 - 1

_BLANKS: dict[str, Any] = {"bool": False, "int": 0, "enum": 0, "decimal": Decimal(0), "string": ""}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a record; `points_to` names the record that its id leads to."""

    name: str
    type: str
    nullable: bool
    required: bool
    read_only: bool
    points_to: str | None
    numbers: frozenset[int] = frozenset()  # what an enum may be; empty where the documentation does not say

    def blank(self) -> Any:
        """What stands there when nobody has written anything."""
        if self.type == "int[]" and not self.nullable:
            return []
        return None if self.nullable or self.points_to else _BLANKS.get(self.type)

    def converted(self, value: Any) -> Any:
        """`value` out of a body, in the type of this field; `ValueError` when it is of another."""
        if value is None:
            return self.blank()
        convert = _CONVERTERS.get(self.type)
        converted = convert(value) if convert else value
        if self.numbers and converted not in self.numbers | {0}:  # 0 is what stands where nothing was ever written
            raise ValueError("is not a known value")
        return converted

    def asked_for(self, text: str) -> Any:
        """`text` out of an address, in the type of this field or of one of its members, else `ValueError`."""
        if self.type == "int[]":
            return _integer(_number(text))
        if self.type in ("int", "enum", "decimal"):
            return self.converted(_number(text))
        return self.converted(text) if self.type == "datetime" else text


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("is not a boolean")  # noqa: TRY004  # one kind of error for every wrong value
    return value


def _integers(value: Any) -> list[int]:
    if not isinstance(value, list):
        raise ValueError("is not a list")  # noqa: TRY004  # as above
    return [_integer(one) for one in value]


def _moment(value: Any) -> str:
    try:
        return clock.written(clock.read(_string(value)))
    except ValueError:
        raise ValueError("is not a date") from None


def _integer(value: Any) -> int:
    number = _decimal(value)
    if number != number.to_integral_value() or abs(number) > LARGEST_WHOLE:
        raise ValueError("is not a whole number")
    return int(number)


def _decimal(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ValueError("is not a number")  # noqa: TRY004  # as above
    number = Decimal(value)
    if not number.is_finite() or number.adjusted() >= MOST_DIGITS:
        raise ValueError("is not a number")
    return number


def _number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError("is not a number") from None


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("is not a text")  # noqa: TRY004  # as above
    return value


_CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "bool": _boolean,
    "int": _integer,
    "enum": _integer,
    "decimal": _decimal,
    "int[]": _integers,
    "datetime": _moment,
    "string": _string,
    "guid": _string,
}


@dataclass(frozen=True)
class Entity:
    """One kind of record: where it lives, what may be done with it, and its fields by name."""

    name: str
    path: str
    operations: frozenset[str]
    commands: tuple[str, ...]
    needs: str | None
    fields: dict[str, Field]
    filters: frozenset[str]

    @property
    def prefix(self) -> str:
        return f"{self.name}_"

    @cached_property
    def in_lists(self) -> tuple[str, ...]:
        """Names of the fields that rows of a list carry."""
        hidden = HIDDEN_IN_LISTS.get(self.name, set())
        return tuple(name for name, field in self.fields.items() if field.type != "int[]" and name not in hidden)

    @cached_property
    def filter_fields(self) -> dict[str, Field]:
        """What each documented filter looks at; `Invoice_Coworker` looks at `CoworkerId`."""
        by_lower = {name.lower(): field for name, field in self.fields.items()}
        found: dict[str, Field] = {}
        for name in self.filters:
            rest = name.removeprefix(self.prefix).replace("_", "").lower()
            field = by_lower.get(rest) or by_lower.get(f"{rest}id")
            if field is not None:
                found[name.lower()] = field
        return found

    @cached_property
    def joined(self) -> dict[str, tuple[str, str, str]]:
        """Read-only fields that show another record: name to (own reference, its kind, the field there)."""
        references = {
            name.removesuffix("Id"): (name, field.points_to)
            for name, field in self.fields.items()
            if field.points_to in ENTITIES
        }
        found = {}
        for name, field in self.fields.items():
            for start, (reference, target) in references.items():
                rest = name.removeprefix(start)
                if field.read_only and target and rest != name and rest in ENTITIES[target].fields:
                    found[name] = (reference, target, rest)
        return found

    def may_write(self, field: Field) -> bool:
        if field.name in COMPUTED.get(self.name, set()):
            return False
        return not field.read_only or field.name in SEEN_WRITABLE.get(self.name, set())


def _field(name: str, text: str) -> Field:
    text, _, numbers = text.partition(" =")
    marks, _, points_to = text.partition(" >")
    kind = marks.rstrip("!~")
    return Field(
        name=name,
        type=kind.removesuffix("|null"),
        nullable=kind.endswith("|null"),
        required="!" in marks,
        read_only="~" in marks,
        points_to=points_to or None,
        numbers=frozenset(_listed(numbers)),
    )


def _listed(numbers: str) -> Iterator[int]:
    """The numbers of "1-3,99"."""
    for span in filter(None, numbers.split(",")):
        first, _, last = span.partition("-")
        yield from range(int(first), int(last or first) + 1)


def _loaded() -> dict[str, Entity]:
    data = json.loads((Path(__file__).parent / "schema.json").read_text(encoding="utf-8"))
    return {
        name: Entity(
            name=name,
            path=one["path"],
            operations=frozenset(one["operations"]),
            commands=tuple(one["commands"]),
            needs=one["needs"],
            fields={field: _field(field, text) for field, text in one["fields"].items()},
            filters=frozenset(one["filters"]),
        )
        for name, one in data.items()
    }


ENTITIES = _loaded()
BY_PATH = {entity.path: entity for entity in ENTITIES.values()}
