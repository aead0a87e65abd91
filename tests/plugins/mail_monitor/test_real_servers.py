"""Against a real IMAP server and a real SMTP server on loopback, through all kinds of encryption."""

import ssl
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from imap_tools import MailBox

from app.db import db, unit_of_work
from app.errors import NotSent, Refused, SignInNeeded
from app.installations.models import Installation
from plugins.mail_monitor import accounts, testing
from plugins.mail_monitor.egress import Guard
from plugins.mail_monitor.folder_names import sent_folder, trash_folder
from plugins.mail_monitor.imap_client import Server
from plugins.mail_monitor.mailbox import Mailbox
from plugins.mail_monitor.models import ConnectionTest, ConnectionTestState, EmailAccount
from plugins.mail_monitor.records import Filing, Message, Sighting
from plugins.mail_monitor.sender import Sender
from plugins.mail_monitor.settings import AccountSettings
from tests import make
from tests.cast import Cast
from tests.mail_services import Dovecot, Post
from tests.plugins.mail_monitor.conftest import rows_of
from tests.plugins.mail_monitor.letters import mail
from tests.plugins.mail_monitor.test_scanning import Scan, filed
from tests.visitors import HeardBell

pytestmark = pytest.mark.dovecot

ALL_KINDS = ["tls", "starttls", "none"]


@pytest.fixture
def guard(dovecot: Dovecot) -> Guard:
    return Guard(("127.0.0.0/8",), dovecot.ca_file)


def server_of(dovecot: Dovecot, user: str, encryption: str = "tls", host: str = "localhost") -> Server:
    port = dovecot.tls_port if encryption == "tls" else dovecot.plain_port
    return Server(host, port, encryption, user, dovecot.password)


def soon() -> float:
    return time.monotonic() + 10


@pytest.mark.parametrize("encryption", ALL_KINDS)
def test_a_mailbox_is_read_and_nothing_in_it_changes(dovecot: Dovecot, guard: Guard, encryption: str) -> None:
    user = dovecot.new_user()
    dovecot.deliver(user, mail(subject="Hello"), at=1_700_000_000)
    told: list[tuple[str, str]] = []
    server = server_of(dovecot, user, encryption)
    with Mailbox(server, guard, soon(), lambda step, detail: told.append((step, detail))) as box:
        state = box.examine("INBOX")
        assert (state.messages, state.uidnext) == (1, 2)
        assert box.uids(1, 9) == [1]
        header = box.headers([1, 2])[1]
        assert header.received_at.isoformat() == "2023-11-14T22:13:20+00:00"
        assert b"Subject: Hello" in header.bodies["HEADER"]
        assert len(box.whole([1])[1]) == header.size
        assert box.beginning(1).startswith(b"Hello, did it?")
        assert [one.uid for one in box.newest(state, 20)] == [1]
        names = box.folders()
    sent, trash = sent_folder(names), trash_folder(names)
    assert sent is not None
    assert trash is not None
    assert (sent.name, trash.name) == ("Sent", "Trash")
    assert [step for step, _ in told if step != "encrypted"] == ["found", "answers", "speaks", "signed_in"]
    assert any(step == "encrypted" and detail.startswith("TLS 1.") for step, detail in told) is (encryption != "none")
    assert len(list((dovecot.maildir(user) / "new").iterdir())) == 1, "the message is still unread and recent"


def test_a_colleague_at_work_in_the_same_folder_disturbs_nothing(dovecot: Dovecot, guard: Guard) -> None:
    user = dovecot.new_user()
    for number in (1, 2, 3):
        dovecot.deliver(user, mail(subject=f"Number {number}"))
    tls = ssl.create_default_context(cafile=str(dovecot.ca_file))
    colleague = MailBox("localhost", dovecot.tls_port, ssl_context=tls).login(user, dovecot.password, "INBOX")
    with colleague, Mailbox(server_of(dovecot, user), guard, soon()) as box:
        state = box.examine("INBOX")
        assert set(box.headers([1, 2, 3])) == {1, 2, 3}
        colleague.client.uid("STORE", "2", "+FLAGS", r"(\Deleted)")
        colleague.client.uid("EXPUNGE", "2")
        colleague.client.uid("STORE", "1", "+FLAGS", r"(\Deleted \Flagged)")
        dovecot.deliver(user, mail(subject="Number 4"))
        found = box.whole([1, 2, 3])
        assert {uid: f"Number {uid}".encode() in raw for uid, raw in found.items()} == {1: True, 3: True}
        assert box.examine("INBOX").uidnext > state.uidnext
        assert box.open_to_delete("INBOX").uidvalidity == state.uidvalidity
        box.mark_deleted(3)
        box.expunge(3)
        colleague.folder.set("INBOX")
        left = {one.uid: set(one.flags) for one in colleague.fetch(mark_seen=False, bulk=True)}
    assert set(left) == {"1", "4"}
    assert {"\\Deleted", "\\Flagged"} <= left["1"], "what the colleague marked is still there, and still marked"


