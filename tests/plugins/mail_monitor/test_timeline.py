"""A customer's timeline says what became of each message, and each stands there once."""

from typing import Any

import pytest

from app.db import unit_of_work
from plugins.mail_monitor.models import EmailAccount
from plugins.mail_monitor.records import Filing, How
from plugins.mail_monitor.sending_models import Outgoing, OutgoingState
from tests import make
from tests.cast import Cast
from tests.fakes.mailbox import FakeServer
from tests.plugins.mail_monitor.conftest import rows_of
from tests.plugins.mail_monitor.letters import mail
from tests.plugins.mail_monitor.outbox import the_mail, write
from tests.plugins.mail_monitor.test_scanning import Scan
from tests.visitors import HeardBell, Visitor


@pytest.fixture
def tamsin(cast: Cast) -> Any:
    return make.customer(cast.acme, email="tamsin@quill.example")


@pytest.fixture
def ben(cast: Cast, client: Visitor) -> Visitor:
    client.enter(cast.ben)
    return client


def timeline(ben: Visitor, customer: Any) -> str:
    return ben.get(f"/acme/customers/{customer.id}/timeline").text


@pytest.mark.parametrize(
    ("state", "returned", "said"),
    [
        (OutgoingState.WAITING, [], "On its way. To is the main address."),
        (OutgoingState.SENT, [], "Sent. To is the main address."),
        (OutgoingState.FAILED, [], "Not sent. To is the main address."),
        (OutgoingState.UNKNOWN, [], "May have been sent. To is the main address."),
        (OutgoingState.SENT, [{"address": "tamsin@quill.example", "why": "550"}], "Not delivered. To is"),
    ],
)
def test_a_mail_written_here_says_what_became_of_it(
    sending_desk: EmailAccount,
    tamsin: Any,
    ben: Visitor,
    bell: HeardBell,
    state: OutgoingState,
    returned: Any,
    said: str,
) -> None:
    write(ben, f"/customers/{tamsin.id}/compose", subject="Your parcel")
    with unit_of_work() as session:
        row = session.get_one(Outgoing, the_mail().id)
        row.state, row.returned = state, returned
    assert said in timeline(ben, tamsin)


def test_what_came_is_received_and_what_the_host_sent_is_left_to_the_host(
    desk: EmailAccount, tamsin: Any, server: FakeServer, scan: Scan, ben: Visitor
) -> None:
    server.inbox.put(mail(subject="From Tamsin"))
    server.sent.put(mail("desk@acme.example", "tamsin@quill.example", subject="Of the host"))
    scan(desk)
    with unit_of_work() as session:
        session.get_one(Filing, rows_of(Filing)[-1].id).how = How.HOST
    page = timeline(ben, tamsin)
    assert "Received. From is the main address." in page
    assert "Of the host" not in page
