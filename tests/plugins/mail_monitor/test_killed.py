"""Workers killed with SIGKILL after any commit of a scan: each message stands once in the end, only filed ones go."""

import multiprocessing
import os
import signal
from collections import Counter
from dataclasses import replace
from itertools import count

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from app.config import Settings
from app.db import end_reading, unit_of_work
from app.installations.models import Installation
from plugins.mail_monitor import accounts, jobs, testing
from plugins.mail_monitor.models import ConnectionTestState, EmailAccount, Folder
from plugins.mail_monitor.records import Filing, Message
from plugins.mail_monitor.settings import AccountSettings
from plugins.mail_monitor.waiting import Quarantined, Stub
from plugins.mail_monitor.wishes import Removal
from tests import make
from tests.cast import Cast
from tests.mail_services import Dovecot
from tests.plugins.mail_monitor.conftest import rows_of
from tests.plugins.mail_monitor.letters import mail
from tests.plugins.mail_monitor.test_scanning import Scan

TAMSIN = "tamsin@quill.example"
# A clean process that has imported the product; each worker is forked from it, as RQ forks its work horses.
workers = multiprocessing.get_context("forkserver")
workers.set_forkserver_preload(["app", __name__])


def scan_until(settings: Settings, last_commit: int, email_account_id: int) -> None:
    """What a worker does, until `kill -9` right after its commit of this number."""
    from app import create_app  # in a process of its own

    commit, seen = Session.commit, count()

    def commit_and_die(self: Session) -> None:
        commit(self)
        if next(seen) == last_commit:
            os.kill(os.getpid(), signal.SIGKILL)

    with create_app(settings).app_context():
        Session.commit = commit_and_die  # type: ignore[method-assign]
        jobs.work_on_account(email_account_id)


@pytest.fixture
def desk(cast: Cast, installation: Installation, real_settings: AccountSettings, reachable: Flask) -> EmailAccount:
    """A watched account at the real server that deletes there what was filed."""
    settings = replace(real_settings, delete="after_filing")
    with unit_of_work() as session:
        test = testing.begin(session.get_one(Installation, installation.id), settings, None, "Ana Alder", ring=False)
        test.state = ConnectionTestState.PASSED
        session.flush()
        return accounts.save(cast.acme, installation, settings, None, test, agrees=True)


@pytest.mark.slow
@pytest.mark.dovecot
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_worker_killed_after_any_commit_loses_doubles_and_wrongly_deletes_nothing(
    cast: Cast, desk: EmailAccount, dovecot: Dovecot, reachable: Flask, scan: Scan
) -> None:
    make.customer(cast.acme, email=TAMSIN)
    scan(desk)
    email_account_id, user = desk.id, rows_of(EmailAccount)[0].incoming_user
    bomb = mail(TAMSIN, subject="Bomb").replace(b"text/plain", b"multipart/mixed; boundary=b") + b"--b\r\n\r\n" * 600
    words = []
    for last_commit in count():
        words.append(f"Round {last_commit}")
        dovecot.deliver(user, mail(TAMSIN, subject=words[-1]))
        dovecot.deliver(user, mail("nadia@voss.example", subject="Nobody's"))
        dovecot.deliver(user, bomb)
        end_reading()
        process = workers.Process(target=scan_until, args=(reachable.config["SETTINGS"], last_commit, email_account_id))
        process.start()
        process.join(60)
        if process.exitcode == 0:  # it had no more commits to die at
            break
        assert process.exitcode == -signal.SIGKILL
        with unit_of_work() as session:  # what a dead process held is free once its time is up
            session.get_one(EmailAccount, email_account_id).lease_until = None
    assert len(words) > 10
    for _ in range(3):
        scan(desk)
    assert Counter(one.subject for one in rows_of(Message)) == Counter(words)
    assert Counter(one.message.subject for one in rows_of(Filing)) == Counter(words)
    assert all(folder.in_hand == [] and folder.owed == {} for folder in rows_of(Folder))
    assert len(rows_of(Quarantined)) == len(rows_of(Stub)) == len(words)
    assert [one.state.value for one in rows_of(Removal)] == ["done"] * len(words)
    left = [path.read_bytes() for kind in ("new", "cur") for path in (dovecot.maildir(user) / kind).iterdir()]
    assert Counter(raw.split(b"Subject: ")[1].split(b"\r\n")[0] for raw in left) == Counter(
        {b"Nobody's": len(words), b"Bomb": len(words)}
    )
