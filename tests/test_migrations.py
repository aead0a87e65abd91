"""The migrations make what the models say, forwards and backwards, on both databases."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from flask_migrate import downgrade, upgrade

from app.db import DecimalText, UtcDateTime, db, write_access
from tests.services import Postgres

ROOT = Path(__file__).parent.parent


def go_up_and_down(app: Flask) -> None:
    with app.app_context():
        upgrade(str(ROOT / "migrations"))
        with db.engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": False})
            assert compare_metadata(context, db.metadata) == []
        downgrade(str(ROOT / "migrations"), "base")
        assert set(sa.inspect(db.engine).get_table_names()) == {"alembic_version"}
        with write_access():
            upgrade(str(ROOT / "migrations"))
        db.session.remove()
        db.engine.dispose()


def test_up_and_down_on_sqlite(build_app: Callable[..., Flask], tmp_path: Path) -> None:
    go_up_and_down(build_app(database_url=f"sqlite:///{tmp_path / 'migrated.db'}"))


@pytest.mark.postgres
def test_up_and_down_on_postgresql(build_app: Callable[..., Flask], postgres: Postgres) -> None:
    go_up_and_down(build_app(database_url=postgres.new_database()))


def fill(connection: sa.Connection) -> int:
    """One row in each table, all with the id 1 and whatever their columns take; answers how many."""
    samples: dict[type, object] = {int: 1, str: "x", bool: False, float: 1.0, bytes: b"x", dict: {}, list: []}
    tables = [table for table in db.metadata.sorted_tables if table.name != "alembic_version"]
    for table in tables:
        row: dict[str, object] = {}
        for column in table.columns:
            if isinstance(column.type, UtcDateTime):
                row[column.name] = datetime(2026, 11, 28, tzinfo=UTC)
            elif isinstance(column.type, sa.Date):
                row[column.name] = date(2026, 11, 28)
            elif isinstance(column.type, DecimalText):
                row[column.name] = Decimal(1)
            elif isinstance(column.type, sa.Enum):
                row[column.name] = next(iter(column.type.python_type))
            else:
                row[column.name] = samples.get(column.type.python_type, "x")
        connection.execute(table.insert().values(row))
    return len(tables)


@pytest.mark.parametrize("steps", [1, 3])
def test_a_database_with_rows_goes_down_and_up_again(
    build_app: Callable[..., Flask], tmp_path: Path, steps: int
) -> None:
    app = build_app(database_url=f"sqlite:///{tmp_path / 'filled.db'}")
    with app.app_context():
        upgrade(str(ROOT / "migrations"))
        with write_access(), db.engine.connect() as connection, connection.begin():
            fill(connection)

        downgrade(str(ROOT / "migrations"), f"-{steps}")
        upgrade(str(ROOT / "migrations"))

        with db.engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
            assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
            for name in ("customer", "invoice", "nexudus_connection", "nexudus_member_link"):
                assert connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar() == 1, name
        db.session.remove()
        db.engine.dispose()


def test_the_history_is_one_line_and_every_file_names_its_owner() -> None:
    scripts = ScriptDirectory(str(ROOT / "migrations"))
    assert len(scripts.get_heads()) == 1
    for script in scripts.walk_revisions():
        owner = Path(script.path).stem.split("_", 3)[3]
        assert owner.startswith(("host_", "nexudus_", "mail_monitor_")), script.path
