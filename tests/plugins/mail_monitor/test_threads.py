"""Threads: what belongs together stands together, in one customer's record alone."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from app import clock
from app.accounts.models import User
from app.billing.models import Customer
from app.db import db, unit_of_work
from plugins.mail_monitor import conversations, subjects, threads
from plugins.mail_monitor.models import EmailAccount
from plugins.mail_monitor.reading_models import Thread, ThreadKey
from plugins.mail_monitor.records import Filing, Sighting
from tests import make
from tests.cast import Cast
from tests.fakes.mailbox import FakeServer
from tests.plugins.mail_monitor.conftest import rows_of
from tests.plugins.mail_monitor.letters import mail
from tests.plugins.mail_monitor.test_scanning import Scan
from tests.visitors import Visitor

DESK = "Front desk <desk@acme.example>"
TAMSIN = "Tamsin Quill <tamsin@quill.example>"


@pytest.fixture
def tamsin(cast: Cast) -> Customer:
    return make.customer(cast.acme, "Tamsin Quill", email="tamsin@quill.example")


def together() -> list[list[str]]:
    """The subjects of every thread's messages, thread by thread, in the order in which they came."""
    found: dict[int | None, list[str]] = {}
    for filing in sorted(rows_of(Filing), key=lambda one: (one.received_at, one.id)):
        found.setdefault(filing.thread_id, []).append(filing.message.subject)
    assert None not in found
    return list(found.values())


Put = Callable[..., None]


@pytest.fixture
def put(server: FakeServer) -> Put:
    """Put a mail of Tamsin's into the inbox, or one to her into the folder of sent mail."""

    def into(subject: str, *, sent: bool = False, days: float = 0, **words: str) -> None:
        who = {"sender": DESK, "to": TAMSIN} if sent else {"sender": TAMSIN, "to": DESK}
        folder = server.folders["Sent" if sent else "INBOX"]
        folder.put(mail(subject=subject, **{**who, **words}), clock.now() + timedelta(days=days))

    return into


def test_an_answer_stands_with_what_it_names(tamsin: Customer, desk: EmailAccount, put: Put, scan: Scan) -> None:
    put("Letter from the tax office", message_id="<a@quill.example>")
    put("Something else entirely", message_id="<x@quill.example>")
    scan(desk)
    put("Changed", sent=True, message_id="<b@acme.example>", In_Reply_To="<a@quill.example>", days=1)
    put("Thanks", References="<a@quill.example> <b@acme.example>", days=2)
    scan(desk)
    assert together() == [["Letter from the tax office", "Changed", "Thanks"], ["Something else entirely"]]


def test_the_order_in_which_they_are_read_does_not_matter(
    tamsin: Customer, desk: EmailAccount, put: Put, scan: Scan
) -> None:
    put("Second answer", References="<a@acme.example>", days=2)
    put("First answer", In_Reply_To="<a@acme.example>", days=1)
    scan(desk)
    put("The question", sent=True, message_id="<a@acme.example>")
    scan(desk)
    assert together() == [["The question", "First answer", "Second answer"]]
    (thread,) = rows_of(Thread)
    assert thread.last_at == max(filing.received_at for filing in rows_of(Filing))


def test_any_of_many_references_is_enough(tamsin: Customer, desk: EmailAccount, put: Put, scan: Scan) -> None:
    put("Root", message_id="<root@quill.example>")
    put("Newest", References=" ".join(["<root@quill.example>", *(f"<gone-{n}@quill.example>" for n in range(30))]))
    scan(desk)
    assert together() == [["Root", "Newest"]]


@pytest.mark.parametrize("references", ["a@quill.example", "<a@quill.example>,<z@z>", "nonsense <a@quill.example"])
def test_untidy_references_are_understood(
    tamsin: Customer, desk: EmailAccount, put: Put, scan: Scan, references: str
) -> None:
    put("Root", message_id="<a@quill.example>")
    put("Answer", References=references)
    scan(desk)
    assert len(together()) == (1 if "nonsense" not in references else 2)


def test_a_stranger_who_knows_an_id_gets_nowhere(
    cast: Cast, tamsin: Customer, desk: EmailAccount, server: FakeServer, put: Put, scan: Scan
) -> None:
    yara = make.customer(cast.acme, "Yara Yarrow", email="yara@yarrow.example")
    put("Between us", message_id="<secret@quill.example>")
    server.inbox.put(mail("Yara <yara@yarrow.example>", subject="Re: Between us", In_Reply_To="<secret@quill.example>"))
    server.inbox.put(mail("Eve <eve@eve.example>", subject="Re: Between us", In_Reply_To="<secret@quill.example>"))
    scan(desk)
    assert together() == [["Between us"], ["Re: Between us"]]
    assert {thread.customer_id for thread in rows_of(Thread)} == {tamsin.id, yara.id}


@pytest.mark.parametrize(
    ("subject", "days", "joins"),
    [
        ("Re: Shelf space over Christmas", 3, True),
        ("AW: Re: shelf  space over CHRISTMAS", 3, True),
        ("回复\uff1aShelf space over Christmas", 3, True),
        ("Re[2]: Shelf space over Christmas", 3, True),
        ("Shelf space over Christmas", 3, False),
        ("Fwd: Shelf space over Christmas", 3, False),
        ("Re: Shelf space over Christmas", 20, False),
        ("Re: Shelf space over Easter", 3, False),
    ],
)
def test_the_subject_is_the_last_resort(
    tamsin: Customer, desk: EmailAccount, put: Put, scan: Scan, subject: str, days: int, *, joins: bool
) -> None:
    put("Shelf space over Christmas", sent=True)
    scan(desk)
    put(subject, References="<rewritten@outlook.example>", days=days)
    scan(desk)
    assert len(together()) == (1 if joins else 2)


