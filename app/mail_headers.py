"""Header fields of mails, written so that nothing typed in them is read as something else.

The standard library decodes encoded words in what it is given and may write what comes out, line ends included, into
the header: "=?utf-8?q?x=0d=0aBcc:_a@b.example?=" as a subject adds a recipient. So fields are written here, and it
only gets content (https://www.rfc-editor.org/rfc/rfc2047, https://www.rfc-editor.org/rfc/rfc5322).
"""

import re
from collections.abc import Iterable
from email.header import Header

_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")
_LOCAL = re.compile(r"[^\x00-\x20\x7f()<>\[\]:;@\\,.\"]+(?:\.[^\x00-\x20\x7f()<>\[\]:;@\\,.\"]+)*")
_DOMAIN = re.compile(r"[^\x00-\x20\x7f()<>\[\]:;@\\,\"]+")


def text_field(name: str, value: str) -> bytes:
    """A field of free text, such as Subject, with its line end."""
    return _line(name, _words(value, name))


def address_field(name: str, people: Iterable[tuple[str, str]]) -> bytes:
    """A field of (name, address) pairs, such as To, with its line end; `ValueError` for what is no address."""
    return _line(name, ",\r\n ".join(_person(who, address) for who, address in people))


def _line(name: str, value: str) -> bytes:
    return f"{name}: {value}\r\n".encode()


def _person(name: str, address: str) -> str:
    local, _, domain = address.rpartition("@")
    if not local or _CONTROLS.search(address) or not _DOMAIN.fullmatch(domain):
        raise ValueError("this is no address that a mail can carry")
    if not _LOCAL.fullmatch(local):
        local = _quoted(local)
    return f"{_phrase(name)} <{local}@{domain}>" if name.strip() else f"{local}@{domain}"


def _phrase(name: str) -> str:
    """A name beside an address."""
    name = " ".join(_CONTROLS.sub(" ", name).split())
    if not _is_plain(name):
        return _words(name, "")
    return name if _ATOMS.fullmatch(name) else _quoted(name)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _words(value: str, field_name: str) -> str:
    value = _CONTROLS.sub(" ", value)
    if _is_plain(value):
        return value
    return Header(value, "utf-8", maxlinelen=75, header_name=field_name or None).encode(linesep="\r\n")


def _is_plain(value: str) -> bool:
    """Whether it stands for itself: ASCII, short enough for one line, and nothing that would be decoded."""
    return value.isascii() and "=?" not in value and len(value) <= 800
