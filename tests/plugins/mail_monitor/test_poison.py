"""Single messages that could stop a whole account: each is filed or put aside, and what is behind it is filed."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from app import clock
from app.billing.models import Customer
from app.db import db
from app.errors import Capped
from plugins.mail_monitor import parsing
from plugins.mail_monitor.envelopes import read_envelope
from plugins.mail_monitor.headers import Headers
from plugins.mail_monitor.letters import Envelope
from plugins.mail_monitor.models import EmailAccount, Trouble
from plugins.mail_monitor.records import Filing, Message
from plugins.mail_monitor.waiting import Quarantined
from tests.fakes.mailbox import FakeServer
from tests.plugins.mail_monitor.conftest import rows_of
from tests.plugins.mail_monitor.letters import mail
from tests.plugins.mail_monitor.test_scanning import BROKEN, Scan, filed, folder_of

HEADER = (
    b"From: Tamsin <tamsin@quill.example>\r\nTo: desk@acme.example\r\nSubject: Odd\r\n"
    b"Message-ID: <odd@quill.example>\r\nDate: Mon, 23 Nov 2026 10:58:41 +0000\r\n"
)


@pytest.mark.parametrize(
    ("written", "instead"),
    [
        (b"<odd@quill.example>", b"<o\0dd@quill.example>"),
        (b"Subject: Odd", b"Subject: Odd\r\nIn-Reply-To: <a\0b@c>"),
        (b"Subject: Odd", b"Subject: Odd\r\nReferences: <a\0b@c> <d\x07@e>"),
        (b"To: desk@acme.example", b"To: jos\xe9@acme.example, desk@acme.example"),
        (b"To: desk@acme.example", b"To: \xed\xa0\x80a@acme.example"),
        (b"To: desk@acme.example", b"To: desk@acme.example\r\nReply-To: a@b\xff.example"),
        (b"To: desk@acme.example", b"To: desk@acme.example\r\nCc: a@xn--\xff.example"),
    ],
)
def test_bytes_that_no_database_takes_hold_nothing_up(
    tamsin: Customer, desk: EmailAccount, server: FakeServer, scan: Scan, written: bytes, instead: bytes
) -> None:
    server.inbox.put(HEADER.replace(written, instead) + b"\r\nHello")
    server.inbox.put(mail(subject="Behind"))
    assert scan(desk).filed == 2
    assert [subject for subject, _ in filed()] == ["Odd", "Behind"]


@pytest.mark.parametrize("sender", [b"jos\xe9@voss.example", b"<a\0b@voss.example>", b"a@\xe9\xff.example"])
def test_a_sender_that_no_database_takes_holds_nothing_up(
    tamsin: Customer, desk: EmailAccount, server: FakeServer, scan: Scan, sender: bytes
) -> None:
    server.inbox.put(HEADER.replace(b"Tamsin <tamsin@quill.example>", sender) + b"\r\nHello")
    server.inbox.put(mail(subject="Behind"))
    assert scan(desk).filed == 1
    assert [subject for subject, _ in filed()] == ["Behind"]
    assert rows_of(Quarantined) == []


def test_what_cannot_be_stored_in_spite_of_all_is_put_aside_alone(
    tamsin: Customer, desk: EmailAccount, server: FakeServer, scan: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    for subject in ("Before", "Poison", "After"):
        server.inbox.put(mail(subject=subject))
    _spoil(monkeypatch, lambda envelope: setattr_frozen(envelope, "subject", "\0\udc80"))
    tally = scan(desk)
    assert (tally.filed, tally.quarantined) == (2, 1)
    assert [subject for subject, _ in filed()] == ["Before", "After"]
    assert [(one.code, one.tries) for one in rows_of(Quarantined)] == [("unstorable", 3)]
    assert "Subject: Poison" in rows_of(Quarantined)[0].header_text
    assert folder_of(desk).owed == {}


def test_a_header_that_breaks_the_reader_is_put_aside_alone(
    tamsin: Customer, desk: EmailAccount, server: FakeServer, scan: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    for subject in ("Before", "Poison", "After"):
        server.inbox.put(mail(subject=subject))

    def refuse(envelope: Envelope) -> None:
        raise RecursionError

    _spoil(monkeypatch, refuse)
    assert scan(desk).quarantined == 1
    assert [subject for subject, _ in filed()] == ["Before", "After"]
    assert "Subject: Poison" in rows_of(Quarantined)[0].header_text


def test_a_message_that_kills_the_worker_itself_is_put_aside_untouched_after_three_deaths(
    tamsin: Customer, desk: EmailAccount, server: FakeServer, scan: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.inbox.put(mail(subject="Poison"))
    server.inbox.put(mail(subject="Behind"))
    touched = 0

    def die(*_: object) -> None:
        nonlocal touched
        touched += 1
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("plugins.mail_monitor.batches.Batch.fetch", die)
        for _ in range(4):
            with pytest.raises(KeyboardInterrupt):
                scan(desk)
    assert folder_of(desk).owed == {"1": 3, "2": 0}
    scan(desk)
    assert touched == 4
    assert [(one.code, one.uid) for one in rows_of(Quarantined)] == [("killed", 1)]
    assert [subject for subject, _ in filed()] == ["Behind"]


def test_a_pause_that_the_server_asks_for_counts_against_no_message(
    tamsin: Customer, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    server.inbox.put(mail())
    pause = Capped("The provider asked us to wait.", until=clock.now() + timedelta(minutes=5))
    for _ in range(5):
        server.faults = [None, None, None, pause]
        scan(desk)
        assert db.session.get_one(EmailAccount, desk.id).trouble == Trouble.THROTTLED
    server.faults = [None, None, None, BROKEN]
    scan(desk)
    scan(desk)
    assert rows_of(Quarantined) == []
    assert len(rows_of(Filing)) == 1


def test_what_was_read_before_a_pause_is_filed_at_once(
    tamsin: Customer, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    for number in range(110):
        server.inbox.put(mail(subject=str(number)))
    pause = Capped("The provider asked us to wait.", until=clock.now() + timedelta(minutes=5))
    server.faults = [*[None] * len(("open", "examine", "uids", "headers", "whole")), pause]
    scan(desk)
    assert len(rows_of(Message)) == 100
    scan(desk)
    assert sorted(int(subject) for subject, _ in filed()) == list(range(110))


def setattr_frozen(envelope: Envelope, name: str, value: str) -> None:
    object.__setattr__(envelope, name, value)


def _spoil(monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Envelope], None]) -> None:
    """Reading the header of the mail with the subject "Poison" goes wrong, in the child."""

    def spoiled(headers: Headers) -> Envelope:
        envelope = read_envelope(headers)
        if envelope.subject == "Poison":
            spoil(envelope)
        return envelope

    parsing._envelope_of.cache_clear()
    monkeypatch.setattr(parsing, "read_envelope", spoiled)
