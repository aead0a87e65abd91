"""What Nexudus tells us by itself. A webhook is a hint, never a fact: what it is about is read again.

https://help.nexudus.com, "Verifying webhooks created via the API": HMAC-SHA256 of the body with the shared secret, in
hexadecimal capitals.
"""

import hashlib
import hmac
import secrets

import sqlalchemy as sa

from app import audit, clock
from app.addresses import public_url
from app.db import db
from app.errors import InvalidInput
from app.typed import tidy
from app.vault import vault
from plugins.nexudus.models import Connection
from plugins.nexudus.session import place_of

LONGEST_SECRET = 200


def keep_secret(connection: Connection, typed: str, by: str) -> None:
    """Keep the secret that Nexudus signs with; the address that it posts to exists from then on."""
    secret = tidy(typed)
    if not secret or len(secret) > LONGEST_SECRET:
        raise InvalidInput("Type the shared secret, as it stands in Nexudus.", "secret")
    connection.hook_key = connection.hook_key or secrets.token_urlsafe(24)
    connection.hook_secret = vault().seal(secret, place_of(connection, "hook_secret"))
    audit.record("webhook_secret_kept", connection, actor=by)


def address_of(connection: Connection) -> str:
    """Where Nexudus is to post; "" before there is a secret."""
    if connection.hook_key is None or connection.hook_secret is None:
        return ""
    return public_url("nexudus_hooks.heard", key=connection.hook_key)


def connection_called(key: str) -> Connection | None:
    """The connection in use that is told things at this address."""
    connection = db.session.scalar(
        sa.select(Connection).where(Connection.hook_key == key, Connection.ended_at.is_(None))
    )
    return connection if connection is not None and connection.installation.works else None


def is_signed(connection: Connection, body: bytes, signature: str) -> bool:
    """Whether `body` was signed with the shared secret."""
    if connection.hook_secret is None:
        return False
    secret = vault().open(connection.hook_secret, place_of(connection, "hook_secret"))
    wanted = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(wanted.encode(), signature.strip().lower().encode())


def take(connection: Connection) -> None:
    """Something changed there: the next slice, within a minute, reads which members. One note says it for many."""
    listed_at, heard_at = connection.members_listed_at, connection.heard_at
    if heard_at is not None and (listed_at is None or heard_at > listed_at):
        return
    connection.heard_at = clock.now()
    audit.record("webhook_taken", connection, actor="Nexudus")
