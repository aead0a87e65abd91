"""Find a message: by what a person remembers, with what became of each that fits, and nothing typed in a command."""

from collections.abc import Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa
import time_machine

from app import clock
from app.billing.models import Customer
from app.db import unit_of_work
from app.errors import NotSent
from app.work import Lease
from plugins.mail_monitor import finding, looking
from plugins.mail_monitor.models import EmailAccount, Folder
from plugins.mail_monitor.records import Filing
from plugins.mail_monitor.wishes import MessageSearch, SearchState
from tests import make
from tests.cast import Cast
from tests.fakes.mailbox import FakeFolder, FakeServer
from tests.plugins.mail_monitor.conftest import rows_of
from tests.plugins.mail_monitor.letters import mail
from tests.plugins.mail_monitor.test_scanning import Scan
from tests.visitors import HeardBell, Visitor

TAMSIN = "Tamsin Quill <tamsin@quill.example>"


@pytest.fixture(autouse=True)
def tamsin(cast: Cast) -> Customer:
    return make.customer(cast.acme, "Tamsin Quill", email="tamsin@quill.example")


@pytest.fixture
def ana(cast: Cast, sign_in: Callable[..., Visitor]) -> Visitor:
    return sign_in(cast.ana)


Find = Callable[..., dict[str, tuple[str, str]]]


@pytest.fixture
def find(ana: Visitor, desk: EmailAccount, bell: HeardBell) -> Find:
    """`find(sender="quill")`: what a search found, as {subject: (fate, why)}."""

    def search(**typed: str) -> dict[str, tuple[str, str]]:
        bell.rings.clear()
        answer = ana.post(f"/acme/mail/accounts/{desk.id}/find", data=typed)
        assert answer.status_code == 303, answer.text
        bell.answer()
        done = rows_of(MessageSearch)[-1]
        assert done.state is SearchState.DONE, done.sentence
        return {one["subject"]: (one["fate"], one["why"]) for one in done.hits}

    return search


def test_every_message_has_its_fate(
    cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan, find: Find, ana: Visitor
) -> None:
    server.folders["Spam"] = FakeFolder(uidvalidity=3)
    for subject in ("Filed", "Deleted", "Gone"):
        server.inbox.put(mail(TAMSIN, subject=f"Find {subject}"))
    server.inbox.put(mail("Nadia <nadia@voss.example>", subject="Find Stranger"))
    server.inbox.put(mail("Two <a@x.example>, tamsin@quill.example", subject="Find Choice"))
    server.inbox.put(
        b"From: tamsin@quill.example\r\nSubject: Find Broken\r\nMessage-ID: <broken@x>\r\n"
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 600
    )
    scan(desk)
    deleted = next(one for one in rows_of(Filing) if one.message.subject == "Find Deleted")
    ana.post(f"/acme/mail/filings/{deleted.id}/delete")
    server.inbox.messages.pop(3)
    server.inbox.put(mail(TAMSIN, subject="Find Coming"))
    server.folders["Spam"].put(mail(TAMSIN, subject="Find Spam"))
    server.inbox.put(mail(TAMSIN, subject="Something else"))
    found = find(subject="FIND")
    assert {subject.removeprefix("Find "): fate for subject, (fate, _) in found.items()} == {
        "Filed": "filed",
        "Deleted": "deleted",
        "Gone": "gone",
        "Stranger": "stranger",
        "Choice": "choice",
        "Broken": "quarantined",
        "Coming": "coming",
        "Spam": "unwatched",
    }
    assert found["Find Filed"][1] == "with Tamsin Quill: From is the main address"
    assert "Ana Alder" in found["Find Deleted"][1]
    page = ana.get(f"/acme/mail/accounts/{desk.id}/find?search={rows_of(MessageSearch)[-1].id}").text
    for word in ("8 messages fit", "Unknown sender", "Folder not watched", "Not on the server", "Quarantined"):
        assert word in page


def test_sender_subject_and_day_narrow(desk: EmailAccount, server: FakeServer, find: Find) -> None:
    now = clock.now()
    server.inbox.put(mail(TAMSIN, subject="Lease of the shelf"), now - timedelta(days=2))
    server.inbox.put(mail(TAMSIN, subject="Lease of the desk"), now - timedelta(days=60))
    server.inbox.put(mail("Ivo <ivo@larkspur.example>", subject="Lease"), now - timedelta(days=2))
    assert set(find(sender="TAMSIN")) == {"Lease of the shelf"}
    assert set(find(sender="larkspur.example")) == {"Lease"}
    assert set(find(subject="shelf lease")) == {"Lease of the shelf"}
    long_ago = (now - timedelta(days=60)).date().isoformat()
    assert set(find(day=long_ago)) == {"Lease of the desk"}
    assert find(sender="tamsin", subject="parcel") == {}


def test_what_came_before_watching_is_said_so(desk: EmailAccount, server: FakeServer, find: Find) -> None:
    server.inbox.put(mail(TAMSIN, subject="Old"), clock.now() - timedelta(days=3))
    with unit_of_work() as session:
        session.execute(sa.update(Folder).values(cursor=1))
    assert find(subject="old")["Old"][0] == "before"


