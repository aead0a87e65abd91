"""Names of attachments: what a sender wrote becomes something that is safe to save and still recognised."""

import mimetypes
import re
import unicodedata

LONGEST = 150
_RESERVED = {"con", "prn", "aux", "nul", *(f"{name}{number}" for name in ("com", "lpt") for number in range(1, 10))}
_USUAL = {
    "text/plain": ".txt",
    "text/html": ".html",
    "text/calendar": ".ics",
    "message/rfc822": ".eml",
    "image/jpeg": ".jpg",
}


def safe_name(name: str, content_type: str, number: int) -> str:
    """The last part of a path, composed, without controls and invisible marks, at most 150 bytes; never empty.

    Marks are removed first and the rest is checked after, so that none of them can hide a path or an ending.
    """
    name = "".join(mark for mark in unicodedata.normalize("NFC", name[:2000]) if unicodedata.category(mark)[0] != "C")
    name = re.split(r"[/\\]", name)[-1]
    name = re.sub(r'[<>:"|?*]', "_", " ".join(name.split())).rstrip(". ")
    if not name.strip("._ "):
        name = f"part-{number}{ending_of(content_type)}"
    if name.startswith(".") or name.split(".")[0].strip().casefold() in _RESERVED:
        name = f"_{name}"
    return _shortened(name)


def ending_of(content_type: str) -> str:
    """The usual ending of a type, such as ".pdf"; ".bin" for an unknown one."""
    return _USUAL.get(content_type) or mimetypes.guess_extension(content_type) or ".bin"


def _shortened(name: str) -> str:
    if len(name.encode()) <= LONGEST:
        return name
    stem, dot, ending = name.rpartition(".")
    if not stem or len(ending.encode()) > 16:
        stem, dot, ending = name, "", ""
    room = LONGEST - len(f"{dot}{ending}".encode())
    return stem.encode()[:room].decode(errors="ignore").rstrip(". ") + dot + ending
