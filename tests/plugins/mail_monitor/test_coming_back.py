"""After a mail has left: its copy in the folder of sent mail, doubts that the scan settles, and what comes back."""

from collections.abc import Callable
from email.message import EmailMessage
from typing import Any

import pytest

from app.db import unit_of_work
from app.errors import NotSent, Refused
from app.mailing import services as mailing
from app.mailing.letters import Attached
from app.mailing.models import MailState
from plugins.mail_monitor import host_mail, quota
from plugins.mail_monitor.models import EmailAccount
from plugins.mail_monitor.parsing import read_letter
from plugins.mail_monitor.records import Filing, Message, Role, Sighting
from plugins.mail_monitor.sending_models import CopyState, OutgoingState
from plugins.mail_monitor.turns import Tally
from plugins.mail_monitor.waiting import Stub
from tests import make
from tests.cast import Cast
from tests.fakes.mailbox import FakeMailbox, FakeServer
from tests.mail_services import Post
from tests.plugins.mail_monitor.conftest import rows_of
from tests.plugins.mail_monitor.letters import mail
from tests.plugins.mail_monitor.outbox import AT, the_mail, write
from tests.visitors import HeardBell, Visitor

Scan = Callable[[EmailAccount], Tally]


@pytest.fixture
def desk(sending_desk: EmailAccount) -> EmailAccount:
    return sending_desk


@pytest.fixture
def tamsin(cast: Cast) -> Any:
    return make.customer(cast.acme, email="tamsin@quill.example")


@pytest.fixture
def ben(cast: Cast, client: Visitor) -> Visitor:
    client.enter(cast.ben)
    return client


@pytest.fixture
def send(tamsin: Any, ben: Visitor, bell: HeardBell) -> Callable[..., str]:
    """Write a mail and let the worker send it; answers the page where it stands."""

    def deed(**typed: Any) -> str:
        _, where = write(ben, f"/customers/{tamsin.id}/compose", **{"subject": "Your parcel", **typed})
        bell.answer()
        return where

    return deed


def report(message_id: str, action: str = "failed", address: str = "tamsin@quill.example") -> bytes:
    """A report about delivery as mail servers write it."""
    whole = EmailMessage()
    whole["From"], whole["To"], whole["Subject"] = "MAILER-DAEMON@mx.example", "desk@acme.example", "Undelivered"
    whole["Message-ID"] = "<bounce-1@mx.example>"
    whole.set_content("It could not be delivered.")
    status = f"Reporting-MTA: dns; mx.example\n\nFinal-Recipient: rfc822; {address}\nAction: {action}\n"
    status += "Status: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 no such user\n"
    raw = whole.as_bytes().replace(b"Content-Type: text/plain", b"X-Was: text/plain", 1)
    head = raw.partition(b"\n\n")[0]
    parts = [
        ("text/plain", "It could not be delivered."),
        ("message/delivery-status", status),
        ("text/rfc822-headers", f"Message-ID: <{message_id}>\nSubject: Your parcel\n"),
    ]
    body = "".join(f"--b\nContent-Type: {kind}\n\n{text}\n" for kind, text in parts) + "--b--\n"
    kind = b'\nContent-Type: multipart/report; report-type=delivery-status; boundary="b"\n\n'
    return (head + kind + body.encode()).replace(b"\n", b"\r\n")


def test_the_copy_is_put_into_the_folder_of_sent_mail_once_and_stands_once(
    desk: EmailAccount, send: Callable[..., str], server: FakeServer, scan: Scan, bell: HeardBell
) -> None:
    send()
    assert the_mail().copy_state is CopyState.DONE  # the scan that was rung for it
    scan(desk)
    assert len(server.sent.messages) == 1
    assert len(rows_of(Message)) == len(rows_of(Filing)) == 1
    assert [one.folder.name for one in rows_of(Sighting)] == ["Sent"]


