"""One archive that holds everything worth keeping: each table as lines of JSON, each stored file, no keys.

The lines know no database, so what was kept from SQLite may come back into PostgreSQL and the other way round. Files
are complete before a row refers to them; so the rows are read first, in one transaction, and then the files.
"""

import base64
import json
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.engine import Connection

from app import audit, clock
from app.config import Settings
from app.db import DecimalText, UtcDateTime, db, end_reading, unit_of_work
from app.errors import Conflict, InvalidInput
from app.restored import Restoration
from app.schema import heads, tables_left_out

FORMAT = 1
AT_ONCE = 500
MANIFEST, FILES = "manifest.json", "files/"


@dataclass(frozen=True, slots=True)
class Kept:
    """What an archive holds: how many tables, rows and files."""

    tables: int
    rows: int
    files: int


def back_up(path: Path) -> Kept:
    """Write the archive to `path`, which must not exist; readable by its owner alone.

    The name appears when the archive is complete. `Conflict` says why nothing was written.
    """
    if path.exists():
        raise Conflict(f"{path} exists already. Backups are never overwritten.")
    if not path.absolute().parent.is_dir():
        raise InvalidInput(f"There is no folder {path.absolute().parent}.")
    left_out = tables_left_out()
    if left_out:
        raise Conflict(f"A plugin is left out whose tables hold rows ({', '.join(left_out)}). Load it for the backup.")
    with tempfile.NamedTemporaryFile(dir=path.absolute().parent, prefix=f".{path.name}.") as file:  # mode 0600
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            kept = _write(archive)
        file.flush()
        os.fsync(file.fileno())
        os.link(file.name, path)  # unlike a renaming, this overwrites nothing that came meanwhile
    with unit_of_work():
        audit.record("backed_up", file=path.name, rows=kept.rows, files=kept.files)
    return kept


def restore(path: Path) -> Kept:
    """Bring an archive back into an empty database at the same revision, in one transaction.

    From then on a step towards another system that was not begun since is looked up before it is taken: it may
    have been taken after the backup. `Conflict` or `InvalidInput` says why nothing was restored.
    """
    with _opened(path) as archive:
        manifest = _manifest(archive)
        _refuse_another_shape(manifest)
        end_reading()
        names = [name for name in archive.namelist() if name.startswith(FILES)]
        with unit_of_work() as session:
            connection = session.connection()
            _refuse_rows(connection)
            # Inside the transaction, because a file without a row is swept away and a row without its file is a loss.
            _extract(archive, names, _settings().files)
            tables = [table for table in db.metadata.sorted_tables if table.name in manifest["rows"]]
            rows = read_tables(archive, connection, tables)
            taken_at = datetime.fromisoformat(manifest["taken_at"])
            session.add(Restoration(taken_at=taken_at))
            audit.record("restored", taken_at=manifest["taken_at"], rows=rows, files=len(names))
        return Kept(len(tables), rows, len(names))


def _write(archive: zipfile.ZipFile) -> Kept:
    revision, _ = heads()
    taken_at = clock.now()
    with _snapshot() as connection:
        counts = write_tables(archive, connection, db.metadata.sorted_tables)
    files = 0
    folder = _settings().files
    for file in sorted(folder.rglob("*")):
        if file.is_file() and not file.name.startswith("."):  # with a dot: still being written
            archive.write(file, FILES + file.relative_to(folder).as_posix())
            files += 1
    manifest = {"format": FORMAT, "revision": sorted(revision), "taken_at": taken_at.isoformat(), "rows": counts}
    archive.writestr(MANIFEST, json.dumps(manifest, indent=1))
    return Kept(len(counts), sum(counts.values()), files)


@contextmanager
def _snapshot() -> Iterator[Connection]:
    """A reading transaction in which nothing changes. SQLite's are so anyway."""
    end_reading()
    with db.engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.execution_options(isolation_level="REPEATABLE READ")
        yield connection


def write_tables(archive: zipfile.ZipFile, connection: Connection, tables: Iterable[sa.Table]) -> dict[str, int]:
    """Write each table as `tables/<name>.jsonl`; answers how many rows each has."""
    counts = {}
    for table in tables:
        counts[table.name] = 0
        everything = sa.select(table).order_by(*table.primary_key).execution_options(yield_per=AT_ONCE)
        rows = connection.execute(everything)
        with archive.open(_member(table), "w", force_zip64=True) as lines:
            for row in rows:
                lines.write(json.dumps(list(row), default=_as_text).encode() + b"\n")
                counts[table.name] += 1
    return counts


