"""The storage of an account: told from 80 % on, and when it is full mail waits where it is."""

from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa
from flask import Flask

from app.db import db, unit_of_work
from app.installations.models import Installation
from plugins.mail_monitor import batches, quota, sweeping, troubles
from plugins.mail_monitor.models import EmailAccount, Folder
from plugins.mail_monitor.records import Blob, Filing
from plugins.mail_monitor.turns import Tally
from tests import make
from tests.cast import Cast
from tests.fakes.mailbox import FakeServer
from tests.plugins.mail_monitor.conftest import rows_of
from tests.plugins.mail_monitor.letters import mail
from tests.visitors import Visitor

Scan = Callable[[EmailAccount], Tally]


@pytest.fixture
def one_megabyte(app: Flask) -> Iterator[None]:
    """All the room that an account has."""
    before = app.config["SETTINGS"]
    app.config["SETTINGS"] = before.model_copy(update={"mail_quota_mb": 1})
    yield
    app.config["SETTINGS"] = before


def take(account_id: int, size: int) -> None:
    """Let the store of an account hold `size` bytes more."""
    with unit_of_work() as session:
        session.execute(sa.delete(Blob))
        session.add(Blob(account_id=account_id, hash=f"{size:064x}", size=size))


@pytest.mark.usefixtures("one_megabyte")
def test_from_80_percent_on_operators_are_told(cast: Cast, installation: Installation) -> None:
    take(cast.acme.id, 800 * 1024)
    assert [one.cause for one in troubles.problems_of(installation)] == []
    take(cast.acme.id, 839 * 1024)
    told = troubles.problems_of(installation)
    assert [(one.cause, one.title) for one in told] == [("mail_storage", "The storage for messages is 81 % full")]


@pytest.mark.usefixtures("one_megabyte")
def test_the_page_of_email_accounts_says_what_is_taken(
    cast: Cast, desk: EmailAccount, sign_in: Callable[..., Visitor]
) -> None:
    ana = sign_in(cast.ana)
    take(cast.acme.id, 256 * 1024)
    assert "0.2 of 1.0 MB" in ana.get("/acme/mail/accounts").text
    take(cast.acme.id, 839 * 1024)
    assert "The storage for messages is 81 % full." in ana.get("/acme/mail/accounts").text
    take(cast.acme.id, 1024 * 1024)
    assert "The storage for messages is full." in ana.get("/acme/mail/accounts").text


@pytest.mark.parametrize(
    ("taken", "every", "words"),
    [
        (0, 20 * quota.GB, "0 MB of 20.0 GB"),
        (9, 20 * quota.GB, "1 MB of 20.0 GB"),
        (16 * quota.GB, 20 * quota.GB, "16.0 of 20.0 GB"),
    ],
)
def test_sizes_are_said_in_units_that_say_something(taken: int, every: int, words: str) -> None:
    assert quota.Room(taken, every).words == words


@pytest.mark.usefixtures("one_megabyte")
def test_what_another_account_stores_takes_no_room(cast: Cast) -> None:
    take(cast.zenith.id, 10**7)
    assert quota.room_of(cast.acme.id).taken == 0


@pytest.mark.usefixtures("one_megabyte")
def test_one_turn_takes_no_more_than_the_room_there_is_and_a_batch(
    cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    make.customer(cast.acme, email="tamsin@quill.example")
    monkeypatch.setattr(batches, "MOST_BYTES", 2**18)
    for number in range(12):
        server.inbox.put(mail(text=f"{number} words\n" * 20_000))
    scan(desk)
    assert quota.room_of(cast.acme.id).taken < 2**20 + 2 * 2**18
    assert len(rows_of(Filing)) < 12
    scan(desk)
    assert db.session.get_one(EmailAccount, desk.id).is_stopped
    take(cast.acme.id, 1)
    for _ in range(12):
        scan(desk)
        take(cast.acme.id, 1)
    assert len(rows_of(Filing)) == 12


@pytest.mark.usefixtures("one_megabyte")
def test_in_a_full_storage_nothing_is_filed_nothing_is_lost_and_it_goes_on_by_itself(
    cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    make.customer(cast.acme, email="tamsin@quill.example")
    assert scan(desk).filed == 0
    before = {one.id: one.cursor for one in rows_of(Folder)}
    server.inbox.put(mail())
    take(cast.acme.id, 2**20)
    monkeypatch.setattr(sweeping, "sweep", lambda turn: None)
    assert scan(desk) == Tally()
    row = db.session.get_one(EmailAccount, desk.id)
    assert row.is_stopped
    assert "The storage for messages is full (1.0 of 1.0 MB)" in row.problem
    assert row.due_at is not None
    assert {one.id: one.cursor for one in rows_of(Folder)} == before

    # Somebody deleted something, and the sweep finds its bytes.
    monkeypatch.setattr(sweeping, "sweep", lambda turn: take(cast.acme.id, 1))
    assert scan(desk).filed == 1
    assert len(rows_of(Filing)) == 1
    assert db.session.get_one(EmailAccount, desk.id).trouble is None
