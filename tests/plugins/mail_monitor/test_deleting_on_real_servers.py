"""Deleting on a real IMAP server: only the one message goes, whatever else is marked, and through both ways it can."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from flask import Flask

from app.db import unit_of_work
from app.installations.models import Installation
from plugins.mail_monitor import accounts, testing
from plugins.mail_monitor.egress import Guard
from plugins.mail_monitor.imap_client import Server
from plugins.mail_monitor.mailbox import Mailbox
from plugins.mail_monitor.models import ConnectionTest, ConnectionTestState, EmailAccount
from plugins.mail_monitor.records import Filing
from plugins.mail_monitor.settings import AccountSettings
from plugins.mail_monitor.wishes import How, MessageSearch, Removal
from tests import make
from tests.cast import Cast
from tests.mail_services import Dovecot
from tests.plugins.mail_monitor.conftest import rows_of
from tests.plugins.mail_monitor.letters import mail
from tests.plugins.mail_monitor.test_scanning import Scan
from tests.visitors import HeardBell, Visitor

pytestmark = pytest.mark.dovecot

TAMSIN = "tamsin@quill.example"


@pytest.fixture
def box(dovecot: Dovecot) -> Iterator[Mailbox]:
    """A mailbox with three messages, seen by a colleague."""
    user = dovecot.new_user()
    for number in range(3):
        dovecot.deliver(user, mail(subject=f"Number {number}"))
    server = Server("localhost", dovecot.tls_port, "tls", user, dovecot.password)
    with Mailbox(server, Guard(("127.0.0.0/8",), dovecot.ca_file), time.monotonic() + 20) as found:
        yield found


def test_only_the_one_message_is_expunged(box: Mailbox) -> None:
    assert box.open_to_delete("INBOX").messages == 3
    box.mark_deleted(1)  # as a colleague would
    box.mark_deleted(2)
    box.expunge(2)
    assert box.examine("INBOX").messages == 2
    assert box.uids(1, 9) == [1, 3]


def test_a_message_is_moved_to_trash(box: Mailbox) -> None:
    box.open_to_delete("INBOX")
    box.move(3, "Trash")
    assert box.examine("INBOX").messages == 2
    assert box.examine("Trash").messages == 1


def test_days_narrow_what_is_looked_at(dovecot: Dovecot) -> None:
    user = dovecot.new_user()
    for day in (9, 10, 11):
        dovecot.deliver(user, mail(subject=f"Day {day}"), at=datetime(2026, 11, day, 12, tzinfo=UTC).timestamp())
    server = Server("localhost", dovecot.tls_port, "tls", user, dovecot.password)
    with Mailbox(server, Guard(("127.0.0.0/8",), dovecot.ca_file), time.monotonic() + 20) as found:
        state = found.examine("INBOX")
        first, last = datetime(2026, 11, 10, tzinfo=UTC).date(), datetime(2026, 11, 11, tzinfo=UTC).date()
        assert found.uids(1, state.uidnext - 1, first, last) == [2]


@pytest.fixture
def desk(cast: Cast, installation: Installation, real_settings: AccountSettings, reachable: Flask) -> EmailAccount:
    """A watched account at the real server that deletes there what is deleted here."""
    settings = replace(real_settings, delete="when_deleted_here")
    with unit_of_work() as session:
        row = session.get_one(Installation, installation.id)
        test = testing.begin(row, settings, None, "Ana Alder", ring=False)
        test.state = ConnectionTestState.PASSED
        session.flush()
        return accounts.save(cast.acme, row, settings, None, session.get_one(ConnectionTest, test.id), agrees=True)


def test_deleting_here_deletes_there_and_nothing_else(
    cast: Cast,
    desk: EmailAccount,
    dovecot: Dovecot,
    scan: Scan,
    sign_in: Callable[..., Visitor],
    bell: HeardBell,
) -> None:
    make.customer(cast.acme, email=TAMSIN)
    scan(desk)
    user = rows_of(EmailAccount)[0].incoming_user
    dovecot.deliver(user, mail(TAMSIN, subject="Goes"))
    dovecot.deliver(user, mail(TAMSIN, subject="Stays"))
    dovecot.deliver(user, mail("stranger@else.example", subject="Nobody's"))
    scan(desk)
    filing = next(one for one in rows_of(Filing) if one.message.subject == "Goes")
    sign_in(cast.ben).post(f"/acme/mail/filings/{filing.id}/delete")
    scan(desk)
    assert [one.how for one in rows_of(Removal)] == [How.EXPUNGED]
    left = b"".join(path.read_bytes() for kind in ("new", "cur") for path in (dovecot.maildir(user) / kind).iterdir())
    assert b"Subject: Goes" not in left
    assert b"Subject: Stays" in left
    assert b"Subject: Nobody's" in left

    bell.rings.clear()
    sign_in(cast.ana).post(f"/acme/mail/accounts/{desk.id}/find", data={"sender": "e"})
    bell.answer()
    fates = {one["subject"]: one["fate"] for one in rows_of(MessageSearch)[0].hits}
    assert fates == {"Stays": "filed", "Nobody's": "stranger"}
