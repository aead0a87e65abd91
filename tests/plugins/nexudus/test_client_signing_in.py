"""Signing in tells apart what a person can do something about, and gives no secret away."""

from typing import Any

import pytest
import requests

from app.errors import Capped, NotSent, Refused, SignInNeeded
from app.http import Door
from plugins.nexudus.signing_in import Tokens, exchange_password, refresh
from tests.plugins.nexudus.scripted import BASE, ME, Said, Script

TOKENS = Said({"access_token": "access-1", "token_type": "bearer", "expires_in": 604799, "refresh_token": "refresh-1"})
WRONG = {"error": "invalid_grant", "error_description": "The user name or password is incorrect."}


def sign_in(script: Script, totp: str | None = None) -> Tokens:
    return exchange_password(Door(BASE, script), "hanna@quayside.example", "hunter2-hunter2", "spheremail-1", totp)


def refusal(*answers: Said | Exception, totp: str | None = None) -> SignInNeeded:
    with pytest.raises(SignInNeeded) as caught:
        sign_in(Script(*answers), totp)
    return caught.value


def test_a_password_is_exchanged_for_tokens_as_a_form_with_our_client_id() -> None:
    script = Script(TOKENS, ME)
    assert sign_in(script) == Tokens("access-1", "refresh-1", 604799)
    asked, checked = script.heard
    assert (asked.method, asked.path, asked.headers["client_id"]) == ("POST", "/api/token", "spheremail-1")
    assert asked.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert asked.form == {
        "grant_type": "password",
        "username": "hanna@quayside.example",
        "password": "hunter2-hunter2",
    }
    assert (checked.path, checked.token) == ("/api/auth/me", "access-1")


def test_a_one_time_code_goes_along_when_there_is_one() -> None:
    script = Script(TOKENS, ME)
    sign_in(script, totp="123456")
    assert script.heard[0].form["totp"] == "123456"


@pytest.mark.parametrize("status", [400, 401])
def test_a_wrong_password_is_told_and_tried_once_only(status: int) -> None:
    script = Script(Said(WRONG, status))
    with pytest.raises(SignInNeeded) as caught:
        sign_in(script)
    assert caught.value.code == "wrong_password"
    assert caught.value.sentence == (
        "Nexudus does not accept this email and password. Check them by signing in at Nexudus itself."
    )
    assert len(script.heard) == 1


def test_a_wrong_password_beside_a_code_blames_all_three() -> None:
    assert "email, password and code" in refusal(Said(WRONG, 400), totp="123456").sentence


@pytest.mark.parametrize(
    "description", ["Two-factor authentication code required", "TOTP is required", "A one time code is needed"]
)
def test_a_needed_code_is_told(description: str) -> None:
    answer = Said({"error": "invalid_grant", "error_description": description}, 400)
    assert refusal(answer).code == "code_needed"
    assert refusal(answer, totp="000000").code == "code_wrong"


def test_another_reason_is_passed_on_in_its_own_words() -> None:
    answer = Said({"error": "invalid_grant", "error_description": "This user\nis locked."}, 400)
    assert "It says: “This user is locked.”" in refusal(answer).sentence


@pytest.mark.parametrize(
    "answers",
    [
        [Said({"error": "invalid_grant", "error_description": "User has no API access"}, 400)],
        [TOKENS, Said("", 401)],
        [TOKENS, Said("", 403)],
    ],
)
def test_missing_api_access_is_told_with_what_to_do(answers: list[Said]) -> None:
    error = refusal(*answers)
    assert error.code == "no_api_access"
    assert "Switch on “API access”" in error.sentence


@pytest.mark.parametrize(
    "answer",
    [
        Said("<html>hello</html>"),
        Said("<html>not found</html>", 404),
        Said("<html>bad request</html>", 400),
        Said({"error": "unsupported_grant_type"}, 400),
        Said({"ok": True}),
        Said([]),
        Said({"access_token": "", "refresh_token": "x", "expires_in": 1}),
        Said({"access_token": "a", "expires_in": 1}),
        Said("", 302, {"Location": "https://elsewhere.example/"}),
    ],
)
def test_b18_an_address_that_is_not_nexudus_is_told_and_no_redirect_followed(answer: Said) -> None:
    script = Script(answer)
    with pytest.raises(Refused) as caught:
        sign_in(script)
    assert caught.value.code == "not_nexudus"
    assert len(script.heard) == 1


@pytest.mark.parametrize("body", ["<html></html>", {"Name": "somebody"}, []])
def test_tokens_without_a_user_behind_them_are_not_nexudus(body: Any) -> None:
    with pytest.raises(Refused):
        sign_in(Script(TOKENS, Said(body)))


@pytest.mark.parametrize(
    "answer",
    [requests.ConnectTimeout("slow"), requests.ReadTimeout("silence"), Said("", 500), Said("Bad gateway", 502)],
)
def test_an_unreachable_nexudus_is_told(answer: Said | Exception) -> None:
    for answers in ([answer], [TOKENS, answer]):
        with pytest.raises(NotSent) as caught:
            sign_in(Script(*answers))
        assert caught.value.details["code"] == "unreachable"


def test_a_throttled_sign_in_waits() -> None:
    with pytest.raises(Capped):
        sign_in(Script(Said("", 409)))


def test_a_look_at_the_api_that_comes_too_early_does_not_undo_the_sign_in() -> None:
    assert sign_in(Script(TOKENS, Said("", 409))).access == "access-1"


def test_a_refresh_gives_a_new_pair_under_the_same_client_id() -> None:
    script = Script(TOKENS)
    assert refresh(Door(BASE, script), "spheremail-1", "refresh-0") == Tokens("access-1", "refresh-1", 604799)
    assert script.heard[0].headers["client_id"] == "spheremail-1"
    assert script.heard[0].form == {"grant_type": "refresh_token", "refresh_token": "refresh-0"}


@pytest.mark.parametrize("status", [400, 401])
def test_b9_a_refused_refresh_asks_for_a_person(status: int) -> None:
    with pytest.raises(SignInNeeded) as caught:
        refresh(Door(BASE, Script(Said({"error": "invalid_grant"}, status))), "spheremail-1", "refresh-0")
    assert caught.value.code == "sign_in"


@pytest.mark.parametrize(
    "answer", [Said("<html>proxy</html>", 400), Said("<html></html>"), Said("", 503), requests.ReadTimeout("silence")]
)
def test_a_refresh_without_an_answer_is_no_reason_to_sign_in_again(answer: Said | Exception) -> None:
    with pytest.raises(NotSent):
        refresh(Door(BASE, Script(answer)), "spheremail-1", "refresh-0")


def test_tokens_do_not_show_what_they_hold() -> None:
    shown = repr(Tokens("access-1", "refresh-1", 604799))
    assert "access-1" not in shown
    assert "refresh-1" not in shown


def test_no_error_carries_the_password_or_the_code() -> None:
    for answer in (Said(WRONG, 400), Said("<html></html>"), requests.ReadTimeout("silence")):
        with pytest.raises((SignInNeeded, Refused, NotSent)) as caught:
            sign_in(Script(answer), totp="123456")
        told = f"{caught.value.sentence} {caught.value.details}"
        assert "hunter2" not in told
        assert "123456" not in told
