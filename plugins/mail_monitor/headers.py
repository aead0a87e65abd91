"""The header of a mail, read field by field within limits that hold before anything is decoded."""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass

from plugins.mail_monitor import charsets

LARGEST_BLOCK = 256 * 1024
LARGEST_FIELD = 32 * 1024
MOST_FIELDS = 2000

# RFC 2047: =?charset*language?encoding?text?=
_WORD = re.compile(rb"=\?([!->@-~]{1,60}?)(?:\*[A-Za-z0-9-]*)?\?([bBqQ])\?([^?]*)\?=")
_BETWEEN_WORDS = re.compile(rb"(\?=)[ \t\r\n]+(?==\?)")
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Headers:
    """Fields in their order, names in small letters, values unfolded and undecoded."""

    fields: tuple[tuple[str, bytes], ...]
    was_cut: bool = False

    @classmethod
    def read(cls, block: bytes) -> "Headers":
        """The fields of a header block; lines that are none are skipped, what is too long is cut."""
        was_cut = len(block) > LARGEST_BLOCK
        fields: list[tuple[str, bytes]] = []
        for line in _unfolded(block[:LARGEST_BLOCK]):
            found = _FIELD.match(line)
            if not found:
                continue
            if len(fields) == MOST_FIELDS:
                was_cut = True
                break
            name, value = found.groups()
            was_cut = was_cut or len(value) > LARGEST_FIELD
            fields.append((name.decode("ascii").lower(), value[:LARGEST_FIELD].strip()))
        return cls(tuple(fields), was_cut)

    def all(self, name: str) -> list[bytes]:
        return [value for key, value in self.fields if key == name]

    def first(self, name: str) -> bytes:
        """The first value, b"" when there is none."""
        return next((value for key, value in self.fields if key == name), b"")

    def text(self, name: str, longest: int = 998) -> str:
        """The first value as one clean line."""
        return charsets.clean_line(decode_words(self.first(name)), longest)


def decode_words(value: bytes) -> str:
    """`value` with its encoded words decoded; neighbours in one charset are joined before they are decoded."""
    pieces: list[tuple[str, bytes]] = []
    end = 0
    value = _BETWEEN_WORDS.sub(rb"\1", value)
    for word in _WORD.finditer(value):
        _add(pieces, "", value[end : word.start()])
        charset, encoding, text = word.groups()
        _add(pieces, charset.decode("ascii").lower(), _from_q(text) if encoding in b"qQ" else _from_b(text))
        end = word.end()
    _add(pieces, "", value[end:])
    return "".join(charsets.decode(data, charset)[0] for charset, data in pieces)


def _add(pieces: list[tuple[str, bytes]], charset: str, data: bytes) -> None:
    if not data:
        return
    if pieces and pieces[-1][0] == charset:
        pieces[-1] = (charset, pieces[-1][1] + data)
    else:
        pieces.append((charset, data))


def _from_q(text: bytes) -> bytes:
    return binascii.a2b_qp(text, header=True)


def _from_b(text: bytes) -> bytes:
    text = re.sub(rb"[^A-Za-z0-9+/]", b"", text.partition(b"=")[0])
    try:
        return base64.b64decode(text[: len(text) - (len(text) % 4 == 1)] + b"=" * (-len(text) % 4))
    except binascii.Error:
        return text


def _unfolded(block: bytes) -> Sequence[bytes]:
    lines: list[bytearray] = []
    for line in re.split(rb"\r\n|\n|\r", block):
        if line[:1] in {b" ", b"\t"}:
            # Beyond the limit of a field nothing is gathered: a field of megabytes costs no more than one of 32 KiB.
            if lines and len(lines[-1]) <= LARGEST_FIELD + 100:
                lines[-1] += b" " + line.strip()
        elif line:
            lines.append(bytearray(line))
    return [bytes(line) for line in lines]
