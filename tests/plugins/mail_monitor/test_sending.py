"""Mails written here: what travels, what is filed, what each answer of the server leads to, and never two of one."""

import io
from collections.abc import Callable
from datetime import timedelta
from html import escape
from typing import Any

import pytest
import time_machine
from flask import Flask

from app import clock, effects
from app.access import Role
from app.db import db, unit_of_work
from plugins.mail_monitor import jobs, messages
from plugins.mail_monitor.models import EmailAccount
from plugins.mail_monitor.records import Direction, Filing, Message
from plugins.mail_monitor.sending_models import CopyState, Outgoing, OutgoingState
from plugins.mail_monitor.turns import Tally
from tests import make
from tests.cast import Cast
from tests.fakes.mailbox import FakeServer
from tests.mail_services import Post
from tests.plugins.mail_monitor.conftest import rows_of
from tests.plugins.mail_monitor.letters import mail
from tests.plugins.mail_monitor.outbox import AT, fields_of, taken, the_mail, write
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


def again() -> None:
    """What the sweep rings once a mail is due again."""
    row = the_mail()
    if row.due_at is not None and row.due_at <= clock.now():
        jobs.send_outgoing(row.id)


def test_a_new_mail_travels_with_name_signature_and_reply_to_and_stands_in_the_record(
    desk: EmailAccount, tamsin: Any, ben: Visitor, bell: HeardBell, post: Post
) -> None:
    status, where = write(ben, f"/customers/{tamsin.id}/compose", subject="Your parçel, äußerst spät")
    assert status == 303
    assert the_mail().state is OutgoingState.WAITING
    assert "Waiting" in ben.get(where).text

    bell.answer()

    sent = taken(post)
    assert post.taken[0].mail_from == "desk@acme.example"
    assert post.taken[0].rcpt_tos == ["tamsin@quill.example"]
    assert sent["From"] == "Front desk <desk@acme.example>"
    assert sent["To"] == "tamsin@quill.example"
    assert sent["Reply-To"] == "team@acme.example"
    assert sent["Subject"] == "Your parçel, äußerst spät"
    assert sent["Message-ID"] == f"<{the_mail().message_id}>"
    assert sent.get_content().replace("\r\n", "\n") == "It is on its way.\n\n-- \nFront desk\nAcme\n"
    assert the_mail().state is OutgoingState.SENT
    [filing] = rows_of(Filing)
    assert (filing.customer_id, filing.message.direction) == (tamsin.id, Direction.OUTGOING)
    assert filing.read_at is not None
    assert filing.thread_id is not None
    page = ben.get(where).text
    assert "Sent" in page
    assert "by Ben Birch" in page


@pytest.mark.parametrize(("chosen", "copy"), [(None, CopyState.WAITING), ("", CopyState.NONE)])
def test_no_copy_is_put_where_a_person_said_that_there_is_no_folder_of_sent_mail(
    desk: EmailAccount, tamsin: Any, ben: Visitor, bell: HeardBell, chosen: str | None, copy: CopyState
) -> None:
    with unit_of_work() as session:
        session.get_one(EmailAccount, desk.id).sent_folder = chosen
    write(ben, f"/customers/{tamsin.id}/compose")
    jobs.send_outgoing(the_mail().id)
    assert (the_mail().state, the_mail().copy_state) == (OutgoingState.SENT, copy)


def test_an_answer_names_what_it_answers_and_quotes_it(
    desk: EmailAccount, tamsin: Any, ben: Visitor, bell: HeardBell, post: Post, server: FakeServer, scan: Scan
) -> None:
    server.inbox.put(
        mail("Tamsin Quill <tamsin@quill.example>", message_id="<q1@quill.example>", References="<q0@quill.example>")
    )
    scan(desk)
    message = rows_of(Message)[0]
    write(ben, f"/messages/{message.id}/reply")
    bell.answer()
    sent = taken(post)
    assert sent["Subject"] == "Re: Did my parcel arrive?"
    assert sent["To"] == "Tamsin Quill <tamsin@quill.example>"
    assert sent["In-Reply-To"] == "<q1@quill.example>"
    assert sent["References"].split() == ["<q0@quill.example>", "<q1@quill.example>"]
    text = sent.get_content().replace("\r\n", "\n")
    assert "-- \nFront desk\nAcme\n\nOn " in text
    assert "Tamsin Quill wrote:\n> Hello, did it?\n" in text
    question, answer = rows_of(Filing)
    assert question.thread_id == answer.thread_id


