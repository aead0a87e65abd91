"""Notices about new messages: once, to the right people, never in a circle and never in a flood."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask

from app import clock
from app.db import unit_of_work
from app.mailing.letters import Letter, mark_of
from app.mailing.models import MailState, OutgoingMail
from app.restored import Restoration
from plugins.mail_monitor import accounts, importing, notices
from plugins.mail_monitor.models import EmailAccount
from plugins.mail_monitor.records import Filing, Message
from plugins.mail_monitor.sending_models import Notice, NoticeState
from plugins.mail_monitor.settings import AccountSettings
from plugins.mail_monitor.turns import Tally
from tests import make
from tests.cast import Cast
from tests.fakes.mailbox import FakeServer
from tests.plugins.mail_monitor.conftest import Watch, rows_of
from tests.plugins.mail_monitor.letters import mail
from tests.plugins.mail_monitor.test_scanning import BROKEN
from tests.visitors import HeardBell, Visitor

Scan = Callable[[EmailAccount], Tally]


@pytest.fixture
def desk(watch: Watch, settings: AccountSettings) -> EmailAccount:
    return watch(replace(settings, send_notifications=True))


@pytest.fixture
def tamsin(cast: Cast) -> Any:
    return make.customer(cast.acme, email="tamsin@quill.example")


@pytest.fixture
def tell(app: Flask, scan: Scan, bell: HeardBell) -> Callable[[EmailAccount], list[OutgoingMail]]:
    """Scan, let the notices be told without sending them, and answer the mails that were asked for."""

    def deed(row: EmailAccount) -> list[OutgoingMail]:
        scan(row)
        bell.rings = [ring for ring in bell.rings if ring[0] == notices.JOB]
        while any(ring[0] == notices.JOB for ring in bell.rings):
            bell.rings = [ring for ring in bell.rings if ring[0] == notices.JOB]
            name, *ids = bell.rings.pop(0)
            app.extensions["bell"].jobs[name].run(*ids)
        return rows_of(OutgoingMail)

    return deed


Tell = Callable[[EmailAccount], list[OutgoingMail]]


def set_to(row: EmailAccount, **changes: Any) -> None:
    with unit_of_work() as session:
        for name, value in changes.items():
            setattr(session.get_one(EmailAccount, row.id), name, value)


def test_a_new_message_of_a_customer_is_told_to_the_operators_once(
    cast: Cast, desk: EmailAccount, tamsin: Any, server: FakeServer, tell: Tell
) -> None:
    server.inbox.put(mail(subject="Where is it?", text="SECRET WORDS"))
    [told] = tell(desk)
    assert told.recipient == cast.ana.email
    assert told.subject == "New message from Tamsin Quill"
    assert told.reply_to == "tamsin@quill.example"
    assert "“Where is it?”" in told.text
    assert f"/acme/mail/messages/{rows_of(Message)[0].id}" in told.text
    assert "only if desk@acme.example is in Cc" in told.text
    assert "SECRET" not in told.text
    assert told.customer_id is None
    assert rows_of(Filing)[0].told_at is not None
    server.inbox.rebuild()
    assert len(tell(desk)) == 1


def test_the_notification_address_is_told_instead_when_there_is_one(
    desk: EmailAccount, tamsin: Any, server: FakeServer, tell: Tell
) -> None:
    set_to(desk, notification_email_address="team@acme.example")
    server.inbox.put(mail())
    assert [one.recipient for one in tell(desk)] == ["team@acme.example"]


def test_nobody_is_told_while_it_is_off(desk: EmailAccount, tamsin: Any, server: FakeServer, tell: Tell) -> None:
    set_to(desk, send_notifications=False)
    server.inbox.put(mail())
    assert tell(desk) == []


@pytest.mark.parametrize(
    "raw",
    [
        mail("Nobody <nobody@elsewhere.example>"),
        mail(Auto_Submitted="auto-replied"),
        mail(Precedence="bulk"),
        mail(List_Id="<news.quill.example>"),
        mail("desk@acme.example", to="tamsin@quill.example"),
    ],
    ids=["a stranger", "an automatic answer", "bulk", "a list", "a copy to ourselves"],
)
def test_what_no_customer_wrote_is_told_to_nobody(
    desk: EmailAccount, tamsin: Any, server: FakeServer, tell: Tell, raw: bytes
) -> None:
    server.inbox.put(raw)
    assert tell(desk) == []


def test_sent_mail_is_told_to_nobody(desk: EmailAccount, tamsin: Any, server: FakeServer, tell: Tell) -> None:
    server.sent.put(mail("desk@acme.example", to="tamsin@quill.example"))
    assert tell(desk) == []


def test_an_import_tells_nobody(
    watch: Watch, settings: AccountSettings, tamsin: Any, server: FakeServer, tell: Tell
) -> None:
    server.inbox.put(mail(), clock.now() - timedelta(days=2))
    desk = watch(replace(settings, send_notifications=True))
    with unit_of_work() as session:
        importing.start(session.get_one(EmailAccount, desk.id), 5)
    assert tell(desk) == []
    assert len(rows_of(Filing)) == 1


def test_old_mail_that_is_moved_into_the_inbox_is_no_news(
    desk: EmailAccount, tamsin: Any, server: FakeServer, tell: Tell
) -> None:
    server.inbox.put(mail(), clock.now() - timedelta(days=30))
    assert tell(desk) == []


def test_what_was_owed_while_the_server_was_away_is_told_once_it_is_filed(
    desk: EmailAccount, tamsin: Any, server: FakeServer, tell: Tell
) -> None:
    server.inbox.put(mail())
    server.faults = [*[None] * len(("open", "examine", "uids", "headers")), BROKEN]
    assert tell(desk) == []
    with time_machine.travel(clock.now() + timedelta(hours=5), tick=False):
        assert len(tell(desk)) == 1


def test_our_own_mail_that_comes_back_is_told_to_nobody(
    app: Flask, desk: EmailAccount, tamsin: Any, server: FakeServer, tell: Tell
) -> None:
    ours = mark_of("<ours@localhost>", app.config["SECRET_KEY"])
    server.inbox.put(mail(message_id="<ours@localhost>", X_SphereMail_Mark=ours))
    assert tell(desk) == []
    server.inbox.put(mail(message_id="<forged@localhost>", X_SphereMail_Mark=ours))
    assert len(tell(desk)) == 1


def test_every_mail_of_the_product_carries_its_mark() -> None:
    raw = Letter("<a@b.example>", "Acme", "no@b.example", "", "t@q.example", "Hi", "x", "x", clock.now(), mark="abc")
    assert b"X-SphereMail-Mark: abc\r\n" in raw.as_bytes()


def test_a_watched_mailbox_is_never_told(
    cast: Cast, desk: EmailAccount, tamsin: Any, server: FakeServer, tell: Tell, client: Visitor
) -> None:
    set_to(desk, notification_email_address="desk+notices@acme.example")
    server.inbox.put(mail())
    assert tell(desk) == []
    assert [one.state for one in rows_of(Notice)] == [NoticeState.NOBODY]
    client.enter(cast.ana)
    assert "mail would go round in circles" in client.get(f"/acme/mail/accounts/{desk.id}").text


def test_an_operator_whose_mailbox_is_watched_is_left_out(
    cast: Cast, desk: EmailAccount, watch: Watch, settings: AccountSettings, tamsin: Any, server: FakeServer, tell: Tell
) -> None:
    watch(replace(settings, email_address=cast.ana.email, display_name="Ana"))
    server.inbox.put(mail())
    assert tell(desk) == []


def test_an_address_that_is_told_cannot_be_watched(cast: Cast, desk: EmailAccount, settings: AccountSettings) -> None:
    set_to(desk, notification_email_address="team@acme.example")
    asked = replace(settings, email_address="team@acme.example")
    assert "email_address" in dict(accounts.check(cast.acme, asked, None))


def test_many_at_once_are_told_of_together_and_then_nobody_is_told_for_an_hour(
    cast: Cast, desk: EmailAccount, tamsin: Any, server: FakeServer, tell: Tell, client: Visitor
) -> None:
    with time_machine.travel(clock.now(), tick=False) as traveller:
        for _ in range(40):
            server.inbox.put(mail())
        [told] = tell(desk)
        assert told.subject == "40 new messages at Front desk"
        assert "Tamsin Quill: 40" in told.text
        server.inbox.put(mail())
        assert len(tell(desk)) == 1
        client.enter(cast.ana)
        assert "nobody is told of single ones until" in client.get(f"/acme/mail/accounts/{desk.id}").text
        traveller.shift(timedelta(minutes=61))
        server.inbox.put(mail())
        assert [one.subject for one in tell(desk)][1:] == ["New message from Tamsin Quill"] * 2


def test_an_address_gets_no_more_than_twenty_within_an_hour(
    desk: EmailAccount, tamsin: Any, server: FakeServer, tell: Tell
) -> None:
    with time_machine.travel(clock.now(), tick=False):
        for _ in range(30):
            server.inbox.put(mail())
            tell(desk)
    told = rows_of(OutgoingMail)
    assert len(told) == 21
    assert told[-1].template == notices.TOGETHER


def test_after_a_restore_only_what_came_since_is_told(
    desk: EmailAccount, tamsin: Any, server: FakeServer, tell: Tell
) -> None:
    """What came before may have been told then, and is no reason to keep silent about the rest."""
    now = clock.now()
    for number in range(notices.MOST_AT_ONCE + 1):
        server.inbox.put(mail(subject=f"Old {number}", message_id=f"<old-{number}@q>"), received_at=now)
    with unit_of_work() as session:
        session.add(Restoration(taken_at=now - timedelta(hours=6), restored_at=now + timedelta(minutes=1)))
    server.inbox.put(mail(subject="New", message_id="<new@q>"), received_at=now + timedelta(minutes=2))

    with time_machine.travel(now + timedelta(minutes=3)):
        mails = tell(desk)

    states = {one.subject: one.state for one in mails}
    assert states == {"11 new messages at Front desk": MailState.UNKNOWN, "New message from Tamsin Quill": "waiting"}


def test_a_subject_cannot_add_a_line_to_the_notices_header(
    desk: EmailAccount, tamsin: Any, server: FakeServer, tell: Tell
) -> None:
    server.inbox.put(mail(subject="Hello =?utf-8?q?x=0d=0aBcc:_e@x.example?="))
    [told] = tell(desk)
    assert "\r" not in told.subject
    assert told.subject.startswith("New message from")
