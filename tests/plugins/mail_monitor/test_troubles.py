"""When something keeps a mailbox from being scanned: who is told, once, and that it is over, once."""

from datetime import timedelta

import pytest
import time_machine

from app import clock
from app.db import db, unit_of_work
from app.installations.models import Installation
from app.mailing.models import OutgoingMail
from plugins.mail_monitor import troubles
from plugins.mail_monitor.models import EmailAccount, Trouble
from plugins.mail_monitor.turns import Turn
from tests import make
from tests.cast import Cast
from tests.fakes.mailbox import FakeServer
from tests.plugins.mail_monitor.conftest import rows_of
from tests.plugins.mail_monitor.letters import mail
from tests.plugins.mail_monitor.test_scanning import BROKEN, Scan


def told() -> list[str]:
    """The subjects of the mails that Ana got; the product sends nobody else any here."""
    return [one.subject for one in rows_of(OutgoingMail)]


def test_operators_are_told_once_that_it_stopped_and_once_that_it_works_again(
    desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    server.password = "changed"
    for _ in range(3):
        scan(desk)
    assert told() == ["Front desk is not scanned"]
    server.password = "right"
    for _ in range(2):
        scan(desk)
    assert told() == ["Front desk is not scanned", "Front desk is scanned again"]


def test_that_it_works_again_is_told_also_when_much_is_waiting(
    cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    make.customer(cast.acme, email="tamsin@quill.example")
    server.inbox.put(mail())
    server.password = "changed"
    scan(desk)
    server.password = "right"
    with monkeypatch.context() as patch:
        patch.setattr(Turn, "is_over", True)
        scan(desk)
    scan(desk)
    assert told() == ["Front desk is not scanned", "Front desk is scanned again"]


def test_a_server_that_does_not_answer_is_nobodys_business_until_it_lasts(
    installation: Installation, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    server.faults = [BROKEN]
    scan(desk)
    assert db.session.get_one(EmailAccount, desk.id).trouble == Trouble.NETWORK
    assert troubles.problems_of(installation) == []
    with time_machine.travel(clock.now() + timedelta(hours=7), tick=False):
        server.faults = [BROKEN]
        scan(desk)
        problems = troubles.problems_of(installation)
        assert [(one.title, one.kind) for one in problems] == [("Front desk was not reached for 7 hours", "ask")]
        assert "The connection broke off." in problems[0].meaning
        scan(desk)
        assert troubles.problems_of(installation) == []
    assert told() == []


def test_an_account_that_is_not_watched_is_nobodys_problem(
    installation: Installation, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    server.faults = [BROKEN]
    scan(desk)
    with unit_of_work() as session:
        session.get_one(EmailAccount, desk.id).active = False
    with time_machine.travel(clock.now() + timedelta(days=2), tick=False):
        assert troubles.problems_of(installation) == []
