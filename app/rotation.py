"""New keys for old secrets: every sealed column is sealed anew with the vault's first key, batch by batch."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from app import audit
from app.db import db, end_reading, unit_of_work
from app.errors import Conflict, SignInNeeded
from app.schema import tables_left_out
from app.vault import Place, key_of, vault

BATCH = 100
Row = sa.RowMapping


def rotate() -> dict[str, int]:
    """Seal anew what is not under the first key; answers how many rows each key is needed for afterwards.

    Everything is opened once before anything changes: a key that is lost, or other than it was, ends it with
    `Conflict`, with nothing changed. Each batch is a transaction of its own, so a rotation that was stopped goes on
    when it is run again.
    """
    left_out = tables_left_out()
    if left_out:
        raise Conflict(f"A plugin is left out whose tables hold rows ({', '.join(left_out)}). Load it to rotate.")
    _refuse_unreadable()
    for table in _tables():
        last = 0
        while ids := _next_ids(table, last):
            _reseal(table, ids)
            last = ids[-1]
    rows = _rows_per_key()
    with unit_of_work():
        audit.record("vault_rotated", rows=rows)
    return rows


def _tables() -> list[sa.Table]:
    return [table for table in db.metadata.sorted_tables if _sealed(table)]


def _sealed(table: sa.Table) -> list[sa.Column[Any]]:
    return [column for column in table.columns if column.info.get("sealed")]


def _filled(table: sa.Table) -> sa.ColumnElement[bool]:
    return sa.or_(*(column.is_not(None) for column in _sealed(table)))


def _select(table: sa.Table) -> sa.Select[Any]:
    # What belongs to a person and not to an account is bound to account 0.
    account = table.c.account_id if "account_id" in table.c else sa.literal(0).label("account_id")
    return sa.select(table.c.id, account, *_sealed(table)).where(_filled(table)).order_by(table.c.id)


def _next_ids(table: sa.Table, last: int) -> Sequence[int]:
    end_reading()
    some = sa.select(table.c.id).where(_filled(table), table.c.id > last).order_by(table.c.id).limit(BATCH)
    return db.session.scalars(some).all()


def _reseal(table: sa.Table, ids: Sequence[int]) -> None:
    """One batch: rows are locked, so that a token renewed meanwhile is not overwritten with the old one."""
    with unit_of_work() as session:
        for row in session.execute(_select(table).where(table.c.id.in_(ids)).with_for_update()).mappings():
            anew = {
                place.field: vault().seal(vault().open(sealed, place), place)
                for place, sealed in _secrets(table, row)
                if not vault().is_current(sealed)
            }
            if anew:
                session.execute(sa.update(table).where(table.c.id == row["id"]).values(anew))


def _secrets(table: sa.Table, row: Row) -> Iterator[tuple[Place, str]]:
    for column in _sealed(table):
        if row[column.name] is not None:
            yield Place(table.name, row["id"], row["account_id"], column.name), row[column.name]


def _all_secrets() -> Iterator[tuple[Place, str]]:
    end_reading()
    for table in _tables():
        for row in db.session.execute(_select(table).execution_options(yield_per=BATCH)).mappings():
            yield from _secrets(table, row)


def _refuse_unreadable() -> None:
    unreadable: dict[str, list[Place]] = {}
    for place, sealed in _all_secrets():
        try:
            vault().open(sealed, place)
        except SignInNeeded:
            unreadable.setdefault(key_of(sealed), []).append(place)
    if unreadable:
        keys = "; ".join(f"key “{key}”: {_described(places)}" for key, places in sorted(unreadable.items()))
        raise Conflict(
            f"Nothing was changed, because some secrets cannot be read. {keys}. Put the key they were sealed with "
            "into SPHEREMAIL_VAULT_KEYS; if it is lost, sign in anew or disconnect there, then rotate again.",
        )


def _described(places: list[Place]) -> str:
    rows = Counter(f"{place.table} {place.row}" for place in places)
    first = ", ".join(list(rows)[:5])
    return f"{first} and {len(rows) - 5} more" if len(rows) > 5 else first


def _rows_per_key() -> dict[str, int]:
    rows = {(key_of(sealed), place.table, place.row) for place, sealed in _all_secrets()}
    return dict(Counter(key for key, _, _ in sorted(rows)))