def test_the_page_shows_what_a_search_found(desk: EmailAccount, server: FakeServer, find: Find, ana: Visitor) -> None:
    server.inbox.put(mail(subject="Where is it?"))
    find(sender="quill")
    page = ana.get(f"/acme/mail/accounts/{desk.id}/find?search={rows_of(MessageSearch)[-1].id}").text
    assert "1 message fits" in page
    assert "Where is it?" in page


def test_before_anybody_asked_nothing_is_said_of_what_fits(ana: Visitor, desk: EmailAccount) -> None:
    page = ana.get(f"/acme/mail/accounts/{desk.id}/find").text
    assert "Find it" in page
    assert "No message fits" not in page


def test_one_of_the_three_must_be_said(ana: Visitor, desk: EmailAccount) -> None:
    address = f"/acme/mail/accounts/{desk.id}/find"
    for typed, said in (
        ({}, "Say who sent it"),
        ({"sender": "a\u202eb"}, "nobody can see"),
        ({"day": "2999-01-01"}, "has not come yet"),
        ({"day": "yesterday"}, "Not a valid date"),
        ({"sender": "a" * 201}, "there is room for 200"),
    ):
        answer = ana.post(address, data=typed)
        assert answer.status_code == 422, typed
        assert said in answer.text
    assert rows_of(MessageSearch) == []


def test_a_busy_mailbox_is_waited_for(ana: Visitor, desk: EmailAccount, server: FakeServer, bell: HeardBell) -> None:
    ana.post(f"/acme/mail/accounts/{desk.id}/find", data={"sender": "tamsin"})
    held = Lease.take(EmailAccount, desk.id)
    assert held is not None
    bell.answer()
    search = rows_of(MessageSearch)[0]
    assert search.state is SearchState.RUNNING
    assert search.due_at > clock.now()
    page = ana.get(f"/acme/mail/searches/{search.id}", htmx=True).text
    assert "The mailbox is being scanned; this comes next." in page
    assert "every 1s" in page
    held.give_back()
    bell.ring(finding.JOB, search.id)
    bell.answer()
    assert rows_of(MessageSearch)[0].state is SearchState.DONE


def test_a_mailbox_that_does_not_answer_ends_the_search_with_its_sentence(
    ana: Visitor, desk: EmailAccount, server: FakeServer, bell: HeardBell
) -> None:
    server.faults = [NotSent("The connection broke off.", code="broken")]
    ana.post(f"/acme/mail/accounts/{desk.id}/find", data={"sender": "tamsin"})
    bell.answer()
    search = rows_of(MessageSearch)[0]
    assert (search.state, search.sentence) == (SearchState.FAILED, "The connection broke off.")
    page = ana.get(f"/acme/mail/accounts/{desk.id}/find?search={search.id}").text
    assert "The mailbox could not be looked at." in page
    assert rows_of(EmailAccount)[0].trouble is None, "only a scan says how the account stands"


def test_the_server_is_asked_by_number_and_day_only(
    desk: EmailAccount, server: FakeServer, find: Find, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.inbox.put(mail(TAMSIN, subject='" OR ALL'))
    assert set(find(subject='" or all')) == {'" OR ALL'}
    assert not any("OR ALL" in command.upper() for command in server.commands)


def test_a_full_folder_is_looked_through_from_its_newest_end(
    desk: EmailAccount, server: FakeServer, find: Find, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "MOST_HEADERS", 3)
    for number in range(6):
        server.inbox.put(mail(TAMSIN, subject=f"Number {number}"))
    assert set(find(sender="tamsin")) == {"Number 3", "Number 4", "Number 5"}
    assert rows_of(MessageSearch)[-1].has_more


def test_a_search_is_forgotten_after_an_hour(
    ana: Visitor, desk: EmailAccount, server: FakeServer, find: Find, bell: HeardBell
) -> None:
    find(sender="tamsin")
    search_id = rows_of(MessageSearch)[0].id
    with time_machine.travel(clock.now() + timedelta(hours=2)):
        bell.ring(finding.JOB, search_id)
        bell.answer()
    assert rows_of(MessageSearch) == []
    assert ana.get(f"/acme/mail/searches/{search_id}", htmx=True).status_code == 404


def test_only_operators_of_the_account_search(
    cast: Cast, desk: EmailAccount, find: Find, sign_in: Callable[..., Visitor]
) -> None:
    find(sender="tamsin")
    search_id = rows_of(MessageSearch)[0].id
    make.installation(cast.zenith, "mail_monitor")
    for user, account, expected in ((cast.ben, "acme", 403), (cast.mia, "acme", 403), (cast.zoe, "zenith", 404)):
        visitor = sign_in(user)
        for path in (f"accounts/{desk.id}/find", f"searches/{search_id}"):
            assert visitor.get(f"/{account}/mail/{path}").status_code == expected
        assert visitor.post(f"/{account}/mail/accounts/{desk.id}/find", data={"sender": "x"}).status_code == expected