def test_the_quote_can_be_left_out(
    desk: EmailAccount, tamsin: Any, ben: Visitor, bell: HeardBell, post: Post, server: FakeServer, scan: Scan
) -> None:
    server.inbox.put(mail())
    scan(desk)
    page = ben.get(f"{AT}/messages/{rows_of(Message)[0].id}/reply").text
    values = {**fields_of(page), "text": "Yes."}
    del values["quotes"]
    ben.post(f"{AT}/drafts/send", data=values)
    bell.answer()
    assert ">" not in taken(post).get_content()


def test_an_answer_to_all_leaves_ourselves_out(
    desk: EmailAccount, tamsin: Any, ben: Visitor, server: FakeServer, scan: Scan
) -> None:
    server.inbox.put(mail(to="desk@acme.example, Olga Oak <olga@oak.example>", Cc="pat@pine.example"))
    scan(desk)
    values = fields_of(ben.get(f"{AT}/messages/{rows_of(Message)[0].id}/reply?all=1").text)
    assert values["to"] == "Tamsin Quill <tamsin@quill.example>"
    assert values["cc"] == "Olga Oak <olga@oak.example>, pat@pine.example"


def test_an_answer_goes_where_reply_to_says_only_if_that_is_the_customers_own(
    desk: EmailAccount, tamsin: Any, ben: Visitor, server: FakeServer, scan: Scan
) -> None:
    server.inbox.put(mail(Reply_To="evil@elsewhere.example"))
    scan(desk)
    page = ben.get(f"{AT}/messages/{rows_of(Message)[0].id}/reply").text
    assert fields_of(page)["to"] == "Tamsin Quill <tamsin@quill.example>"
    assert "asks for answers to evil@elsewhere.example" in page


def test_files_go_along_and_bcc_stays_hidden(
    desk: EmailAccount, tamsin: Any, ben: Visitor, bell: HeardBell, post: Post
) -> None:
    write(
        ben,
        f"/customers/{tamsin.id}/compose",
        subject="Scan",
        bcc="boss@acme.example",
        files=[(io.BytesIO(b"%PDF-1.7 \x00\xff"), "../Scan\u202e 1.pdf", "application/pdf")],
    )
    bell.answer()
    sent = taken(post)
    [file] = sent.iter_attachments()
    assert file.get_filename() == "Scan 1.pdf"
    assert file.get_payload(decode=True) == b"%PDF-1.7 \x00\xff"
    assert post.taken[0].rcpt_tos == ["tamsin@quill.example", "boss@acme.example"]
    assert "boss@acme.example" not in post.taken[0].original_content.decode()  # type: ignore[union-attr]
    [message] = rows_of(Message)
    assert [one.name for one in message.attachments] == ["Scan 1.pdf"]
    assert [(one["role"], one["address"]) for one in message.recipients][-2:] == [
        ("bcc", "boss@acme.example"),
        ("reply_to", "team@acme.example"),
    ]


def test_the_same_form_sent_twice_is_one_mail(
    desk: EmailAccount, tamsin: Any, ben: Visitor, bell: HeardBell, post: Post
) -> None:
    values = {**fields_of(ben.get(f"{AT}/customers/{tamsin.id}/compose").text), "subject": "Once", "text": "Once."}
    first, second = (ben.post(f"{AT}/drafts/send", data=values) for _ in range(2))
    assert first.location == second.location
    bell.answer()
    jobs.send_outgoing(the_mail().id)
    assert len(post.taken) == 1


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ({"to": ""}, "Say to whom it goes."),
        ({"to": "nobody"}, "“nobody” is not an email address."),
        ({"to": "a@b.example\r\nBcc: evil@x.example"}, "is not an email address"),
        ({"subject": "Hi\r\nBcc: evil@x.example"}, "a character nobody can see (U+000A)"),
        ({"subject": "x" * 251}, "there is room for 250"),
        ({"text": " \n "}, "Write something first."),
        ({"to": ", ".join(f"a{n}@b.example" for n in range(51))}, "At most 50 recipients."),
        ({"email_account_id": "999"}, "Choose an email account that is active."),
    ],
)
def test_what_cannot_be_sent_is_said_at_its_place_and_nothing_is_filed(
    desk: EmailAccount, tamsin: Any, ben: Visitor, typed: dict[str, str], sentence: str
) -> None:
    status, page = write(ben, f"/customers/{tamsin.id}/compose", **{"subject": "Hello", **typed})
    assert status == 422
    assert sentence in page
    assert rows_of(Message) == []


