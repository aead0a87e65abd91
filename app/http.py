"""The one door out to the web: time limits, a size limit, no redirects, and never while a transaction is open."""

import time
from dataclasses import dataclass
from typing import Any

import requests
import structlog
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict
from urllib3.exceptions import HTTPError, NameResolutionError, NewConnectionError

from app import remote_calls
from app.db import in_transaction
from app.errors import NotSent, OutcomeUnknown

CONNECT_S, READ_S, WHOLE_S = 5, 20, 30
LARGEST_ANSWER = 16 * 1024 * 1024
USER_AGENT = "SphereMail (+https://github.com/spheremail/spheremail)"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: status, headers and the body's bytes."""

    status: int
    headers: CaseInsensitiveDict[str]
    body: bytes


class Door:
    """Sends requests to one base address. `adapter` replaces the wire in tests; `whole_s` is for all it sends.

    `service` names the other side in the figures of `/metrics`.
    """

    def __init__(
        self, base: str, adapter: BaseAdapter | None = None, whole_s: float | None = None, service: str = "other"
    ) -> None:
        self._base, self._service = base, service
        self._ends = None if whole_s is None else time.monotonic() + whole_s
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy or .netrc of the machine must not see our tokens
        self._session.headers["User-Agent"] = USER_AGENT
        if adapter is not None:
            self._session.mount(base, adapter)

    def send(self, method: str, path: str, whole_s: float = WHOLE_S, **request: Any) -> Answer:
        """One request, one answer, in `whole_s` seconds at most.

        Raises `NotSent` when no byte of the request can have been taken, `OutcomeUnknown` when the request
        may have arrived but no whole answer came back.
        """
        if in_transaction():
            raise RuntimeError("a request to the outside while a database transaction is open")
        request_id = structlog.contextvars.get_contextvars().get("request_id")
        if request_id:
            request["headers"] = {"X-Request-Id": str(request_id), **request.get("headers", {})}
        if self._ends is not None:
            whole_s = min(whole_s, self._ends - time.monotonic())
            if whole_s <= 0:
                raise NotSent("It took too long to answer.")
        ends = time.monotonic() + whole_s
        with remote_calls.timed(self._service, method) as call:
            answer = self._answer(
                method, path, ends, timeout=(min(CONNECT_S, whole_s), min(READ_S, whole_s)), **request
            )
            call.answered(answer.status)
            return answer

    def _answer(self, method: str, path: str, ends: float, **request: Any) -> Answer:
        try:
            with self._session.request(
                method, self._base + path, allow_redirects=False, stream=True, **request
            ) as response:
                return Answer(response.status_code, response.headers, _body(response, ends))
        except (requests.RequestException, HTTPError, OSError) as error:
            if _never_connected(error):
                raise NotSent("No connection could be made.", cause=repr(error)) from error
            raise OutcomeUnknown("No whole answer came back.", cause=repr(error)) from error


def _body(response: requests.Response, ends: float) -> bytes:
    """The body, read piece by piece so that a server that drips is cut off at the deadline."""
    parts: list[bytes] = []
    size = 0
    read = getattr(response.raw, "read1", None) or response.raw.read
    while piece := read(65536, decode_content=True):
        size += len(piece)
        parts.append(piece)
        if time.monotonic() > ends:
            raise OutcomeUnknown("The answer did not end in time.")
        if size > LARGEST_ANSWER:
            raise OutcomeUnknown("The answer was too large to read.")
    return b"".join(parts)


def _never_connected(error: Exception) -> bool:
    """Whether not even a connection was made (refused, unknown host, bad certificate): nothing can have arrived."""
    if isinstance(error, requests.ConnectTimeout):
        return True
    if isinstance(error, requests.exceptions.SSLError):
        # Other faults of TLS may come after the request was sent.
        return "CERTIFICATE_VERIFY_FAILED" in str(error)
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(reason, NewConnectionError | NameResolutionError)
