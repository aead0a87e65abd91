"""One authorised call at a time to Nexudus: the permit first, then the token, renewed once when it is refused."""

import time
from typing import Any, Literal, Protocol, TypeVar

import structlog

from app.errors import Capped, NotSent, OutcomeUnknown
from app.http import Answer, Door
from plugins.nexudus import answers
from plugins.nexudus.answers import Call
from plugins.nexudus.envelopes import ListAnswer, Page
from plugins.nexudus.payloads import Record

log = structlog.get_logger()

R = TypeVar("R", bound=Record)

ME = Call("GET", "/api/auth/me", "read", "its own user")


class TokenSource(Protocol):
    """Where the access token comes from."""

    def access(self) -> str:
        """The token to use; `SignInNeeded` when there is none."""

    def renew(self, refused: str) -> str:
        """A new token in place of `refused`, stored before it is answered; `SignInNeeded` when there is none."""


class Permit(Protocol):
    """Leave to make a call."""

    def before(self, kind: Literal["read", "write"]) -> None:
        """Called right before each request; raises `Capped` or `LeaseLost` when it may not be made now."""


class Wire:
    """Sends calls and reads their answers. Knows neither Flask nor the database."""

    def __init__(self, door: Door, tokens: TokenSource, permit: Permit) -> None:
        self._door = door
        self._tokens = tokens
        self._permit = permit
        self._throttled = 0

    def ask(self, call: Call) -> Any:
        """The JSON that answers `call`; raises one of the five `Outside` errors."""
        answer = self.send(call)
        try:
            data = answers.data_of(call, answer, self._throttled)
        except Capped:
            self._throttled += 1
            raise
        self._throttled = 0
        return data

    def send(self, call: Call) -> Answer:
        """The bare answer to `call`, whatever its status but 401."""
        token = self._tokens.access()
        answer = self._once(call, token)
        if answer.status != 401:
            return answer
        self._raise_if_token_reads(call, answer, token)
        token = self._tokens.renew(token)
        answer = self._once(call, token)
        if answer.status != 401:
            return answer
        self._raise_if_token_reads(call, answer, token)
        raise answers.signed_out()

    def _raise_if_token_reads(self, call: Call, denied: Answer, token: str) -> None:
        """Nexudus says 401 for a bad token, for a missing right, and for too many new members in a day.

        With a token that still reads, it was not the token.
        """
        if call.path == ME.path:
            return
        answer = self._once(ME, token)
        if answer.status in (401, 403):
            return
        answers.data_of(ME, answer, self._throttled)
        if call.creates_members and b"access denied" in denied.body[:1000].lower():
            raise answers.used_up_today()
        raise answers.right_missing(call, denied.status)

    def _once(self, call: Call, token: str) -> Answer:
        self._permit.before(call.kind)
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        content: dict[str, Any] = {"params": call.params}
        if call.body is not None:
            content["data"] = answers.exact_json(call.body).encode()
            headers["Content-Type"] = "application/json"
        begun = time.monotonic()
        try:
            answer = self._door.send(call.method, call.path, headers=headers, **content)
        except NotSent as error:
            raise NotSent("Nexudus cannot be reached. We try again on our own.", **error.details) from error
        except OutcomeUnknown as error:
            raise answers.no_answer(call, **error.details) from error
        spent_ms = round((time.monotonic() - begun) * 1000)
        log.debug("nexudus_call", method=call.method, path=call.path, status=answer.status, ms=spent_ms)
        return answer

    def one(self, call: Call, shape: type[R]) -> R:
        """One record."""
        return answers.shaped(call, shape, self.ask(call))

    def page(self, call: Call, shape: type[R]) -> Page[R]:
        """One page of a list, whose number and size `call` names in its parameters."""
        envelope = answers.shaped(call, ListAnswer, self.ask(call))
        number = int((call.params or {})["page"])
        return Page(
            records=tuple(answers.shaped(call, shape, record) for record in envelope.records),
            number=number,
            # Without a count there is another page until an empty one comes.
            pages=number + 1 if envelope.total_pages is None else envelope.total_pages,
            total=envelope.total_items,
        )
