"""Mails of the product: what is frozen, what a server's answers lead to, and that none goes out twice."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from flask import Flask

from app import clock, effects
from app.addresses import PERSONAL_LINK, public_url, without_personal_links
from app.audit import AuditEntry
from app.db import db, unit_of_work
from app.effects import Effect, EffectState
from app.events import MailSent
from app.mailing import jobs, services
from app.mailing.letters import Attached, as_html
from app.mailing.models import MailState, OutgoingMail
from app.mailing.post_office import PostOffice
from app.restored import Restoration
from tests import make
from tests.cast import Cast
from tests.services import free_port
from tests.visitors import HeardBell


class Counter:
    """A mail server on loopback that keeps what it takes; `says` may hold another answer per command."""

    def __init__(self) -> None:
        self.taken: list[Envelope] = []
        self.says: dict[str, str] = {}
        self.closes_after_data = False
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    def mail(self, number: int = 0) -> EmailMessage:
        content = self.taken[number].original_content
        assert content is not None
        mail = message_from_bytes(content, policy=default)
        assert isinstance(mail, EmailMessage)
        return mail

    async def handle_RCPT(  # noqa: N802  # aiosmtpd finds its hooks by these names
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if "RCPT" in self.says:
            return self.says["RCPT"]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  # as above
        if "DATA" in self.says:
            return self.says["DATA"]
        self.taken.append(envelope)
        if self.closes_after_data and server.transport is not None:
            server.transport.close()  # before the answer is written
        return "250 taken"


@pytest.fixture
def counter(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter]:
    running = Counter()
    controller = Controller(running, hostname="127.0.0.1", port=running.port)
    controller.start()
    monkeypatch.setattr(jobs, "PostOffice", lambda url, ca_file: PostOffice(running.url, ca_file))
    yield running
    controller.stop()


@pytest.fixture
def ask(cast: Cast) -> Callable[..., OutgoingMail]:
    def post(to: str = "tamsin@quill.example", **options: Any) -> OutgoingMail:
        with unit_of_work():
            return services.post(
                options.pop("account", cast.acme), to=to, template="test", context={"name": "Tämsin <b>"}, **options
            )

    return post


def again() -> None:
    """What the sweep rings once a mail is due again."""
    for mail_id in db.session.scalars(sa.select(OutgoingMail.id).where(OutgoingMail.due_at <= clock.now())).all():
        jobs.send_mail(mail_id)


def the_mail() -> OutgoingMail:
    db.session.expire_all()
    return db.session.scalars(sa.select(OutgoingMail)).one()


def test_a_mail_goes_out_once_as_text_and_html(counter: Counter, bell: HeardBell, ask: Callable[..., Any]) -> None:
    mail = ask(reply_to="office@acme.example")

    bell.answer()
    jobs.send_mail(mail.id)

    assert len(counter.taken) == 1
    sent = counter.mail()
    assert sent["From"] == "Acme <no-reply@localhost>"
    assert sent["To"] == "tamsin@quill.example"
    assert sent["Reply-To"] == "office@acme.example"
    assert sent["Subject"] == "A test for Tämsin <b>"
    assert sent["Auto-Submitted"] == "auto-generated"
    assert sent["Message-ID"] == mail.message_id
    text, html = sent.get_body(("plain",)), sent.get_body(("html",))
    assert text is not None
    assert "Tämsin <b>" in text.get_content()
    assert html is not None
    assert "Tämsin &lt;b&gt;" in html.get_content()
    assert the_mail().state == MailState.SENT
    assert the_mail().due_at is None
    assert db.session.scalars(sa.select(AuditEntry.outcome).where(AuditEntry.action == "mail_sent")).all() == ["sent"]


def test_a_mail_of_the_instance_carries_its_own_name(
    counter: Counter, bell: HeardBell, ask: Callable[..., Any]
) -> None:
    ask(account=None)
    bell.answer()
    assert counter.mail()["From"] == "SphereMail <no-reply@localhost>"
    assert the_mail().state == MailState.SENT


def test_files_go_along(counter: Counter, bell: HeardBell, ask: Callable[..., Any]) -> None:
    ask(attachments=[Attached("A-7.pdf", "application/pdf", b"%PDF-1.7 \x00\xff")])
    bell.answer()
    [file] = counter.mail().iter_attachments()
    assert file.get_filename() == "A-7.pdf"
    assert file.get_payload(decode=True) == b"%PDF-1.7 \x00\xff"
    [kept] = the_mail().attachments
    assert (kept.file_name, kept.size) == ("A-7.pdf", 11)


def test_lines_that_begin_with_a_dot_arrive_as_they_are(counter: Counter, bell: HeardBell, cast: Cast) -> None:
    with unit_of_work():
        services.post(cast.acme, to="t@quill.example", template="test", context={"name": "x\n.\n..y"})
    bell.answer()
    body = counter.mail().get_body(("plain",))
    assert body is not None
    assert "\n.\n..y" in body.get_content().replace("\r\n", "\n")


def test_a_server_that_is_away_is_tried_again_with_growing_pauses(
    app: Flask, bell: HeardBell, ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "PostOffice", lambda url, ca_file: PostOffice(f"smtp://127.0.0.1:{free_port()}"))
    with time_machine.travel(clock.now(), tick=False) as time:
        ask()
        bell.answer()
        pauses = []
        for _ in range(9):
            due_at = the_mail().due_at
            assert due_at is not None
            pauses.append((due_at - clock.now()).total_seconds())
            time.shift(pauses[-1])
            again()
        assert pauses == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]
        assert "does not answer" in services.sentence_of(the_mail())
        time.shift(timedelta(days=2))
        again()
    assert the_mail().state == MailState.REFUSED
    assert the_mail().problem.startswith("Given up after two days.")


@pytest.mark.parametrize("command", ["RCPT", "DATA"])
def test_a_no_for_now_is_tried_again_and_a_no_for_good_rests(
    counter: Counter, bell: HeardBell, ask: Callable[..., Any], command: str
) -> None:
    counter.says[command] = "451 later"
    ask()
    bell.answer()
    assert the_mail().state == MailState.WAITING
    assert the_mail().attempts == 1
    counter.says[command] = "550 never"
    with time_machine.travel(clock.now() + timedelta(minutes=1)):
        again()
    assert the_mail().state == MailState.REFUSED
    assert the_mail().due_at is None
    assert counter.taken == []


def test_a_lost_answer_after_the_letter_is_never_sent_again(
    counter: Counter, bell: HeardBell, ask: Callable[..., Any]
) -> None:
    counter.closes_after_data = True
    ask()
    bell.answer()
    mail = the_mail()
    assert mail.state == MailState.UNKNOWN
    assert "may have arrived" in services.sentence_of(mail)
    with time_machine.travel(clock.now() + timedelta(days=1)):
        again()
        jobs.send_mail(mail.id)
    assert len(counter.taken) == 1


def test_a_worker_that_dies_with_the_letter_in_hand_leaves_it_unknown(
    counter: Counter, bell: HeardBell, ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(point: str) -> None:
        if point == "after_call":
            raise SystemExit

    mail = ask()
    monkeypatch.setattr(effects, "crash_point", die)
    with pytest.raises(SystemExit):
        jobs.send_mail(mail.id)
    monkeypatch.undo()
    with time_machine.travel(clock.now() + timedelta(minutes=2)):
        jobs.send_mail(mail.id)
    assert the_mail().state == MailState.UNKNOWN
    assert len(counter.taken) == 1


def test_after_a_restore_new_mails_go_out_and_old_ones_rest(
    counter: Counter, bell: HeardBell, ask: Callable[..., Any]
) -> None:
    old = ask()
    bell.rings.clear()
    with unit_of_work() as session:
        session.add(Restoration(taken_at=clock.now(), restored_at=clock.now()))
    with time_machine.travel(clock.now() + timedelta(minutes=1)):
        ask("second@quill.example")
        bell.answer()
        jobs.send_mail(old.id)
    states = dict(db.session.execute(sa.select(OutgoingMail.recipient, OutgoingMail.state)).all())
    assert states == {"tamsin@quill.example": MailState.UNKNOWN, "second@quill.example": MailState.SENT}


def test_one_worker_at_a_time_has_a_mail(counter: Counter, ask: Callable[..., Any]) -> None:
    mail = ask()
    with unit_of_work() as session:
        session.get_one(OutgoingMail, mail.id).lease_until = clock.now() + timedelta(minutes=1)
    jobs.send_mail(mail.id)
    assert counter.taken == []
    assert db.session.scalars(sa.select(Effect.state).where(Effect.state == EffectState.DONE)).all() == []


def test_a_sent_mail_is_announced_to_plugins(
    counter: Counter, bell: HeardBell, ask: Callable[..., Any], cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[MailSent] = []
    monkeypatch.setattr(jobs, "announce", heard.append)
    customer = make.customer(cast.acme)
    mail = ask(customer=customer)
    bell.answer()
    assert heard == [MailSent(cast.acme.id, mail.id, customer.id)]


def test_web_addresses_become_links_and_nothing_else_does() -> None:
    html = as_html('See https://host.example/a?b=1&c=2.\n\n<script>x</script>\nhttp://x" onclick=1')
    assert 'href="https://host.example/a?b=1&amp;c=2">' in html
    assert "<script>" not in html
    assert 'onclick="' not in html
    assert html.count("<p>") == 2


@pytest.mark.parametrize("state", [MailState.SENT, MailState.UNKNOWN, MailState.REFUSED])
@pytest.mark.parametrize(
    ("endpoint", "values"),
    [
        ("accounts.reset", {}),
        ("accounts.join", {}),
        ("portal.choose_password", {"account_slug": "acme"}),
        ("payments.leave_card", {"account_slug": "acme"}),
        ("payments.confirm", {"account_slug": "acme"}),
    ],
)
def test_a_link_that_lets_somebody_in_or_pay_does_not_stay_once_its_mail_rests(
    ask: Callable[..., Any], endpoint: str, values: dict[str, str], state: MailState
) -> None:
    link = public_url(endpoint, token="the-token", **values)
    mail_id = ask().id
    with unit_of_work() as session:
        mail = session.get_one(OutgoingMail, mail_id)
        mail.text = f"Here: {link} and more."
        mail.html = str(as_html(mail.text))
        services.ended(mail, state)

    kept = the_mail()
    assert "the-token" not in kept.text + kept.html
    assert f"Here: {PERSONAL_LINK} and more." in kept.text
    assert f"Here: {PERSONAL_LINK} and more." in kept.html


def test_other_addresses_stay(app: Flask) -> None:
    page = public_url("billing.invoice", account_slug="a-name-that-is-quite-long", invoice_id=7)
    text = f"See {page} or https://elsewhere.example/reset/the-token?token=x."
    assert without_personal_links(text) == text
