"""Deleting on the server: only what was filed, only after a second look, only as agreed, and never twice."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from app import effects
from app.audit import AuditEntry
from app.billing.models import Customer
from app.db import unit_of_work
from app.errors import NotSent
from plugins.mail_monitor import accounts, removals
from plugins.mail_monitor.models import DeletePolicy, EmailAccount
from plugins.mail_monitor.records import Filing, Message, Sighting
from plugins.mail_monitor.wishes import How, Removal, RemovalState
from tests import make
from tests.cast import Cast
from tests.fakes.mailbox import FakeFolder, FakeServer, Stored
from tests.plugins.mail_monitor.conftest import rows_of
from tests.plugins.mail_monitor.letters import mail
from tests.plugins.mail_monitor.test_pages import TYPED
from tests.plugins.mail_monitor.test_scanning import Scan
from tests.visitors import HeardBell, Visitor

TAMSIN = "tamsin@quill.example"


@pytest.fixture(autouse=True)
def tamsin(cast: Cast) -> Customer:
    return make.customer(cast.acme, "Tamsin Quill", email=TAMSIN)


@pytest.fixture
def ben(cast: Cast, sign_in: Callable[..., Visitor]) -> Visitor:
    return sign_in(cast.ben)


@pytest.fixture
def choose(cast: Cast, desk: EmailAccount) -> Callable[[DeletePolicy], None]:
    """`choose(option)`: somebody chooses when messages are deleted on the server, and agrees."""

    def save(option: DeletePolicy) -> None:
        with unit_of_work() as session:
            row = session.get_one(EmailAccount, desk.id)
            settings = replace(accounts.settings_of(row), delete=option.value)
            accounts.save(cast.acme, row.installation, settings, row, agrees=True)

    return save


def delete_here(ben: Visitor) -> None:
    """The newest filing is deleted by Ben."""
    filing = rows_of(Filing)[-1]
    assert ben.post(f"/acme/mail/filings/{filing.id}/delete").status_code == 303


def removal() -> Removal:
    row: Removal = rows_of(Removal)[0]
    return row


def test_under_never_nothing_is_touched(desk: EmailAccount, server: FakeServer, scan: Scan, ben: Visitor) -> None:
    server.inbox.put(mail(TAMSIN))
    scan(desk)
    delete_here(ben)
    scan(desk)
    assert len(server.inbox.messages) == 1
    assert rows_of(Removal) == []
    assert not any(command.startswith(("select", "mark", "expunge", "move")) for command in server.commands)


def test_what_is_deleted_here_is_deleted_there(
    desk: EmailAccount,
    server: FakeServer,
    scan: Scan,
    ben: Visitor,
    choose: Callable[..., None],
    bell: HeardBell,
) -> None:
    choose(DeletePolicy.WHEN_DELETED_HERE)
    server.inbox.put(mail(TAMSIN, subject="Goes"))
    server.inbox.put(mail(TAMSIN, subject="Stays"))
    server.inbox.put(mail("stranger@else.example", subject="Nobody's"))
    scan(desk)
    bell.rings.clear()
    filing = rows_of(Filing)[0]
    ben.post(f"/acme/mail/filings/{filing.id}/delete")
    assert ("mail_monitor.work_on_account", desk.id) in bell.rings
    assert len(server.inbox.messages) == 3, "nothing goes before the deletion here is committed"
    bell.answer()
    assert sorted(server.inbox.messages) == [2, 3]
    row = removal()
    assert (row.state, row.how, row.asked_by) == (RemovalState.DONE, How.EXPUNGED, "Ben Birch")
    assert rows_of(Sighting)[0].deleted_there_at is not None
    entry = next(one for one in rows_of(AuditEntry) if one.action == "deleted_on_server")
    assert (entry.actor, entry.details["uid"], entry.details["how"]) == ("Ben Birch", 1, "expunged")


def test_only_what_is_filed_in_full_since_it_was_agreed_goes_after_filing(
    desk: EmailAccount, server: FakeServer, scan: Scan, choose: Callable[..., None]
) -> None:
    server.inbox.put(mail(TAMSIN, subject="Before"))
    scan(desk)
    choose(DeletePolicy.AFTER_FILING)
    server.inbox.put(mail(TAMSIN, subject="After"))
    server.inbox.put(mail("stranger@else.example", subject="Nobody's"))
    server.inbox.put(mail("Two <a@x.example>, tamsin@quill.example", subject="Doubtful"))
    server.sent.put(mail("desk@acme.example", TAMSIN, subject="An answer"))
    with unit_of_work() as session:
        session.get_one(EmailAccount, desk.id).largest_mb = 1
    server.inbox.put(mail(TAMSIN, subject="Large", text="word " * 300_000))
    scan(desk)
    assert sorted(server.inbox.messages) == [1, 3, 4, 5]
    assert len(server.sent.messages) == 1
    assert len(rows_of(Removal)) == 1
    # It stands in the record all the same, and a second scan does nothing more.
    assert len([one for one in rows_of(Message) if not one.deleted_at]) >= 4
    commands = len(server.commands)
    scan(desk)
    assert not any(command.startswith("select") for command in server.commands[commands:])


def test_a_server_whose_numbers_cannot_be_relied_on_deletes_nothing(
    desk: EmailAccount, server: FakeServer, scan: Scan, choose: Callable[[DeletePolicy], None]
) -> None:
    server.inbox.uidvalidity = 0
    choose(DeletePolicy.AFTER_FILING)
    server.inbox.put(mail(TAMSIN))
    scan(desk)
    scan(desk)
    assert len(server.inbox.messages) == 1
    assert [one.state for one in rows_of(Removal)] == [RemovalState.KEPT]
    assert "cannot be relied on" in rows_of(Removal)[0].sentence


@pytest.mark.parametrize("by", ["another message", "a rebuilt mailbox"])
def test_nothing_is_deleted_by_its_number_alone(
    desk: EmailAccount,
    server: FakeServer,
    scan: Scan,
    ben: Visitor,
    choose: Callable[..., None],
    by: str,
) -> None:
    choose(DeletePolicy.WHEN_DELETED_HERE)
    server.inbox.put(mail(TAMSIN))
    scan(desk)
    delete_here(ben)
    other = Stored(mail("stranger@else.example", subject="Innocent"), server.inbox.messages[1].received_at)
    if by == "another message":
        server.inbox.messages[1] = other
        scan(desk)
        assert server.inbox.messages == {1: other}
        assert removal().state is RemovalState.KEPT
        assert "Another message" in removal().sentence
        assert "kept_on_server" in {one.action for one in rows_of(AuditEntry)}
    else:
        raw = server.inbox.messages[1]
        server.folders["INBOX"] = FakeFolder(uidvalidity=8, uidnext=3, messages={1: other, 2: raw})
        scan(desk)
        scan(desk)
        # Found again under its new number, and only that one goes.
        assert server.inbox.messages == {1: other}
        assert removal().how is How.EXPUNGED


def test_a_message_that_is_gone_already_is_noted_so(
    desk: EmailAccount, server: FakeServer, scan: Scan, ben: Visitor, choose: Callable[..., None]
) -> None:
    choose(DeletePolicy.WHEN_DELETED_HERE)
    server.inbox.put(mail(TAMSIN))
    scan(desk)
    delete_here(ben)
    server.inbox.messages.clear()
    scan(desk)
    assert (removal().state, removal().how) == (RemovalState.DONE, How.GONE)


WAYS = [
    ({"UIDPLUS", "MOVE"}, "", True, How.EXPUNGED),
    ({"UIDPLUS", "MOVE"}, "gmail", True, How.MOVED),
    ({"MOVE"}, "", True, How.MOVED),
    ({"MOVE"}, "", False, How.MARKED),
    (set(), "", True, How.MARKED),
    ({"UIDPLUS"}, "gmail", True, How.MARKED),
]


@pytest.mark.parametrize("way", WAYS)
def test_the_way_of_deleting_is_the_one_the_server_offers(
    desk: EmailAccount,
    server: FakeServer,
    scan: Scan,
    ben: Visitor,
    choose: Callable[..., None],
    way: tuple[set[str], str, bool, How],
) -> None:
    able, provider, has_trash, how = way
    choose(DeletePolicy.WHEN_DELETED_HERE)
    server.capabilities = frozenset(able)
    if has_trash:
        server.folders["Trash"] = FakeFolder(uidvalidity=3)
    server.inbox.put(mail(TAMSIN))
    # A colleague has marked this one; it is none of our business.
    marked = server.inbox.put(mail("stranger@else.example"))
    server.inbox.marked.add(marked)
    scan(desk)
    with unit_of_work() as session:
        session.get_one(EmailAccount, desk.id).provider = provider
    delete_here(ben)
    scan(desk)
    assert removal().how is how
    assert marked in server.inbox.messages
    assert (1 in server.inbox.messages) is (how is How.MARKED)
    assert len(server.folders.get("Trash", FakeFolder()).messages) == (how is How.MOVED)


def test_a_refusal_keeps_it_there_and_says_so(
    desk: EmailAccount, server: FakeServer, scan: Scan, ben: Visitor, choose: Callable[..., None]
) -> None:
    choose(DeletePolicy.WHEN_DELETED_HERE)
    server.inbox.put(mail(TAMSIN))
    scan(desk)
    delete_here(ben)
    server.refuses_changes = True
    scan(desk)
    assert (removal().state, removal().sentence) == (
        RemovalState.KEPT,
        "The server does not allow deleting this message.",
    )
    account = rows_of(EmailAccount)[0]
    assert account.trouble is None, "the scan itself goes well"


def test_an_option_that_is_taken_back_in_time_keeps_it_there(
    desk: EmailAccount, server: FakeServer, scan: Scan, ben: Visitor, choose: Callable[..., None]
) -> None:
    choose(DeletePolicy.WHEN_DELETED_HERE)
    server.inbox.put(mail(TAMSIN))
    scan(desk)
    delete_here(ben)
    choose(DeletePolicy.NEVER)
    scan(desk)
    assert removal().state is RemovalState.KEPT
    assert len(server.inbox.messages) == 1


class Killed(BaseException):
    """As `kill -9`: nothing in the process hears of it."""


@pytest.mark.parametrize("point", effects.CRASH_POINTS)
def test_a_worker_killed_at_any_point_deletes_it_once_and_nothing_else(
    desk: EmailAccount,
    server: FakeServer,
    scan: Scan,
    ben: Visitor,
    choose: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    point: str,
) -> None:
    choose(DeletePolicy.WHEN_DELETED_HERE)
    server.inbox.put(mail(TAMSIN))
    server.inbox.put(mail("stranger@else.example"))
    scan(desk)
    delete_here(ben)

    def die(here: str) -> None:
        if here == point:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(effects, "crash_point", die)
        with pytest.raises(Killed):
            scan(desk)
    scan(desk)
    assert list(server.inbox.messages) == [2]
    assert removal().state is RemovalState.DONE
    assert sum(command.startswith("expunge") for command in server.commands) == 1


def test_a_lost_answer_is_looked_up_and_not_taken_for_a_failure(
    desk: EmailAccount, server: FakeServer, scan: Scan, ben: Visitor, choose: Callable[..., None]
) -> None:
    choose(DeletePolicy.WHEN_DELETED_HERE)
    server.inbox.put(mail(TAMSIN))
    scan(desk)
    delete_here(ben)
    server.commands.clear()
    scan(desk)  # to see how many commands come before the last one
    assert removal().state is RemovalState.DONE
    before_expunge = server.commands.index("expunge 1")
    server.inbox.put(mail(TAMSIN, subject="Second"))
    scan(desk)
    delete_here(ben)
    server.commands.clear()
    server.faults = [None] * before_expunge + [NotSent("The connection broke off.", code="broken")]
    scan(desk)
    assert rows_of(Removal)[1].state is RemovalState.WAITING
    assert rows_of(EmailAccount)[0].trouble is not None
    server.inbox.messages.pop(2, None)  # it had gone after all
    scan(desk)
    assert rows_of(Removal)[1].how is How.GONE


def test_a_record_that_still_holds_it_keeps_it_on_the_server(
    cast: Cast,
    desk: EmailAccount,
    server: FakeServer,
    scan: Scan,
    ben: Visitor,
    choose: Callable[..., None],
) -> None:
    make.customer(cast.acme, email="ivo@larkspur.example")
    choose(DeletePolicy.WHEN_DELETED_HERE)
    server.inbox.put(mail(TAMSIN, "desk@acme.example, ivo@larkspur.example"))
    scan(desk)
    delete_here(ben)
    scan(desk)
    assert len(server.inbox.messages) == 1
    delete_here_first = rows_of(Filing)[0]
    ben.post(f"/acme/mail/filings/{delete_here_first.id}/delete")
    scan(desk)
    assert server.inbox.messages == {}


def test_choosing_an_option_asks_once_and_says_what_it_will_do(
    cast: Cast, desk: EmailAccount, sign_in: Callable[..., Visitor]
) -> None:
    ana = sign_in(cast.ana)
    typed = {**TYPED, "location_id": str(cast.acme.locations[0].id), "incoming-password": "", "active": "y"}
    address = f"/acme/mail/accounts/{desk.id}"
    chosen = {**typed, "incoming-delete": "after_filing"}
    asked = ana.post(address, data=chosen)
    assert asked.status_code == 422
    assert "every received message that is filed here in full is deleted in the mailbox" in asked.text
    assert "Yes, delete them there" in asked.text
    row = rows_of(EmailAccount)[0]
    assert (row.delete_policy, row.deletes) == (DeletePolicy.NEVER, DeletePolicy.NEVER)
    assert ana.post(address, data={**chosen, "incoming-agreed": "y"}).status_code == 303
    row = rows_of(EmailAccount)[0]
    assert row.deletes is DeletePolicy.AFTER_FILING
    assert row.delete_agreed_at is not None
    # Agreed once: the next change of something else does not ask again; another option does.
    assert ana.post(address, data={**chosen, "signature": "Bye"}).status_code == 303
    assert ana.post(address, data={**typed, "incoming-delete": "when_deleted_here"}).status_code == 422
    assert ana.post(address, data={**typed, "incoming-delete": "never"}).status_code == 303
    assert rows_of(EmailAccount)[0].delete_agreed_at is None


def test_before_an_option_is_chosen_it_is_shown_which_messages_it_would_take(
    cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan, sign_in: Callable[..., Visitor]
) -> None:
    server.inbox.put(mail(TAMSIN, subject="Received"))
    server.sent.put(mail("desk@acme.example", TAMSIN, subject="Sent"))
    server.inbox.put(mail("stranger@else.example", subject="Nobody's"))
    scan(desk)
    server.commands.clear()
    ana = sign_in(cast.ana)
    address = f"/acme/mail/accounts/{desk.id}/deletion?incoming-delete="
    after_filing = ana.get(f"{address}after_filing", htmx=True, target="deletion").text
    assert "Had it been chosen before, 1 message would be gone there now." in after_filing
    assert "Received" in after_filing
    assert "Nobody" not in after_filing
    assert ">Sent<" not in after_filing
    when_deleted = ana.get(f"{address}when_deleted_here", htmx=True, target="deletion").text
    assert "2 messages lie there, and each goes once it is deleted here" in when_deleted
    assert ">Sent<" in when_deleted
    for nothing in ("never", "always"):
        assert "Yes, delete them there" not in ana.get(f"{address}{nothing}", htmx=True, target="deletion").text
    assert server.commands == []
    assert rows_of(Removal) == []


def test_the_dry_run_stands_beside_the_question_and_leaves_out_what_is_gone(
    cast: Cast,
    desk: EmailAccount,
    server: FakeServer,
    scan: Scan,
    choose: Callable[..., None],
    sign_in: Callable[..., Visitor],
) -> None:
    choose(DeletePolicy.AFTER_FILING)
    server.inbox.put(mail(TAMSIN, subject="Gone already"))
    scan(desk)
    choose(DeletePolicy.NEVER)
    server.inbox.put(mail(TAMSIN, subject="Still there"))
    scan(desk)
    typed = {**TYPED, "location_id": str(cast.acme.locations[0].id), "incoming-password": "", "active": "y"}
    chosen = {**typed, "incoming-delete": "after_filing"}
    asked = sign_in(cast.ana).post(f"/acme/mail/accounts/{desk.id}", data=chosen).text
    assert "Still there" in asked
    assert "Gone already" not in asked


def test_the_account_lists_what_was_deleted_there(
    cast: Cast,
    desk: EmailAccount,
    server: FakeServer,
    scan: Scan,
    ben: Visitor,
    choose: Callable[..., None],
    sign_in: Callable[..., Visitor],
) -> None:
    choose(DeletePolicy.WHEN_DELETED_HERE)
    server.inbox.put(mail(TAMSIN))
    scan(desk)
    delete_here(ben)
    page = sign_in(cast.ana).get(f"/acme/mail/accounts/{desk.id}").text
    assert "Deleted in the mailbox" in page
    assert "1 waits" in page
    scan(desk)
    page = sign_in(cast.ana).get(f"/acme/mail/accounts/{desk.id}").text
    assert "deleted there for good" in page
    assert "Ben Birch" in page


def test_many_go_in_one_scan(
    desk: EmailAccount,
    server: FakeServer,
    scan: Scan,
    choose: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(removals, "AT_ONCE", 3)
    choose(DeletePolicy.AFTER_FILING)
    for number in range(7):
        server.inbox.put(mail(TAMSIN, subject=f"Number {number}"))
    for _ in range(3):
        scan(desk)
    assert server.inbox.messages == {}
    assert {one.state for one in rows_of(Removal)} == {RemovalState.DONE}