def test_a_certificate_that_nobody_vouches_for_ends_it_before_the_password(dovecot: Dovecot) -> None:
    with pytest.raises(Refused) as caught:
        Mailbox(server_of(dovecot, "user"), Guard(("127.0.0.0/8",)), soon())
    assert caught.value.code == "certificate"
    assert "Nothing was sent there" in caught.value.sentence


def test_a_certificate_for_another_name_is_refused(dovecot: Dovecot) -> None:
    guard = Guard(("127.0.0.0/8",), dovecot.ca_file)
    with pytest.raises(Refused) as caught:
        Mailbox(server_of(dovecot, "user", host="127.0.0.5"), guard, soon())
    assert caught.value.code == "certificate"


def test_a_wrong_password_is_told_as_such(dovecot: Dovecot, guard: Guard) -> None:
    with pytest.raises(SignInNeeded) as caught:
        Mailbox(replace(server_of(dovecot, "user"), password="wrong"), guard, soon())
    assert caught.value.code == "credentials"


def test_a_password_with_accents_is_sent_as_it_is(dovecot: Dovecot, guard: Guard) -> None:
    with pytest.raises(SignInNeeded):
        Mailbox(replace(server_of(dovecot, "user"), password="pässwörd"), guard, soon())


def test_a_server_that_wants_encryption_gets_no_password_without(dovecot: Dovecot, guard: Guard) -> None:
    with pytest.raises(Refused) as caught:
        Mailbox(server_of(dovecot, "user", "none", host="127.0.0.5"), guard, soon())
    assert caught.value.code == "encryption"


@pytest.mark.parametrize("encryption", ["tls", "starttls"])
def test_the_wrong_encryption_is_no_mail_server(dovecot: Dovecot, guard: Guard, encryption: str) -> None:
    port = dovecot.plain_port if encryption == "tls" else dovecot.tls_port
    with pytest.raises(NotSent) as caught:
        Mailbox(replace(server_of(dovecot, "user", encryption), port=port), guard, time.monotonic() + 2)
    assert caught.value.details["code"] == "no_answer"


def test_an_smtp_server_says_whether_it_would_take_a_mail(post: Post, certificate: Path) -> None:
    guard = Guard(("127.0.0.0/8",), certificate)
    for port, encryption in ((post.port, "starttls"), (post.tls_port, "tls")):
        server = Server("127.0.0.1", port, encryption, "desk", post.password)
        with Sender(server, guard, soon()) as sender:
            sender.would_take_mail_from("desk@acme.example")
        post.refused.add("other@acme.example")
        with Sender(server, guard, soon()) as sender, pytest.raises(Refused, match="takes no mail from other@"):
            sender.would_take_mail_from("other@acme.example")
    assert post.taken == []


@pytest.mark.parametrize("password", ["wrong", "fälsch"])
def test_an_smtp_server_that_refuses_the_password_is_told_as_such(post: Post, certificate: Path, password: str) -> None:
    guard = Guard(("127.0.0.0/8",), certificate)
    with pytest.raises(SignInNeeded):
        Sender(Server("127.0.0.1", post.port, "starttls", "desk", password), guard, soon())


def test_an_smtp_server_without_a_certificate_we_know_gets_no_password(post: Post) -> None:
    server = Server("127.0.0.1", post.port, "starttls", "desk", post.password)
    with pytest.raises(Refused) as caught:
        Sender(server, Guard(("127.0.0.0/8",)), soon())
    assert caught.value.code == "certificate"


Tested = Callable[[AccountSettings], ConnectionTest]


@pytest.fixture
def tested(reachable: Flask, installation: Installation, bell: HeardBell) -> Tested:
    """`tested(settings)`: a test that a worker did."""

    def run(settings: AccountSettings) -> ConnectionTest:
        with unit_of_work():
            test_id = testing.begin(installation, settings, None, "Ana Alder").id
        bell.answer()
        db.session.rollback()
        return db.session.get_one(ConnectionTest, test_id)

    return run


def save(cast: Cast, installation: Installation, settings: AccountSettings, test: ConnectionTest) -> EmailAccount:
    with unit_of_work() as session:
        proof = session.get_one(ConnectionTest, test.id)
        return accounts.save(cast.acme, installation, settings, None, proof, "Ana Alder")


