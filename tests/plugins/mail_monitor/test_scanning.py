"""Scanning: what comes is filed once, in order, quietly where it should be, and nothing holds it up."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
import time_machine

from app import clock
from app.billing.models import Customer, CustomerStatus
from app.db import db, unit_of_work
from app.errors import Capped, NotSent, Refused
from plugins.mail_monitor import batches
from plugins.mail_monitor.batches import Batch
from plugins.mail_monitor.fetched import Fetched
from plugins.mail_monitor.letters import Letter
from plugins.mail_monitor.models import EmailAccount, Folder, FolderKind, Trouble
from plugins.mail_monitor.parser import Parser, ParserDied
from plugins.mail_monitor.records import Attachment, Direction, Filing, Message, Role, Sighting
from plugins.mail_monitor.settings import AccountSettings, ServerSettings
from plugins.mail_monitor.turns import Tally, Turn, store
from plugins.mail_monitor.waiting import Quarantined, Stub
from tests import make
from tests.cast import Cast
from tests.fakes.mailbox import FakeMailbox, FakeServer
from tests.plugins.mail_monitor.conftest import Watch, rows_of
from tests.plugins.mail_monitor.letters import mail

Scan = Callable[[EmailAccount], Tally]
BROKEN = NotSent("The connection broke off.", code="broken")


def filed() -> list[tuple[str, int]]:
    """Subject and customer of every filing."""
    rows = db.session.execute(sa.select(Message.subject, Filing.customer_id).join(Filing.message).order_by(Filing.id))
    return [(subject, customer_id) for subject, customer_id in rows]


def folder_of(row: EmailAccount, kind: FolderKind = FolderKind.INBOX) -> Folder:
    db.session.rollback()
    return db.session.scalars(sa.select(Folder).where(Folder.email_account_id == row.id, Folder.kind == kind)).one()


def test_a_message_of_a_customer_is_filed_with_its_reason(
    cast: Cast, tamsin: Customer, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    server.inbox.put(mail("Tamsin Quill <tamsin@quill.example>", subject="Parcel?", text="Did it arrive?"))
    assert scan(desk).filed == 1
    filing = rows_of(Filing)[0]
    assert (filing.customer_id, filing.role, filing.reason) == (tamsin.id, Role.SENDER, "From is the main address")
    message = filing.message
    assert (message.subject, message.text, message.direction) == ("Parcel?", "Did it arrive?", Direction.INCOMING)
    assert store().read(cast.acme.id, message.raw_hash).startswith(b"From: Tamsin Quill")


def test_what_was_there_before_watching_began_is_left_alone(
    tamsin: Customer, server: FakeServer, watch: Watch, settings: AccountSettings, scan: Scan
) -> None:
    server.inbox.put(mail(subject="Old"))
    desk = watch(settings)
    server.inbox.put(mail(subject="New"))
    scan(desk)
    assert [subject for subject, _ in filed()] == ["New"]


@pytest.mark.parametrize("status", list(CustomerStatus))
def test_a_customer_in_any_state_counts(
    cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan, status: CustomerStatus
) -> None:
    make.customer(cast.acme, email="tamsin@quill.example", status=status)
    server.inbox.put(mail())
    assert scan(desk).filed == 1


def test_sent_mail_is_filed_with_whom_it_went_to(
    cast: Cast, tamsin: Customer, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    ben = make.customer(cast.acme, email="ben@birch.example")
    server.sent.put(mail("Desk <desk@acme.example>", "tamsin@quill.example", Bcc="ben@birch.example"))
    scan(desk)
    assert [(one.customer_id, one.role) for one in rows_of(Filing)] == [(tamsin.id, Role.TO), (ben.id, Role.BCC)]
    assert rows_of(Message)[0].direction == Direction.OUTGOING


def test_a_stranger_leaves_a_header_and_no_text(desk: EmailAccount, server: FakeServer, scan: Scan) -> None:
    server.inbox.put(mail("Nadia <nadia@voss.example>", subject="A question", text="Secret plans"))
    tally = scan(desk)
    assert (tally.stubs, tally.filed) == (1, 0)
    stub = rows_of(Stub)[0]
    assert (stub.address, stub.subject) == ("nadia@voss.example", "A question")
    assert rows_of(Message) == []
    assert not any(command.startswith("whole") for command in server.commands)


def test_a_second_scan_files_nothing_and_asks_little(
    tamsin: Customer, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    server.inbox.put(mail())
    scan(desk)
    server.commands.clear()
    assert scan(desk) == Tally()
    assert server.commands == ["open", "examine INBOX", "examine Sent"]


def test_the_same_message_through_two_accounts_stands_once_and_names_both(
    tamsin: Customer, desk: EmailAccount, server: FakeServer, watch: Watch, settings: AccountSettings, scan: Scan
) -> None:
    post = watch(replace(settings, email_address="post@acme.example"))
    raw = mail(message_id="<one@quill.example>")
    server.inbox.put(raw)
    assert (scan(desk).filed, scan(post).duplicates) == (1, 1)
    assert len(rows_of(Filing)) == 1
    assert {one.email_account_id for one in rows_of(Sighting)} == {desk.id, post.id}


def test_two_messages_with_one_id_are_both_filed_and_the_second_is_marked(
    tamsin: Customer, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    server.inbox.put(mail(message_id="<same@quill.example>", text="One"))
    server.inbox.put(mail(message_id="<same@quill.example>", text="Two"))
    server.inbox.put(mail(message_id="<same@quill.example>", text="Two"))
    tally = scan(desk)
    assert (tally.filed, tally.duplicates) == (2, 1)
    assert {one.text: one.is_variant for one in rows_of(Message)} == {"One": False, "Two": True}


def test_messages_without_an_id_are_told_apart_by_what_they_say(
    tamsin: Customer, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    for text in ("One", "Two", "One"):
        server.inbox.put(mail(message_id="", text=text))
    tally = scan(desk)
    assert (tally.filed, tally.duplicates) == (2, 1)


def test_a_message_that_goes_while_it_is_read_is_passed(
    tamsin: Customer, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    uid = server.inbox.put(mail())
    del server.inbox.messages[uid]
    server.inbox.put(mail(subject="Stays"))
    scan(desk)
    assert [subject for subject, _ in filed()] == ["Stays"]
    assert folder_of(desk).owed == {}


def test_a_connection_that_breaks_between_two_batches_loses_and_doubles_nothing(
    tamsin: Customer, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    for number in range(110):
        server.inbox.put(mail(subject=str(number)))
    server.faults = [*[None] * len(("open", "examine", "uids", "headers", "whole")), BROKEN]
    scan(desk)
    assert db.session.get_one(EmailAccount, desk.id).trouble == Trouble.NETWORK
    assert len(rows_of(Message)) == 100
    assert scan(desk).filed == 10
    assert sorted(int(subject) for subject, _ in filed()) == list(range(110))
    assert folder_of(desk).owed == {}
    assert db.session.get_one(EmailAccount, desk.id).trouble is None


def test_a_connection_that_breaks_over_the_next_headers_loses_and_doubles_nothing(
    tamsin: Customer, desk: EmailAccount, server: FakeServer, scan: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plugins.mail_monitor.batches.MOST_HEADERS", 4)
    for number in range(10):
        server.inbox.put(mail(subject=str(number)))
    server.faults = [*[None] * len(("open", "examine", "uids", "headers")), BROKEN]
    scan(desk)
    assert sorted(folder_of(desk).owed) == [str(uid) for uid in range(1, 9)]
    assert scan(desk).filed == 10
    assert sorted(int(subject) for subject, _ in filed()) == list(range(10))
    assert (folder_of(desk).owed, folder_of(desk).in_hand) == ({}, [])


def test_a_server_that_asks_for_a_pause_finds_nothing_owed_afterwards(
    tamsin: Customer, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    for number in range(110):
        server.inbox.put(mail(subject=str(number)))
    pause = Capped("Asked to wait.", until=clock.now() + timedelta(minutes=5))
    server.faults = [*[None] * len(("open", "examine", "uids", "headers", "whole")), pause]
    scan(desk)
    assert (folder_of(desk).cursor, folder_of(desk).owed, folder_of(desk).in_hand) == (100, {}, [])
    assert scan(desk).filed == 10
    assert sorted(int(subject) for subject, _ in filed()) == list(range(110))


def test_a_turn_that_ends_between_two_batches_leaves_the_rest_to_the_next_one(
    tamsin: Customer, desk: EmailAccount, server: FakeServer, scan: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plugins.mail_monitor.batches.MOST_BODIES", 2)
    for number in range(5):
        server.inbox.put(mail(subject=str(number)))
    del server.inbox.messages[4]
    fetches = Batch.fetch

    def and_time_is_over(self: Batch, turn: Turn) -> None:
        fetches(self, turn)
        turn.ends = 0.0

    with monkeypatch.context() as patch:
        patch.setattr(Batch, "fetch", and_time_is_over)
        assert scan(desk).filed == 2
    assert (folder_of(desk).cursor, folder_of(desk).owed, folder_of(desk).in_hand) == (2, {}, [])
    assert scan(desk).filed == 2
    assert [subject for subject, _ in filed()] == ["0", "1", "2", "4"]


def test_a_worker_killed_over_a_chunk_leaves_a_trace_and_nothing_is_lost_or_doubled(
    tamsin: Customer, desk: EmailAccount, server: FakeServer, scan: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        server.inbox.put(mail(subject=str(number)))

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("plugins.mail_monitor.intake.filing.file_batch", die)
        with pytest.raises(KeyboardInterrupt):
            scan(desk)
    assert folder_of(desk).in_hand == [1, 2, 3, 4, 5]
    assert scan(desk).filed == 5
    assert scan(desk) == Tally()
    assert sorted(subject for subject, _ in filed()) == ["0", "1", "2", "3", "4"]


def test_one_message_that_kills_the_reader_is_put_aside_and_the_others_are_filed(
    cast: Cast, tamsin: Customer, desk: EmailAccount, server: FakeServer, scan: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    for subject in ("Before", "Poison", "After"):
        server.inbox.put(mail(subject=subject))
    reads = Parser.end_letters

    def dies_of_poison(self: Parser, reading: object) -> object:
        letters = reads(self, reading)  # type: ignore[arg-type]
        if any(isinstance(one, Letter) and one.envelope.subject == "Poison" for one in letters):
            raise ParserDied
        return letters

    monkeypatch.setattr(Parser, "end_letters", dies_of_poison)
    tally = scan(desk)
    assert (tally.filed, tally.quarantined) == (2, 1)
    assert sorted(subject for subject, _ in filed()) == ["After", "Before"]
    kept = rows_of(Quarantined)[0]
    assert (kept.subject, kept.tries, kept.code) == ("Poison", 3, "died")
    assert b"Poison" in store().read(cast.acme.id, kept.raw_hash)
    assert folder_of(desk).owed == {}


def test_one_message_that_breaks_the_connection_is_tried_alone_on_three_scans(
    tamsin: Customer, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    server.inbox.put(mail(subject="Before"))
    server.breaks_on = {server.inbox.put(mail(subject="Breaks"))}
    server.inbox.put(mail(subject="After"))
    for _ in range(3):
        scan(desk)
    assert [subject for subject, _ in filed()] == ["Before", "After"]
    assert folder_of(desk).owed == {"2": 2}
    scan(desk)
    assert [(one.subject, one.code) for one in rows_of(Quarantined)] == [("Breaks", "not_given")]
    assert db.session.get_one(EmailAccount, desk.id).trouble is None


def test_a_body_that_never_comes_is_put_aside_after_three_tries(
    tamsin: Customer, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    server.empty_for = {server.inbox.put(mail(subject="Empty"))}
    server.inbox.put(mail(subject="Full"))
    for _ in range(4):
        scan(desk)
    assert [subject for subject, _ in filed()] == ["Full"]
    assert [one.code for one in rows_of(Quarantined)] == ["not_given"]


def test_a_header_that_comes_empty_is_asked_for_again(
    tamsin: Customer, desk: EmailAccount, server: FakeServer, scan: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers, asked = FakeMailbox.headers, 0

    def empty_at_first(self: FakeMailbox, uids: Sequence[int]) -> dict[int, Fetched]:
        nonlocal asked
        asked += 1
        found = headers(self, uids)
        for one in found.values():
            one.bodies["HEADER"] = b"" if asked == 1 else one.bodies["HEADER"]
        return found

    monkeypatch.setattr(FakeMailbox, "headers", empty_at_first)
    server.inbox.put(mail(subject="There all the same"))
    scan(desk)
    assert [subject for subject, _ in filed()] == ["There all the same"]


def test_a_server_that_is_away_counts_against_no_message(
    tamsin: Customer, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    server.inbox.put(mail())
    for _ in range(6):
        server.faults = [BROKEN]
        scan(desk)
    assert scan(desk).filed == 1
    assert rows_of(Quarantined) == []


def test_a_bomb_goes_to_quarantine_and_holds_nothing_up(
    tamsin: Customer, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    head = b"From: tamsin@quill.example\r\nSubject: Bomb\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    server.inbox.put(head + b"--b\r\n\r\nx\r\n" * 1204)
    server.inbox.put(mail(subject="Behind"))
    tally = scan(desk)
    assert (tally.filed, tally.quarantined) == (1, 1)
    assert rows_of(Quarantined)[0].reason == "Too many parts: 1,204; the limit is 500."


def test_a_message_that_is_too_large_is_filed_with_the_beginning_of_its_text(
    tamsin: Customer, server: FakeServer, watch: Watch, settings: AccountSettings, scan: Scan
) -> None:
    desk = watch(replace(settings, largest_mb=1))
    server.inbox.put(mail(subject="Huge", text="Hello at the beginning. " + "x " * 700_000))
    assert scan(desk).filed == 1
    message = rows_of(Message)[0]
    assert message.is_partial
    assert message.text.startswith("Hello at the beginning.")
    assert message.raw_hash == ""
    assert any("Too large" in note for note in message.notes)
    assert not any(command.startswith("whole") for command in server.commands)


def test_an_attachment_that_comes_twice_is_stored_once(
    cast: Cast, tamsin: Customer, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    part = b"--b\r\nContent-Type: application/pdf; name=lease.pdf\r\n\r\n%PDF-1.7 the lease\r\n"
    for number in (1, 2):
        head = f"From: tamsin@quill.example\r\nMessage-ID: <{number}@x>\r\n".encode()
        server.inbox.put(head + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + part + b"--b--\r\n")
    scan(desk)
    one, other = rows_of(Attachment)
    assert one.blob_hash == other.blob_hash
    assert store().read(cast.acme.id, one.blob_hash) == b"%PDF-1.7 the lease"


def test_an_exchange_placeholder_is_not_taken_for_a_message(desk: EmailAccount, server: FakeServer, scan: Scan) -> None:
    server.inbox.put(
        mail(
            "Microsoft Exchange Server <>",
            subject="Retrieval using the IMAP4 protocol failed for the following message: 4711",
        )
    )
    assert scan(desk).quarantined == 1
    assert rows_of(Quarantined)[0].code == "not_given"


def test_a_wrong_password_stops_after_two_tries_and_a_new_one_goes_on_where_it_stopped(
    tamsin: Customer, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    server.password = "changed"
    server.inbox.put(mail())
    scan(desk)
    row = db.session.get_one(EmailAccount, desk.id)
    assert row.trouble == Trouble.SIGN_IN
    assert row.due_at is not None
    scan(desk)
    row = db.session.get_one(EmailAccount, desk.id)
    assert row.due_at is None
    assert "stopped after two tries" in row.problem
    server.password = "right"
    assert scan(desk).filed == 1
    assert db.session.get_one(EmailAccount, desk.id).trouble is None


def test_a_pause_that_the_server_asks_for_is_kept(desk: EmailAccount, server: FakeServer, scan: Scan) -> None:
    until = clock.now() + timedelta(minutes=90)
    server.faults = [Capped("The provider asked us to wait 90 minutes.", until=until)]
    scan(desk)
    row = db.session.get_one(EmailAccount, desk.id)
    assert (row.trouble, row.due_at) == (Trouble.THROTTLED, until)


def test_a_server_that_does_not_answer_is_asked_ever_later(desk: EmailAccount, server: FakeServer, scan: Scan) -> None:
    pauses = []
    for _ in range(9):
        server.faults = [BROKEN]
        scan(desk)
        row = db.session.get_one(EmailAccount, desk.id)
        assert row.due_at is not None
        pauses.append((row.due_at - clock.now()).total_seconds())
    assert pauses[0] <= 60
    assert pauses[3] > pauses[0]
    assert max(pauses) <= 3600


def test_a_bad_certificate_is_told_and_looked_at_again_later(
    desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    server.faults = [Refused("The certificate of imap.acme.example is not valid.", code="certificate")]
    scan(desk)
    row = db.session.get_one(EmailAccount, desk.id)
    assert row.trouble == Trouble.CERTIFICATE
    assert row.is_stopped
    assert row.due_at is not None


def test_the_volume_of_a_day_is_a_limit(
    tamsin: Customer, server: FakeServer, watch: Watch, settings: AccountSettings, scan: Scan
) -> None:
    desk = watch(replace(settings, daily_messages=100))
    for _ in range(100):
        server.inbox.put(mail())
    assert scan(desk).filed == 100
    server.inbox.put(mail(subject="Tomorrow"))
    assert scan(desk) == Tally()
    assert db.session.get_one(EmailAccount, desk.id).trouble == Trouble.THROTTLED
    with unit_of_work() as session:
        session.get_one(EmailAccount, desk.id).counted_on = (clock.now() - timedelta(days=1)).date()
    assert scan(desk).filed == 1


def test_the_bytes_of_a_day_are_a_limit_within_one_turn_too(
    tamsin: Customer,
    server: FakeServer,
    watch: Watch,
    settings: AccountSettings,
    scan: Scan,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batches, "MOST_BYTES", 2**18)
    desk = watch(replace(settings, daily_mb=1))
    for number in range(12):
        server.inbox.put(mail(text=f"{number} words\n" * 20_000))
    scan(desk)
    row = db.session.get_one(EmailAccount, desk.id)
    assert 2**20 <= row.bytes_today < 2**20 + 2 * 2**18
    scan(desk)
    assert db.session.get_one(EmailAccount, desk.id).trouble == Trouble.THROTTLED
    for _ in range(6):
        with unit_of_work() as session:
            session.get_one(EmailAccount, desk.id).counted_on = (clock.now() - timedelta(days=1)).date()
        scan(desk)
    assert len(filed()) == 12
    assert rows_of(Quarantined) == []


def test_headers_of_strangers_count_for_the_day_too(desk: EmailAccount, server: FakeServer, scan: Scan) -> None:
    for _ in range(5):
        server.inbox.put(mail("nadia@voss.example"))
    scan(desk)
    assert db.session.get_one(EmailAccount, desk.id).bytes_today > 500


def test_a_slow_server_does_not_cost_the_lease(
    tamsin: Customer, desk: EmailAccount, server: FakeServer, scan: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.inbox.put(mail())
    headers, whole = FakeMailbox.headers, FakeMailbox.whole
    with time_machine.travel(clock.now(), tick=False) as time:

        def slow_headers(self: FakeMailbox, uids: Sequence[int]) -> dict[int, Fetched]:
            time.shift(30)
            return headers(self, uids)

        def slow_whole(self: FakeMailbox, uids: Sequence[int]) -> dict[int, bytes]:
            time.shift(30)
            return whole(self, uids)

        monkeypatch.setattr(FakeMailbox, "headers", slow_headers)
        monkeypatch.setattr(FakeMailbox, "whole", slow_whole)
        assert scan(desk).filed == 1


def test_a_sent_folder_under_another_name_is_found_again(
    tamsin: Customer, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    server.folders["Gesendet"] = server.folders.pop("Sent")
    server.folders["Gesendet"].put(mail("desk@acme.example", "tamsin@quill.example"))
    assert scan(desk).filed == 1
    assert folder_of(desk, FolderKind.SENT).name == "Gesendet"


def test_an_inactive_account_is_not_scanned_and_keeps_its_place(
    tamsin: Customer, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    with unit_of_work() as session:
        session.get_one(EmailAccount, desk.id).active = False
    server.inbox.put(mail())
    assert scan(desk) == Tally()
    assert server.opened == 0
    with unit_of_work() as session:
        session.get_one(EmailAccount, desk.id).active = True
    assert scan(desk).filed == 1


def test_two_accounts_with_one_mailbox_each_file_for_themselves(
    cast: Cast, tamsin: Customer, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    make.customer(cast.zenith, email="tamsin@quill.example")
    server.inbox.put(mail())
    scan(desk)
    assert {one.account_id for one in rows_of(Message)} == {cast.acme.id}


def test_server_settings_keep_their_password_to_themselves() -> None:
    assert "right" not in repr(ServerSettings("h", 993, "tls", "u", "right"))
