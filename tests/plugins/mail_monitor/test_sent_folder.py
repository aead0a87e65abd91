"""The folder of sent mail: found, shown, chosen where it was not found, and never guessed at."""

from collections.abc import Callable

import pytest

from app import clock
from app.accounts.models import User
from app.db import unit_of_work
from app.errors import Refused
from app.installations.models import Installation
from plugins.mail_monitor import troubles
from plugins.mail_monitor.connection_test import Trial
from plugins.mail_monitor.credentials import Passwords
from plugins.mail_monitor.folder_names import FolderName, choosable
from plugins.mail_monitor.models import EmailAccount, Folder, FolderKind
from plugins.mail_monitor.records import Filing, Sighting
from plugins.mail_monitor.settings import AccountSettings
from tests import make
from tests.cast import Cast
from tests.fakes.mailbox import FakeFolder, FakeMailbox, FakeServer
from tests.plugins.mail_monitor.conftest import rows_of
from tests.plugins.mail_monitor.letters import mail
from tests.plugins.mail_monitor.test_scanning import Scan, folder_of
from tests.visitors import HeardBell, Visitor

SignIn = Callable[[User], Visitor]


@pytest.fixture
def ana(cast: Cast, installation: Installation, sign_in: SignIn) -> Visitor:
    return sign_in(cast.ana)


@pytest.fixture
def odd(desk: EmailAccount, server: FakeServer, scan: Scan) -> EmailAccount:
    """The desk, whose folder of sent mail was renamed to something that nobody can guess; scanned since."""
    server.folders["Done"] = server.folders.pop("Sent")
    scan(desk)
    return desk


def account() -> EmailAccount:
    return rows_of(EmailAccount)[0]  # type: ignore[no-any-return]


def sent_from_here(subject: str = "Your parcel") -> bytes:
    return mail("desk@acme.example", "tamsin@quill.example", subject=subject)


def choose(ana: Visitor, row: EmailAccount, choice: str) -> int:
    return ana.post(f"/acme/mail/accounts/{row.id}/folders", data={"sent": choice}).status_code


def test_a_folder_that_is_not_found_is_asked_for(
    cast: Cast, odd: EmailAccount, installation: Installation, ana: Visitor
) -> None:
    page = ana.get(f"/acme/mail/accounts/{odd.id}").text
    assert "No folder of sent mail is read." in page
    assert '<option value="in:Done">' in page
    problem = next(one for one in troubles.problems_of(installation) if one.cause == f"sent_folder_{odd.id}")
    assert (problem.kind, problem.values["_anchor"]) == ("ask", "folders")
    assert "Front desk has no folder of sent mail" in ana.get("/acme/today").text


def test_the_chosen_folder_is_read_from_now_on(
    cast: Cast, odd: EmailAccount, server: FakeServer, scan: Scan, ana: Visitor, bell: HeardBell
) -> None:
    make.customer(cast.acme, email="tamsin@quill.example")
    server.folders["Done"].put(sent_from_here("Before"))
    assert choose(ana, odd, "in:Done") == 303
    assert [name for name, *_ in bell.rings] == ["mail_monitor.work_on_account"]
    scan(odd)
    server.folders["Done"].put(sent_from_here("After"))
    scan(odd)
    assert [one.message.subject for one in rows_of(Filing)] == ["After"]
    assert account().sent_missing_since is None
    page = ana.get(f"/acme/mail/accounts/{odd.id}").text
    assert "Done<span" in page
    assert "chosen, since" in page


def test_another_folder_with_the_same_numbers_is_not_taken_for_the_one_before(
    cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan, ana: Visitor
) -> None:
    make.customer(cast.acme, email="tamsin@quill.example")
    server.sent.put(sent_from_here("One"))
    server.sent.put(sent_from_here("Two"))
    scan(desk)
    server.folders["Done"] = FakeFolder()
    ana.post(f"/acme/mail/accounts/{desk.id}/folders/list")
    scan(desk)
    choose(ana, desk, "in:Done")
    scan(desk)
    assert folder_of(desk, FolderKind.SENT).cursor == 0
    server.folders["Done"].put(sent_from_here("Three"))
    scan(desk)
    assert [one.message.subject for one in rows_of(Filing)] == ["One", "Two", "Three"]
    assert len(rows_of(Sighting)) == 3


def test_the_list_is_made_by_a_worker_and_never_by_the_page(
    desk: EmailAccount, server: FakeServer, scan: Scan, ana: Visitor
) -> None:
    server.folders |= {"Done": FakeFolder(), "Projects/2026": FakeFolder(), "Trash": FakeFolder()}
    ana.post(f"/acme/mail/accounts/{desk.id}/folders/list")
    part = ana.get(f"/acme/mail/accounts/{desk.id}/folders", htmx=True, target="folders").text
    assert 'hx-trigger="every 2s"' in part
    assert server.opened == 0
    scan(desk)
    part = ana.get(f"/acme/mail/accounts/{desk.id}/folders", htmx=True, target="folders").text
    assert "every 2s" not in part
    assert account().folder_list == ["Done", "Projects/2026", "Sent"]


