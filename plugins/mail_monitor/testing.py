"""Tests of settings: asked for by a page or a command, done by a worker, and proof that an account may be watched."""

from datetime import timedelta

import sqlalchemy as sa

from app import audit, clock
from app.accounts.signing_in import count_try
from app.db import db
from app.errors import NotFound
from app.installations.models import Installation
from app.work import ring_after_commit
from plugins.mail_monitor import credentials
from plugins.mail_monitor.connection_test import Trial
from plugins.mail_monitor.credentials import Passwords
from plugins.mail_monitor.models import ConnectionTest, ConnectionTestState, EmailAccount
from plugins.mail_monitor.settings import AccountSettings

JOB = "mail_monitor.test_connection"
KEPT = timedelta(hours=1)  # then the row goes, and its passwords with it
MOST_TRIES = 10


def count(account_id: int) -> int:
    """Note one try of an account, and answer how many are left within a quarter of an hour; else `TooManyTries`.

    A test is a connection to wherever somebody typed, with a password that somebody typed: guessing must be slow.
    """
    return count_try("mail_test", str(account_id), MOST_TRIES)


def begin(
    installation: Installation, settings: AccountSettings, row: EmailAccount | None, by: str, *, ring: bool = True
) -> ConnectionTest:
    """A test of `settings`, inside the unit of work around the caller; empty passwords are those of `row`."""
    test = ConnectionTest(
        account_id=installation.account_id,
        installation_id=installation.id,
        email_account_id=row.id if row else None,
        asked_by=by,
        settings=settings.without_passwords(),
        due_at=clock.now(),
    )
    db.session.add(test)
    db.session.flush()
    stored = credentials.kept(row) if row else Passwords()
    credentials.seal(test, credentials.typed(stored.fill(settings)))
    audit.record("connection_tested", test, actor=by, host=settings.incoming.host, port=settings.incoming.port)
    if ring:
        ring_after_commit(JOB, test.id)
    return test


def end(test: ConnectionTest, trial: Trial, *, passed: bool) -> None:
    """Note how a test went; it is due once more when it is to be forgotten."""
    test.state = ConnectionTestState.PASSED if passed else ConnectionTestState.FAILED
    test.steps, test.sample, test.looked_at = trial.steps, trial.found.sample, trial.found.looked_at
    test.begins_at, test.waiting = trial.found.begins_at, trial.found.waiting
    test.ended_at, test.due_at, test.nudged_at = clock.now(), test.asked_at + KEPT, None


def get(account_id: int, test_id: int) -> ConnectionTest:
    """One of the account's tests, or `NotFound` when it is none or too old."""
    test = db.session.scalar(
        sa.select(ConnectionTest).where(ConnectionTest.account_id == account_id, ConnectionTest.id == test_id)
    )
    if test is None:
        raise NotFound("This test is over an hour old and was forgotten. Test again.")
    return test


def settings_of(test: ConnectionTest) -> AccountSettings:
    """What was tested, without the passwords."""
    return AccountSettings.from_dict(test.settings)


def proves(test: ConnectionTest, settings: AccountSettings) -> bool:
    """Whether `test` passed with these very servers and passwords (left empty: those that were tested)."""
    if test.state != ConnectionTestState.PASSED:
        return False
    tested = credentials.kept(test)
    same_passwords = credentials.typed(tested.fill(settings)) == tested
    return same_passwords and settings_of(test).connection == settings.connection
