"""What the location of an email account decides: the clock of its times, who signs, and nothing about who is told."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine

from app.accounts import services as host_accounts
from app.accounts.models import Location
from app.db import unit_of_work
from app.mailing.models import OutgoingMail
from plugins.mail_monitor import jobs
from plugins.mail_monitor.models import EmailAccount
from plugins.mail_monitor.records import Message
from plugins.mail_monitor.sending_models import Notice
from plugins.mail_monitor.turns import Tally
from tests import make
from tests.cast import Cast
from tests.fakes.mailbox import FakeServer
from tests.plugins.mail_monitor.conftest import rows_of
from tests.plugins.mail_monitor.letters import mail
from tests.plugins.mail_monitor.outbox import AT, fields_of
from tests.visitors import Visitor

Scan = Callable[[EmailAccount], Tally]
NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)  # 7:00 in New York


@pytest.fixture(autouse=True)
def noon() -> Iterator[None]:
    with time_machine.travel(NOON, tick=False):
        yield


@pytest.fixture
def new_york(cast: Cast, desk: EmailAccount) -> Location:
    """The location of desk@acme.example, five hours behind Acme."""
    with unit_of_work() as session:
        there = host_accounts.add_location(
            cast.acme,
            "Pier 17",
            address="89 South Street",
            postcode="NY 10038",
            city="New York",
            timezone="America/New_York",
        )
        session.get_one(EmailAccount, desk.id).location_id = there.id
        return there


@pytest.fixture
def tamsin(cast: Cast, desk: EmailAccount) -> Any:
    return make.customer(cast.acme, "Tamsin Quill", email="tamsin@quill.example")


@pytest.fixture
def ana(cast: Cast, sign_in: Callable[..., Visitor]) -> Visitor:
    return sign_in(cast.ana)


@pytest.fixture
def came(new_york: Location, desk: EmailAccount, tamsin: Any, server: FakeServer, scan: Scan) -> Message:
    """A message of Tamsin's that came at noon, UTC."""
    server.inbox.put(mail(subject="Where is it?"))
    scan(desk)
    message: Message = rows_of(Message)[0]
    return message


def test_times_are_those_of_the_location_and_name_it_where_they_differ(
    came: Message, desk: EmailAccount, tamsin: Any, ana: Visitor
) -> None:
    assert "today 07:00 (New York)" in ana.get(f"/acme/customers/{tamsin.id}/mail/crm").text
    assert "24 November 2026, 07:00 America/New_York" in ana.get(f"{AT}/messages/{came.id}").text
    assert "today 07:00 (New York)" in ana.get(f"{AT}/accounts").text
    assert "today 07:00 (New York)" in ana.get(f"{AT}/accounts/{desk.id}").text


def test_the_same_time_as_at_the_account_is_not_named(
    cast: Cast, desk: EmailAccount, tamsin: Any, server: FakeServer, scan: Scan, ana: Visitor
) -> None:
    server.inbox.put(mail())
    scan(desk)
    assert "today 12:00<" in ana.get(f"/acme/customers/{tamsin.id}/mail/crm").text


def test_an_answer_quotes_and_signs_as_at_the_location(came: Message, ana: Visitor) -> None:
    page = ana.get(f"{AT}/messages/{came.id}/reply").text
    assert "On 24 November 2026 at 07:00, Tamsin Quill wrote:" in page
    assert "Signed with name and address of Pier 17:" in page
    typed = {**fields_of(page), "text": "On shelf B."}
    assert ana.post(f"{AT}/drafts/send", data=typed).status_code == 303
    sent = rows_of(Message)[-1].text
    assert "On shelf B.\n\n-- \nFront desk\nPier 17\n89 South Street\nNY 10038 New York\n\nOn 24" in sent


def test_a_signature_of_its_own_comes_first_and_nothing_is_made_up(new_york: Location, desk: EmailAccount) -> None:
    with unit_of_work() as session:
        row = session.get_one(EmailAccount, desk.id)
        row.signature = "Ana"
        assert row.signs_with == "Ana"
        row.signature, row.location.address = " ", ""
        assert row.signs_with == ""


def test_a_notice_says_the_time_there_and_goes_to_the_operators_of_every_location(
    cast: Cast, new_york: Location, desk: EmailAccount, tamsin: Any, server: FakeServer, scan: Scan, ana: Visitor
) -> None:
    with unit_of_work() as session:
        session.get_one(EmailAccount, desk.id).send_notifications = True
    server.inbox.put(mail())
    scan(desk)
    for notice in rows_of(Notice):
        jobs.tell(notice.id)
    [told] = [one for one in rows_of(OutgoingMail) if one.template == "mail_monitor_notice"]
    assert told.recipient == cast.ana.email
    assert "It came on 24 November 2026, 07:00 America/New_York." in told.text
    assert "Empty: all Operators, whatever the location." in ana.get(f"{AT}/accounts/{desk.id}").text
