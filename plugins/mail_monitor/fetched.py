"""Answers to FETCH, taken apart: by UID and not by position, whatever order or company they come in."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from app import clock

_STARTS = re.compile(rb"\d+ \(")
_UID = re.compile(rb"\bUID (\d{1,10})\b")
_SIZE = re.compile(rb"\bRFC822\.SIZE (\d{1,12})\b")
_DATE = re.compile(rb'\bINTERNALDATE "([^"]{1,60})"')
# The label before a literal, or a body short enough to come in quotes, or none at all.
_LABEL = re.compile(rb"BODY\[([A-Z.]*)\](?:<\d+>)? (?:\{\d+\}|NIL|\"([^\"]*)\")")
# As many bytes as a column of sizes holds; some servers say -1, written without its sign.
LARGEST = 2**31 - 1
EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)


@dataclass(slots=True)
class Fetched:
    """What one answer said about one message; `bodies` by section ("HEADER", "TEXT", "" for the whole)."""

    uid: int
    size: int
    received_at: datetime
    bodies: dict[str, bytes] = field(default_factory=dict)


def read_answers(data: Iterable[Any]) -> Iterator[Fetched]:
    """The messages in what imaplib gathered for FETCH; answers without a UID are about nothing we asked."""
    text = b""
    literals: list[bytes] = []
    for element in data:
        if isinstance(element, tuple):
            if _STARTS.match(element[0]) and text.endswith(b")"):
                text, literals = b"", []
            text += element[0]
            literals.append(element[1])
        elif isinstance(element, bytes):
            yield from _read(text + element, literals)
            text, literals = b"", []


def _read(text: bytes, literals: list[bytes]) -> Iterator[Fetched]:
    uid = _UID.search(text)
    if not uid:
        return
    size, date = _SIZE.search(text), _DATE.search(text)
    fetched = Fetched(int(uid[1]), min(int(size[1]), LARGEST) if size else 0, _moment(date[1] if date else b""))
    waiting = iter(literals)
    for label in _LABEL.finditer(text):
        body = next(waiting, b"") if label[0].endswith(b"}") else label[2] or b""
        fetched.bodies.setdefault(label[1].decode("ascii"), body)
    yield fetched


def _moment(text: bytes) -> datetime:
    """The server's date of a message; now, when it says none that can be true."""
    now = clock.now()
    try:
        moment = parsedate_to_datetime(text.decode("ascii", errors="replace").strip())
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return now
    return moment if EARLIEST < moment < now + timedelta(days=1) else now