def test_too_many_or_too_large_files_are_refused_with_a_sentence(
    desk: EmailAccount, tamsin: Any, ben: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plugins.mail_monitor.drafts.MOST_FILE_BYTES", 300_000)
    values = fields_of(ben.get(f"{AT}/customers/{tamsin.id}/compose").text)
    for files, sentence in (
        ([(io.BytesIO(b"x"), f"{n}.txt") for n in range(11)], "At most 10 files"),
        ([(io.BytesIO(b"x" * 400_000), "a.bin")], "Together the files have 0.4 MB; at most 0.3 MB"),
    ):
        data = {**values, "text": "See attached", "files": files}
        answer = ben.post(f"{AT}/drafts/send", data=data, content_type="multipart/form-data")
        assert answer.status_code == 422
        assert sentence in answer.text
        assert "See attached" in answer.text


def test_names_and_addresses_cannot_add_header_lines(
    cast: Cast, desk: EmailAccount, ben: Visitor, bell: HeardBell, post: Post
) -> None:
    customer = make.customer(cast.acme, 'Ann "Evil", Ltd', email="ann@oak.example")
    evil = r""""Evil, Ann \"x\"" <ann@oak.example>"""
    write(ben, f"/customers/{customer.id}/compose", to=evil, subject="=?utf-8?q?x=0d=0aBcc:_e@x.example?=")
    bell.answer()
    sent = taken(post)
    assert post.taken[0].rcpt_tos == ["ann@oak.example"]
    assert sent["Bcc"] is None
    assert [one.addr_spec for one in sent["To"].addresses] == ["ann@oak.example"]


def test_a_refused_recipient_is_shown_and_the_others_get_it(
    desk: EmailAccount, tamsin: Any, ben: Visitor, bell: HeardBell, post: Post
) -> None:
    post.refused.add("gone@oak.example")
    _, where = write(
        ben, f"/customers/{tamsin.id}/compose", to="tamsin@quill.example, gone@oak.example", subject="Both"
    )
    bell.answer()
    assert post.taken[0].rcpt_tos == ["tamsin@quill.example"]
    page = ben.get(where).text
    assert "Refused: gone@oak.example (550 no such user here)" in page
    assert "Not delivered" in page


def test_when_nobody_is_taken_it_failed_and_can_be_tried_again(
    desk: EmailAccount, tamsin: Any, ben: Visitor, bell: HeardBell, post: Post
) -> None:
    post.refused.add("tamsin@quill.example")
    _, where = write(ben, f"/customers/{tamsin.id}/compose", subject="Hello")
    bell.answer()
    assert the_mail().state is OutgoingState.FAILED
    page = ben.get(where).text
    assert "The server takes no mail for tamsin@quill.example." in page
    assert "Retry" in page
    post.refused.clear()
    ben.post(f"{AT}/outgoing/{the_mail().id}/again")
    bell.answer()
    assert the_mail().state is OutgoingState.SENT
    assert taken(post)["Message-ID"] == f"<{the_mail().message_id}>"


def test_a_wrong_password_is_said_and_not_tried_over_and_over(
    desk: EmailAccount, tamsin: Any, ben: Visitor, bell: HeardBell, post: Post
) -> None:
    post.password = "changed"
    _, where = write(ben, f"/customers/{tamsin.id}/compose", subject="Hello")
    bell.answer()
    row = the_mail()
    assert (row.state, row.due_at) == (OutgoingState.FAILED, None)
    assert "does not accept this user and password" in ben.get(where).text


def test_a_busy_server_is_tried_again_with_growing_pauses_and_given_up_after_two_days(
    cast: Cast, desk: EmailAccount, tamsin: Any, ben: Visitor, bell: HeardBell, post: Post
) -> None:
    post.says["DATA"] = "451 later"
    with time_machine.travel("2026-11-23T10:00:00Z", tick=False) as traveller:
        ben.enter(cast.ben)
        write(ben, f"/customers/{tamsin.id}/compose", subject="Hello")
        bell.answer()
        row = the_mail()
        assert (row.state, row.due_at) == (OutgoingState.WAITING, clock.now() + timedelta(seconds=30))
        assert "we try again on our own" in ben.get(f"{AT}/outgoing/{row.id}", htmx=True).text
        traveller.shift(timedelta(seconds=31))
        again()
        assert the_mail().attempts == 2
        traveller.shift(timedelta(days=3))
        again()
        assert the_mail().state is OutgoingState.FAILED
        assert "Given up after two days." in the_mail().problem
    assert post.taken == []


def test_a_lost_answer_is_never_repeated_by_itself(
    desk: EmailAccount, tamsin: Any, ben: Visitor, bell: HeardBell, post: Post
) -> None:
    post.closes_after_data = True
    _, where = write(ben, f"/customers/{tamsin.id}/compose", subject="Hello")
    bell.answer()
    row = the_mail()
    assert (row.state, row.due_at) == (OutgoingState.UNKNOWN, None)
    jobs.send_outgoing(row.id)
    assert len(post.taken) == 1
    page = ben.get(where).text
    assert "It may have been sent." in page
    assert "It was sent" in page
    assert "Send again" in page


def test_a_person_may_send_a_doubtful_one_again_and_it_is_the_same_mail(
    desk: EmailAccount, tamsin: Any, ben: Visitor, bell: HeardBell, post: Post
) -> None:
    post.closes_after_data = True
    write(ben, f"/customers/{tamsin.id}/compose", subject="Hello")
    bell.answer()
    post.closes_after_data = False
    ben.post(f"{AT}/outgoing/{the_mail().id}/again")
    bell.answer()
    first, second = post.taken
    assert first.original_content == second.original_content
    assert the_mail().state is OutgoingState.SENT
    assert len(rows_of(Message)) == 1


def test_a_person_may_say_that_a_doubtful_one_was_sent(
    desk: EmailAccount, tamsin: Any, ben: Visitor, bell: HeardBell, post: Post
) -> None:
    post.closes_after_data = True
    write(ben, f"/customers/{tamsin.id}/compose", subject="Hello")
    bell.answer()
    ben.post(f"{AT}/outgoing/{the_mail().id}/arrived")
    assert the_mail().state is OutgoingState.SENT
    assert ben.post(f"{AT}/outgoing/{the_mail().id}/arrived").status_code == 409
    bell.answer()
    assert len(post.taken) == 1


class Killed(BaseException):
    """The worker is gone."""


@pytest.mark.parametrize("point", effects.CRASH_POINTS)
def test_a_worker_killed_between_the_steps_never_sends_a_second_mail(
    desk: EmailAccount,
    tamsin: Any,
    ben: Visitor,
    bell: HeardBell,
    post: Post,
    point: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def die(reached: str) -> None:
        if reached == point:
            raise Killed

    write(ben, f"/customers/{tamsin.id}/compose", subject="Hello")
    monkeypatch.setattr(effects, "crash_point", die)
    with pytest.raises(Killed):
        jobs.send_outgoing(the_mail().id)
    monkeypatch.undo()
    with time_machine.travel(clock.now() + timedelta(minutes=5)):
        jobs.send_outgoing(the_mail().id)
        sent_at_once = {"before_intent": 1, "after_intent": 0, "after_call": 1, "after_outcome": 1}[point]
        assert len(post.taken) == sent_at_once
        in_doubt = point in {"after_intent", "after_call"}
        assert the_mail().state is (OutgoingState.UNKNOWN if in_doubt else OutgoingState.SENT)


def test_a_draft_saves_itself_and_says_when(cast: Cast, desk: EmailAccount, tamsin: Any, ben: Visitor) -> None:
    with time_machine.travel("2026-11-23T10:00:00Z", tick=False):
        ben.enter(cast.ben)
        values = fields_of(ben.get(f"{AT}/customers/{tamsin.id}/compose").text)
        answer = ben.post(f"{AT}/drafts", data={**values, "to": "not yet", "text": "Half a sen"}, htmx=True)
        assert "Draft saved today 10:00." in answer.text
        ben.post(f"{AT}/drafts", data={**values, "to": "not yet", "text": "Half a sentence"}, htmx=True)
        row = the_mail()
        assert (row.state, row.text, row.to) == (OutgoingState.DRAFT, "Half a sentence", "not yet")
        page = ben.get(f"{AT}/drafts/{row.id}").text
        assert "Half a sentence" in page
    assert rows_of(Message) == []


def test_what_saves_by_itself_after_send_is_told_so_and_changes_nothing(
    desk: EmailAccount, tamsin: Any, ben: Visitor
) -> None:
    typed = {**fields_of(ben.get(f"{AT}/customers/{tamsin.id}/compose").text), "subject": "Your key", "text": "Ready."}
    where = ben.post(f"{AT}/drafts/send", data=typed).location
    late = ben.post(f"{AT}/drafts", data={**typed, "text": "Ready. And"}, htmx=True)
    assert late.status_code == 200
    assert "This mail was sent a moment ago." in late.text
    assert escape(where) in late.text
    assert the_mail().state is OutgoingState.WAITING
    assert ben.post(f"{AT}/drafts", data={**typed, "keep": "1"}).status_code == 409


def test_files_are_added_to_a_draft_and_taken_away_again(desk: EmailAccount, tamsin: Any, ben: Visitor) -> None:
    values = fields_of(ben.get(f"{AT}/customers/{tamsin.id}/compose").text)
    data = {**values, "files": [(io.BytesIO(b"one"), "a.txt"), (io.BytesIO(b"two"), "b.html")]}
    answer = ben.post(f"{AT}/drafts/files", data=data, content_type="multipart/form-data", htmx=True)
    assert "a.txt" in answer.text
    first, second = the_mail().files
    download = ben.get(f"{AT}/drafts/{the_mail().id}/files/{second.id}")
    assert download.data == b"two"
    assert download.headers["Content-Disposition"].startswith("attachment")
    answer = ben.post(f"{AT}/drafts/{the_mail().id}/files/{first.id}/remove", htmx=True)
    assert "a.txt" not in answer.text
    assert "b.html" in answer.text


def test_a_draft_can_be_thrown_away(desk: EmailAccount, tamsin: Any, ben: Visitor) -> None:
    values = fields_of(ben.get(f"{AT}/customers/{tamsin.id}/compose").text)
    ben.post(f"{AT}/drafts", data=values, htmx=True)
    ben.post(f"{AT}/drafts/{the_mail().id}/discard")
    assert rows_of(Outgoing) == []


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.ADMIN, Role.MAIL_ADMIN])
def test_operators_and_admins_write_mails(
    cast: Cast, desk: EmailAccount, tamsin: Any, client: Visitor, role: Role
) -> None:
    client.enter(cast.staff[role])
    expected = 403 if role is Role.MAIL_ADMIN else 200
    assert client.get(f"{AT}/customers/{tamsin.id}/compose").status_code == expected


