"""Where the bytes of messages and attachments lie: files named by their content, so that each is stored once.

Files are complete and on the disk before a row refers to them. What no row refers to, because its transaction was
rolled back, is swept away a day later.
"""

import hashlib
import os
import secrets
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from app.errors import NotFound

WRITERS = 8


class Store:
    """Bytes by account and SHA-256. Nothing of account A can be found through account B."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put_all(self, account_id: int, contents: Iterable[bytes]) -> dict[bytes, str]:
        """Store several, and answer the hash of each; when this returns they outlive a power cut."""
        named = {data: hashlib.sha256(data).hexdigest() for data in contents}
        new = {path: data for data, digest in named.items() if not (path := self._path(account_id, digest)).exists()}
        if not new:
            return named
        folders = {path.parent for path in new}
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        # Side by side, because each waits for the disk and the disk can serve several with one write of its journal.
        with ThreadPoolExecutor(WRITERS) as writers:
            list(writers.map(_write, new.keys(), new.values()))
            list(writers.map(_sync, folders))
        return named

    def read(self, account_id: int, digest: str) -> bytes:
        """The bytes; `NotFound` when they are gone."""
        try:
            return self._path(account_id, digest).read_bytes()
        except FileNotFoundError as error:
            raise NotFound("The original is not kept any more.") from error

    def remove(self, account_id: int, digest: str) -> None:
        """Forget the bytes; nothing happens when they are gone already."""
        self._path(account_id, digest).unlink(missing_ok=True)

    def _path(self, account_id: int, digest: str) -> Path:
        if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
            raise NotFound
        return self._folder / str(account_id) / digest[:2] / digest


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
