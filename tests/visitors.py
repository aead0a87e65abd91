"""Stand-ins for what surrounds the app: a browser that carries its CSRF token, a bell that only listens, a counter."""

import contextvars
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa
from flask import current_app, has_app_context
from flask.testing import FlaskClient
from itsdangerous import URLSafeTimedSerializer
from werkzeug.test import TestResponse

from app.accounts import signing_in
from app.accounts.models import SignIn, User
from app.billing.models import Customer
from app.db import db, unit_of_work
from app.work import Bell
from tests import make

Answer = TypeVar("Answer")


def apart(run: Callable[..., Answer], *args: Any, **options: Any) -> Answer:
    """Call `run` as another thread or process would: without the app context the test stands in."""
    return contextvars.Context().run(run, *args, **options)


class Visitor(FlaskClient):
    """A browser. It sends the CSRF token as its pages do, and never shares a session with the test.

    Whatever it changes has to leave an audit row: each test that posts is a test of that, branch by branch.

    `htmx=True` asks as htmx does, with `target` as the element to replace; `csrf=False` forgets the token.
    """

    def open(self, *args: Any, htmx: bool = False, target: str = "", csrf: bool = True, **options: Any) -> TestResponse:
        headers = dict(options.pop("headers", None) or {})
        if htmx:
            headers["HX-Request"] = "true"
            if target:
                headers["HX-Target"] = target
        if csrf and options.get("method", "GET") not in {"GET", "HEAD", "OPTIONS"}:
            headers["X-CSRFToken"] = self._csrf_token()
        if has_app_context():  # not when this follows a redirect, which happens inside the first request
            # What the test has read so far is old once the request has written.
            db.session.rollback()
        with written_tables() as written:
            # Read to the end where the request's context still stands: streamed answers need it.
            answer = apart(super().open, *args, headers=headers, **{"buffered": True, **options})
        silent = written - UNAUDITED
        changes = answer.request.method not in {
            "GET",
            "HEAD",
        }  # what a page keeps of what it looked up is nobody's deed
        if changes and answer.status_code < 400 and silent and "audit_entry" not in written:
            raise AssertionError(
                f"{answer.request.method} {answer.request.path} changed {sorted(silent)} and left no audit row"
            )
        return answer

    def enter(self, user: User) -> None:
        """Sign `user` in without the cost of checking a password."""
        token = secrets.token_urlsafe(32)
        with unit_of_work() as rows:
            rows.add(SignIn(user_id=user.id, token_hash=signing_in.hashed(token)))
        with self.session_transaction() as session:
            session["_user_id"] = str(user.id)
            session["sign_in"] = token

    def enter_portal(self, customer: Customer) -> None:
        """Sign `customer` in at the account's portal, in the same way."""
        token = secrets.token_urlsafe(32)
        account_id = make.portal_sign_in(customer, token).account_id
        with self.session_transaction() as session:
            session[signing_in.PORTALS] = {**session.get(signing_in.PORTALS, {}), str(account_id): token}

    def _csrf_token(self) -> str:
        with self.session_transaction() as session:
            raw = session.setdefault("csrf_token", secrets.token_hex(20))
        return str(URLSafeTimedSerializer(current_app.secret_key, salt="wtf-csrf-token").dumps(raw))  # type: ignore[arg-type]


class HeardBell(Bell):
    """A bell without Redis: it notes what was rung, and does it when told to."""

    def __init__(self, real: Bell) -> None:
        self.__dict__.update(real.__dict__)
        self.rings: list[tuple[str, *tuple[int, ...]]] = []

    def ring(self, name: str, *ids: int) -> bool:
        if name not in self.jobs:
            raise KeyError(name)
        self.rings.append((name, *ids))
        return True

    def answer(self) -> int:
        """Do what was rung, in order, until nothing more is; answers how many jobs ran."""
        done = 0
        while self.rings:
            name, *ids = self.rings.pop(0)
            db.session.rollback()
            apart(self._perform, current_app._get_current_object(), name, ids)  # type: ignore[attr-defined]
            done += 1
        return done

    def _perform(self, app: Any, name: str, ids: list[int]) -> None:
        with app.app_context():
            self.jobs[name].run(*ids)


# What is no change by a person: the audit itself, and tries that are counted.
UNAUDITED = frozenset({"audit_entry", "attempt"})
_WRITES = re.compile(r'(?:INSERT INTO|UPDATE|DELETE FROM) "?(\w+)')


@contextmanager
def written_tables() -> Iterator[set[str]]:
    """Which tables are written inside the block, in whichever database."""
    found: set[str] = set()

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if match := _WRITES.match(statement.lstrip()):
            found.add(match[1])

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


@dataclass
class Counted:
    """How many statements the database was asked."""

    count: int = 0


@contextmanager
def counted_queries() -> Iterator[Counted]:
    """Count the statements sent to the database inside the block, the pragmas and BEGINs of its engine left out."""
    counted = Counted()

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if not statement.startswith(("PRAGMA", "BEGIN", "SET TRANSACTION")):
            counted.count += 1

    sa.event.listen(db.engine, "before_cursor_execute", note)
    try:
        yield counted
    finally:
        sa.event.remove(db.engine, "before_cursor_execute", note)
