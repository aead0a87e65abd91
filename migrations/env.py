"""One linear history for the host and its plugins; runs in the app, in one transaction per migration."""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from alembic import context
from alembic.autogenerate.api import AutogenContext
from flask import current_app

from app.db import DecimalText, UtcDateTime, db, write_access


def render_item(kind: str, item: object, autogen: AutogenContext) -> str | bool:
    """Write our own column types as what they are in the database: migrations never import the code they outlive."""
    if isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    if isinstance(item, DecimalText):
        return "sa.String(length=32)"
    if isinstance(item, sa.Enum):
        return f"sa.String(length={item.length})"
    return False


def compare_type(
    ctx: object,
    there: object,
    column: object,
    seen: sa.types.TypeEngine[object],
    wanted: sa.types.TypeEngine[object],
) -> bool | None:
    """Words are plain strings in the database, and moments and decimals are what `render_item` says."""
    return False if isinstance(wanted, sa.Enum | UtcDateTime | DecimalText) else None


@contextmanager
def tables_may_be_rebuilt(connection: sa.Connection) -> Iterator[None]:
    """SQLite changes many a table by building it anew, during which what refers to it refers to nothing.

    So nothing is enforced meanwhile, and everything is looked through at the end. The switch works between
    transactions only: https://www.sqlite.org/lang_altertable.html#otheralter
    """
    driver = connection.connection.driver_connection
    if driver is None or connection.dialect.name != "sqlite":
        yield
        return
    driver.execute("PRAGMA foreign_keys=OFF")
    try:
        yield
        dangling = driver.execute("PRAGMA foreign_key_check").fetchall()
        if dangling:
            raise RuntimeError(f"After the migrations {len(dangling)} rows refer to what is not there: {dangling[:5]}")
    finally:
        driver.execute("PRAGMA foreign_keys=ON")


def run() -> None:
    with write_access(), db.engine.connect() as connection, tables_may_be_rebuilt(connection):
        context.configure(
            connection=connection,
            target_metadata=db.metadata,
            render_item=render_item,
            compare_type=compare_type,
            transaction_per_migration=True,
            **{k: v for k, v in current_app.extensions["migrate"].configure_args.items() if k != "compare_type"},
        )
        with context.begin_transaction():
            context.run_migrations()


run()
