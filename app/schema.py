"""Whether the database stands where this code expects it."""

import sqlalchemy as sa
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import current_app

from app import audit, effects, restored, work  # noqa: F401  # their tables belong to the schema, whoever uses them
from app.db import db


def heads() -> tuple[set[str], set[str]]:
    """The revisions the database is at, and those this code knows as newest."""
    config: Config = current_app.extensions["migrate"].migrate.get_config()
    wanted = set(ScriptDirectory.from_config(config).get_heads())
    with db.engine.connect() as connection:
        return set(MigrationContext.configure(connection).get_current_heads()), wanted


def refuse_old_schema() -> None:
    """End the process with a sentence when the database is not at the newest revision."""
    there, wanted = heads()
    if there != wanted:
        raise SystemExit("The database is not up to date. Run: flask --app wsgi db upgrade")


def tables_left_out() -> list[str]:
    """Tables that hold rows and belong to a plugin which this process does not load."""
    with db.engine.connect() as connection:
        unknown = set(sa.inspect(connection).get_table_names()) - {*db.metadata.tables, "alembic_version"}
        return [
            name
            for name in sorted(unknown)
            if connection.execute(sa.select(sa.literal(1)).select_from(sa.table(name)).limit(1)).first()
        ]
