from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from app.access import Role
from app.accounts.models import User
from app.accounts.services import give_role
from app.db import unit_of_work
from tests.cast import PASSWORD, Cast
from tests.visitors import Visitor

RIGHT = {"email": "ana@acme.example", "password": PASSWORD}
WRONG = {**RIGHT, "password": "wrong horse battery"}


def test_the_right_password_opens_the_account(client: Visitor, cast: Cast) -> None:
    answer = client.post("/login", data={**RIGHT, "email": " ANA@acme.example"})

    assert answer.status_code == 303
    assert answer.location == "/acme/"
    assert client.get("/acme/customers").status_code == 200


def test_a_mail_admin_lands_where_there_is_no_invoice(client: Visitor, cast: Cast) -> None:
    client.post("/login", data={**RIGHT, "email": "mia@acme.example"})

    answer = client.get("/acme/")

    assert answer.status_code == 200
    assert "Mail Admin at Acme." in answer.text


def test_a_wrong_password_keeps_the_email_and_says_how_many_tries_are_left(client: Visitor, cast: Cast) -> None:
    answer = client.post("/login", data=WRONG)

    assert answer.status_code == 422
    assert "That email and password do not match. 4 tries left." in answer.text
    assert 'value="ana@acme.example"' in answer.text
    assert WRONG["password"] not in answer.text


def test_an_unknown_email_gets_the_same_answer(client: Visitor, cast: Cast) -> None:
    answer = client.post("/login", data={**WRONG, "email": "nobody@acme.example"})

    assert "That email and password do not match. 4 tries left." in answer.text


def test_the_sixth_try_waits_even_with_the_right_password(client: Visitor, cast: Cast) -> None:
    for _ in range(5):
        client.post("/login", data=WRONG)

    answer = client.post("/login", data=RIGHT)

    assert answer.status_code == 429
    assert "Too many tries" in answer.text


def test_htmx_gets_the_form_back_alone(client: Visitor, cast: Cast) -> None:
    answer = client.post("/login", data=WRONG, htmx=True)

    assert answer.status_code == 422
    assert answer.text.lstrip().startswith("<form")


@pytest.mark.parametrize("email", ["a\0na@acme.example", "x" * 10_000, ""])
def test_an_email_nobody_has_is_refused_at_its_field(client: Visitor, cast: Cast, email: str) -> None:
    answer = client.post("/login", data={**RIGHT, "email": email})

    assert answer.status_code == 422
    assert 'id="email-note"' in answer.text


def test_one_is_led_on_to_where_one_was_going(client: Visitor, cast: Cast) -> None:
    asked = client.get("/acme/invoices?status=paid")

    assert asked.location.startswith("/login?next=")
    assert client.post(asked.location, data=RIGHT).location == "/acme/invoices?status=paid"


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_nobody_is_led_to_another_site(client: Visitor, cast: Cast, elsewhere: str) -> None:
    answer = client.post("/login", query_string={"next": elsewhere}, data=RIGHT)

    assert answer.location == "/acme/"


def test_nothing_is_posted_without_the_token(client: Visitor, cast: Cast) -> None:
    answer = client.post("/login", data=RIGHT, csrf=False)

    assert answer.status_code == 400
    assert "out of date" in answer.text


def test_signing_out_ends_the_sign_in_for_a_copied_cookie_too(client: Visitor, cast: Cast) -> None:
    client.post("/login", data=RIGHT)
    cookie = client.get_cookie("session")
    assert cookie

    client.post("/logout")
    client.set_cookie("session", cookie.value)

    assert client.get("/acme/customers").status_code == 302


def test_a_changed_role_ends_every_sign_in(sign_in: Callable[[User], Visitor], cast: Cast) -> None:
    ben = sign_in(cast.ben)
    assert ben.get("/acme/customers").status_code == 200

    with unit_of_work():
        give_role(cast.acme, cast.ben, Role.MAIL_ADMIN)

    assert ben.get("/acme/customers").status_code == 302


def test_a_sign_in_ends_after_twelve_hours(client: Visitor, cast: Cast) -> None:
    begun = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
    with time_machine.travel(begun, tick=False) as clock:
        client.post("/login", data=RIGHT)
        for _ in range(24):
            clock.shift(timedelta(minutes=29))
            assert client.get("/acme/customers").status_code == 200
        clock.shift(timedelta(minutes=29))

        assert client.get("/acme/customers").status_code == 302


def test_somebody_without_an_account_is_told_so(sign_in: Callable[[User], Visitor], cast: Cast) -> None:
    page = sign_in(cast.ida).get("/accounts").text

    assert "work in no account" in page
    assert "Sign out" in page


def test_somebody_with_two_accounts_chooses(sign_in: Callable[[User], Visitor], cast: Cast) -> None:
    with unit_of_work():
        give_role(cast.zenith, cast.ana, Role.ADMIN)

    page = sign_in(cast.ana).get("/accounts").text

    assert 'href="/acme/"' in page
    assert 'href="/zenith/"' in page
