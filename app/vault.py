"""Secrets at rest: AES-256-GCM, bound to the very row and field they belong to, readable under several keys."""

import base64
import os
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from flask import current_app

from app.errors import SignInNeeded

FORMAT = "v1"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a secret lives. A ciphertext copied to another row, account or field does not open there."""

    table: str
    row: int
    account: int
    field: str

    @property
    def bound(self) -> bytes:
        return f"{self.table}:{self.row}:{self.account}:{self.field}".encode()


class Vault:
    """Seals and opens secrets; the first key seals, any key opens."""

    def __init__(self, keys: dict[str, bytes]) -> None:
        self._keys = keys
        self._first = next(iter(keys))

    def seal(self, secret: str, place: Place) -> str:
        """Ciphertext of `secret` as text: format, key id, nonce and sealed bytes."""
        nonce = os.urandom(12)
        sealed = AESGCM(self._keys[self._first]).encrypt(nonce, secret.encode(), place.bound)
        return f"{FORMAT}.{self._first}.{base64.urlsafe_b64encode(nonce + sealed).decode()}"

    def open(self, sealed: str, place: Place) -> str:
        """The secret; `SignInNeeded` when its key is gone or it was sealed for another place."""
        _, key_id, body = sealed.split(".", 2)
        raw = base64.urlsafe_b64decode(body)
        key = self._keys.get(key_id)
        if key is not None:
            try:
                return AESGCM(key).decrypt(raw[:12], raw[12:], place.bound).decode()
            except InvalidTag:
                pass  # wrong bytes under a known id, or moved: told below like a lost key
        raise SignInNeeded(
            "The stored sign-in cannot be read: its encryption key is missing. Sign in again.",
            code="key_lost",
            key_id=key_id,
            table=place.table,
            row=place.row,
        )

    def is_current(self, sealed: str) -> bool:
        """Whether `sealed` is already under the key that seals."""
        return key_of(sealed) == self._first


def key_of(sealed: str) -> str:
    """Id of the key that `sealed` is under."""
    return sealed.split(".", 2)[1]


def vault() -> Vault:
    """The vault of the running app."""
    return current_app.extensions["vault"]  # type: ignore[no-any-return]
