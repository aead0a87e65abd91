"""Who stood in To or Cc of a filed message and becomes a customer later gets it into their record, quietly."""

from datetime import timedelta

import pytest

from app import clock
from app.billing import customers, life
from app.billing.models import Customer, CustomerStatus
from app.db import unit_of_work
from app.installations.models import Installation
from plugins.mail_monitor import customer_addresses, refiling
from plugins.mail_monitor.models import EmailAccount
from plugins.mail_monitor.records import Filing, How, Role
from plugins.mail_monitor.sending_models import Notice
from plugins.mail_monitor.waiting import OtherRecipient
from tests import make
from tests.cast import Cast
from tests.fakes.mailbox import FakeServer
from tests.plugins.mail_monitor.conftest import rows_of
from tests.plugins.mail_monitor.letters import mail
from tests.plugins.mail_monitor.test_scanning import Scan
from tests.visitors import HeardBell


@pytest.fixture
def tamsin(cast: Cast) -> Customer:
    return make.customer(cast.acme, "Tamsin Quill", email="tamsin@quill.example")


def last() -> Filing:
    return rows_of(Filing)[-1]  # type: ignore[no-any-return]


def two_at_home(cast: Cast) -> None:
    """Two customers who share home@oxbow.example."""
    make.customer(cast.acme, "One", email="home@oxbow.example")
    two = make.customer(cast.acme, "Two", email="two@oxbow.example")
    with unit_of_work():
        customer_addresses.add(customers.get(cast.acme, two.id), "home@oxbow.example", by="Ana Alder")


def test_a_customer_who_signs_up_later_gets_what_was_filed_to_others(
    cast: Cast, tamsin: Customer, desk: EmailAccount, server: FakeServer, scan: Scan, bell: HeardBell
) -> None:
    with unit_of_work() as session:
        session.get_one(EmailAccount, desk.id).send_notifications = True
    server.inbox.put(mail(Cc="Nadia <nadia@voss.example>, else@nobody.example"))
    scan(desk)
    told = len(rows_of(Notice))
    nadia = make.customer(cast.acme, email="nadia@voss.example", status=CustomerStatus.INACTIVE)
    with unit_of_work():
        life.activate(customers.get(cast.acme, nadia.id))
    bell.answer()
    assert (last().customer_id, last().role) == (nadia.id, Role.CC)
    assert last().reason == "Cc is the main address; known only after the message was filed"
    assert last().thread_id not in {None, rows_of(Filing)[0].thread_id}
    assert last().read_at is not None
    assert len(rows_of(Notice)) == told
    assert [one.address_key for one in rows_of(OtherRecipient)] == ["else@nobody.example"]


def test_a_lost_event_costs_only_time(
    cast: Cast, tamsin: Customer, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    server.sent.put(mail("desk@acme.example", "tamsin@quill.example, nadia@voss.example"))
    scan(desk)
    nadia = make.customer(cast.acme, email="nadia@voss.example")
    scan(desk)
    assert [(one.customer_id, one.role) for one in rows_of(Filing)] == [(tamsin.id, Role.TO), (nadia.id, Role.TO)]


def test_a_further_address_brings_them_at_once(
    cast: Cast, tamsin: Customer, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    oxbow = make.customer(cast.acme, "Oxbow", email="oxbow@oxbow.example")
    server.inbox.put(mail(Cc="bills+q4@oxbow.example"))
    scan(desk)
    with unit_of_work():
        customer_addresses.add(customers.get(cast.acme, oxbow.id), "bills@oxbow.example", by="Ana Alder")
    assert (last().customer_id, last().how) == (oxbow.id, How.TAG)


def test_what_two_customers_share_waits_and_what_was_deleted_stays_away(
    cast: Cast, tamsin: Customer, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    server.inbox.put(mail(Cc="home@oxbow.example"))
    server.inbox.put(mail(Cc="nadia@voss.example"))
    scan(desk)
    with unit_of_work():
        refiling.delete(cast.acme, last().id, "Ana Alder")
    make.customer(cast.acme, "Nadia", email="nadia@voss.example")
    two_at_home(cast)
    scan(desk)
    assert len(rows_of(Filing)) == 2
    assert [one.address_key for one in rows_of(OtherRecipient)] == ["home@oxbow.example"]


def test_what_waits_for_a_choice_is_nobodys_until_it_is_decided(
    cast: Cast, installation: Installation, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    two_at_home(cast)
    server.inbox.put(mail("home@oxbow.example", Cc="nadia@voss.example"), clock.now() - timedelta(minutes=1))
    scan(desk)
    make.customer(cast.acme, "Nadia", email="nadia@voss.example")
    scan(desk)
    assert rows_of(Filing) == []
    assert len(rows_of(OtherRecipient)) == 1
