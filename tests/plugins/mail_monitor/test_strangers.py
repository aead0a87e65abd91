"""Unknown senders: whoever becomes a customer gets the messages that came before, whichever way that happened."""

from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine

from app import clock
from app.accounts.models import User
from app.billing import customers, life, recipients
from app.billing.models import CustomerStatus
from app.billing.recipients import RecipientDetails
from app.db import db, unit_of_work
from app.errors import Conflict, InvalidInput
from app.installations.models import Installation
from plugins.mail_monitor import customer_addresses, left_out, strangers
from plugins.mail_monitor.models import EmailAccount
from plugins.mail_monitor.records import Filing, How
from plugins.mail_monitor.waiting import RememberedAddress, Stub, StubAddress
from tests import make
from tests.cast import Cast
from tests.fakes.mailbox import FakeServer
from tests.plugins.mail_monitor.conftest import rows_of
from tests.plugins.mail_monitor.letters import mail
from tests.plugins.mail_monitor.test_scanning import Scan, filed
from tests.visitors import HeardBell, Visitor

LIST = "/acme/mail/unknown-senders"


def test_whoever_signs_up_later_gets_what_was_written_before(
    cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan, bell: HeardBell
) -> None:
    server.inbox.put(mail("Nadia <nadia@voss.example>", subject="Before I sign up"))
    scan(desk)
    nadia = make.customer(cast.acme, email="nadia@voss.example", status=CustomerStatus.INACTIVE)
    with unit_of_work():
        life.activate(customers.get(cast.acme, nadia.id))
    assert ("mail_monitor.customer_has_address", desk.installation_id, nadia.id) in bell.rings
    bell.answer()
    assert filed() == [("Before I sign up", nadia.id)]
    assert rows_of(Stub) == rows_of(StubAddress) == []


def test_a_lost_event_costs_only_time(cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan) -> None:
    server.inbox.put(mail("Nadia <nadia@voss.example>"))
    scan(desk)
    make.customer(cast.acme, email="nadia@voss.example")
    assert scan(desk).filed == 1