def test_only_folders_that_may_hold_sent_mail_can_be_chosen() -> None:
    flags = {"All": "\\all", "Bin": "\\trash", "Spam": "\\junk", "Drafts": "\\drafts"}
    names = [FolderName(name, frozenset({flag}), "/") for name, flag in flags.items()]
    names += [
        FolderName(name, frozenset(), "/") for name in ("INBOX", "inbox", "zeta", "Papierkorb", "Alpha", "x" * 600)
    ]
    assert choosable(names) == ["Alpha", "zeta"]


@pytest.mark.parametrize("choice", ["in:INBOX", "in:Nowhere", "Done", ""])
def test_what_is_not_in_the_list_is_refused(odd: EmailAccount, ana: Visitor, choice: str) -> None:
    answer = ana.post(f"/acme/mail/accounts/{odd.id}/folders", data={"sent": choice}, htmx=True, target="folders")
    assert answer.status_code == 422
    assert "Choose one of the folders in the list." in answer.text
    assert account().sent_folder is None


def test_no_folder_at_all_can_be_chosen_and_taken_back(
    cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan, ana: Visitor
) -> None:
    make.customer(cast.acme, email="tamsin@quill.example")
    choose(ana, desk, "none")
    server.sent.put(sent_from_here())
    server.commands.clear()
    assert scan(desk).filed == 0
    assert "examine Sent" not in server.commands
    assert "none, as you chose" in ana.get(f"/acme/mail/accounts/{desk.id}").text
    choose(ana, desk, "found")
    assert scan(desk).filed == 1


def test_a_chosen_folder_that_is_renamed_is_asked_for_again_and_no_other_is_taken(
    cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan, ana: Visitor
) -> None:
    make.customer(cast.acme, email="tamsin@quill.example")
    server.folders["Done"] = FakeFolder()
    ana.post(f"/acme/mail/accounts/{desk.id}/folders/list")
    scan(desk)
    choose(ana, desk, "in:Done")
    scan(desk)
    server.folders["Finished"] = server.folders.pop("Done")
    server.sent.put(sent_from_here())
    server.inbox.put(mail())
    assert scan(desk).filed == 1  # the inbox is read all the same
    assert "The folder Done is gone." in ana.get(f"/acme/mail/accounts/{desk.id}").text


def test_a_folder_that_does_not_open_holds_up_nothing(
    cast: Cast, odd: EmailAccount, server: FakeServer, scan: Scan, ana: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    make.customer(cast.acme, email="tamsin@quill.example")
    choose(ana, odd, "in:Done")
    real = FakeMailbox.examine

    def examine(self: FakeMailbox, folder: str) -> object:
        if folder == "Done":
            raise Refused("Not for you.", code="folder")
        return real(self, folder)

    monkeypatch.setattr(FakeMailbox, "examine", examine)
    server.inbox.put(mail())
    assert scan(odd).filed == 1
    assert account().trouble is None
    assert account().sent_missing_since is not None


def test_a_test_of_the_connection_looks_into_the_chosen_folder(
    desk: EmailAccount, server: FakeServer, settings: AccountSettings
) -> None:
    server.folders["Done"] = FakeFolder(uidnext=40)
    with unit_of_work() as session:
        session.get_one(EmailAccount, desk.id).sent_folder = "Done"
    trial = Trial(1, settings, Passwords("right"), lambda steps: None)
    trial._look_at_folders(FakeMailbox(server), desk.id)
    assert {one["name"] for one in trial.found.begins_at} == {"INBOX", "Done"}
    del server.folders["Done"]
    trial = Trial(1, settings, Passwords("right"), lambda steps: None)
    trial._look_at_folders(FakeMailbox(server), desk.id)
    step = next(one for one in trial.steps if one["key"] == "folders")
    assert step["state"] == "warned"
    assert "The folder Done that was chosen for sent mail is not there" in step["reason"]


def test_a_choice_made_while_a_scan_works_is_done_by_the_next_one(
    desk: EmailAccount, server: FakeServer, scan: Scan, ana: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.folders |= {"Done": FakeFolder(), "Other": FakeFolder()}
    ana.post(f"/acme/mail/accounts/{desk.id}/folders/list")
    scan(desk)
    choose(ana, desk, "in:Done")
    real, email_account_id = FakeMailbox.folders, desk.id

    def folders(self: FakeMailbox) -> list[FolderName]:
        with unit_of_work() as session:
            row = session.get_one(EmailAccount, email_account_id)
            row.sent_folder, row.sent_changed_at = "Other", clock.now()
        return real(self)

    monkeypatch.setattr(FakeMailbox, "folders", folders)
    scan(desk)
    assert folder_of(desk, FolderKind.SENT).name == "Sent"
    monkeypatch.setattr(FakeMailbox, "folders", real)
    scan(desk)
    assert [one.name for one in rows_of(Folder)] == ["INBOX", "Other"]
    assert account().sent_changed_at is None