def test_a_provider_that_keeps_a_copy_gets_none_and_its_own_is_recognised_however_it_changed_it(
    desk: EmailAccount, send: Callable[..., str], server: FakeServer, scan: Scan, post: Post
) -> None:
    with unit_of_work() as session:
        session.get_one(EmailAccount, desk.id).provider = "gmail"
    send()
    assert server.sent.messages == {}
    server.sent.put(post.taken[0].original_content.replace(b"It is on its way", b"It is  on its way!"))  # type: ignore[union-attr]
    scan(desk)
    assert the_mail().copy_state is CopyState.NONE
    assert len(rows_of(Message)) == len(rows_of(Filing)) == 1


def test_what_the_server_keeps_by_itself_is_found_before_a_copy_is_put(
    desk: EmailAccount, send: Callable[..., str], server: FakeServer, scan: Scan, post: Post, bell: HeardBell
) -> None:
    server.faults = [NotSent("The connection broke off.", code="broken")]  # the scan that was rung for it
    send()
    assert the_mail().copy_state is CopyState.WAITING
    server.sent.put(post.taken[0].original_content)  # type: ignore[arg-type]
    scan(desk)
    assert the_mail().copy_state is CopyState.DONE
    assert len(server.sent.messages) == 1


def test_a_copy_whose_answer_was_lost_is_not_put_a_second_time(
    desk: EmailAccount,
    send: Callable[..., str],
    server: FakeServer,
    scan: Scan,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = FakeMailbox.append

    def lose(self: FakeMailbox, *arguments: Any) -> None:
        real(self, *arguments)
        raise NotSent("The connection broke off.", code="broken")

    monkeypatch.setattr(FakeMailbox, "append", lose)
    send()
    monkeypatch.setattr(FakeMailbox, "append", real)
    scan(desk)
    assert the_mail().copy_state is CopyState.DONE
    assert len(server.sent.messages) == 1


def test_a_refused_copy_is_said_at_the_message_and_does_not_stop_the_scan(
    desk: EmailAccount, send: Callable[..., str], ben: Visitor, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: FakeMailbox, *arguments: Any) -> None:
        raise Refused("The server takes no copy in Sent.", code="append")

    monkeypatch.setattr(FakeMailbox, "append", refuse)
    server.inbox.put(mail())
    where = send()
    page = ben.get(where).text
    assert "There is no copy of it in the mailbox." in page
    assert "The server takes no copy in Sent." in page
    assert {one.role for one in rows_of(Filing)} == {Role.TO, Role.SENDER}


def test_a_mail_in_doubt_that_lies_among_the_sent_ones_was_sent(
    desk: EmailAccount, send: Callable[..., str], server: FakeServer, scan: Scan, post: Post
) -> None:
    post.closes_after_data = True
    send()
    assert the_mail().state is OutgoingState.UNKNOWN
    server.sent.put(post.taken[0].original_content)  # type: ignore[arg-type]
    scan(desk)
    assert the_mail().state is OutgoingState.SENT
    assert len(rows_of(Message)) == 1


def test_a_mail_with_our_id_in_the_inbox_hides_nothing(
    desk: EmailAccount, send: Callable[..., str], server: FakeServer, scan: Scan
) -> None:
    send()
    server.inbox.put(mail(message_id=f"<{the_mail().message_id}>", text="Something else"))
    scan(desk)
    assert [one.text for one in rows_of(Message)][1:] == ["Something else"]


def test_a_report_marks_the_mail_as_not_delivered_and_stands_beside_it(
    desk: EmailAccount, tamsin: Any, ben: Visitor, send: Callable[..., str], server: FakeServer, scan: Scan
) -> None:
    where = send()
    server.inbox.put(report(the_mail().message_id))
    scan(desk)
    row = the_mail()
    assert [(one["address"], one["why"]) for one in row.returned] == [
        ("tamsin@quill.example", "550 5.1.1 no such user")
    ]
    page = ben.get(where).text
    assert "Not delivered" in page
    assert "550 5.1.1 no such user" in page
    sent, beside = rows_of(Filing)
    assert (beside.customer_id, beside.role) == (tamsin.id, Role.REPORT)
    assert beside.message.automatic == "a report about delivery"
    assert "Not delivered" in ben.get(f"/acme/customers/{tamsin.id}/mail/crm?message={sent.message_id}").text


def test_a_report_of_a_delay_marks_nothing(
    desk: EmailAccount, send: Callable[..., str], server: FakeServer, scan: Scan
) -> None:
    send()
    server.inbox.put(report(the_mail().message_id, action="delayed"))
    scan(desk)
    assert the_mail().returned == []


def test_a_report_about_somebody_elses_mail_stays_a_strangers(
    desk: EmailAccount, send: Callable[..., str], server: FakeServer, scan: Scan
) -> None:
    send()
    server.inbox.put(report("unknown@elsewhere.example"))
    scan(desk)
    assert len(rows_of(Message)) == 1
    assert [one.address for one in rows_of(Stub)] == ["MAILER-DAEMON@mx.example"]


def test_a_report_is_read_whatever_is_in_it() -> None:
    for cut in range(0, 900, 37):
        letter = read_letter(report("x@y.example")[:cut] + b"\x00\xff\r\n\r\n" * 3)
        assert letter.report is None or letter.report.failures or letter.report.message_ids is not None


def test_what_the_host_sent_to_a_customer_stands_among_the_sent_ones(
    cast: Cast, desk: EmailAccount, tamsin: Any, ben: Visitor, bell: HeardBell, scan: Scan
) -> None:
    with unit_of_work():
        for to in (tamsin, None):
            row = mailing.post(
                cast.acme, to="tamsin@quill.example", template="test", context={"name": "T"}, customer=to
            )
            mailing.ended(row, MailState.SENT)
    scan(desk)
    scan(desk)
    [filing] = rows_of(Filing)
    assert (filing.customer_id, filing.message.subject, filing.reason) == (
        tamsin.id,
        "A test for T",
        "Sent automatically",
    )
    assert filing.thread_id is not None
    assert "A test for T" in ben.get(f"/acme/customers/{tamsin.id}/mail/crm").text
    # The host tells of its own mails in the timeline: once is enough.
    assert ben.get(f"/acme/customers/{tamsin.id}/timeline").text.count("A test for T") == 1
    assert "this is a test of the mails" in ben.get(f"{AT}/messages/{filing.message_id}").text


def test_what_was_attached_to_it_can_be_saved(
    cast: Cast, desk: EmailAccount, tamsin: Any, ben: Visitor, bell: HeardBell, scan: Scan
) -> None:
    pdf = Attached("A-7.pdf", "application/pdf", b"%PDF-1.7 \x00\xff")
    with unit_of_work():
        row = mailing.post(
            cast.acme,
            to="tamsin@quill.example",
            template="test",
            context={"name": "T"},
            customer=tamsin,
            attachments=[pdf],
        )
        mailing.ended(row, MailState.SENT)
    scan(desk)
    [message] = rows_of(Message)
    page = ben.get(f"{AT}/messages/{message.id}").text
    address = f"{AT}/messages/{message.id}/attachments/{message.attachments[0].id}"
    assert address in page
    assert "A-7.pdf" in page
    saved = ben.get(address)
    assert saved.data == pdf.content
    assert saved.headers["Content-Disposition"].startswith("attachment")


@pytest.mark.parametrize("full", [True, False])
def test_a_file_that_is_not_there_any_more_or_has_no_room_is_said(
    cast: Cast, desk: EmailAccount, tamsin: Any, monkeypatch: pytest.MonkeyPatch, full: bool
) -> None:
    with unit_of_work():
        row = mailing.post(
            cast.acme,
            to="tamsin@quill.example",
            template="test",
            context={"name": "T"},
            customer=tamsin,
            attachments=[Attached("A-7.pdf", "application/pdf", b"%PDF")],
        )
        mailing.ended(row, MailState.SENT)
        if not full:
            row.attachments[0].content = None
    if full:
        monkeypatch.setattr("plugins.mail_monitor.host_mail.quota.room_of", lambda account_id: quota.Room(2, 1))
    host_mail.copy(cast.acme.id, row.id)
    [message] = rows_of(Message)
    assert message.notes == ["A-7.pdf went along and is not kept here."]
    assert message.attachments == []
