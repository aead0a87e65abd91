"""The migrations make what the models say, forwards and backwards, on both databases."""

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from flask_migrate import downgrade, upgrade

from app.db import db, write_access
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


def test_the_history_is_one_line_and_every_file_names_its_owner() -> None:
    scripts = ScriptDirectory(str(ROOT / "migrations"))
    assert len(scripts.get_heads()) == 1
    for script in scripts.walk_revisions():
        owner = Path(script.path).stem.split("_", 3)[3]
        assert owner.startswith(("host_", "nexudus_", "mail_monitor_")), script.path