def read_tables(archive: zipfile.ZipFile, connection: Connection, tables: Sequence[sa.Table]) -> int:
    """Fill empty `tables`, which stand in the order of their foreign keys; answers how many rows there are now.

    A reference to a row of the same table is put in when all its rows are there.
    """
    count = 0
    for table in tables:
        to_itself = [
            column for column in table.columns if any(key.column.table is table for key in column.foreign_keys)
        ]
        with archive.open(_member(table)) as lines:
            rows = _rows(table, lines)
            while some := list(islice(rows, AT_ONCE)):
                blank = dict.fromkeys(column.name for column in to_itself)
                connection.execute(table.insert(), [{**row, **blank} for row in some])
                count += len(some)
        for column in to_itself:
            with archive.open(_member(table)) as lines:
                for row in _rows(table, lines):
                    if row[column.name] is not None:
                        itself = [key == row[key.name] for key in table.primary_key]
                        connection.execute(table.update().where(*itself).values({column.name: row[column.name]}))
        _count_on(connection, table)
    return count


def _rows(table: sa.Table, lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    readers = [(column.name, _reader(column)) for column in table.columns]
    for line in lines:
        values = zip(readers, json.loads(line), strict=True)
        yield {name: None if value is None else read(value) for (name, read), value in values}


def _as_text(value: object) -> str:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(f"a backup knows no way to write {type(value).__name__}")


def _reader(column: sa.Column[Any]) -> Callable[[Any], Any]:
    """From what `_as_text` and JSON made of a value back to the value."""
    if isinstance(column.type, UtcDateTime):
        return datetime.fromisoformat
    if isinstance(column.type, sa.Date):
        return date.fromisoformat
    if isinstance(column.type, DecimalText):
        return Decimal
    if isinstance(column.type, sa.LargeBinary):
        return base64.b64decode
    return lambda value: value


def _count_on(connection: Connection, table: sa.Table) -> None:
    """PostgreSQL numbers the next row from a counter, which knows nothing of rows that brought their number."""
    column = table.autoincrement_column
    if connection.dialect.name != "postgresql" or column is None:
        return
    counter = sa.func.pg_get_serial_sequence(connection.dialect.identifier_preparer.format_table(table), column.name)
    connection.execute(sa.select(sa.func.setval(counter, sa.func.max(column))))


def _opened(path: Path) -> zipfile.ZipFile:
    """The archive, read through once: nothing is restored before it is known to be whole."""
    try:
        archive = zipfile.ZipFile(path)
        broken = archive.testzip()
    except FileNotFoundError as error:
        raise InvalidInput(f"There is no file {path}.") from error
    # Damaged bytes may also look like an encrypted member, or one packed in a way that nobody knows.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError) as error:
        raise InvalidInput(f"{path} is no backup, or a damaged one. Nothing was restored.") from error
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read ({error.strerror}). Nothing was restored.") from error
    if broken:
        raise InvalidInput(f"{path} is damaged at {broken}. Nothing was restored.")
    return archive


def _manifest(archive: zipfile.ZipFile) -> dict[str, Any]:
    if MANIFEST not in archive.namelist():
        raise InvalidInput("This archive is no backup of this product.")
    manifest: dict[str, Any] = json.loads(archive.read(MANIFEST))
    if manifest["format"] != FORMAT:
        raise InvalidInput("This backup was written by another version, in a form that this one does not read.")
    return manifest


def _refuse_another_shape(manifest: dict[str, Any]) -> None:
    here, _ = heads()
    if sorted(here) != manifest["revision"]:
        kept, there = ", ".join(manifest["revision"]), ", ".join(sorted(here)) or "none"
        raise Conflict(
            f"The backup is of revision {kept}, the database is at {there}. "
            f"Bring it there with the version that wrote the backup: flask --app wsgi db upgrade {kept}"
        )
    known = {table.name for table in db.metadata.sorted_tables}
    unknown = sorted(name for name, rows in manifest["rows"].items() if rows and name not in known)
    if unknown:
        raise Conflict(
            f"The backup holds rows of a plugin that is left out here ({', '.join(unknown)}). Load it first."
        )


def _refuse_rows(connection: Connection) -> None:
    for table in db.metadata.sorted_tables:
        if connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first():
            raise Conflict(f"The database is not empty: {table.name} has rows. Restore into a fresh one.")


def _extract(archive: zipfile.ZipFile, names: Iterable[str], folder: Path) -> None:
    """Put the files where they were; what stands there under the same name is replaced as a whole."""
    for name in names:
        path = folder / name.removeprefix(FILES)
        if not path.resolve().is_relative_to(folder.resolve()):
            raise InvalidInput(f"The archive wants to write outside its folder: {name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        with (
            archive.open(name) as source,
            tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as target,
        ):
            shutil.copyfileobj(source, target)
        Path(target.name).replace(path)
    os.sync()


def _member(table: sa.Table) -> str:
    return f"tables/{table.name}.jsonl"


def _settings() -> Settings:
    settings: Settings = current_app.config["SETTINGS"]
    return settings