def test_what_belongs_to_another_account_is_not_there(
    cast: Cast, desk: EmailAccount, tamsin: Any, ben: Visitor, client: Visitor
) -> None:
    make.installation(cast.zenith, "mail_monitor")
    stranger = make.customer(cast.zenith, email="zed@zinc.example")
    values = fields_of(ben.get(f"{AT}/customers/{tamsin.id}/compose").text)
    ben.post(f"{AT}/drafts", data={**values, "text": "CANARY"}, htmx=True)
    row = the_mail()
    assert ben.get(f"{AT}/customers/{stranger.id}/compose").status_code == 404
    assert ben.post(f"{AT}/drafts", data={**values, "customer_id": stranger.id}).status_code == 404
    client.enter(cast.zoe)
    for path in (f"/drafts/{row.id}", f"/outgoing/{row.id}"):
        assert client.get(f"/zenith/mail{path}").status_code == 404
    for path in (f"/drafts/{row.id}/discard", f"/outgoing/{row.id}/again", f"/outgoing/{row.id}/arrived"):
        assert client.post(f"/zenith/mail{path}").status_code == 404
    answer = client.post("/zenith/mail/drafts", data={**values, "text": "x"})
    assert answer.status_code == 404
    assert the_mail().text == "CANARY"


def test_without_an_account_that_can_send_the_page_says_so(cast: Cast, installation: Any, ben: Visitor) -> None:
    customer = make.customer(cast.acme)
    page = ben.get(f"{AT}/customers/{customer.id}/compose")
    assert "No email account can send" in page.text


def test_deleting_a_waiting_mail_keeps_it_from_being_sent(
    desk: EmailAccount, tamsin: Any, ben: Visitor, bell: HeardBell, post: Post
) -> None:
    write(ben, f"/customers/{tamsin.id}/compose", subject="Hello")
    with unit_of_work() as session:
        messages.bury(session.get_one(Message, the_mail().record_id), "Ben Birch")
    bell.answer()
    assert post.taken == []
    assert the_mail().state is OutgoingState.FAILED


def test_the_guard_stands_before_the_outgoing_server_too(
    app: Flask, desk: EmailAccount, tamsin: Any, ben: Visitor, bell: HeardBell, post: Post
) -> None:
    app.config["SETTINGS"] = app.config["SETTINGS"].model_copy(update={"mail_private_hosts": ()})
    write(ben, f"/customers/{tamsin.id}/compose", subject="Hello")
    bell.answer()
    assert the_mail().state is OutgoingState.FAILED
    assert "is not found on the internet" in the_mail().problem
    assert post.taken == []
    assert the_mail().copy_state is CopyState.NONE
    db.session.rollback()
