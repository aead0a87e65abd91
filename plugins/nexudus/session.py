"""A worker's turn with a connection: its lease, its tokens, its share of the allowed calls."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from flask import current_app
from requests.adapters import BaseAdapter

from app import clock
from app.config import Settings
from app.db import db, unit_of_work
from app.errors import Capped, SignInNeeded
from app.http import Door
from app.vault import Place, vault
from app.work import Lease
from plugins.nexudus.client import Nexudus
from plugins.nexudus.models import Connection
from plugins.nexudus.signing_in import Tokens, refresh

MINUTE = 60.0
REFRESH_AFTER = timedelta(days=5)  # a refresh token lives 15 days


class Permit:
    """Asked before every call: proves the lease and spends the rate budget, both in one short unit of work.

    The budget is kept on the connection's row, so that it outlives this process.
    """

    def __init__(self, lease: Lease) -> None:
        self._lease = lease

    def before(self, kind: Literal["read", "write"]) -> None:
        """Raises `Capped` when the minute's or the day's calls are used up, `LeaseLost` when the row is not ours."""
        settings: Settings = current_app.config["SETTINGS"]
        pause()
        with unit_of_work() as session:
            connection = session.get_one(Connection, self._lease.row_id)
            now = clock.now()
            calls = _recent(connection.recent_calls, now)
            writes = _recent(connection.recent_writes, now)
            today = connection.writes_today if connection.writes_on == now.date() else 0
            _refuse_above(calls, settings.nexudus_calls_per_minute)
            if kind == "write":
                _refuse_above(writes, settings.nexudus_writes_per_minute)
                if today >= settings.nexudus_writes_per_day:
                    tomorrow = datetime(now.year, now.month, now.day, tzinfo=UTC) + timedelta(days=1)
                    raise Capped("Today's writes to Nexudus are used up. The rest goes on tomorrow.", until=tomorrow)
                writes, today = [*writes, now.timestamp()], today + 1
            self._lease.renew(
                recent_calls=[*calls, now.timestamp()],
                recent_writes=writes,
                writes_on=now.date(),
                writes_today=today,
            )


def pause() -> None:
    """The tenth of a second that Nexudus wants between any two calls of one program."""
    time.sleep(current_app.config["SETTINGS"].nexudus_pause_ms / 1000)  # noqa: TID251  # nothing else to wait for


def _recent(moments: list[float], now: datetime) -> list[float]:
    return [one for one in moments if now.timestamp() - MINUTE < one <= now.timestamp()]


def _refuse_above(moments: list[float], limit: int) -> None:
    if len(moments) >= limit:
        free = datetime.fromtimestamp(moments[-limit] + MINUTE, tz=UTC)
        raise Capped("Nexudus takes only so many calls a minute; we go on when the next one is due.", until=free)


class StoredTokens:
    """The connection's tokens: opened when asked for, renewed under the lease, stored before their first use."""

    def __init__(self, door: Door, lease: Lease) -> None:
        self._door = door
        self._lease = lease
        self._access: str | None = None

    def access(self) -> str:
        """The access token; `SignInNeeded` when none is stored."""
        if self._access is None:
            connection = db.session.get_one(Connection, self._lease.row_id)
            self._access = open_token(connection, "access_token")
            db.session.rollback()
        return self._access

    def renew(self, refused: str) -> str:
        """Exchange the refresh token for a new pair; `SignInNeeded` when Nexudus refuses it."""
        connection = db.session.get_one(Connection, self._lease.row_id)
        client_id, token = connection.client_id, open_token(connection, "refresh_token")
        db.session.rollback()
        tokens = refresh(self._door, client_id, token)
        with unit_of_work() as session:
            self._lease.renew()
            keep_tokens(session.get_one(Connection, self._lease.row_id), tokens)
        self._access = tokens.access
        return tokens.access


def keep_tokens(connection: Connection, tokens: Tokens) -> None:
    """Seal a pair of tokens into the connection's row, inside the unit of work around the caller."""
    connection.access_token = vault().seal(tokens.access, place_of(connection, "access_token"))
    connection.refresh_token = vault().seal(tokens.refresh, place_of(connection, "refresh_token"))
    connection.tokens_at = clock.now()


def open_token(connection: Connection, field: Literal["access_token", "refresh_token"]) -> str:
    """A stored token in clear; `SignInNeeded` when there is none or its key is gone."""
    sealed: str | None = getattr(connection, field)
    if sealed is None:
        raise SignInNeeded("Nexudus is not signed in. Sign in to go on.", code="signed_out")
    return vault().open(sealed, place_of(connection, field))


def place_of(connection: Connection, field: str) -> Place:
    """Where a secret of this connection is kept, which its seal is bound to."""
    return Place(Connection.__tablename__, connection.id, connection.account_id, field)


@dataclass(frozen=True, slots=True)
class Turn:
    """What a slice of work holds: the lease, the client that spends its budget, and when the slice must end."""

    connection_id: int
    lease: Lease
    remote: Nexudus
    tokens: StoredTokens
    ends: float  # by the monotonic clock

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self.ends


def door(whole_s: float | None = None) -> Door:
    """The way to the configured Nexudus, `whole_s` seconds for all that goes through it.

    Tests put an adapter in place of the wire.
    """
    adapter: BaseAdapter | None = current_app.extensions.get("nexudus_adapter")
    return Door(current_app.config["SETTINGS"].nexudus_base, adapter, whole_s, "nexudus")


@contextmanager
def turn(connection_id: int, seconds: float) -> Iterator[Turn | None]:
    """The turn of this process with a connection for `seconds`, or None while another process has it."""
    lease = Lease.take(Connection, connection_id)
    if lease is None:
        yield None
        return
    way = door()
    tokens = StoredTokens(way, lease)
    try:
        yield Turn(connection_id, lease, Nexudus(way, tokens, Permit(lease)), tokens, ends=time.monotonic() + seconds)
    finally:
        db.session.rollback()
        lease.give_back()