def test_a_subject_that_says_too_little_joins_nothing() -> None:
    assert subjects.subject_key("Re: Hello") == subjects.subject_key("") == subjects.subject_key("Re: ") == ""
    assert subjects.subject_key("Re: AW: Fwd: Letter from the tax office") == subjects.subject_key(
        "letter from the tax office"
    )
    assert not subjects.is_answer("Regarding: the tax office")


def test_one_message_stands_in_a_thread_of_each_customer(
    cast: Cast, tamsin: Customer, desk: EmailAccount, server: FakeServer, put: Put, scan: Scan
) -> None:
    make.customer(cast.acme, "Yara Yarrow", email="yara@yarrow.example")
    server.inbox.put(mail(TAMSIN, subject="To both", Cc="yara@yarrow.example", message_id="<both@quill.example>"))
    put("Only to Tamsin", sent=True, In_Reply_To="<both@quill.example>", days=1)
    scan(desk)
    by_thread: dict[int | None, list[int]] = {filing.thread_id: [] for filing in rows_of(Filing)}
    for filing in rows_of(Filing):
        by_thread[filing.thread_id].append(filing.customer_id)
    assert sorted(len(set(customers)) for customers in by_thread.values()) == [1, 1]
    assert sorted(map(len, by_thread.values())) == [1, 2]


def test_scanning_again_changes_no_thread(tamsin: Customer, desk: EmailAccount, put: Put, scan: Scan) -> None:
    put("Root", message_id="<a@quill.example>")
    put("Answer", In_Reply_To="<a@quill.example>")
    scan(desk)
    before = together(), len(rows_of(ThreadKey))
    with unit_of_work() as session:
        threads.gather(session, [filing.message_id for filing in rows_of_now()])
    assert (together(), len(rows_of(ThreadKey))) == before


def rows_of_now() -> list[Filing]:
    return list(db.session.query(Filing))


def test_what_leaves_a_thread_takes_its_date_along_and_the_last_one_the_thread(
    tamsin: Customer, desk: EmailAccount, put: Put, scan: Scan
) -> None:
    put("Root", message_id="<a@quill.example>")
    put("Answer", In_Reply_To="<a@quill.example>", days=1)
    scan(desk)
    first, second = (filing.id for filing in rows_of(Filing))
    with unit_of_work() as session:
        threads.take_out(session, [session.get_one(Filing, second)])
    assert rows_of(Thread)[0].last_at == db.session.get_one(Filing, first).received_at
    with unit_of_work() as session:
        threads.take_out(session, [session.get_one(Filing, first)])
    assert rows_of(Thread) == rows_of(ThreadKey) == []


def test_what_was_sent_is_read_and_what_came_is_not(tamsin: Customer, desk: EmailAccount, put: Put, scan: Scan) -> None:
    put("Came")
    put("Sent", sent=True)
    scan(desk)
    assert {filing.message.subject: filing.read_at is None for filing in rows_of(Filing)} == {
        "Came": True,
        "Sent": False,
    }


AT = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)  # servers say when a message came in whole seconds


def listed(ana: Visitor, customer: Customer) -> list[str]:
    """The subjects in a customer's list, from the top."""
    page = ana.get(f"/acme/customers/{customer.id}/mail/crm").text
    return re.findall(r"Number \d", page[: page.index("sm-letter")])


def test_within_one_second_the_list_follows_the_order_of_arrival(
    cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan, sign_in: Callable[[User], Visitor]
) -> None:
    tamsin = make.customer(cast.acme, email="tamsin@quill.example")
    for number in (1, 2):
        server.inbox.put(mail(subject=f"Number {number}", message_id=f"<{number}@quill.example>"), AT)
    scan(desk)
    later = AT + timedelta(hours=1)
    for number in (2, 1):  # the thread that began first got the newest message
        answers = {"In_Reply_To": f"<{number}@quill.example>"}
        server.inbox.put(mail(subject=f"Re: Number {number}", text="And?", **answers), later)
    scan(desk)
    assert list(dict.fromkeys(listed(sign_in(cast.ana), tamsin))) == ["Number 1", "Number 2"]


def test_within_one_second_a_message_that_was_read_later_stands_where_it_arrived(
    cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    tamsin = make.customer(cast.acme, email="tamsin@quill.example")
    first = server.inbox.put(mail(subject="Number 1", message_id="<1@quill.example>"), AT)
    answers = {"In_Reply_To": "<1@quill.example>"}
    server.inbox.put(mail(subject="Re: Number 1", text="One more thing", **answers), AT)
    server.empty_for.add(first)
    scan(desk)
    server.empty_for.clear()
    scan(desk)
    thread = rows_of(Thread)[0]
    found = conversations.conversation(tamsin, thread.id)
    assert [one.message.subject for one in found.filings] == ["Number 1", "Re: Number 1"]


def test_the_order_within_a_second_changes_no_time_that_is_compared_with_the_server(
    cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    make.customer(cast.acme, email="tamsin@quill.example")
    server.inbox.put(mail(), AT)
    scan(desk)
    assert rows_of(Sighting)[0].received_at == AT
    assert rows_of(Filing)[0].received_at.replace(microsecond=0) == AT
