import json
from datetime import timedelta

import pytest
import time_machine

from plugins.nexudus.sandbox import auth
from plugins.nexudus.sandbox.seed import EMAIL, PASSWORD
from tests.plugins.nexudus.sandbox.conftest import BASE, INVOICES, MEMBERS, SALES, Program, Start

ME = "/api/auth/me"


def test_a_password_buys_a_bearer_token_for_a_week(program: Program) -> None:
    tokens = program.sign_in()
    assert (tokens["token_type"], tokens["expires_in"]) == ("bearer", 604_799)
    me = program.get(ME).json()
    assert me["Email"] == EMAIL
    assert me["DefaultCurrencyCode"] == "EUR"
    assert me["DefaultSimpleTimeZoneNameIana"] == "Europe/Lisbon"
    assert me["DefaultBusinessId"] in me["Businesses"]


def test_a_wrong_password_is_an_invalid_grant(start: Start) -> None:
    answer = start().token(grant_type="password", username=EMAIL, password="guess")
    assert answer.status_code == 400
    assert answer.json() == {
        "error": "invalid_grant",
        "error_description": "The user name or password is incorrect.",
    }


def test_the_token_endpoint_takes_forms_only(start: Start) -> None:
    body = json.dumps({"grant_type": "password", "username": EMAIL, "password": PASSWORD})
    headers = {"Content-Type": "application/json"}
    answer = start().session.post(f"{BASE}/api/token", data=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_grant_type")


def test_an_unknown_grant_is_refused(start: Start) -> None:
    answer = start().token(grant_type="client_credentials")
    assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_grant_type")


@pytest.mark.parametrize("client_id", ["our-own-id", None])
def test_a_refresh_rotates_and_leaves_access_tokens_alive(start: Start, client_id: str | None) -> None:
    program = start()
    headers = {"client_id": client_id} if client_id else None
    first = program.token(headers, grant_type="password", username=EMAIL, password=PASSWORD).json()
    again = {"client_id": client_id or EMAIL}

    second = program.token(again, grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert second.status_code == 200
    stale = program.token(again, grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert (stale.status_code, stale.json()) == (400, {"error": "invalid_grant"})
    for tokens in (first, second.json()):
        program.session.headers["Authorization"] = f"Bearer {tokens['access_token']}"
        assert program.get(ME).status_code == 200


def test_a_refresh_needs_the_client_id_of_the_sign_in(program: Program) -> None:
    refresh = program.sign_in()["refresh_token"]
    assert program.token(grant_type="refresh_token", refresh_token=refresh).status_code == 400
    assert program.token({"client_id": "x"}, grant_type="refresh_token", refresh_token=refresh).status_code == 400


def test_signing_in_again_kills_only_the_refresh_token_of_the_same_client(start: Start) -> None:
    program = start()
    sign_in = {"grant_type": "password", "username": EMAIL, "password": PASSWORD}
    ours = program.token({"client_id": "ours"}, **sign_in).json()["refresh_token"]
    theirs = program.token({"client_id": "theirs"}, **sign_in).json()["refresh_token"]
    program.token({"client_id": "theirs"}, **sign_in)
    assert program.token({"client_id": "ours"}, grant_type="refresh_token", refresh_token=ours).ok
    assert not program.token({"client_id": "theirs"}, grant_type="refresh_token", refresh_token=theirs).ok


def test_access_ends_after_a_week_and_refreshing_after_fifteen_days(start: Start) -> None:
    program = start()
    with time_machine.travel("2026-02-01T12:00Z", tick=False) as clock:
        refresh = program.sign_in()["refresh_token"]
        clock.shift(timedelta(days=6, hours=23))
        assert program.get(ME).status_code == 200
        clock.shift(timedelta(hours=1))
        assert program.get(ME).status_code == 401
        clock.shift(timedelta(days=8))
        answer = program.token({"client_id": EMAIL}, grant_type="refresh_token", refresh_token=refresh)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


def test_basic_works_everywhere(start: Start) -> None:
    program = start()
    program.session.auth = (EMAIL, PASSWORD)
    assert program.get(MEMBERS).status_code == 200
    program.session.auth = (EMAIL, "guess")
    assert program.get(MEMBERS).status_code == 401


def test_nobody_is_let_in_without_a_token(start: Start) -> None:
    program = start()
    assert program.get(ME).status_code == 401
    program.session.headers["Authorization"] = "Bearer made-up"
    assert program.get(MEMBERS).status_code == 401


def test_a_one_time_code_is_demanded_when_switched_on(program: Program) -> None:
    program.control("/switches", one_time_code="246810")
    refused = program.token(grant_type="password", username=EMAIL, password=PASSWORD)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    assert program.token(grant_type="password", username=EMAIL, password=PASSWORD, totp="246810").ok


def test_api_access_can_be_off_or_only_look_off(program: Program) -> None:
    program.control("/switches", api_access="off")
    assert program.get(MEMBERS).status_code == 401
    program.control("/switches", api_access="shown_off")
    assert program.get(ME).json()["APIAccess"] is False
    assert program.get(MEMBERS).status_code == 200


def test_a_missing_right_refuses_its_call_and_no_other(program: Program) -> None:
    program.control("/switches", missing_roles="Coworker-List, CoworkerInvoice-Edit")
    assert program.get(MEMBERS).status_code == 401
    assert program.put(INVOICES, {"Id": 1}).status_code == 401
    assert program.get(SALES).status_code == 200
    program.control("/switches", missing_role_status=403)
    assert program.get(MEMBERS).status_code == 403


def test_a_user_who_is_no_administrator_needs_each_right(program: Program) -> None:
    here = program.space
    user = here.where("User", Email=EMAIL)[0]
    here.store.put("User", user["Id"], user | {"IsAdmin": False})
    auth.set_roles(here, user, ["coworker-list"])
    assert program.get(MEMBERS).status_code == 200
    assert program.get(f"{MEMBERS}/1").status_code == 401


def test_tokens_expire_and_are_revoked_on_demand(program: Program) -> None:
    refresh = program.sign_in()["refresh_token"]
    program.control("/tokens/expire")
    assert program.get(ME).status_code == 401
    answer = program.token({"client_id": EMAIL}, grant_type="refresh_token", refresh_token=refresh)
    assert answer.ok
    program.control("/tokens/revoke")
    refresh = answer.json()["refresh_token"]
    assert not program.token({"client_id": EMAIL}, grant_type="refresh_token", refresh_token=refresh).ok


def test_a_changed_password_ends_the_tokens_too(program: Program) -> None:
    program.control("/password", email=EMAIL, password="another")
    assert program.get(ME).status_code == 401
    assert not program.token(grant_type="password", username=EMAIL, password=PASSWORD).ok
    assert program.token(grant_type="password", username=EMAIL, password="another").ok
