"""One sandboxed Nexudus account: its records, its settings and who is asking; every other module works on it."""

import threading
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, cast

from flask import current_app, g, has_app_context

from plugins.nexudus.sandbox import clock
from plugins.nexudus.sandbox.calls import Calls
from plugins.nexudus.sandbox.faults import Faults
from plugins.nexudus.sandbox.limits import Limits
from plugins.nexudus.sandbox.schema import ENTITIES, Entity
from plugins.nexudus.sandbox.store import Record, Store

PROFILES = ("current", "classic-2020")
EXTENSION = "nexudus_sandbox"
OWNER = "sandbox@nexudus.example"  # who changed what nobody who signed in has changed


@dataclass
class Space:
    """The whole sandbox."""

    store: Store
    profile: str
    faults: Faults
    limits: Limits
    calls: Calls = field(default_factory=Calls)
    stopping: threading.Event = field(default_factory=threading.Event)

    def get(self, kind: str, key: Any) -> Record | None:
        """A record by id, or None, also for the id None."""
        return self.store.get(kind, key) if key is not None else None

    def need(self, kind: str, key: int) -> Record:
        record = self.store.get(kind, key)
        if record is None:
            raise LookupError(f"no {kind} {key}")
        return record

    def where(self, kind: str, **values: Any) -> list[Record]:
        """All records of a kind whose fields have these values."""
        wanted = values.items()
        return [one for one in self.store.all(kind) if all(one.get(name) == value for name, value in wanted)]

    def create(self, kind: str, values: Record, key: int | None = None) -> Record:
        """A new record: blanks for whatever `values` leaves out, and what the server fills in itself."""
        entity = ENTITIES[kind]
        moment = clock.written(clock.now())
        record = {name: one.blank() for name, one in entity.fields.items()} | values
        record |= {
            "Id": key if key is not None else self.store.next_id(),
            "UniqueId": str(uuid.uuid4()),
            "CreatedOn": values.get("CreatedOn") or moment,
            "UpdatedOn": moment,
            "UpdatedBy": who(),
            "IsNew": False,
            "ToStringText": text_of(record),
        }
        self.store.put(kind, record["Id"], record)
        return record

    def save(self, kind: str, record: Record) -> Record:
        """Write a changed record back."""
        record |= {
            "UpdatedOn": clock.written(clock.now()),
            "UpdatedBy": who(),
            "ToStringText": text_of(record),
        }
        self.store.put(kind, record["Id"], record)
        return record

    def value(self, entity: Entity, record: Record, name: str) -> Any:
        """A field of a record, looked up where it is joined from another one."""
        joined = entity.joined.get(name)
        if joined is None:
            return record.get(name)
        reference, target, rest = joined
        other = self.get(target, record.get(reference))
        return None if other is None else self.value(ENTITIES[target], other, rest)

    def shown(self, entity: Entity, record: Record, names: Iterable[str] | None = None) -> Record:
        """A record as it is answered: these fields of it, all by default."""
        return {name: self.value(entity, record, name) for name in (names or entity.fields)}


def text_of(record: Record) -> str:
    return str(record.get("FullName") or record.get("Name") or record.get("InvoiceNumber") or "")


def space() -> Space:
    """The account of the app that is answering."""
    return cast("Space", current_app.extensions[EXTENSION])


def who() -> str:
    """Email of whoever is asking; a test that reaches into the records is nobody in particular."""
    user = g.get("user") if has_app_context() else None
    return str(user["Email"]) if user else OWNER


def rounded(amount: Decimal, digits: int = 2) -> Decimal:
    """An amount of money, halves away from zero."""
    return amount.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP)