def test_a_test_ticks_every_step_and_shows_what_would_be_filed(
    cast: Cast, dovecot: Dovecot, real_settings: AccountSettings, tested: Tested
) -> None:
    make.customer(cast.acme, "Tamsin Quill", email="tamsin@quill.example")
    user = real_settings.incoming.user
    dovecot.deliver(user, mail(subject="From a customer"))
    dovecot.deliver(user, mail("x@shop.example", subject="From a stranger"))
    test = tested(real_settings)
    assert test.state == ConnectionTestState.PASSED
    assert {step["state"] for step in test.steps} == {"passed"}
    assert [step["label"] for step in test.steps][-1] == "Sending"
    assert [(row["who"], row["subject"], row["why"]) for row in test.sample] == [
        ("Tamsin Quill", "From a customer", "From is the main address")
    ]
    assert test.looked_at == 2


@pytest.mark.parametrize(
    ("change", "step"),
    [
        ({"host": "127.0.0.5"}, "encrypted"),
        ({"host": "nowhere.invalid"}, "found"),
        ({"port": 9}, "answers"),
        ({"password": "wrong"}, "signed_in"),
    ],
)
def test_each_failure_is_told_at_its_step(
    real_settings: AccountSettings, tested: Tested, change: dict[str, str | int], step: str
) -> None:
    incoming = replace(real_settings.incoming, **change)  # type: ignore[arg-type]  # one field at a time
    test = tested(replace(real_settings, incoming=incoming))
    assert test.state == ConnectionTestState.FAILED
    failed = [one for one in test.steps if one["state"] == "failed"]
    assert [one["key"] for one in failed] == [step]
    assert failed[0]["reason"].endswith((".", "installation."))


def test_an_outgoing_server_that_refuses_fails_at_sending(
    real_settings: AccountSettings, tested: Tested, post: Post
) -> None:
    post.refused.add("desk@acme.example")
    test = tested(real_settings)
    assert [one["key"] for one in test.steps if one["state"] == "failed"] == ["sending"]


def test_a_mailbox_is_watched_from_the_moment_of_the_test_on(
    cast: Cast,
    installation: Installation,
    dovecot: Dovecot,
    real_settings: AccountSettings,
    tested: Tested,
    scan: Scan,
) -> None:
    make.customer(cast.acme, email="tamsin@quill.example")
    user = real_settings.incoming.user
    dovecot.deliver(user, mail(subject="Before"))
    desk = save(cast, installation, real_settings, tested(real_settings))
    dovecot.deliver(user, mail(subject="After"))
    dovecot.deliver(user, mail("desk@acme.example", "tamsin@quill.example", subject="Answer"), folder="Sent")
    assert scan(desk).filed == 2
    assert [subject for subject, _ in filed()] == ["After", "Answer"]
    assert scan(desk).seen == 0


def test_a_mailbox_that_dovecot_rebuilt_is_linked_anew(
    cast: Cast,
    installation: Installation,
    dovecot: Dovecot,
    real_settings: AccountSettings,
    tested: Tested,
    scan: Scan,
) -> None:
    make.customer(cast.acme, email="tamsin@quill.example")
    user = real_settings.incoming.user
    desk = save(cast, installation, real_settings, tested(real_settings))
    for number in range(3):
        dovecot.deliver(user, mail(subject=str(number)))
    assert scan(desk).filed == 3
    before = {one.uidvalidity for one in rows_of(Sighting)}
    dovecot.rebuild(user)
    assert scan(desk).filed == 0
    after = {one.uidvalidity for one in rows_of(Sighting)}
    assert after.isdisjoint(before)
    assert len(rows_of(Filing)) == len(rows_of(Message)) == 3


def test_what_came_while_it_was_off_is_told_before_it_is_on_again(
    cast: Cast,
    installation: Installation,
    dovecot: Dovecot,
    real_settings: AccountSettings,
    tested: Tested,
    bell: HeardBell,
) -> None:
    desk = save(cast, installation, real_settings, tested(real_settings))
    with unit_of_work() as session:
        accounts.save(
            cast.acme, installation, replace(real_settings, active=False), session.get_one(EmailAccount, desk.id)
        )
    for _ in range(3):
        dovecot.deliver(real_settings.incoming.user, mail())
    with unit_of_work() as session:
        row = session.get_one(EmailAccount, desk.id)
        test_id = testing.begin(installation, replace(real_settings, active=True), row, "Ana Alder").id
    bell.answer()
    db.session.rollback()
    assert db.session.get_one(ConnectionTest, test_id).waiting == 3


def test_a_password_is_nowhere_to_be_read(
    cast: Cast,
    installation: Installation,
    real_settings: AccountSettings,
    tested: Tested,
    dovecot: Dovecot,
) -> None:
    save(cast, installation, real_settings, tested(real_settings))
    for row in (*rows_of(EmailAccount), *rows_of(ConnectionTest)):
        values = [str(getattr(row, column.key)) for column in row.__table__.columns]
        assert not any(dovecot.password in value for value in values)
