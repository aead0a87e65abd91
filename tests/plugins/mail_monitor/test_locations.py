"""What the location of an email account decides: the clock of its times, who signs, and who is told."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine

from app.access import Role
from app.accounts import services as host_accounts
from app.accounts.models import Location, User
from app.accounts.services import give_role, membership_of
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


def told_of(desk: EmailAccount, server: FakeServer, scan: Scan) -> list[str]:
    """Who is told of a message that comes now, and at what time it came there."""
    with unit_of_work() as session:
        session.get_one(EmailAccount, desk.id).send_notifications = True
    before = len(rows_of(OutgoingMail))
    server.inbox.put(mail())
    scan(desk)
    for notice in rows_of(Notice):
        jobs.tell(notice.id)
    return [one.recipient for one in rows_of(OutgoingMail)[before:] if one.template == "mail_monitor_notice"]


def test_a_notice_says_the_time_there(
    new_york: Location, desk: EmailAccount, tamsin: Any, server: FakeServer, scan: Scan, ana: Visitor
) -> None:
    told_of(desk, server, scan)
    assert "It came on 24 November 2026, 07:00 America/New_York." in rows_of(OutgoingMail)[-1].text
    page = ana.get(f"{AT}/accounts/{desk.id}").text
    assert "Empty: the Operators of the location." in page
    assert "and which Operators are told" in page


def test_a_notice_goes_to_the_operators_of_the_location_and_of_all(
    cast: Cast, new_york: Location, desk: EmailAccount, tamsin: Any, server: FakeServer, scan: Scan, ana: Visitor
) -> None:
    lisbon = next(one.id for one in cast.acme.locations if one.id != new_york.id)
    with unit_of_work():
        give_role(cast.acme, cast.ben, Role.OPERATOR)
        give_role(cast.acme, cast.mia, Role.OPERATOR)
    for user, location_id in ((cast.ana, lisbon), (cast.ben, new_york.id)):
        where = f"/acme/settings/staff/{membership_id(user, cast)}/told"
        assert ana.post(where, data={"location": location_id}).status_code == 303
    assert told_of(desk, server, scan) == [cast.ben.email, cast.mia.email]


def test_where_nobody_looks_after_a_location_everybody_is_told(
    cast: Cast, new_york: Location, desk: EmailAccount, tamsin: Any, server: FakeServer, scan: Scan, ana: Visitor
) -> None:
    lisbon = next(one.id for one in cast.acme.locations if one.id != new_york.id)
    ana.post(f"/acme/settings/staff/{membership_id(cast.ana, cast)}/told", data={"location": lisbon})
    assert told_of(desk, server, scan) == [cast.ana.email]


def membership_id(user: User, cast: Cast) -> int:
    found = membership_of(user, cast.acme)
    assert found
    return found.id
