"""Addresses in header fields, read the same way on every Python: who is named, and what the names try to say."""

import re
from dataclasses import dataclass

from app.typed import email_key
from plugins.mail_monitor.charsets import clean_line
from plugins.mail_monitor.headers import decode_words

MOST_ADDRESSES = 1000
# Something that reads as an address, wherever it stands.
_UNSEEN = r"\s\x00-\x20\x7f-\x9f\ud800-\udfff"  # bytes that are no text are among them, as halves of characters
_PART = rf"[^{_UNSEEN}<>()\[\],;:\"'@]+"
_READS_AS_ADDRESS = re.compile(rf"{_PART}@{_PART}\.{_PART}")
_FORBIDDEN = re.compile(rf"[{_UNSEEN}<>()\[\],;:\\\"]")
# What nearly every From is: a name and one address, or the address alone. Read at once, without walking through it.
_PLAIN = rb"[^\s<>@\"(),:;\\]+@[^\s<>@\"(),:;\\]+"
_SIMPLE = re.compile(rb"(?:\"([^\"\\]*)\"|([^\"\\<>@(),:;]*))\s*<(" + _PLAIN + rb")>|(" + _PLAIN + rb")")
DOTLESS = {"gmail.com", "googlemail.com"}


@dataclass(frozen=True)
class Named:
    """An address and the name written beside it. `is_angled` says that it stood between < and >."""

    name: str
    address: str
    is_angled: bool = False

    @property
    def key(self) -> str:
        return address_key(self.address)


def address_key(address: str) -> str:
    """How addresses are compared: as the host compares customers by, so that the two can be joined."""
    return email_key(address)


def plain_key(key: str) -> str:
    """`key` without a +tag, and for Gmail without dots: what the same mailbox is also written as."""
    local, at, domain = key.rpartition("@")
    if local[1:].find("+") >= 0:
        local = local[: local.index("+", 1)]
    if domain in DOTLESS:
        local, domain = local.replace(".", ""), "gmail.com"
    return f"{local}{at}{domain}"


def is_address(text: str) -> bool:
    """Whether `text` can be an address: one @, something on either side, nothing that mail programs read apart."""
    local, at, domain = text.rpartition("@")
    return bool(
        at
        and local
        and len(local) <= 64
        and 0 < len(domain) <= 255
        and "@" not in local
        and not _FORBIDDEN.search(text)
        and not domain.startswith(".")
        and "=?" not in text
    )


def addresses_in(text: str) -> list[str]:
    """Everything in `text` that reads as an address."""
    return _READS_AS_ADDRESS.findall(text[:4000])


def read_list(value: bytes) -> list[Named]:
    """The addresses of a field, in order; groups are read for their members, comments count as names.

    Entries that hold no address are answered too, with the text as name and no address.
    """
    simple = _SIMPLE.fullmatch(value.strip())
    if simple:
        quoted, bare, angled, alone = (
            part and part.decode("utf-8", errors="surrogateescape") for part in simple.groups()
        )
        return [
            Named(_name((quoted or bare or "").strip()), angled, is_angled=True) if angled else Named("", alone or "")
        ]
    reader = _Reader()
    for character in value.decode("utf-8", errors="surrogateescape"):
        reader.take(character)
        if len(reader.found) >= MOST_ADDRESSES:
            break
    reader.finish()
    return reader.found


class _Reader:
    """One pass over the characters, without recursion: nested comments are counted, not entered."""

    def __init__(self) -> None:
        self.found: list[Named] = []
        self._start()
        self._quoted = self._escaped = False
        self._depth = 0

    def _start(self) -> None:
        self._phrase: list[str] = []
        self._comment: list[str] = []
        self._angle: list[str] | None = None
        self._in_angle = False

    def take(self, character: str) -> None:
        if self._escaped:
            self._escaped = False
            self._put(character)
        elif character == "\\" and (self._quoted or self._depth):
            self._escaped = True
        elif character == '"' and not self._depth:
            self._quoted = not self._quoted
        elif self._quoted:
            self._put(character)
        elif not self._take_bracket(character):
            self._take_separator(character)

    def _take_bracket(self, character: str) -> bool:
        if character == "(":
            self._depth += 1
        elif character == ")" and self._depth:
            self._depth -= 1
        elif self._depth:
            self._comment.append(character)
        elif character == "<" and not self._in_angle:
            if self._angle is not None:
                self.finish()
            self._angle, self._in_angle = [], True
        elif character == ">" and self._in_angle:
            self._in_angle = False
        else:
            return False
        return True

    def _take_separator(self, character: str) -> None:
        if self._in_angle:
            self._put(character)
        elif character in ",;":
            self.finish()
        elif character == ":" and "@" not in self._phrase:
            self._start()  # what stood before it was the name of a group
        else:
            self._put(character)

    def _put(self, character: str) -> None:
        if self._depth:
            self._comment.append(character)
        elif self._in_angle and self._angle is not None:
            self._angle.append(character)
        else:
            self._phrase.append(character)

    def finish(self) -> None:
        """End the entry under way."""
        phrase, comment = "".join(self._phrase).strip(), "".join(self._comment).strip()
        if self._angle is not None:
            # "<@relay,@other:real@place>": a route, of which only the end counts.
            address = "".join(self._angle).rpartition(":")[2].strip()
            self.found.append(Named(_name(phrase or comment), address, is_angled=True))
        elif "@" in phrase:
            self.found.append(Named(_name(comment), "".join(phrase.split())))
        elif phrase or comment:
            self.found.append(Named(_name(phrase or comment), ""))
        self._start()


def _name(text: str) -> str:
    return clean_line(decode_words(text.encode("utf-8", errors="surrogateescape")), 200)
