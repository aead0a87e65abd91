"""The sandbox's memory: JSON documents by kind and key, kept in SQLite so that they survive a restart."""

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

Record = dict[str, Any]
Key = int | str

FIRST_ID = 1_415_210_000  # no id of a record looks like a small number that somebody might guess

_TABLE = "CREATE TABLE IF NOT EXISTS documents (kind TEXT, key TEXT, body TEXT, PRIMARY KEY (kind, key))"


def dumped(value: Any) -> str:
    """JSON; decimals become numbers, exact up to the 15 digits that a float keeps."""
    return json.dumps(value, default=_plain, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"{type(value).__name__} is no JSON")


class Store:
    """Documents by kind and key. Every thread may read; a change is whole or not at all.

    `path` None keeps everything in memory. Records are handed out as copies, so nobody changes one by accident.
    """

    def __init__(self, path: Path | None) -> None:
        self._lock = threading.RLock()
        self._kinds: dict[str, dict[Key, Record]] = {}
        self._undo: list[tuple[str, Key, Record | None]] | None = None
        self._file: sqlite3.Connection | None = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._opened(path)

    def _opened(self, path: Path) -> sqlite3.Connection:
        """The file at `path`, with all that is in it taken to mind."""
        file = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        file.execute("PRAGMA journal_mode=WAL")
        file.execute("PRAGMA synchronous=NORMAL")
        file.execute(_TABLE)
        for kind, key, body in file.execute("SELECT kind, key, body FROM documents"):
            record = json.loads(body, parse_float=Decimal)
            self._kinds.setdefault(kind, {})[int(key) if key.isdecimal() else key] = record
        return file

    @contextmanager
    def change(self) -> Iterator[None]:
        """One change at a time, all of it or, after an error, none of it. A change inside a change joins it."""
        with self._lock:
            if self._undo is not None:
                yield
                return
            self._undo = []
            try:
                yield
                self._save(self._undo)
            except BaseException:
                self._take_back(self._undo)
                raise
            finally:
                self._undo = None

    def keep(self) -> None:
        """What the present change has done so far stands, whatever becomes of the rest of it."""
        with self.change():
            assert self._undo is not None
            self._save(self._undo)
            self._undo.clear()

    def _save(self, undo: list[tuple[str, Key, Record | None]]) -> None:
        changed = dict.fromkeys((kind, key) for kind, key, _ in undo)
        if not changed or self._file is None:
            return
        self._file.execute("BEGIN")
        for kind, key in changed:
            record = self._kinds.get(kind, {}).get(key)
            if record is None:
                self._file.execute("DELETE FROM documents WHERE kind = ? AND key = ?", (kind, str(key)))
            else:
                row = (kind, str(key), dumped(record))
                self._file.execute("INSERT OR REPLACE INTO documents VALUES (?, ?, ?)", row)
        self._file.execute("COMMIT")

    def _take_back(self, undo: list[tuple[str, Key, Record | None]]) -> None:
        if self._file is not None and self._file.in_transaction:
            self._file.execute("ROLLBACK")
        for kind, key, before in reversed(undo):
            if before is None:
                self._kinds[kind].pop(key, None)
            else:
                self._kinds[kind][key] = before

    def get(self, kind: str, key: Key) -> Record | None:
        with self._lock:
            record = self._kinds.get(kind, {}).get(key)
            return dict(record) if record is not None else None

    def all(self, kind: str) -> list[Record]:
        """All records of a kind in the order in which they came."""
        with self._lock:
            return [dict(record) for record in self._kinds.get(kind, {}).values()]

    def count(self, kind: str) -> int:
        with self._lock:
            return len(self._kinds.get(kind, {}))

    def put(self, kind: str, key: Key, record: Record) -> None:
        with self.change():
            assert self._undo is not None
            records = self._kinds.setdefault(kind, {})
            self._undo.append((kind, key, records.get(key)))
            records[key] = dict(record)

    def drop(self, kind: str, key: Key) -> None:
        with self.change():
            assert self._undo is not None
            before = self._kinds.get(kind, {}).pop(key, None)
            if before is not None:
                self._undo.append((kind, key, before))

    def clear(self) -> None:
        """Forget everything."""
        with self.change():
            for kind, records in list(self._kinds.items()):
                for key in list(records):
                    self.drop(kind, key)

    def next_id(self) -> int:
        """An id no record of any kind has had."""
        with self.change():
            last = self.get("counter", "id") or {"last": FIRST_ID}
            given = int(last["last"]) + 1
            self.put("counter", "id", {"last": given})
            return given

    def close(self) -> None:
        with self._lock:
            if self._file is not None:
                self._file.close()
