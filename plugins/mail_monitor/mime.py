"""The parts of a mail: cut at their boundaries, counted while they are cut, and never opened when they are mails.

The standard library's parser walks line by line, opens forwarded mails and multiplies delivery reports; here a part
is cut out in one search, and its header is given to the standard library, which knows parameters and encodings.
"""

import re
from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser
from functools import cached_property

from plugins.mail_monitor import charsets
from plugins.mail_monitor.headers import LARGEST_FIELD, decode_words

MOST_PARTS = 500
DEEPEST = 50

_HEAD = re.compile(rb"(?:From [^\n]*\n)?(?:[!-9;-~]+[ \t]*:[^\n]*(?:\n|\Z)(?:[ \t][^\n]*(?:\n|\Z))*)*")
_LINE_END = re.compile(rb"\A\r?\n")
_PARSER = HeaderParser()


class TooComplex(Exception):
    """A limit was passed that no honest mail reaches."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


def split_head(raw: bytes) -> tuple[bytes, bytes]:
    """Header and body. The header ends at the first empty line, or before the first line that is no field."""
    if b"\n" not in raw:
        raw = raw.replace(b"\r", b"\n")
    found = _HEAD.match(raw)
    end = found.end() if found else 0
    return raw[:end], _LINE_END.sub(b"", raw[end:], count=1)


@dataclass
class Part:
    """One part: its header's facts and its undecoded body."""

    facts: Message
    body: bytes

    @classmethod
    def read(cls, raw: bytes, default_type: str = "text/plain") -> "Part":
        head, body = split_head(raw)
        # Decoded beforehand: raw 8-bit file names would otherwise come out as question marks.
        facts = _PARSER.parsestr(charsets.decode(head[:LARGEST_FIELD])[0])
        facts.set_default_type(default_type)
        return cls(facts, body)

    @cached_property
    def kind(self) -> str:
        return self.facts.get_content_type()

    @cached_property
    def name(self) -> str:
        """The file name as it was written, decoded; "" without one."""
        name = self.facts.get_filename("")
        return decode_words(name.encode("utf-8", errors="replace")) if "=?" in name else name

    @property
    def charset(self) -> str:
        return str(self.facts.get_content_charset("") or "")

    @property
    def is_attachment(self) -> bool:
        return self.facts.get_content_disposition() == "attachment"

    @property
    def content_id(self) -> str:
        return str(self.facts.get("content-id", "")).strip().strip("<>")

    def data(self) -> bytes:
        """The bytes that were encoded for the journey."""
        self.facts.set_payload(self.body.decode("ascii", errors="surrogateescape"))
        data = self.facts.get_payload(decode=True)
        self.facts.set_payload("")
        return data if isinstance(data, bytes) else self.body


class Tree:
    """Cuts a mail into parts and keeps count, so that a bomb is noticed before it is unpacked."""

    def __init__(self, raw: bytes) -> None:
        self.root = Part.read(raw)
        self._parts = 0

    def children(self, part: Part, depth: int) -> list[Part]:
        """The parts of a multipart, [] for a leaf or when its boundary never comes; raises `TooComplex`."""
        boundary = part.facts.get_boundary() if part.kind.startswith("multipart/") else None
        if not boundary or len(boundary) > 200:
            return []
        if depth > DEEPEST:
            raise TooComplex("nesting", f"Its parts are nested deeper than the limit of {DEEPEST}.")
        lines = _boundary_lines(part.body, boundary.encode("ascii", errors="surrogateescape"))
        self._parts += len(lines)
        if self._parts > MOST_PARTS:
            raise TooComplex("parts", f"Too many parts: {self._parts:,}; the limit is {MOST_PARTS}.")
        if not lines:
            return []
        kind = "message/rfc822" if part.kind == "multipart/digest" else "text/plain"
        found = []
        for line, following in zip(lines, [*lines[1:], None], strict=True):
            if line[1]:
                break
            raw = part.body[line.end() : following.start() if following else None]
            if following:
                raw = raw.removesuffix(b"\n").removesuffix(b"\r")  # this line end belongs to the boundary
            found.append(Part.read(_LINE_END.sub(b"", raw, count=1), kind))
        return found


def _boundary_lines(body: bytes, boundary: bytes) -> list[re.Match[bytes]]:
    mark = re.compile(b"--" + re.escape(boundary) + rb"(--)?[ \t]*(?=\r?\n|\Z)")
    return [found for found in mark.finditer(body) if not found.start() or body[found.start() - 1] == 10]
