"""The database: the base of all models, exact column types, and the unit of work that alone may write."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, cast

import sqlalchemy as sa
from flask import Flask, has_app_context
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Dialect, Engine
from sqlalchemy.orm import DeclarativeBase, Session, registry

from app.memo import ask_anew

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """An aware moment in UTC. A naive one is refused; SQLite forgets the zone, so it is put back on reading."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without a zone cannot be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class DecimalText(sa.types.TypeDecorator[Decimal]):
    """A decimal kept as its digits: SQLite has no exact numbers, and nothing is computed with these in SQL."""

    impl = sa.String(32)
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> str | None:
        return None if value is None else format(value, "f")

    def process_result_value(self, value: str | None, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(value)


def choice(words: type[StrEnum]) -> sa.Enum:
    """A column that holds one word of `words`, readable in the database."""
    return sa.Enum(words, native_enum=False, length=24, values_callable=lambda kind: [one.value for one in kind])


class Base(DeclarativeBase):
    """What every model inherits."""

    registry = registry(
        metadata=sa.MetaData(naming_convention=NAMES),
        type_annotation_map={
            datetime: UtcDateTime,
            Decimal: DecimalText,
            dict[str, Any]: sa.JSON,
            list[Any]: sa.JSON,
        },
    )


db = SQLAlchemy(model_class=Base, disable_autonaming=True)
migrate = Migrate(compare_type=True, render_as_batch=True)

_may_write: ContextVar[bool] = ContextVar("may_write", default=False)
_after: ContextVar[list[Callable[[], None]]] = ContextVar("after_commit")


def init_app(app: Flask) -> None:
    """Bind the database to `app` and teach its engine when a transaction may write."""
    db.init_app(app)
    migrate.init_app(app, db, directory="migrations")
    with app.app_context():
        _teach(db.engine, app.config["SETTINGS"].lock_wait_s)


def _teach(engine: Engine, lock_wait_s: float) -> None:
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def set_up(connection: Any, record: object) -> None:
            connection.isolation_level = None  # the driver's own BEGIN comes too late; ours follows below
            busy = f"busy_timeout={round(lock_wait_s * 1000)}"
            for pragma in ("journal_mode=WAL", busy, "foreign_keys=ON", "synchronous=FULL"):
                connection.execute(f"PRAGMA {pragma}")

        @event.listens_for(engine, "begin")
        def begin(connection: Connection) -> None:
            # A deferred transaction that reads and then writes fails at once when another process wrote in
            # between; one that begins IMMEDIATE waits for its turn instead.
            connection.exec_driver_sql(f"PRAGMA query_only={'OFF' if _may_write.get() else 'ON'}")
            connection.exec_driver_sql("BEGIN IMMEDIATE" if _may_write.get() else "BEGIN")

    else:

        @event.listens_for(engine, "begin")
        def begin_reading(connection: Connection) -> None:
            if not _may_write.get():
                connection.exec_driver_sql("SET TRANSACTION READ ONLY")


@contextmanager
def write_access() -> Iterator[None]:
    """Transactions begun inside may write. Only `unit_of_work` and the migrations need it."""
    token = _may_write.set(True)
    try:
        yield
    finally:
        _may_write.reset(token)


@contextmanager
def unit_of_work() -> Iterator[Session]:
    """One transaction that may write: committed at its end, rolled back on any error.

    Reading done before it belongs to an earlier transaction and is read anew. Units do not nest: the
    outermost caller (route, job, command) opens one. What `after_commit` was given runs when it is committed.
    """
    if _may_write.get():
        raise RuntimeError("units of work do not nest; the outermost caller commits")
    session = cast("Session", db.session())
    session.rollback()
    ask_anew()
    callbacks: list[Callable[[], None]] = []
    token = _after.set(callbacks)
    try:
        with write_access():
            try:
                yield session
                session.commit()
            except BaseException:
                session.rollback()
                raise
    finally:
        _after.reset(token)
        ask_anew()
    for callback in callbacks:
        callback()


def after_commit(callback: Callable[[], None]) -> None:
    """Run `callback` once the unit of work around the caller is committed; never when it is rolled back."""
    callbacks = _after.get(None)
    if callbacks is None:
        raise RuntimeError("after_commit belongs inside a unit of work")
    callbacks.append(callback)


def end_reading() -> None:
    """Close the reading transaction, so that slow work (network, hashing) holds nothing open."""
    if _may_write.get():
        raise RuntimeError("slow work inside a unit of work")
    db.session.rollback()


def in_transaction() -> bool:
    """Whether this context holds a transaction open; without an app there is no session to hold one."""
    return has_app_context() and db.session.registry.has() and bool(db.session().in_transaction())


def changed_one(statement: sa.Update) -> bool:
    """Run a guarded UPDATE and say whether it won: exactly one row matched its WHERE."""
    result = cast("sa.CursorResult[Any]", db.session.execute(statement))
    return result.rowcount == 1


def insert_missing(session: Session, model: Any, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows; those that a unique constraint says are there already stay as they are.

    Into the table, not the model: such rows may come by the hundred, and nobody wants them as objects.
    """
    if rows:
        dialect = sqlite if db.engine.dialect.name == "sqlite" else postgresql
        session.execute(dialect.insert(model.__table__).on_conflict_do_nothing(), rows)
