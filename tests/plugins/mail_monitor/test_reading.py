"""A customer's messages: threads, search, the formatted text in its frame, and what people do with a message."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from app import clock
from app.audit import AuditEntry
from app.billing.models import Customer
from app.db import db, unit_of_work
from plugins.mail_monitor import safe_copies
from plugins.mail_monitor.models import DeletePolicy, EmailAccount
from plugins.mail_monitor.parser import Parser, ParserDied
from plugins.mail_monitor.reading_models import PictureSender, SafeCopy, Thread
from plugins.mail_monitor.records import Attachment, Filing, Message, Trust
from plugins.mail_monitor.safe_html import VERSION
from plugins.mail_monitor.turns import store
from tests import make
from tests.cast import Cast
from tests.fakes.mailbox import FakeServer, moment
from tests.plugins.mail_monitor.conftest import Watch, rows_of
from tests.plugins.mail_monitor.letters import PIXEL, html_mail, mail
from tests.plugins.mail_monitor.test_scanning import Scan
from tests.visitors import HeardBell, Visitor

TAMSIN = "Tamsin Quill <tamsin@quill.example>"
REMOTE = '<p>Formatted words</p><img src="https://canary.example/a.png"><img src="http://canary.example/t" width="1">'


@pytest.fixture
def tamsin(cast: Cast) -> Customer:
    return make.customer(cast.acme, "Tamsin Quill", email="tamsin@quill.example")


@pytest.fixture
def ben(cast: Cast, sign_in: Callable[..., Visitor]) -> Visitor:
    """An Admin, who may read, move and delete."""
    return sign_in(cast.ben)


Receive = Callable[..., Message]


@pytest.fixture
def receive(desk: EmailAccount, server: FakeServer, scan: Scan) -> Receive:
    """`receive(raw)`: a message arrives and is filed."""

    def arrive(raw: bytes, folder: str = "INBOX") -> Message:
        server.folders[folder].put(raw)
        scan(desk)
        message: Message = rows_of(Message)[-1]
        return message

    return arrive


@contextmanager
def counted() -> Iterator[list[str]]:
    """The statements that are sent meanwhile."""
    sent: list[str] = []
    listen = lambda *words: sent.append(words[2])  # noqa: E731  # SQLAlchemy takes it off again by identity
    event.listen(db.engine, "before_cursor_execute", listen)
    yield sent
    event.remove(db.engine, "before_cursor_execute", listen)


def record_of(customer: Customer, **query: Any) -> str:
    words = "&".join(f"{name}={value}" for name, value in query.items())
    return f"/acme/customers/{customer.id}/mail/crm?{words}"


def test_sent_and_received_messages_stand_in_one_thread(ben: Visitor, tamsin: Customer, receive: Receive) -> None:
    receive(mail(TAMSIN, subject="Keys", text="Where are they?", message_id="<1@x>"))
    receive(
        mail("desk@acme.example", "tamsin@quill.example", "Re: Keys", "On the hook.", "<2@y>", In_Reply_To="<1@x>"),
        "Sent",
    )
    receive(mail(TAMSIN, subject="Another matter", text="Invoices"))
    page = ben.get(record_of(tamsin)).text
    assert page.count('class="sm-thread"') + page.count('class="sm-thread sm-chosen"') == 2
    assert "You: On the hook." in page
    first = min(thread.id for thread in rows_of(Thread))
    thread = ben.get(record_of(tamsin, thread=first)).text
    assert "Where are they?" in thread
    assert "2 messages" in thread


def test_every_word_of_a_search_must_occur(ben: Visitor, tamsin: Customer, receive: Receive) -> None:
    receive(mail(TAMSIN, subject="Lease", text="The power of attorney is attached."))
    receive(mail(TAMSIN, subject="Parcel", text="On the shelf"))
    found = ben.get(record_of(tamsin, q="ATTORNEY+lease")).text
    assert "1 thread" in found
    assert ">Parcel<" not in found
    assert "No message holds" in ben.get(record_of(tamsin, q="attorney+shelf")).text


def test_the_list_costs_the_same_however_long_it_is(
    ben: Visitor, tamsin: Customer, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    server.inbox.put(mail(TAMSIN, subject="Number 0"))
    scan(desk)
    with counted() as one:
        ben.get(record_of(tamsin))
    for number in range(1, 12):
        server.inbox.put(mail(TAMSIN, subject=f"Number {number}"))
    scan(desk)
    with counted() as many:
        ben.get(record_of(tamsin))
    assert len(many) == len(one)


def test_another_customers_thread_is_not_found(ben: Visitor, cast: Cast, tamsin: Customer, receive: Receive) -> None:
    receive(mail(TAMSIN))
    other = make.customer(cast.acme, email="other@quill.example")
    thread = rows_of(Thread)[0].id
    assert ben.get(record_of(other, thread=thread)).status_code == 404


def test_opening_a_message_notes_that_it_was_read(ben: Visitor, tamsin: Customer, receive: Receive) -> None:
    message = receive(mail(TAMSIN))
    assert "not read" in ben.get(record_of(tamsin)).text
    assert rows_of(Filing)[0].read_at is None, "looking changes nothing"
    assert ben.post(f"/acme/mail/messages/{message.id}/opened", htmx=True).status_code == 204
    assert rows_of(Filing)[0].read_at is not None
    assert rows_of(AuditEntry)[-1].action == "message_opened"
    assert "not read" not in ben.get(record_of(tamsin)).text


def test_a_scan_makes_the_copy_of_what_is_new(ben: Visitor, tamsin: Customer, receive: Receive) -> None:
    message = receive(html_mail(REMOTE, sender=TAMSIN))
    copy = rows_of(SafeCopy)[0]
    assert (copy.version, copy.blocked, copy.trackers, copy.refusal) == (VERSION, 2, 1, "")
    page = ben.get(record_of(tamsin)).text
    assert f'src="/acme/mail/messages/{message.id}/formatted"' in page
    assert "2 remote pictures are blocked; one looks like a tracker." in page
    assert "Show once" in page


def test_an_older_copy_is_made_anew_and_plain_text_is_there_meanwhile(
    ben: Visitor, tamsin: Customer, receive: Receive, bell: HeardBell
) -> None:
    message = receive(html_mail(REMOTE, text="Plain words", sender=TAMSIN))
    with unit_of_work() as session:
        session.execute(sa.update(SafeCopy).values(version=-1, html="old"))
    page = ben.get(record_of(tamsin)).text
    assert "Plain words" in page
    assert "has not been made safe to show yet" in page
    assert ben.get(f"/acme/mail/messages/{message.id}/formatted").status_code == 404
    bell.rings.clear()
    answer = ben.post(f"/acme/mail/messages/{message.id}/opened", htmx=True)
    assert "is being made safe" in answer.text
    assert "hx-get" in answer.text
    assert [name for name, *_ in bell.rings] == [safe_copies.JOB]
    bell.answer()
    shown = ben.get(f"/acme/mail/messages/{message.id}/body?again=1", htmx=True).text
    assert "<iframe" in shown
    assert "Formatted words" in ben.get(f"/acme/mail/messages/{message.id}/formatted").text


def test_a_message_that_kills_the_child_is_shown_as_plain_text(
    ben: Visitor, tamsin: Customer, receive: Receive, bell: HeardBell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(self: Parser, raws: Any) -> None:
        raise ParserDied

    monkeypatch.setattr(Parser, "safe", die)
    message = receive(html_mail("<p>Bomb</p>", text="Plain words", sender=TAMSIN))
    assert rows_of(SafeCopy) == [], "the scan goes on without"
    ben.post(f"/acme/mail/messages/{message.id}/opened")
    bell.answer()
    page = ben.get(f"/acme/mail/messages/{message.id}").text
    assert "took too much time or memory" in page
    assert "Plain words" in page


def test_the_frame_forbids_everything_and_pictures_from_elsewhere(
    ben: Visitor, tamsin: Customer, receive: Receive
) -> None:
    message = receive(html_mail(f'{REMOTE}<img src="cid:logo">', pictures={"logo": PIXEL}, sender=TAMSIN))
    address = f"/acme/mail/messages/{message.id}/formatted"
    answer = ben.get(address)
    policy = answer.headers["Content-Security-Policy"]
    for part in ("sandbox", "default-src 'none'", "img-src data:;", "form-action 'none'", "base-uri 'none'"):
        assert part in policy
    assert "frame-ancestors 'self'" in policy
    assert "allow-scripts" not in policy
    assert "allow-same-origin" not in policy
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "canary.example" not in answer.text
    assert "data:image/png" in answer.text
    shown = ben.get(f"{address}?pictures=once")
    assert "img-src data: https:;" in shown.headers["Content-Security-Policy"]
    assert "https://canary.example/t" in shown.text
    # The frame stands in our page, and nobody else's page holds ours.
    assert "frame-ancestors 'none'" in ben.get(record_of(tamsin)).headers["Content-Security-Policy"]
    # It is seen inside, so it is not listed below.
    assert rows_of(Attachment)[0].is_inline
    assert "logo.png" not in ben.get(f"/acme/mail/messages/{message.id}").text
    assert "logo.png" in ben.get(f"/acme/mail/messages/{message.id}?view=text").text


def test_pictures_are_always_shown_only_for_a_sender_who_is_sure(
    ben: Visitor, tamsin: Customer, receive: Receive
) -> None:
    message = receive(html_mail(REMOTE, sender=TAMSIN))
    address = f"/acme/mail/messages/{message.id}"
    assert "Always from this sender" not in ben.get(address).text
    assert ben.post(f"{address}/pictures", data={"show": "always"}).status_code == 409
    with unit_of_work() as session:
        session.execute(sa.update(Message).values(trust=Trust.VERIFIED))
    assert "Always from this sender" in ben.get(address).text
    ben.post(f"{address}/pictures", data={"show": "always"})
    assert [one.address_key for one in rows_of(PictureSender)] == ["tamsin@quill.example"]
    assert "https://canary.example/a.png" in ben.get(f"{address}/formatted").text
    assert "always shown" in ben.get(address).text
    with unit_of_work() as session:
        session.execute(sa.update(Message).values(trust=Trust.FAILED))
    # Somebody who only says to be this sender shows nothing.
    assert "canary.example" not in ben.get(f"{address}/formatted").text
    page = ben.get(address).text
    assert "This failed the sender check of quill.example." in page
    ben.post(f"{address}/pictures", data={"show": "never"})
    assert rows_of(PictureSender) == []


def test_plain_text_is_escaped_before_addresses_in_it_become_links(
    ben: Visitor, tamsin: Customer, receive: Receive
) -> None:
    text = '<img src=x onerror=alert(1)> https://quill.example/?a=1&b="><script>x</script> javascript:alert(1)'
    message = receive(mail(TAMSIN, text=text))
    page = ben.get(f"/acme/mail/messages/{message.id}").text
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert '<a href="https://quill.example/?a=1&amp;b=' in page
    assert "<script>x" not in page
    assert 'href="javascript' not in page


def test_a_misleading_link_is_told(ben: Visitor, tamsin: Customer, receive: Receive) -> None:
    message = receive(html_mail('<a href="https://evil.example/">www.bank.example</a>', sender=TAMSIN))
    assert "“www.bank.example” leads to evil.example." in ben.get(f"/acme/mail/messages/{message.id}").text


def test_a_message_is_moved_to_another_customer(ben: Visitor, cast: Cast, tamsin: Customer, receive: Receive) -> None:
    receive(mail(TAMSIN, subject="Whose?"))
    ivo = make.customer(cast.acme, "Ivo Larkspur", email="ivo@larkspur.example")
    filing = rows_of(Filing)[0].id
    asked = ben.get(f"/acme/mail/filings/{filing}/move?q=ivo")
    assert "Ivo Larkspur" in asked.text
    assert ben.post(f"/acme/mail/filings/{filing}/move").status_code == 422
    answer = ben.post(f"/acme/mail/filings/{filing}/move", data={"customer": ivo.id})
    assert f"/customers/{ivo.id}/" in answer.location
    moved = rows_of(Filing)[0]
    assert (moved.customer_id, moved.reason) == (ivo.id, "Moved here by Ben Birch from Tamsin Quill.")
    assert "Whose?" in ben.get(record_of(ivo)).text
    assert "No messages yet" in ben.get(record_of(tamsin)).text
    assert [thread.customer_id for thread in rows_of(Thread)] == [ivo.id]
    again = ben.post(f"/acme/mail/filings/{filing}/move", data={"customer": ivo.id})
    assert again.status_code == 409


def test_a_deleted_message_is_gone_and_never_comes_back(
    ben: Visitor, tamsin: Customer, receive: Receive, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    raw = html_mail("<p>Secret</p>", text="Secret words", subject="Secret matter", sender=TAMSIN)
    message = receive(raw)
    raw_hash = message.raw_hash
    filing = rows_of(Filing)[0].id
    asked = ben.get(f"/acme/mail/filings/{filing}/delete").text
    assert "Delete this message?" in asked
    assert "it stays there" in asked
    assert "does not bring it back" in asked
    assert ben.post(f"/acme/mail/filings/{filing}/delete").status_code == 303
    assert "Secret" not in ben.get(record_of(tamsin)).text
    for path in ("", "/original", "/formatted", "/body"):
        assert ben.get(f"/acme/mail/messages/{message.id}{path}", htmx=True).status_code == 404
    row = rows_of(Message)[0]
    assert (row.text, row.subject, row.raw_hash, row.deleted_by) == ("", "", "", "Ben Birch")
    assert rows_of(SafeCopy) == rows_of(Thread) == rows_of(Attachment) == []
    assert ben.post(f"/acme/mail/filings/{filing}/delete").status_code == 404
    # The same message again: as a copy, after a rebuilt mailbox, and in an import.
    server.inbox.put(raw)
    scan(desk)
    server.inbox.rebuild()
    scan(desk)
    assert "No messages yet" in ben.get(record_of(tamsin)).text
    assert len(server.inbox.messages) == 2, "the option is never, so it stays on the server"
    assert store().read(tamsin.account_id, raw_hash), "bytes go with the daily sweep"


def test_a_message_in_two_records_leaves_only_one(ben: Visitor, cast: Cast, tamsin: Customer, receive: Receive) -> None:
    ivo = make.customer(cast.acme, "Ivo Larkspur", email="ivo@larkspur.example")
    receive(mail(TAMSIN, "desk@acme.example, ivo@larkspur.example", "For both"))
    filing = next(one for one in rows_of(Filing) if one.customer_id == tamsin.id)
    asked = ben.get(f"/acme/mail/filings/{filing.id}/delete").text
    assert "Record of Ivo Larkspur" in asked
    ben.post(f"/acme/mail/filings/{filing.id}/delete")
    assert "For both" not in ben.get(record_of(tamsin)).text
    assert "For both" in ben.get(record_of(ivo)).text


def test_the_question_says_what_happens_in_the_mailbox(
    ben: Visitor, tamsin: Customer, receive: Receive, desk: EmailAccount
) -> None:
    receive(mail(TAMSIN))
    with unit_of_work() as session:
        row = session.get_one(EmailAccount, desk.id)
        row.delete_policy, row.delete_agreed_at = DeletePolicy.WHEN_DELETED_HERE, clock.now()
    asked = ben.get(f"/acme/mail/filings/{rows_of(Filing)[0].id}/delete").text
    assert "Mailbox desk@acme.example" in asked
    assert "is deleted there too" in asked
    assert "Delete here and in the mailbox" in asked


def test_long_threads_show_their_newest_and_the_rest_on_request(
    ben: Visitor, tamsin: Customer, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    for number in range(53):
        server.inbox.put(
            mail(TAMSIN, subject="Re: Long", text=f"Number {number}.", References="<root@x>"),
            moment(23) + timedelta(minutes=number),
        )
    scan(desk)
    thread = rows_of(Thread)[0].id
    page = ben.get(record_of(tamsin, thread=thread)).text
    assert "Show 3 earlier" in page
    assert "Number 2." not in page
    assert "Number 2." in ben.get(record_of(tamsin, thread=thread, all=1)).text


def test_mail_admins_and_strangers_reach_none_of_it(
    cast: Cast, tamsin: Customer, receive: Receive, sign_in: Callable[..., Visitor]
) -> None:
    message = receive(html_mail(REMOTE, sender=TAMSIN, subject="canary"))
    make.installation(cast.zenith, "mail_monitor")
    filing = rows_of(Filing)[0].id
    paths = [f"messages/{message.id}{part}" for part in ("", "/body", "/formatted", "/original")]
    paths += [f"filings/{filing}/move", f"filings/{filing}/delete"]
    posts = [f"messages/{message.id}/opened", f"messages/{message.id}/pictures", *paths[-2:]]
    for visitor, account, expected in ((cast.mia, "acme", 403), (cast.zoe, "acme", 404), (cast.zoe, "zenith", 404)):
        who = sign_in(visitor)
        answers = [who.get(f"/{account}/mail/{path}") for path in paths]
        answers += [who.post(f"/{account}/mail/{path}", data={"show": "always"}) for path in posts]
        assert {answer.status_code for answer in answers} == {expected}
        assert not any("canary" in answer.text for answer in answers)
    assert rows_of(Filing)[0].read_at is None
    assert rows_of(PictureSender) == []


def test_a_message_cannot_be_moved_into_another_account(
    ben: Visitor, cast: Cast, tamsin: Customer, receive: Receive, watch: Watch
) -> None:
    receive(mail(TAMSIN))
    theirs = make.customer(cast.zenith, email="theirs@zenith.example")
    filing = rows_of(Filing)[0].id
    assert ben.post(f"/acme/mail/filings/{filing}/move", data={"customer": theirs.id}).status_code == 404
    assert rows_of(Filing)[0].customer_id == tamsin.id
