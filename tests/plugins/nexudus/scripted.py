"""A wire that says what a test tells it to, for the answers that no honest server gives."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from requests.adapters import BaseAdapter
from urllib3 import HTTPResponse

from app.effects import Intent, Subject
from app.http import Door
from plugins.nexudus.client import Nexudus

BASE = "https://nexudus.example"
INTENT = Intent(Subject(1, "nexudus.invoice", 7), "sale:1", datetime(2026, 1, 31, 6, 0, tzinfo=UTC))


@dataclass(frozen=True)
class Said:
    """One answer: a body of any shape is sent as JSON, text and bytes as they are."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()


@dataclass(frozen=True)
class Heard:
    """One request as it went out."""

    method: str
    path: str
    params: dict[str, str]
    headers: dict[str, str]
    content: str

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def form(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.content).items()}

    @property
    def token(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")


class Script(BaseAdapter):
    """Gives the answers in their order (an exception is raised instead) and keeps what it heard."""

    def __init__(self, *answers: Said | Exception) -> None:
        super().__init__()
        self.answers = list(answers)
        self.heard: list[Heard] = []

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        parts = urlsplit(str(request.url))
        content = request.body or ""
        self.heard.append(
            Heard(
                method=str(request.method),
                path=parts.path,
                params={name: values[0] for name, values in parse_qs(parts.query).items()},
                headers=dict(request.headers),
                content=content.decode() if isinstance(content, bytes) else str(content),
            )
        )
        said = self.answers.pop(0)
        if isinstance(said, Exception):
            raise said
        response = requests.Response()
        response.status_code, response.request, response.url = said.status, request, str(request.url)
        response.headers.update(said.headers)
        response.raw = HTTPResponse(
            body=BytesIO(said.content), status=said.status, headers=said.headers, preload_content=False
        )
        return response

    def close(self) -> None:
        return


class Tokens:
    """Hands out token-1 and, when it is refused, token-2."""

    def __init__(self) -> None:
        self.renewed: list[str] = []

    def access(self) -> str:
        return "token-1"

    def renew(self, refused: str) -> str:
        self.renewed.append(refused)
        return "token-2"


class Permit:
    """Lets every call through and counts."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def before(self, kind: str) -> None:
        self.asked.append(kind)


class Wired:
    """A client on a script, with everything that can be asked about it afterwards."""

    def __init__(self, *answers: Said | Exception) -> None:
        self.script = Script(*answers)
        self.tokens, self.permit = Tokens(), Permit()
        self.remote = Nexudus(Door(BASE, self.script), self.tokens, self.permit)

    @property
    def heard(self) -> list[Heard]:
        return self.script.heard


def done(record_id: int | None = None, **more: Any) -> Said:
    """The envelope of a write that worked."""
    value = None if record_id is None else {"Id": record_id}
    return Said({"Status": 200, "WasSuccessful": True, "Message": "", "Value": value, "Errors": None, **more})


def refused(message: str, field_name: str = "", status: int = 400) -> Said:
    """The envelope of a write that Nexudus would not do."""
    errors = [{"AttemptedValue": None, "Message": message, "PropertyName": field_name}]
    body = {"Status": 500, "WasSuccessful": False, "Message": message, "Value": None, "Errors": errors}
    return Said(body, status)


def rows(*records: dict[str, Any], pages: int = 1) -> Said:
    """One page of a list."""
    return Said({"Records": list(records), "TotalItems": len(records), "TotalPages": pages, "CurrentPage": 1})


ME = Said({"Id": 5, "FullName": "Hanna Velde", "Email": "hanna@quayside.example", "IsAdmin": True})
