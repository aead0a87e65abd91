"""What happens around every API call: counting, faults, limits, signing in, and keeping or undoing what it wrote."""

import socket
from collections.abc import Callable, Iterable
from math import ceil
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, g, render_template, request
from werkzeug.exceptions import HTTPException

from plugins.nexudus.sandbox import webhooks
from plugins.nexudus.sandbox.auth import sign_in_caller
from plugins.nexudus.sandbox.replies import Refusal, json_reply, server_error, text_reply
from plugins.nexudus.sandbox.space import Space, space

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

WRITES = {"POST", "PUT", "DELETE"}
TOKEN = "/api/token"
LOST = "nexudus_sandbox.lost"  # in the WSGI environment: this request gets no answer
IN_PROCESS = "nexudus_sandbox.in_process"  # ... and this one comes from a test, which does not want to wait


class ConnectionLost(ConnectionError):
    """The caller is left without an answer; `done` says whether the call was carried out."""

    def __init__(self, *, done: bool) -> None:
        super().__init__("the sandbox ended the connection without an answer")
        self.done = done


class SandboxApp(Flask):
    """A Flask app whose API calls go through faults, limits and sign-in, and are kept or undone as a whole."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.wsgi_app = _Wire(self.wsgi_app)  # type: ignore[method-assign]
        self.register_error_handler(Refusal, lambda refusal: refusal.response)
        self.register_error_handler(HTTPException, _http_error)
        self.after_request(_ended)

    def dispatch_request(self) -> Any:
        """Answer one request."""
        if not request.path.startswith("/api/"):
            return super().dispatch_request()
        return _stopped_before() or self._carried_out()

    def _carried_out(self) -> Response:
        if request.method not in WRITES:
            return self.make_response(super().dispatch_request())
        here = space()
        with here.store.change():
            response = self.make_response(super().dispatch_request())
            if request.path != TOKEN and not _worked(response):
                raise Refusal(response)  # undoes whatever was written
        webhooks.deliver_remembered(here)
        if here.faults.concerns(request.path):
            if here.faults.strikes("lost_answer"):
                request.environ[LOST] = "answer"
            elif here.faults.strikes("error_after"):
                return server_error(ooops=here.faults.switches.error_ooops)
        return response


def _worked(response: Response) -> bool:
    """A write says whether it was successful; only the raise call answers with a bare record."""
    return response.status_code < 300 and (response.get_json(silent=True) or {}).get("WasSuccessful", True) is True


def _ended(response: Response) -> Response:
    """Keep what became of an API call, after the last thing that may go wrong with its answer."""
    if not request.path.startswith("/api/"):
        return response
    here = space()
    if response.status_code == 200 and here.faults.concerns(request.path) and here.faults.strikes("cut"):
        response.set_data(response.get_data()[: (response.content_length or 0) // 2])
    path, query = request.path, request.query_string.decode(errors="replace")
    here.calls.ended(
        request.method,
        f"{path}?{query}" if query else path,
        response.status_code,
        command=g.get("command"),
        lost=request.environ.get(LOST),
    )
    return response


class _Wire:
    """The outermost layer: ends the connection where a fault says so."""

    def __init__(self, inner: "WSGIApplication") -> None:
        self._inner = inner

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path.lower().startswith("/api/"):
            environ["PATH_INFO"] = path.lower()
        held: list[tuple[Any, ...]] = []

        def hold(*begun: Any) -> Callable[[bytes], object]:
            held.append(begun)
            return lambda _: None

        body = self._inner(environ, hold)
        if LOST in environ:
            if "werkzeug.socket" in environ:
                environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionLost(done=environ[LOST] == "answer")
        start_response(*held[-1])
        return body


def _stopped_before() -> Response | None:
    """Everything that can end a call before it is carried out; whoever calls is known afterwards."""
    here, path, is_write = space(), request.path, request.method in WRITES
    here.calls.note(request.method, path)
    if here.faults.switches.slow_s and IN_PROCESS not in request.environ:
        here.stopping.wait(here.faults.switches.slow_s)
    failed = _failed(here, path)
    if failed is not None or path == TOKEN:
        return failed
    wait = here.limits.wait_for_call(is_write=is_write)
    if wait:
        return _throttled(409 if here.profile == "classic-2020" else 429, wait)
    sign_in_caller()
    return None


def _failed(here: Space, path: str) -> Response | None:
    """The answer of a fault that is due, if any."""
    faults = here.faults
    if not faults.concerns(path):
        return None
    if faults.strikes("dropped"):
        request.environ[LOST] = "request"
        return text_reply("", 500)
    if faults.strikes("error"):
        return server_error(ooops=faults.switches.error_ooops)
    if faults.strikes("throttle"):
        return _throttled(faults.switches.throttle_status, 1, with_header=faults.switches.throttle_retry_after)
    if faults.strikes("html"):
        return Response("<!doctype html><title>Maintenance</title><h1>We will be back soon</h1>", mimetype="text/html")
    return None


def _throttled(status: int, wait: float, *, with_header: bool = True) -> Response:
    seconds = ceil(wait)
    answer = text_reply("" if status == 409 else f"Too many requests. Wait {seconds} seconds.", status)
    if status == 409:
        answer.status = "409 Too many requests, wait before trying again"
    if with_header:
        answer.headers["Retry-After"] = str(seconds)
    return answer


def _http_error(error: HTTPException) -> Response:
    """Refusals of the framework: in the words of the API where it is asked, else as a page."""
    if not request.path.startswith("/api/"):
        return Response(render_template("sandbox/error.html", error=error), error.code)
    if error.code == 404:
        return json_reply("Not found", 404)
    return json_reply({"Message": error.name}, error.code or 500)
