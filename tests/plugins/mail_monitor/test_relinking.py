"""A mailbox that the server rebuilt: everything is linked anew, nothing is filed twice, nobody is told."""

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from app import clock
from app.db import db, unit_of_work
from app.installations.models import Installation
from plugins.mail_monitor import accounts, quarantine, testing
from plugins.mail_monitor.models import ConnectionTestState, EmailAccount, Folder
from plugins.mail_monitor.records import Filing, Message, Sighting
from plugins.mail_monitor.sending_models import Notice
from plugins.mail_monitor.settings import AccountSettings
from plugins.mail_monitor.waiting import Quarantined, QuarantineState, Stub
from tests import make
from tests.cast import Cast
from tests.fakes.mailbox import FakeFolder, FakeServer
from tests.plugins.mail_monitor.conftest import rows_of
from tests.plugins.mail_monitor.letters import mail
from tests.plugins.mail_monitor.test_scanning import BROKEN, Scan, filed, folder_of


def test_a_rebuilt_mailbox_is_linked_anew_without_fetching_or_filing_anything(
    cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    make.customer(cast.acme, email="tamsin@quill.example")
    server.inbox.uidnext = 50
    for number in range(3):
        server.inbox.put(mail(subject=str(number)))
    scan(desk)
    server.inbox.rebuild()
    server.commands.clear()
    assert scan(desk).filed == 0
    assert not any(command.startswith("whole") for command in server.commands)
    assert [(one.uidvalidity, one.uid) for one in rows_of(Sighting)] == [(8, 1), (8, 2), (8, 3)]
    assert len(filed()) == 3
    folder = folder_of(desk)
    assert (folder.uidvalidity, folder.cursor, folder.relinking) == (8, 3, {})
    assert "rebuilt INBOX" in db.session.get_one(EmailAccount, desk.id).note


def test_what_came_while_it_was_rebuilt_is_filed_quietly(
    cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    make.customer(cast.acme, email="tamsin@quill.example")
    server.inbox.put(mail(subject="Before"))
    scan(desk)
    server.inbox.put(mail(subject="Meanwhile"))
    server.inbox.rebuild()
    assert scan(desk).filed == 1
    assert {one.subject: one.is_quiet for one in rows_of(Message)} == {"Before": False, "Meanwhile": True}
    server.inbox.put(mail(subject="After"), clock.now() + timedelta(minutes=1))
    scan(desk)
    assert {one.subject: one.is_quiet for one in rows_of(Message)}["After"] is False


def test_what_is_older_than_the_watch_stays_out_also_when_it_is_rebuilt(
    cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    make.customer(cast.acme, email="tamsin@quill.example")
    server.inbox.put(mail(subject="New"))
    scan(desk)
    server.inbox.put(mail(subject="Ancient"), clock.now() - timedelta(days=400))
    server.inbox.rebuild()
    scan(desk)
    assert [subject for subject, _ in filed()] == ["New"]


def test_numbers_that_begin_anew_under_the_same_validity_are_noticed(
    cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    make.customer(cast.acme, email="tamsin@quill.example")
    for number in range(3):
        server.inbox.put(mail(subject=str(number)))
    scan(desk)
    server.inbox.messages.clear()
    server.inbox.uidnext = 1
    server.inbox.put(mail(subject="Under an old number"))
    assert scan(desk).filed == 1
    assert "Under an old number" in [subject for subject, _ in filed()]


def test_strangers_are_kept_under_their_new_numbers(
    cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    server.inbox.uidnext = 9
    server.inbox.put(mail("nadia@voss.example"))
    scan(desk)
    server.inbox.rebuild()
    scan(desk)
    assert [(one.uidvalidity, one.uid) for one in rows_of(Stub)] == [(8, 1)]
    make.customer(cast.acme, email="nadia@voss.example")
    assert scan(desk).filed == 1


def test_copies_of_one_message_each_keep_a_number(
    cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    make.customer(cast.acme, email="tamsin@quill.example")
    raw = mail()
    server.inbox.put(raw)
    server.inbox.put(raw)
    scan(desk)
    server.inbox.rebuild()
    scan(desk)
    assert sorted(one.uid for one in rows_of(Sighting)) == [1, 2]
    assert len(filed()) == 1


def test_a_server_that_renumbers_again_and_again_is_named(
    cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    make.customer(cast.acme, email="tamsin@quill.example")
    server.inbox.put(mail())
    for _ in range(4):
        scan(desk)
        server.inbox.rebuild()
    assert "again and again" in db.session.get_one(EmailAccount, desk.id).note
    assert len(filed()) == 1


def test_a_slice_that_ends_in_the_middle_goes_on_where_it_stopped(
    cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plugins.mail_monitor.batches.MOST_HEADERS", 100)
    make.customer(cast.acme, email="tamsin@quill.example")
    for number in range(120):
        server.inbox.put(mail(subject=str(number)))
    scan(desk)
    scan(desk)
    server.inbox.rebuild()
    server.faults = [*[None] * len(("open", "examine", "uids", "headers")), BROKEN]
    scan(desk)
    assert folder_of(desk).relinking
    scan(desk)
    scan(desk)
    assert folder_of(desk).relinking == {}
    seen = db.session.scalars(sa.select(Sighting.uid).join(Folder).where(Folder.kind == "inbox")).all()
    assert sorted(seen) == list(range(1, 121))
    assert len(filed()) == 120


def test_a_new_message_without_an_id_is_not_taken_for_an_old_one_of_its_size(
    cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    make.customer(cast.acme, email="tamsin@quill.example")
    old = server.inbox.put(mail(text="Yes.", message_id=""))
    scan(desk)
    del server.inbox.messages[old]
    server.inbox.put(mail(text="No!!", message_id=""), clock.now() + timedelta(minutes=3))
    server.inbox.rebuild()
    assert scan(desk).filed == 1
    assert sorted(one.text for one in rows_of(Message)) == ["No!!", "Yes."]


def test_a_number_of_a_validity_that_comes_back_means_another_message(
    cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    make.customer(cast.acme, email="tamsin@quill.example")
    server.inbox.put(mail(subject="Stays"))
    gone = server.inbox.put(mail(subject="Goes"))
    scan(desk)
    del server.inbox.messages[gone]
    server.inbox.rebuild()
    scan(desk)
    server.inbox.rebuild()
    server.inbox.uidvalidity = 7
    server.inbox.put(mail(subject="Under a number that was there before"))
    scan(desk)
    assert sorted(subject for subject, _ in filed()) == ["Goes", "Stays", "Under a number that was there before"]


@pytest.mark.parametrize("message_id", ["Message-ID: <bomb@quill.example>\r\n", ""])
def test_what_is_in_quarantine_stays_one_and_stays_settled(
    cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan, message_id: str
) -> None:
    make.customer(cast.acme, email="tamsin@quill.example")
    server.inbox.uidnext = 9
    head = f"From: tamsin@quill.example\r\nSubject: Bomb\r\n{message_id}Content-Type: multipart/mixed; boundary=b"
    server.inbox.put(f"{head}\r\n\r\n".encode() + b"--b\r\n\r\nx\r\n" * 600)
    scan(desk)
    with unit_of_work():
        quarantine.ignore(cast.acme, rows_of(Quarantined)[0].id, "Ana Alder")
    for validity in (8, 9):
        server.inbox.rebuild()
        scan(desk)
        kept = [(one.state, one.uidvalidity, one.uid) for one in rows_of(Quarantined)]
        assert kept == [(QuarantineState.IGNORED, validity, 1)]


def test_another_mailbox_behind_the_same_account_is_read_from_its_beginning(
    cast: Cast,
    desk: EmailAccount,
    installation: Installation,
    settings: AccountSettings,
    server: FakeServer,
    scan: Scan,
) -> None:
    make.customer(cast.acme, email="tamsin@quill.example")
    both = mail(subject="Moved along")
    for raw in (mail(subject="Stays there"), both, mail(subject="Stays there, too")):
        server.inbox.put(raw)
    scan(desk)
    server.folders = {"INBOX": FakeFolder(), "Sent": FakeFolder()}  # with the validity of the other one
    for raw in (mail(subject="New 1"), both, *(mail(subject=f"New {number}") for number in (2, 3, 4))):
        server.inbox.put(raw)
    other = replace(settings, incoming=replace(settings.incoming, user="office"))
    with unit_of_work() as session:
        row = session.get_one(EmailAccount, desk.id)
        test = testing.begin(installation, other, row, "Ana Alder", ring=False)
        test.state = ConnectionTestState.PASSED
        accounts.save(cast.acme, installation, other, row, test)
    scan(desk)
    subjects = [subject for subject, _ in filed()]
    assert sorted(subjects) == [
        "Moved along",
        *(f"New {number}" for number in (1, 2, 3, 4)),
        "Stays there",
        "Stays there, too",
    ]


def test_a_folder_of_sent_mail_under_another_name_is_linked_anew(
    cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    make.customer(cast.acme, email="tamsin@quill.example")
    first, second = (mail("desk@acme.example", "tamsin@quill.example", subject=one) for one in ("First", "Second"))
    server.sent.put(first)
    scan(desk)
    del server.folders["Sent"]
    renamed = server.folders["Sent Items"] = FakeFolder()
    renamed.put(second)
    renamed.put(first)
    scan(desk)
    assert sorted(subject for subject, _ in filed()) == ["First", "Second"]


def test_a_server_that_gives_no_validity_is_linked_anew_at_every_scan(
    cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    make.customer(cast.acme, email="tamsin@quill.example")
    server.inbox.uidvalidity = 0
    for subject in ("Goes", "Stays"):
        server.inbox.put(mail(subject=subject))
    scan(desk)
    del server.inbox.messages[1]
    server.inbox.put(mail(subject="New"))
    server.inbox.rebuild()
    server.inbox.uidvalidity = 0
    assert scan(desk).filed == 1
    assert sorted(subject for subject, _ in filed()) == ["Goes", "New", "Stays"]


@pytest.mark.parametrize("gives", ["no validity", "another one each time"])
def test_on_a_server_whose_numbers_say_nothing_new_mail_is_told_of_once(
    cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan, gives: str
) -> None:
    make.customer(cast.acme, email="tamsin@quill.example")
    with unit_of_work() as session:
        session.get_one(EmailAccount, desk.id).send_notifications = True

    def renumber() -> None:
        server.inbox.rebuild()
        if gives == "no validity":
            server.inbox.uidvalidity = 0

    for _ in range(4):
        renumber()
        scan(desk)
    for subject in ("First", "Second"):
        server.inbox.put(mail(subject=subject))
        renumber()
        scan(desk)
        scan(desk)
    assert [one.message.subject for one in rows_of(Notice)] == ["First", "Second"]
    assert [one.read_at for one in rows_of(Filing)] == [None, None]


def test_a_copy_that_was_linked_when_the_worker_died_is_not_linked_to_another_one_as_well(
    cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    make.customer(cast.acme, email="tamsin@quill.example")
    raw = mail()
    for _ in range(2):
        server.inbox.put(raw)
    scan(desk)
    del server.inbox.messages[1]
    server.inbox.rebuild()
    scan(desk)
    with unit_of_work():
        folder_of(desk).owed = {"1": 0}  # as after a death between linking it and moving on
    scan(desk)
    assert folder_of(desk).owed == {}
    assert sorted((one.uidvalidity, one.uid) for one in rows_of(Sighting)) == [(7, 1), (8, 1)]
    assert len(filed()) == 1
