"""Quarantine: what cannot be read is kept whole, tried again, filed by hand or left at that."""

from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine

from app import clock
from app.access import Role
from app.accounts.models import User
from app.billing import customers
from app.db import unit_of_work
from app.errors import Conflict
from plugins.mail_monitor import quarantine
from plugins.mail_monitor.models import EmailAccount
from plugins.mail_monitor.parser import Parser, ParserDied
from plugins.mail_monitor.records import Filing
from plugins.mail_monitor.waiting import Quarantined, QuarantineState
from tests import make
from tests.cast import Cast
from tests.fakes.mailbox import FakeServer
from tests.plugins.mail_monitor.conftest import rows_of
from tests.plugins.mail_monitor.letters import mail
from tests.plugins.mail_monitor.test_scanning import Scan, filed
from tests.visitors import Visitor

BOMB = (
    b"From: tamsin@quill.example\r\nSubject: Scans\r\nMessage-ID: <bomb@x>\r\n"
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 501
)


@pytest.fixture
def kept(cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan) -> Quarantined:
    """A message of Tamsin's that has too many parts."""
    make.customer(cast.acme, "Tamsin Quill", email="tamsin@quill.example")
    server.inbox.put(BOMB)
    scan(desk)
    row = rows_of(Quarantined)[0]
    assert isinstance(row, Quarantined)
    return row


def test_it_says_why_and_keeps_the_original(kept: Quarantined) -> None:
    assert (kept.code, kept.subject, kept.sender) == ("parts", "Scans", "tamsin@quill.example")
    assert kept.header_text.startswith("From: tamsin@quill.example")
    assert quarantine.original(kept) == BOMB


def test_another_try_files_it_once_it_can_be_read(
    cast: Cast, desk: EmailAccount, kept: Quarantined, scan: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    with unit_of_work():
        quarantine.retry(cast.acme, kept.id, "Ana Alder")
    scan(desk)
    assert [(one.state, one.tries) for one in rows_of(Quarantined)] == [(QuarantineState.OPEN, 2)]
    monkeypatch.setattr("plugins.mail_monitor.mime.MOST_PARTS", 1000)
    with unit_of_work():
        quarantine.retry(cast.acme, kept.id, "Ana Alder")
    assert scan(desk).filed == 1
    assert [one.state for one in rows_of(Quarantined)] == [QuarantineState.READ]
    assert [subject for subject, _ in filed()] == ["Scans"]


def test_filed_by_hand_it_stands_in_the_record_with_its_original(cast: Cast, kept: Quarantined) -> None:
    tamsin = make.customer(cast.acme, "Another", email="another@quill.example")
    with unit_of_work():
        quarantine.file_by_hand(cast.acme, kept.id, customers.get(cast.acme, tamsin.id), "Ana Alder")
    filing = rows_of(Filing)[0]
    assert (filing.customer_id, filing.reason) == (tamsin.id, "Filed by Ana Alder out of quarantine.")
    assert filing.message.raw_hash == kept.raw_hash
    with pytest.raises(Conflict, match="settled a moment ago"), unit_of_work():
        quarantine.ignore(cast.acme, kept.id, "Ben Birch")


def test_what_nobody_looks_at_is_left_at_that_after_a_month(desk: EmailAccount, kept: Quarantined, scan: Scan) -> None:
    with time_machine.travel(clock.now() + timedelta(days=31), tick=False):
        scan(desk)
    assert rows_of(Quarantined)[0].state == QuarantineState.IGNORED


def test_one_without_an_original_is_asked_of_the_server_again(
    cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    make.customer(cast.acme, email="tamsin@quill.example")
    server.empty_for = {server.inbox.put(mail(subject="Late"))}
    for _ in range(4):
        scan(desk)
    row = rows_of(Quarantined)[0]
    server.empty_for = set()
    with unit_of_work():
        quarantine.retry(cast.acme, row.id, "Ana Alder")
    assert scan(desk).filed == 1
    assert rows_of(Quarantined) == []


def test_the_page_shows_saves_and_settles(cast: Cast, kept: Quarantined, sign_in: Callable[[User], Visitor]) -> None:
    ben = sign_in(cast.ben)
    assert "Too many parts: 501; the limit is 500." in ben.get("/acme/mail/quarantine").text
    answer = ben.post(f"/acme/mail/quarantine/{kept.id}/original")
    assert answer.data == BOMB
    assert answer.headers["Content-Disposition"].startswith("attachment;")
    assert answer.headers["Content-Security-Policy"].startswith("sandbox;")
    assert answer.mimetype == "application/octet-stream"
    assert "Tamsin Quill" in ben.get(f"/acme/mail/quarantine/{kept.id}/file").text
    ben.post(f"/acme/mail/quarantine/{kept.id}/ignore")
    assert rows_of(Quarantined)[0].settled_by == cast.staff[Role.ADMIN].full_name
    assert "Ignored" in ben.get("/acme/mail/quarantine").text


def test_a_reader_that_dies_of_a_limit_leaves_the_next_one_alive() -> None:
    with Parser() as parser:
        with pytest.raises(ParserDied):
            parser._wait(parser._begin(_hog))
        assert parser.letters([mail(subject="Next")])[0].envelope.subject == "Next"  # type: ignore[union-attr]


def _hog() -> bytes:
    return b"x" * (4 * 1024**3)


def test_a_reader_that_never_ends_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plugins.mail_monitor.parser.WALL_S", 0.3)
    with Parser() as parser, pytest.raises(ParserDied):
        parser._wait(parser._begin(_spin))


def _spin() -> None:
    while True:
        pass
