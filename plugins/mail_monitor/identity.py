"""What makes two mails the same one: the Message-ID together with what they say, never the Message-ID alone."""

import hashlib
import re

from plugins.mail_monitor.headers import Headers

# What an id is found by when it stands in one of the forms that mail programs write.
_BRACKETED = re.compile(r"<([^<>]*)>")
_CONTROLS = re.compile(r"[\x00-\x20\x7f-\x9f\ud800-\udfff]+")


def normal_id(text: str) -> str:
    """A Message-ID without brackets, folding, blanks and what no database takes; "" for none."""
    found = _BRACKETED.search(text)
    return "".join(_CONTROLS.sub("", found[1] if found else text).split())[:998]


def ids_in(text: str, most: int = 50) -> list[str]:
    """The ids of a References or In-Reply-To field, oldest first; missing brackets and commas are tolerated."""
    found = _BRACKETED.findall(text) or re.split(r"[\s,]+", text)
    ids = [normal_id(one) for one in found]
    return [one for one in ids if one][-most:]


def message_key(normal: str) -> str:
    """A Message-ID as 64 characters that fit an index, however long it is; "" for none."""
    return hashlib.sha256(normal.encode("utf-8", "surrogatepass")).hexdigest() if normal else ""


def key_of_head(head: bytes) -> str:
    """The `message_key` of a mail with this header."""
    return message_key(normal_id(Headers.read(head).first("message-id").decode("utf-8", errors="replace")))


def fingerprint(message_id: str, body_hash: str, sender: str, date_text: str, subject: str) -> str:
    """Identity of a message within an account, as 64 characters.

    `body_hash` says what is in it, whatever way it took and however it was encoded for the journey. Without a
    Message-ID sender, date and subject take its place.
    """
    words = [message_id] if message_id else ["", sender, date_text, subject]
    text = "\0".join([*words, body_hash])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
