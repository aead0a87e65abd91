"""Customers get into the portal of their account, and nobody else does."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
import time_machine

from app.accounts.models import User
from app.accounts.signing_in import hash_password
from app.billing.models import Customer
from app.db import db, unit_of_work
from app.mailing.models import OutgoingMail
from app.portal import entering
from tests import make
from tests.cast import PASSWORD, Cast
from tests.visitors import Visitor

EMAIL = "tamsin@quill.example"
RIGHT = {"email": EMAIL, "password": PASSWORD}
NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)


@pytest.fixture
def tamsin(cast: Cast) -> Customer:
    """A customer of Acme with a password."""
    customer, password_hash = make.customer(cast.acme, email=EMAIL), hash_password(PASSWORD)
    with unit_of_work():
        entering.set_password(customer, password_hash)
    return customer


def link_in_mail(template: str) -> str:
    """The path of the link in the last mail of a kind."""
    mails = sa.select(OutgoingMail.text).where(OutgoingMail.template == template).order_by(OutgoingMail.id.desc())
    text = db.session.scalars(mails.limit(1)).one()
    found = re.search(r"https?://[^/]+(/\S+)", text)
    assert found
    return found[1]


def test_the_right_password_leads_to_the_invoices(client: Visitor, tamsin: Customer) -> None:
    answer = client.post("/portal/acme/login", data={**RIGHT, "email": " TAMSIN@quill.example"})

    assert answer.status_code == 303
    assert answer.location == "/portal/acme/invoices"
    assert client.get("/portal/acme/invoices").status_code == 200


def test_a_wrong_password_and_an_unknown_email_get_the_same_answer(client: Visitor, tamsin: Customer) -> None:
    wrong = client.post("/portal/acme/login", data={**RIGHT, "password": "wrong horse battery"})
    unknown = client.post("/portal/acme/login", data={**RIGHT, "email": "nobody@quill.example"})

    for answer in (wrong, unknown):
        assert answer.status_code == 422
        assert "That email and password do not match. 4 tries left." in answer.text


def test_the_sixth_try_waits_even_with_the_right_password(client: Visitor, tamsin: Customer) -> None:
    for _ in range(5):
        client.post("/portal/acme/login", data={**RIGHT, "password": "wrong horse battery"})

    assert client.post("/portal/acme/login", data=RIGHT).status_code == 429


def test_a_password_counts_at_its_own_account_alone(client: Visitor, tamsin: Customer, cast: Cast) -> None:
    make.customer(cast.zenith, email=EMAIL)

    assert client.post("/portal/zenith/login", data=RIGHT).status_code == 422
    assert client.post("/login", data=RIGHT).status_code == 422


def test_staff_and_customer_in_one_browser_do_not_end_each_other(
    tamsin: Customer, cast: Cast, sign_in: Callable[[User], Visitor]
) -> None:
    browser = sign_in(cast.ana)
    browser.post("/portal/acme/login", data=RIGHT)

    assert browser.get("/acme/customers").status_code == 200
    browser.post("/logout")
    assert browser.get("/portal/acme/invoices").status_code == 200
    browser.post("/login", data={"email": "ana@acme.example", "password": PASSWORD})
    browser.post("/portal/acme/logout")
    assert browser.get("/portal/acme/invoices").status_code == 302
    assert browser.get("/acme/customers").status_code == 200


def test_a_wish_to_go_elsewhere_is_not_granted_outside_the_portal(client: Visitor, tamsin: Customer) -> None:
    inside = client.post("/portal/acme/login?next=/portal/acme/details", data=RIGHT)
    outside = client.post("/portal/acme/login?next=//evil.example/portal/acme/", data=RIGHT)

    assert inside.location == "/portal/acme/details"
    assert outside.location == "/portal/acme/invoices"


def test_staff_invite_a_customer_who_chooses_a_password_once(
    client: Visitor, cast: Cast, sign_in: Callable[[User], Visitor]
) -> None:
    customer = make.customer(cast.acme, email=EMAIL)
    sign_in(cast.ben).post(f"/acme/customers/{customer.id}/portal-invitation")
    link = link_in_mail("portal_invitation")

    assert client.get(link).status_code == 200
    answer = client.post(link, data={"password": PASSWORD})

    assert answer.location == "/portal/acme/invoices"
    assert client.get("/portal/acme/details").status_code == 200
    assert client.post(link, data={"password": PASSWORD}).status_code == 404
    assert client.post("/portal/acme/login", data=RIGHT).status_code == 303


def test_a_password_too_short_uses_no_link_up(client: Visitor, cast: Cast, sign_in: Callable[[User], Visitor]) -> None:
    customer = make.customer(cast.acme, email=EMAIL)
    sign_in(cast.ben).post(f"/acme/customers/{customer.id}/portal-invitation")
    link = link_in_mail("portal_invitation")

    short = client.post(link, data={"password": "short"})

    assert short.status_code == 422
    assert "A password has 12 to 128 characters." in short.text
    assert client.post(link, data={"password": PASSWORD}).status_code == 303


def test_only_the_newest_link_counts_and_only_in_its_time(
    client: Visitor, cast: Cast, sign_in: Callable[[User], Visitor]
) -> None:
    customer = make.customer(cast.acme, email=EMAIL)
    with time_machine.travel(NOON, tick=False) as clock:
        ben = sign_in(cast.ben)
        ben.post(f"/acme/customers/{customer.id}/portal-invitation")
        first = link_in_mail("portal_invitation")
        ben.post(f"/acme/customers/{customer.id}/portal-invitation")
        second = link_in_mail("portal_invitation")

        assert client.get(first).status_code == 404
        assert client.get(second).status_code == 200
        clock.shift(timedelta(days=7, seconds=1))
        over = client.get(second)

    assert over.status_code == 404
    assert "This link is over" in over.text


def test_a_forgotten_password_is_answered_alike_and_ends_other_sign_ins(
    client: Visitor, tamsin: Customer, enter_portal: Callable[[Customer], Visitor]
) -> None:
    elsewhere = enter_portal(tamsin)
    known = client.post("/portal/acme/forgotten", data={"email": EMAIL})
    unknown = client.post("/portal/acme/forgotten", data={"email": "nobody@quill.example"})

    assert (known.status_code, known.location) == (unknown.status_code, unknown.location)
    assert db.session.scalar(sa.select(sa.func.count(OutgoingMail.id))) == 1
    client.post(link_in_mail("portal_reset"), data={"password": "another horse battery"})
    assert elsewhere.get("/portal/acme/invoices").status_code == 302
    assert client.post("/portal/acme/login", data=RIGHT).status_code == 422


def test_a_customer_ends_a_sign_in_elsewhere(tamsin: Customer, enter_portal: Callable[[Customer], Visitor]) -> None:
    here, elsewhere = enter_portal(tamsin), enter_portal(tamsin)
    page = here.get("/portal/acme/details")
    ends = re.findall(r"/portal/acme/details/sign-ins/\d+/end", page.text)

    assert len(ends) == 1
    here.post(ends[0])

    assert elsewhere.get("/portal/acme/details").status_code == 302
    assert here.get("/portal/acme/details").status_code == 200


def test_a_new_password_needs_the_present_one(tamsin: Customer, enter_portal: Callable[[Customer], Visitor]) -> None:
    here, elsewhere = enter_portal(tamsin), enter_portal(tamsin)
    new = "another horse battery"

    refused = here.post("/portal/acme/details/password", data={"present": "wrong", "password": new})
    taken = here.post("/portal/acme/details/password", data={"present": PASSWORD, "password": new})

    assert "That is not your present password." in refused.text
    assert taken.status_code == 303
    assert here.get("/portal/acme/details").status_code == 200
    assert elsewhere.get("/portal/acme/details").status_code == 302
