"""Mounts a sandbox into a `requests` session, in process: no socket, no waiting, and the same lost answers."""

import http.client
import io
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
from flask import Flask
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3.exceptions import ProtocolError
from urllib3.response import HTTPResponse
from werkzeug.test import EnvironBuilder, run_wsgi_app

from plugins.nexudus.sandbox.pipeline import IN_PROCESS, ConnectionLost
from plugins.nexudus.sandbox.space import EXTENSION, Space


class SandboxAdapter(BaseAdapter):
    """Answers every request out of `app`. `session.mount("https://nexudus.example", SandboxAdapter(app))`.

    An unanswered request raises `requests.ConnectionError` as a closed connection does, whether it was carried
    out or not; an answer slower than the read timeout raises `requests.ReadTimeout` without anybody waiting.
    """

    def __init__(self, app: Flask) -> None:
        super().__init__()
        self.app = app

    @property
    def space(self) -> Space:
        """The records and switches behind the answers."""
        found: Space = self.app.extensions[EXTENSION]
        return found

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,  # noqa: FBT001, FBT002  # the signature of requests
        timeout: float | tuple[float, float] | tuple[float, None] | None = None,
        verify: bool | str = True,  # noqa: FBT001, FBT002  # as above
        cert: bytes | str | tuple[bytes | str, bytes | str] | None = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        try:
            body, status, headers = run_wsgi_app(self.app.wsgi_app, _environ(request), buffered=True)
        except ConnectionLost as lost:
            closed = http.client.RemoteDisconnected("Remote end closed connection without response")
            raise requests.ConnectionError(ProtocolError("Connection aborted.", closed), request=request) from lost
        patience = timeout[1] if isinstance(timeout, tuple) else timeout
        if patience is not None and self.space.faults.switches.slow_s >= patience:
            raise requests.ReadTimeout(f"Read timed out. (read timeout={patience})", request=request)
        code, _, reason = status.partition(" ")
        answer = HTTPResponse(
            body=io.BytesIO(b"".join(body)),
            headers=dict(headers),
            status=int(code),
            reason=reason,
            preload_content=False,
        )
        return HTTPAdapter().build_response(request, answer)

    def close(self) -> None:
        """Nothing is held open."""


def _environ(request: requests.PreparedRequest) -> dict[str, Any]:
    parts = urlsplit(str(request.url))
    body = request.body or b""
    builder = EnvironBuilder(
        path=parts.path,
        query_string=parts.query,
        base_url=f"{parts.scheme}://{parts.netloc}",
        method=request.method or "GET",
        headers=list(request.headers.items()),
        data=body.encode() if isinstance(body, str) else body,
    )
    environ = builder.get_environ()
    environ[IN_PROCESS] = True
    return environ
