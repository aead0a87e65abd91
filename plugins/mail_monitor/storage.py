"""Where the bytes of messages and attachments lie: files named by their content, so that each is stored once.

Files are complete and on the disk before a row refers to them. What no row refers to, because its transaction was
rolled back or its row is gone, is found by `old` and taken away by `remove_old`; see `sweeping`.
"""

import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from app.errors import NotFound

WRITERS = 4
LOCK = ".lock"


class Store:
    """Bytes by account and SHA-256. Nothing of account A can be found through account B."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._background: ThreadPoolExecutor | None = None
        self._writers: ThreadPoolExecutor | None = None

    def put_all(self, account_id: int, contents: Iterable[bytes]) -> dict[bytes, str]:
        """Store several, and answer the hash of each; when this returns they outlive a power cut."""
        named = {data: hashlib.sha256(data).hexdigest() for data in contents}
        if not named:
            return named
        paths = {self._path(account_id, digest): data for data, digest in named.items()}
        with self._locked(account_id, fcntl.LOCK_SH):
            new = {path: data for path, data in paths.items() if not _is_there(path)}
            if new:
                self._write_all(new)
        return named

    def begin_put(self, account_id: int, contents: Iterable[bytes]) -> "Future[dict[bytes, str]]":
        """`put_all` while the caller does something else: it mostly waits for the disk. `close` ends what it takes."""
        self._background = self._background or ThreadPoolExecutor(1)
        return self._background.submit(self.put_all, account_id, list(contents))

    def close(self) -> None:
        """Wait for what is being stored."""
        for pool in (self._background, self._writers):
            if pool is not None:
                pool.shutdown()
        self._background = self._writers = None

    def read(self, account_id: int, digest: str) -> bytes:
        """The bytes; `NotFound` when they are gone."""
        try:
            return self._path(account_id, digest).read_bytes()
        except FileNotFoundError as error:
            raise NotFound("The original is not kept any more.") from error

    def old(self, account_id: int, before: datetime) -> Iterator[list[str]]:
        """The hashes of all that was stored before a moment and not stored again since, a folder at a time."""
        for folder in sorted((self._folder / str(account_id)).glob("[0-9a-f]")):
            with os.scandir(folder) as entries:
                found = [entry.name for entry in entries if entry.stat().st_mtime < before.timestamp()]
            for name in found:
                if name.startswith("."):  # a writer that was killed
                    (folder / name).unlink(missing_ok=True)
            yield [name for name in found if not name.startswith(".")]

    def remove_old(self, account_id: int, digests: Iterable[str], before: datetime) -> int:
        """Forget bytes unless they were stored again since `before`; answers how many went."""
        removed = 0
        with self._locked(account_id, fcntl.LOCK_EX):
            for digest in digests:
                path = self._path(account_id, digest)
                if path.exists() and path.stat().st_mtime < before.timestamp():
                    path.unlink()
                    removed += 1
        return removed

    def _write_all(self, new: dict[Path, bytes]) -> None:
        folders = {path.parent for path in new}
        for folder in folders:
            folder.mkdir(exist_ok=True)
        # Side by side, because each waits for the disk and the disk can serve several with one write of its journal.
        self._writers = self._writers or ThreadPoolExecutor(WRITERS)
        list(self._writers.map(_write, new.keys(), new.values()))
        list(self._writers.map(_sync, folders))

    @contextmanager
    def _locked(self, account_id: int, how: int) -> Iterator[None]:
        """Keep writers and the sweep apart, so that nothing goes that was just found to be there already."""
        folder = self._folder / str(account_id)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / LOCK).open("w") as file:
            fcntl.flock(file, how)
            yield

    def _path(self, account_id: int, digest: str) -> Path:
        if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
            raise NotFound
        return self._folder / str(account_id) / digest[0] / digest


def _is_there(path: Path) -> bool:
    """Whether the bytes are stored; if so they count as stored now."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


def _write(path: Path, data: bytes) -> None:
    """All or nothing: a name in the store never stands for half a file."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
