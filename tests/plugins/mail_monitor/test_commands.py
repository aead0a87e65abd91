"""`mail add | test | poll`: the services on the command line, and what scripts rely on."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from flask import Flask

from app.db import unit_of_work
from app.errors import NotSent
from app.installations.models import Installation
from app.work import Lease
from plugins.mail_monitor.models import EmailAccount, Encryption
from plugins.mail_monitor.records import Filing
from plugins.mail_monitor.settings import AccountSettings
from tests import make
from tests.cast import Cast
from tests.fakes.mailbox import FakeServer
from tests.mail_services import Dovecot, Post
from tests.plugins.mail_monitor.conftest import Watch, rows_of
from tests.plugins.mail_monitor.letters import mail

Run = Callable[..., Result]


def answer(result: Result) -> dict[str, Any]:
    """What the command printed with `--json`."""
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.fixture
def described(cast: Cast, tmp_path: Path) -> Callable[..., Path]:
    """`described(port=995)`: a settings.json of an inactive account, with some of it another way."""

    def write(outgoing: dict[str, Any] | None = None, incoming: dict[str, Any] | None = None, **other: Any) -> Path:
        values = {
            "display_name": "Front desk",
            "location": cast.acme.locations[0].name,
            "email_address": "desk@acme.example",
            "active": False,
            "notification_email_address": "ana@acme.example",
            "send_notifications": True,
            "incoming": {
                "host": "imap.acme.example",
                "port": 993,
                "encryption": "tls",
                "user": "desk",
                "password": "right",
                "delete": "after_filing",
                **(incoming or {}),
            },
            "outgoing": {
                "host": "smtp.acme.example",
                "port": 587,
                "encryption": "starttls",
                "reply_to": "",
                **(outgoing or {}),
            },
            **other,
        }
        path = tmp_path / "settings.json"
        path.write_text(json.dumps(values))
        return path

    return write


def test_an_account_is_added_as_the_file_describes_it(
    cast: Cast, described: Callable[..., Path], run_command: Run
) -> None:
    done = run_command("mail", "add", "--account", "acme", "--file", described(), "--json")
    row = rows_of(EmailAccount)[0]
    assert (done.exit_code, answer(done)) == (0, {"email_account": row.id})
    assert (row.display_name, row.email_address, row.active) == ("Front desk", "desk@acme.example", False)
    assert (row.incoming_host, row.incoming_encryption, row.delete_policy) == (
        "imap.acme.example",
        Encryption.TLS,
        "after_filing",
    )
    assert row.send_notifications
    assert "right" not in done.output
    assert rows_of(Installation)[0].is_on


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"incoming": {"port": 110, "encryption": "none"}}, "incoming-port: Only IMAP can be watched"),
        ({"incoming": {"encryption": "starttls"}}, "Port 993 is encrypted from the first byte"),
        ({"incoming": {"delete": "always"}}, "incoming.delete: Input should be 'never', 'after_filing' or"),
        ({"email_address": "desk"}, "is not an email address"),
        ({"location": "Elsewhere"}, "There is no location “Elsewhere”."),
        ({"colour": "red"}, "“colour” is no setting of an email account."),
        ({"incoming": {"colour": "red"}}, "“incoming.colour” is no setting of an email account."),
        ({"incoming": {"port": "993"}}, "incoming.port: Input should be a valid integer"),
        ({"active": "yes"}, "active: Input should be a valid boolean"),
        ({"interval_minutes": None}, "interval_minutes: Input should be a valid integer"),
        ({"display_name": ["Desk"]}, "display_name: Input should be a valid string"),
        ({"relays": "form@acme.example"}, "relays: Input should be a valid array"),
        ({"active": True, "outgoing": {"host": "", "port": 0}}, "outgoing-host: Without an outgoing server"),
    ],
)
def test_what_cannot_be_right_is_refused_with_its_key(
    cast: Cast, described: Callable[..., Path], run_command: Run, change: dict[str, Any], sentence: str
) -> None:
    done = run_command("mail", "add", "--account", "acme", "--file", described(**change), "--json")
    assert done.exit_code == 1
    assert answer(done)["error"]["code"] == "invalid_input"
    assert sentence in answer(done)["error"]["message"]
    assert rows_of(EmailAccount) == []
    assert rows_of(Installation) == []


def test_a_file_that_is_no_json_is_refused(cast: Cast, tmp_path: Path, run_command: Run) -> None:
    path = tmp_path / "settings.json"
    path.write_text("display_name: Front desk")
    done = run_command("mail", "add", "--account", "acme", "--file", path)
    assert done.exit_code == 1
    assert "settings.json cannot be read as settings" in done.stderr


def test_polling_scans_to_the_end_and_counts(
    cast: Cast, desk: EmailAccount, server: FakeServer, run_command: Run
) -> None:
    make.customer(cast.acme, email="tamsin@quill.example")
    for number in range(3):
        server.inbox.put(mail(subject=str(number)))
    server.inbox.put(mail("nadia@voss.example"))
    done = run_command("mail", "poll", "--account", "acme", "--email-account", desk.id, "--json")
    assert done.exit_code == 0
    counts = answer(done)
    assert counts.pop("bytes") > 0
    assert counts == {"seen": 4, "filed": 3, "stubs": 1, "choices": 0, "duplicates": 0, "quarantined": 0}
    assert len(rows_of(Filing)) == 3
    again = run_command("mail", "poll", "--account", "acme", "--email-account", desk.id, "--json")
    assert not any(answer(again).values())


def test_polling_all_goes_on_past_an_account_that_fails(
    cast: Cast, desk: EmailAccount, server: FakeServer, watch: Watch, settings: AccountSettings, run_command: Run
) -> None:
    make.customer(cast.acme, email="tamsin@quill.example")
    watch(replace(settings, email_address="post@acme.example"))
    server.inbox.put(mail())
    server.faults = [NotSent("imap.acme.example does not answer.", code="no_answer")]
    done = run_command("mail", "poll", "--account", "acme", "--json")
    assert done.exit_code == 0
    assert answer(done)["filed"] == 1
    assert answer(done)["failed"] == [{"email_account": desk.id, "reason": "imap.acme.example does not answer."}]


def test_polling_one_that_fails_ends_with_its_sentence(
    cast: Cast, desk: EmailAccount, server: FakeServer, run_command: Run
) -> None:
    server.password = "changed"
    done = run_command("mail", "poll", "--account", "acme", "--email-account", desk.id, "--json")
    assert done.exit_code == 1
    assert answer(done)["error"]["message"] == "The server does not accept this user and password."
    assert rows_of(EmailAccount)[0].problem.startswith("The server does not accept")


def test_a_mailbox_that_a_worker_holds_is_busy(cast: Cast, desk: EmailAccount, run_command: Run) -> None:
    lease = Lease.take(EmailAccount, desk.id)
    assert lease is not None
    done = run_command("mail", "poll", "--account", "acme", "--email-account", desk.id, "--json")
    assert done.exit_code == 3
    assert answer(done)["error"]["code"] == "busy"
    lease.give_back()


def test_an_inactive_account_is_not_polled(
    cast: Cast, desk: EmailAccount, server: FakeServer, run_command: Run
) -> None:
    with unit_of_work() as session:
        session.get_one(EmailAccount, desk.id).active = False
    one = run_command("mail", "poll", "--account", "acme", "--email-account", desk.id, "--json")
    assert answer(one)["error"]["code"] == "conflict"
    every = run_command("mail", "poll", "--account", "acme", "--json")
    assert answer(every)["failed"] == []
    assert server.opened == 0


@pytest.mark.parametrize("command", ["test", "poll"])
def test_another_accounts_mailbox_is_not_found(
    cast: Cast, desk: EmailAccount, server: FakeServer, run_command: Run, command: str
) -> None:
    done = run_command("mail", command, "--account", "zenith", "--email-account", desk.id, "--json")
    assert (done.exit_code, answer(done)["error"]["code"]) == (1, "not_found")
    assert server.opened == 0


@pytest.mark.dovecot
def test_an_active_account_is_added_after_a_test_and_then_tested_and_polled(
    cast: Cast, dovecot: Dovecot, post: Post, reachable: Flask, described: Callable[..., Path], run_command: Run
) -> None:
    make.customer(cast.acme, email="tamsin@quill.example")
    user = dovecot.new_user()
    incoming = {"host": "localhost", "port": dovecot.tls_port, "user": user, "password": dovecot.password}
    path = described({"host": "127.0.0.1", "port": post.port}, incoming, active=True)
    added = run_command("mail", "add", "--account", "acme", "--file", path, "--json")
    assert added.exit_code == 0, added.output
    number = answer(added)["email_account"]
    assert rows_of(EmailAccount)[0].active

    tested = run_command("mail", "test", "--account", "acme", "--email-account", number, "--json")
    steps = answer(tested)["steps"]
    assert all(step["ok"] for step in steps)
    assert {"Signed in", "Sending"} <= {step["name"] for step in steps}

    dovecot.deliver(user, mail())
    polled = run_command("mail", "poll", "--account", "acme", "--email-account", number, "--json")
    assert answer(polled)["filed"] == 1


@pytest.mark.dovecot
def test_an_active_account_whose_test_fails_is_not_added(
    cast: Cast, dovecot: Dovecot, post: Post, reachable: Flask, described: Callable[..., Path], run_command: Run
) -> None:
    incoming = {"host": "localhost", "port": dovecot.tls_port, "user": "user", "password": "wrong"}
    path = described({"host": "127.0.0.1", "port": post.port}, incoming, active=True)
    done = run_command("mail", "add", "--account", "acme", "--file", path, "--json")
    assert (done.exit_code, answer(done)["error"]["code"]) == (1, "signed_in")
    assert rows_of(EmailAccount) == []
