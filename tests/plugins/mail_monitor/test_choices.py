"""Needs a choice: never filed by guessing, decided by a person, remembered if they say so."""

from dataclasses import replace

import pytest

from app.billing import customers
from app.billing.models import Customer
from app.db import db, unit_of_work
from app.errors import Conflict
from plugins.mail_monitor import choices, customer_addresses
from plugins.mail_monitor.models import EmailAccount
from plugins.mail_monitor.records import Filing, How, Message
from plugins.mail_monitor.settings import AccountSettings
from plugins.mail_monitor.waiting import Choice, Doubt
from tests import make
from tests.cast import Cast
from tests.fakes.mailbox import FakeServer
from tests.plugins.mail_monitor.conftest import Watch, rows_of
from tests.plugins.mail_monitor.letters import mail
from tests.plugins.mail_monitor.test_scanning import Scan, filed


@pytest.fixture
def family(cast: Cast) -> tuple[Customer, Customer]:
    """Two customers with one address between them."""
    greta = make.customer(cast.acme, "Greta Oxbow", email="greta@oxbow.example")
    tobias = make.customer(cast.acme, "Tobias Oxbow", email="tobias@oxbow.example")
    with unit_of_work():
        for one in (greta, tobias):
            customer_addresses.add(customers.get(cast.acme, one.id), "home@oxbow.example")
    return greta, tobias


def decide(cast: Cast, choice: Choice, customer: Customer | None, *, remember: bool = False) -> int:
    with unit_of_work():
        found = customers.get(cast.acme, customer.id) if customer else None
        return choices.decide(cast.acme, choice.id, found, "Ana Alder", remember=remember)


def test_an_address_that_two_customers_share_is_nobodys_until_somebody_decides(
    cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan, family: tuple[Customer, Customer]
) -> None:
    greta, _ = family
    server.inbox.put(mail("home@oxbow.example", subject="Parcel"))
    tally = scan(desk)
    assert (tally.choices, tally.filed) == (1, 0)
    choice = rows_of(Choice)[0]
    assert choice.sentence == "Two customers have this address."
    decide(cast, choice, greta)
    filing = rows_of(Filing)[0]
    assert (filing.customer_id, filing.how, filing.by) == (greta.id, How.BY_HAND, "Ana Alder")
    assert scan(desk).choices == 0


def test_a_remembered_choice_settles_what_waits_and_what_comes(
    cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan, family: tuple[Customer, Customer]
) -> None:
    _, tobias = family
    for subject in ("One", "Two"):
        server.inbox.put(mail("home@oxbow.example", subject=subject))
    scan(desk)
    assert decide(cast, rows_of(Choice)[0], tobias, remember=True) == 2
    server.inbox.put(mail("home@oxbow.example", subject="Three"))
    assert scan(desk).filed == 1
    assert {customer_id for _, customer_id in filed()} == {tobias.id}
    assert rows_of(Filing)[-1].how == How.REMEMBERED


def test_nobody_takes_the_content_away_and_keeps_the_next_scan_from_bringing_it_back(
    cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan, family: tuple[Customer, Customer]
) -> None:
    raw = mail("home@oxbow.example", text="Private")
    server.inbox.put(raw)
    scan(desk)
    decide(cast, rows_of(Choice)[0], None)
    message = rows_of(Message)[0]
    assert (message.text, message.subject, message.raw_hash) == ("", "", "")
    server.inbox.put(raw)
    tally = scan(desk)
    assert (tally.duplicates, tally.choices, tally.filed) == (1, 0, 0)


def test_the_second_to_decide_is_told_who_was_faster(
    cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan, family: tuple[Customer, Customer]
) -> None:
    greta, tobias = family
    server.inbox.put(mail("home@oxbow.example"))
    scan(desk)
    decide(cast, rows_of(Choice)[0], greta)
    with pytest.raises(Conflict, match="Ana Alder decided"):
        decide(cast, rows_of(Choice)[0], tobias)


@pytest.mark.parametrize(
    "sender",
    [
        '"tamsin@quill.example" <evil@elsewhere.example>',
        "tamsin@quill.example, evil@elsewhere.example",
        "Tamsin <tamsin@quill.example> <evil@elsewhere.example>",
        "=?utf-8?q?tamsin=40quill.example?= <evil@elsewhere.example>",
    ],
)
def test_a_sender_who_could_be_two_people_is_never_filed_by_itself(
    cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan, sender: str
) -> None:
    make.customer(cast.acme, email="tamsin@quill.example")
    server.inbox.put(f"From: {sender}\r\nSubject: Wire money\r\n\r\nNow".encode())
    assert scan(desk).filed == 0
    choice = rows_of(Choice)[0]
    assert choice.doubt == Doubt.UNCLEAR_SENDER
    assert choice.address_key == ""


def test_a_message_that_fails_its_own_domains_check_waits(
    cast: Cast, server: FakeServer, watch: Watch, settings: AccountSettings, scan: Scan
) -> None:
    make.customer(cast.acme, email="tamsin@quill.example")
    desk = watch(replace(settings, results_server="mx.acme.example"))
    server.inbox.put(mail(Authentication_Results="mx.acme.example; dmarc=fail header.from=quill.example"))
    server.inbox.put(mail(Authentication_Results="mx.forger.example; dmarc=fail header.from=quill.example"))
    tally = scan(desk)
    assert (tally.choices, tally.filed) == (1, 1)
    assert "quill.example (DMARC)" in rows_of(Choice)[0].sentence


def test_reply_to_counts_only_from_our_own_web_form(
    cast: Cast, server: FakeServer, watch: Watch, settings: AccountSettings, scan: Scan
) -> None:
    tamsin = make.customer(cast.acme, email="tamsin@quill.example")
    desk = watch(replace(settings, relays=("forms@acme.example",)))
    server.inbox.put(mail("forms@acme.example", Reply_To="tamsin@quill.example", subject="Form"))
    server.inbox.put(mail("someone@else.example", Reply_To="tamsin@quill.example", subject="Trick"))
    tally = scan(desk)
    assert (tally.filed, tally.stubs) == (1, 1)
    assert filed() == [("Form", tamsin.id)]
    assert "forms@acme.example for somebody else; Reply-To" in rows_of(Filing)[0].reason
    db.session.rollback()
