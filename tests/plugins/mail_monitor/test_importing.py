"""Importing older messages: quietly, once, resumable, and no further back than was asked."""

from datetime import timedelta

import pytest

from app import clock
from app.db import db, unit_of_work
from app.errors import Conflict, InvalidInput
from plugins.mail_monitor import importing
from plugins.mail_monitor.models import EmailAccount, ImportRun
from plugins.mail_monitor.records import Message
from plugins.mail_monitor.settings import AccountSettings
from tests import make
from tests.cast import Cast
from tests.fakes.mailbox import FakeServer
from tests.plugins.mail_monitor.conftest import Watch, rows_of
from tests.plugins.mail_monitor.letters import mail
from tests.plugins.mail_monitor.test_scanning import BROKEN, Scan, filed


@pytest.fixture
def old_desk(cast: Cast, server: FakeServer, watch: Watch, settings: AccountSettings) -> EmailAccount:
    """An account whose mailbox held messages of the last ten days, one a day, before it was watched."""
    make.customer(cast.acme, email="tamsin@quill.example")
    for days in range(10, 0, -1):
        server.inbox.put(mail(subject=f"{days} days"), clock.now() - timedelta(days=days, hours=-1))
    server.sent.put(mail("desk@acme.example", "tamsin@quill.example", subject="Sent"), clock.now() - timedelta(days=2))
    return watch(settings)


def begin(desk: EmailAccount, days: int) -> None:
    with unit_of_work() as session:
        importing.start(session.get_one(EmailAccount, desk.id), days, "Ana Alder")


def test_the_last_days_are_filed_quietly_and_nothing_older(old_desk: EmailAccount, scan: Scan) -> None:
    begin(old_desk, 4)
    scan(old_desk)
    assert [subject for subject, _ in filed()] == ["4 days", "3 days", "2 days", "1 days", "Sent"]
    assert all(one.is_quiet for one in rows_of(Message))
    run = rows_of(ImportRun)[0]
    assert run.ended_at is not None
    assert (run.counts["filed"], run.done) == (5, run.total)


def test_a_second_import_files_nothing_again(old_desk: EmailAccount, scan: Scan) -> None:
    begin(old_desk, 4)
    scan(old_desk)
    begin(old_desk, 6)
    assert scan(old_desk).filed == 2
    assert len(filed()) == 7


def test_new_mail_during_an_import_is_no_part_of_it(old_desk: EmailAccount, server: FakeServer, scan: Scan) -> None:
    begin(old_desk, 30)
    server.inbox.put(mail(subject="New"))
    scan(old_desk)
    assert {one.subject: one.is_quiet for one in rows_of(Message)}["New"] is False
    assert rows_of(ImportRun)[0].counts["filed"] == 11


def test_an_import_that_was_cut_off_goes_on_where_it_stopped(
    cast: Cast,
    server: FakeServer,
    watch: Watch,
    settings: AccountSettings,
    scan: Scan,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("plugins.mail_monitor.batches.MOST_HEADERS", 40)
    make.customer(cast.acme, email="tamsin@quill.example")
    for number in range(130):
        server.inbox.put(mail(subject=str(number)), clock.now() - timedelta(days=1))
    desk = watch(settings)
    begin(desk, 3)
    way_in = ("open", "examine", "examine", "uids", "uids", "headers", "headers", "whole")
    server.faults = [*[None] * len(way_in), BROKEN]
    scan(desk)
    run = rows_of(ImportRun)[0]
    assert run.ended_at is None
    assert 0 < run.done < run.total
    scan(desk)
    scan(desk)
    assert rows_of(ImportRun)[0].ended_at is not None
    assert sorted(int(subject) for subject, _ in filed()) == list(range(130))


def test_one_import_at_a_time_and_only_of_a_watched_account(old_desk: EmailAccount) -> None:
    begin(old_desk, 4)
    with pytest.raises(Conflict, match="under way"):
        begin(old_desk, 4)
    with unit_of_work() as session:
        session.get_one(EmailAccount, old_desk.id).active = False
    with pytest.raises(Conflict, match="inactive"):
        begin(old_desk, 4)
    with pytest.raises(InvalidInput):
        begin(old_desk, 0)


def test_a_stopped_import_files_nothing_more(old_desk: EmailAccount, scan: Scan) -> None:
    begin(old_desk, 4)
    with unit_of_work():
        run = importing.under_way(old_desk.id)
        assert run is not None
        importing.stop(run, "Ana Alder")
    assert scan(old_desk).filed == 0
    db.session.rollback()
