"""Signing up on the portal while Nexudus is connected: linked or created there like any other, and billed once."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from app import clock
from app.billing.models import Customer, CustomerStatus
from app.billing.subscription_models import Plan
from app.db import db, unit_of_work
from app.payments import gateways, standing
from app.payments.models import ProviderName
from app.payments.provider import Checked
from plugins.nexudus.models import Connection, LinkState
from tests.app.portal.test_entering import link_in_mail
from tests.cast import PASSWORD, Cast
from tests.plugins.nexudus.conftest import There, link_of, newer_invoice
from tests.visitors import HeardBell, Visitor

EMAIL = "tamsin@quill.example"


@pytest.fixture
def sign_up(client: Visitor, cast: Cast) -> Callable[[], None]:
    """Fill in the sign-up page of Acme, which collects by card from whoever is billed here."""
    with unit_of_work() as rows:
        plan = Plan(
            account_id=cast.acme.id,
            title="Business 12",
            kind="business",
            currency="EUR",
            monthly_minor=3900,
            shown=True,
        )
        rows.add(plan)
        gateways.connect(cast.acme, ProviderName.TEST, "", Checked("test", is_live=False, is_restricted=True))
    form = {
        "full_name": "Tamsin Quill",
        "email": EMAIL,
        "offer": f"{plan.id}-monthly",
        "location_id": str(cast.acme.locations[0].id),
    }

    def fill_in() -> None:
        assert client.post("/portal/acme/sign-up", data=form).status_code == 303

    return fill_in


@pytest.fixture
def confirm(client: Visitor) -> Callable[[], None]:
    """Open the link in the mail and choose a password."""

    def choose() -> None:
        answer = client.post(link_in_mail("portal_confirmation"), data={"password": PASSWORD})
        assert answer.status_code == 303

    return choose


def tamsin() -> Customer:
    return db.session.scalars(sa.select(Customer).where(Customer.email == EMAIL)).one()


def test_a_sign_up_is_created_there_asked_for_no_card_and_never_charged_here(
    there: There,
    connected: Connection,
    sign_up: Callable[[], None],
    confirm: Callable[[], None],
    client: Visitor,
    bell: HeardBell,
) -> None:
    sign_up()
    bell.answer()
    assert there.members(Email=EMAIL) == []  # a lead is nobody there

    confirm()
    assert tamsin().status == CustomerStatus.ACTIVE
    early = newer_invoice(tamsin(), due_on=clock.today("Europe/Lisbon"))
    assert standing.open_here(tamsin()) == []
    bell.answer()

    assert len(there.members(Email=EMAIL)) == 1
    assert (tamsin().billed_by, tamsin().billing_undecided_until) == ("nexudus", None)
    assert standing.open_here(tamsin()) == []
    assert "bills this through Nexudus" in client.get(f"/portal/acme/invoices/{early.id}").text
    page = client.get("/portal/acme/billing").text
    assert "you need no card here" in page
    assert "Add a card" not in page


def test_whoever_ends_unconnected_is_asked_for_a_card_then(
    there: There,
    connected: Connection,
    sign_up: Callable[[], None],
    confirm: Callable[[], None],
    client: Visitor,
    ana: Visitor,
    bell: HeardBell,
) -> None:
    for name in ("One", "Another"):
        there.member(EMAIL, name)  # two members with one email: a person has to choose
    sign_up()
    confirm()
    invoice = newer_invoice(tamsin(), due_on=clock.today("Europe/Lisbon"))
    bell.answer()
    link = link_of(tamsin())
    assert link is not None
    assert link.state == LinkState.CHOICE
    assert standing.open_here(tamsin()) == []
    assert "No card yet" not in client.get("/portal/acme/invoices").text

    ana.post(f"/acme/nexudus/customers/{tamsin().id}/unlink", data={"reason": "Pays here."})

    assert tamsin().billing_undecided_until is None
    assert [one.id for one in standing.open_here(tamsin())] == [invoice.id]
    assert "No card yet" in client.get("/portal/acme/invoices").text