def test_a_message_sent_to_a_stranger_is_filed_once_they_are_a_customer(
    cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    server.sent.put(mail("desk@acme.example", "Lee <lee@dune.example>, nadia@voss.example", subject="Offer"))
    scan(desk)
    nadia = make.customer(cast.acme, email="nadia@voss.example")
    scan(desk)
    assert filed() == [("Offer", nadia.id)]


def test_a_tag_makes_no_stranger(cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan) -> None:
    server.inbox.put(mail("nadia+boxes@voss.example"))
    scan(desk)
    make.customer(cast.acme, email="nadia@voss.example")
    scan(desk)
    assert rows_of(Filing)[0].how == How.TAG


def test_an_address_given_to_a_customer_brings_its_messages_along(
    cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan, bell: HeardBell
) -> None:
    tamsin = make.customer(cast.acme, email="tamsin@quill.example")
    server.inbox.put(mail("office@quill.example", subject="From the office"))
    scan(desk)
    with unit_of_work():
        customer_addresses.add(customers.get(cast.acme, tamsin.id), "Office@Quill.example", "Office")
    bell.answer()
    assert filed() == [("From the office", tamsin.id)]
    assert rows_of(Filing)[0].reason == "From is an extra address (Office)"


def test_what_a_stranger_wrote_is_forgotten_after_a_month(
    cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    server.inbox.put(mail("nadia@voss.example"))
    scan(desk)
    with time_machine.travel(clock.now() + timedelta(days=31), tick=False):
        scan(desk)
        assert rows_of(Stub) == rows_of(StubAddress) == []


def test_an_ignored_stranger_is_not_listed_and_not_fetched(
    cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    server.inbox.put(mail("news@shop.example"))
    scan(desk)
    with unit_of_work():
        left_out.ignore(cast.acme.id, "news@shop.example", "Ana Alder")
    assert scan(desk).filed == 0
    assert db.session.scalars(strangers.listed(cast.acme.id)).all() == []


def test_an_ignored_stranger_who_signs_up_is_a_customer_like_any_other(
    cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    server.inbox.put(mail("nadia@voss.example", subject="Before"))
    scan(desk)
    with unit_of_work():
        left_out.ignore(cast.acme.id, "nadia@voss.example", "Ana Alder")
    nadia = make.customer(cast.acme, email="nadia@voss.example")
    server.inbox.put(mail("nadia@voss.example", subject="After"))
    scan(desk)
    server.inbox.put(mail("nadia@voss.example", subject="Later"))
    scan(desk)
    assert sorted(filed()) == [(subject, nadia.id) for subject in ("After", "Before", "Later")]
    assert rows_of(RememberedAddress) == []


def test_nobody_was_meant_for_an_address_that_two_share_and_stays_so_while_they_do(
    cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    for _ in range(2):
        one = make.customer(cast.acme)
        with unit_of_work():
            customer_addresses.add(customers.get(cast.acme, one.id), "home@oxbow.example")
    with unit_of_work():
        left_out.ignore(cast.acme.id, "home@oxbow.example", "Ana Alder")
    server.inbox.put(mail("home@oxbow.example"))
    scan(desk)
    scan(desk)
    assert filed() == []
    assert len(rows_of(RememberedAddress)) == 1


def test_messages_of_a_recipient_are_the_customers_the_earlier_ones_too(
    cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan, bell: HeardBell
) -> None:
    server.inbox.put(mail("Lena <lena+post@yarrow.example>", subject="Before"))
    scan(desk)
    tamsin = make.customer(cast.acme, email="tamsin@quill.example")
    bell.rings.clear()
    with unit_of_work():
        customer = customers.locked(cast.acme, tamsin.id)
        recipients.add(customer, RecipientDetails("Lena Yarrow", "free", "lena@yarrow.example"))
    bell.answer()
    server.inbox.put(mail("Lena <LENA@yarrow.example>", subject="After"))
    scan(desk)
    assert filed() == [("Before", tamsin.id), ("After", tamsin.id)]
    assert [row.reason for row in rows_of(Filing)][-1] == "From is an address of the recipient Lena Yarrow"


def test_a_watched_address_cannot_be_a_customers(cast: Cast, desk: EmailAccount) -> None:
    tamsin = make.customer(cast.acme, email="tamsin@quill.example")
    with pytest.raises(InvalidInput, match="watched itself"), unit_of_work():
        customer_addresses.add(customers.get(cast.acme, tamsin.id), "desk@acme.example")
    with pytest.raises(Conflict, match="already"), unit_of_work():
        customer_addresses.add(customers.get(cast.acme, tamsin.id), "TAMSIN@quill.example")


def test_an_address_that_is_taken_away_leaves_what_it_filed(
    cast: Cast, desk: EmailAccount, installation: Installation, server: FakeServer, scan: Scan
) -> None:
    tamsin = make.customer(cast.acme, email="tamsin@quill.example")
    with unit_of_work():
        row = customer_addresses.add(customers.get(cast.acme, tamsin.id), "office@quill.example")
    server.inbox.put(mail("office@quill.example"))
    scan(desk)
    with unit_of_work():
        customer_addresses.remove(customers.get(cast.acme, tamsin.id), row.id, "Ana Alder")
    server.inbox.put(mail("office@quill.example", subject="Later"))
    assert scan(desk).stubs == 1
    assert len(rows_of(Filing)) == 1


def test_a_kind_of_senders_is_left_out_of_the_list_and_kept_for_whoever_signs_up(
    cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan, sign_in: Callable[[User], Visitor]
) -> None:
    ben = sign_in(cast.ben)
    for sender in ("noreply@shop.example", "no_reply@bank.example", "noxreply@voss.example"):
        server.inbox.put(mail(sender))
    scan(desk)
    assert "Addresses that take no answer" in ben.get(LIST).text
    assert ben.post(f"{LIST}/ignore-kind", data={"kind": "no-reply@*"}).status_code == 303
    page = ben.get(LIST).text
    assert "noreply@shop.example" not in page
    assert "no_reply@bank.example" not in page
    assert "noxreply@voss.example" in page
    assert "Leave out</span>" in page  # the other kinds are still offered
    make.customer(cast.acme, email="noreply@shop.example")
    assert scan(desk).filed == 1


def test_who_left_a_sender_out_when_and_why_is_shown_and_can_be_taken_back(
    cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan, sign_in: Callable[[User], Visitor]
) -> None:
    ben = sign_in(cast.ben)
    server.inbox.put(mail("offers@shop.example"))
    scan(desk)
    assert "Never list offers@shop.example?" in ben.get(f"{LIST}/ignore?address=offers@shop.example").text
    ben.post(f"{LIST}/ignore", data={"address": "offers@shop.example", "why": "Advertising <b>only</b>"})
    page = ben.get(LIST).text
    assert "Advertising &lt;b&gt;only&lt;/b&gt;" in page
    assert "Ben Birch" in page
    ben.post(f"{LIST}/remembered/{rows_of(RememberedAddress)[0].id}/forget")
    page = ben.get(LIST).text
    assert "Decided for good" not in page
    assert "offers@shop.example" in page


def test_a_reason_that_is_too_long_and_a_kind_that_is_not_offered_change_nothing(
    cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan, sign_in: Callable[[User], Visitor]
) -> None:
    ben = sign_in(cast.ben)
    server.inbox.put(mail("offers@shop.example"))
    scan(desk)
    answer = ben.post(f"{LIST}/ignore", data={"address": "offers@shop.example", "why": "x" * 201})
    assert answer.status_code == 422
    assert ben.post(f"{LIST}/ignore-kind", data={"kind": "offers@shop.example"}).status_code == 422
    assert rows_of(RememberedAddress) == []


@pytest.mark.parametrize(
    ("theirs", "writes"),
    [
        ("tamsin+post@quill.example", "tamsin@quill.example"),
        ("tam.sin@gmail.com", "tamsin@gmail.com"),
        ("tam.sin+post@googlemail.com", "t.amsin@gmail.com"),
    ],
)
def test_a_customers_own_spelling_brings_what_was_written_in_another(
    cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan, theirs: str, writes: str
) -> None:
    server.inbox.put(mail(writes))
    scan(desk)
    make.customer(cast.acme, email=theirs)
    assert scan(desk).filed == 1
    assert rows_of(Filing)[0].how is How.TAG
