"""Exchanging a password, and later a refresh token, for tokens.

https://developers.nexudus.com/reference/get-bearer-token and .../token-authentication-oauth: the body is a form, the
client id a header. A client id has one living refresh token, and each refresh replaces it. What Nexudus answers
when a one-time code is needed or a user is locked is documented nowhere, so its words are searched for signs.
"""

import re
import time
from dataclasses import dataclass, field
from typing import Any

from app.errors import NotSent, OutcomeUnknown, Refused, SignInNeeded
from app.http import Answer, Door
from plugins.nexudus import answers
from plugins.nexudus.envelopes import TokenAnswer
from plugins.nexudus.payloads import Me
from plugins.nexudus.wire import ME

TOKEN_PATH = "/api/token"  # noqa: S105  # an address
WHOLE_S = 15.0

_CODE = re.compile(r"two.?factor|2.?fa|totp|one.?time|\botp\b|authenticator|verification code", re.IGNORECASE)
_API = re.compile(r"\bapi\b", re.IGNORECASE)
_WRONG = re.compile(r"user ?name|password", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Tokens:
    """A pair of tokens. The access token lasts `expires_in_s` seconds (7 days), the refresh token 15 days."""

    access: str = field(repr=False)
    refresh: str = field(repr=False)
    expires_in_s: int


def exchange_password(
    door: Door, email: str, password: str, client_id: str, totp: str | None = None, whole_s: float = WHOLE_S
) -> Tokens:
    """Sign in, and see that the API answers this user; `whole_s` seconds for both.

    Raises `SignInNeeded` with code "wrong_password", "code_needed", "code_wrong" or "no_api_access", `Refused`
    with code "not_nexudus", `Capped`, or `NotSent` when there is no answer. Never repeats anything by itself:
    wrong tries lock the user.
    """
    ends = time.monotonic() + whole_s
    form = {"grant_type": "password", "username": email, "password": password}
    if totp:
        form["totp"] = totp
    answer = _post(door, form, client_id, whole_s)
    if answer.status in (400, 401, 403):
        raise _not_let_in(_error_of(answer), with_code=bool(totp))
    tokens = _tokens(answer)
    if tokens is None:
        raise _not_nexudus()
    _make_sure_the_api_answers(door, tokens, ends)
    return tokens


def refresh(door: Door, client_id: str, refresh_token: str) -> Tokens:
    """A new pair for the refresh token, which is used up by it.

    Raises `SignInNeeded` when Nexudus refuses the token, `Capped`, or `NotSent`. After a lost answer the old token
    may be dead; the next try then ends in `SignInNeeded`.
    """
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
    answer = _post(door, form, client_id, WHOLE_S)
    if answer.status in (400, 401, 403) and _error_of(answer) is not None:
        raise answers.signed_out()
    tokens = _tokens(answer)
    if tokens is None:
        raise NotSent("Nexudus does not answer. We ask again on our own.", status=answer.status)
    return tokens


def _post(door: Door, form: dict[str, str], client_id: str, whole_s: float) -> Answer:
    headers = {"client_id": client_id, "Accept": "application/json"}
    answer = _send(door, "POST", TOKEN_PATH, whole_s, data=form, headers=headers)
    if answers.is_throttled(answer):
        raise answers.capped(answer)
    return answer


def _send(door: Door, method: str, path: str, whole_s: float, **request: Any) -> Answer:
    """Neither side keeps anything of a lost sign-in, so no answer is as good as nothing sent."""
    try:
        answer = door.send(method, path, whole_s=whole_s, **request)
    except (NotSent, OutcomeUnknown) as error:
        raise NotSent(
            "Nexudus cannot be reached. Try again in a minute.", code="unreachable", **error.details
        ) from error
    if answer.status >= 500 or answer.status == 408:
        raise NotSent("Nexudus is out of order. Try again in a minute.", code="unreachable", status=answer.status)
    return answer


def _tokens(answer: Answer) -> Tokens | None:
    """The tokens, or None when this is no answer of a token endpoint."""
    if not 200 <= answer.status < 300:
        return None
    try:
        told = TokenAnswer.model_validate(answers.json_of(answer))
    except ValueError:  # pydantic's error is one, too
        return None
    return Tokens(told.access_token, told.refresh_token, told.expires_in)


def _error_of(answer: Answer) -> str | None:
    """The reason that a token endpoint gives, "" for none; None when this is no token endpoint."""
    try:
        told = answers.json_of(answer)
    except ValueError:
        return None
    if not isinstance(told, dict) or told.get("error") in (None, "unsupported_grant_type"):
        return None
    reason = told.get("error_description")
    return answers.presentable(reason) if isinstance(reason, str) else ""


def _not_let_in(reason: str | None, *, with_code: bool) -> SignInNeeded | Refused:
    if reason is None:
        return _not_nexudus()
    if _CODE.search(reason) and not with_code:
        return SignInNeeded(
            "The password is right. Nexudus now wants the code from the authenticator app.", code="code_needed"
        )
    if _CODE.search(reason):
        return SignInNeeded("Nexudus does not accept this code. Type the one the app shows now.", code="code_wrong")
    if _API.search(reason):
        return _no_api_access()
    typed = "email, password and code" if with_code else "email and password"
    known = not reason or _WRONG.search(reason)
    said = "Check them by signing in at Nexudus itself." if known else f"It says: “{reason}”"
    return SignInNeeded(f"Nexudus does not accept this {typed}. {said}", code="wrong_password")


def _make_sure_the_api_answers(door: Door, tokens: Tokens, ends: float) -> None:
    """A token is given to everybody; whether this user may use the API shows at the first call.

    Nexudus allows a call every 100 ms: one that comes too early is left unanswered, and whoever calls next is told.
    """
    headers = {"Authorization": f"Bearer {tokens.access}", "Accept": "application/json"}
    answer = _send(door, ME.method, ME.path, max(ends - time.monotonic(), 1.0), headers=headers)
    if answers.is_throttled(answer):
        return
    if answer.status in (401, 403):
        raise _no_api_access()
    try:
        Me.model_validate(answers.json_of(answer))
    except ValueError:
        raise _not_nexudus() from None


def _no_api_access() -> SignInNeeded:
    return SignInNeeded(
        "This user may not use the API. Switch on “API access” for it in Nexudus, then try again.",
        code="no_api_access",
    )


def _not_nexudus() -> Refused:
    return Refused(
        "That address answers, but it is not Nexudus. Check the address with whoever runs this server.",
        code="not_nexudus",
    )
