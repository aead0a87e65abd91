"""What a test of the connection says about deleting is what deleting does."""

from dataclasses import replace

import pytest

from plugins.mail_monitor.connection_test import Trial
from plugins.mail_monitor.credentials import Passwords
from plugins.mail_monitor.models import DeletePolicy
from plugins.mail_monitor.settings import AccountSettings
from tests.fakes.mailbox import FakeFolder, FakeMailbox, FakeServer


@pytest.mark.parametrize(
    ("capabilities", "host", "has_trash", "said"),
    [
        ({"UIDPLUS", "MOVE"}, "imap.acme.example", True, ("passed", "one message at a time")),
        ({"UIDPLUS", "MOVE"}, "imap.gmail.com", True, ("passed", "moves to Trash")),
        ({"MOVE"}, "imap.acme.example", True, ("passed", "moves to Trash")),
        ({"MOVE"}, "imap.acme.example", False, ("warned", "")),
        (set(), "imap.acme.example", True, ("warned", "")),
        ({"UIDPLUS"}, "imap.gmail.com", True, ("warned", "")),
    ],
)
def test_it_says_how_messages_are_deleted_there(
    settings: AccountSettings, capabilities: set[str], host: str, has_trash: bool, said: tuple[str, str]
) -> None:
    server = FakeServer(capabilities=frozenset(capabilities))
    if has_trash:
        server.folders["Trash"] = FakeFolder()
    chosen = replace(settings, incoming=replace(settings.incoming, host=host), delete=DeletePolicy.AFTER_FILING)
    trial = Trial(1, chosen, Passwords("right"), lambda steps: None)
    mailbox = FakeMailbox(server)
    trial._say_how_it_deletes(mailbox, mailbox.folders())
    step = next(one for one in trial.steps if one["key"] == "deleting")
    assert (step["state"], step["detail"]) == said
    assert ("marked as deleted" in step["reason"]) is (said[0] == "warned")
