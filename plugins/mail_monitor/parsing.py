"""Reading mail: from raw bytes to plain data, within limits. Runs in a child process that may die of it.

Every leaf of a mail is its text or a file. A forwarded mail and a delivery report stay whole: each is one leaf.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from plugins.mail_monitor import charsets, html_text, reports
from plugins.mail_monitor.envelopes import read_envelope
from plugins.mail_monitor.file_names import safe_name
from plugins.mail_monitor.headers import Headers
from plugins.mail_monitor.letters import Envelope, File, Letter, Report, Unreadable
from plugins.mail_monitor.mime import Part, TooComplex, Tree, split_head

MOST_FILES = 50
LARGEST_FILE = 25 * 1024 * 1024
LONGEST_TEXT = 200 * 1024
LARGEST_HTML = 1024 * 1024


def read_envelopes(blocks: Iterable[bytes]) -> list[Envelope]:
    """What each header block says."""
    return [_envelope_of(block.rstrip(b"\r\n")) for block in blocks]


@lru_cache(maxsize=200)  # the headers of a chunk are read, and soon after the same mails whole
def _envelope_of(head: bytes) -> Envelope:
    return read_envelope(Headers.read(head))


def read_letters(raws: Iterable[bytes]) -> list[Letter | Unreadable]:
    """What is in each mail; one that cannot be read says why and does not take the others along."""
    return [_read_or_say_why(raw) for raw in raws]


def read_beginning(head: bytes, beginning: bytes) -> Letter:
    """A mail that is too large to fetch whole: its header, and the text that its first bytes hold."""
    envelope = _envelope_of(head.rstrip(b"\r\n"))
    letter = _read_or_say_why(head + b"\r\n\r\n" + beginning)
    text = letter.text if isinstance(letter, Letter) else ""
    return Letter(envelope, body_hash=hashlib.sha256(beginning).hexdigest(), text=text, notes=envelope.notes)


def _read_or_say_why(raw: bytes) -> Letter | Unreadable:
    try:
        return read_letter(raw)
    except TooComplex as error:
        return Unreadable(error.code, str(error))
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001
        # Whatever a hostile mail breaks in the parser breaks it for this mail alone; it goes to quarantine.
        return Unreadable("parser", f"The parser gave up on it ({type(error).__name__}).")


def read_letter(raw: bytes) -> Letter:
    """What is in a mail; raises `TooComplex` when a limit is passed."""
    head, _ = split_head(raw)
    reading = _Reading(Tree(raw), _envelope_of(head.rstrip(b"\r\n")))
    reading.walk(reading.tree.root, 1)
    return reading.letter()


@dataclass(slots=True)
class _Reading:
    """One walk over the leaves of a mail."""

    tree: Tree
    envelope: Envelope
    texts: list[tuple[str, str]] = field(default_factory=list)  # (plain, HTML), alternatives side by side
    files: list[File] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)
    statuses: list[bytes] = field(default_factory=list)  # of a report about delivery
    returned: list[bytes] = field(default_factory=list)  # headers of mails that it returns

    def letter(self) -> Letter:
        text = "\n\n".join(plain or html_text.text_of(html) for plain, html in self.texts).strip()
        if len(text) > LONGEST_TEXT:
            self.notes.append("Only the beginning of the text is shown; the whole is in the original.")
        has_html = any(html for _, html in self.texts)
        html = "\n<hr>\n".join(html or _as_html(plain) for plain, html in self.texts) if has_html else ""
        return Letter(
            envelope=self.envelope,
            body_hash=hashlib.sha256("\n".join(self.hashes).encode()).hexdigest(),
            text=text[:LONGEST_TEXT],
            html=html[:LARGEST_HTML],
            files=tuple(self.files),
            leaves=len(self.hashes),
            report=self._report(),
            notes=(*self.envelope.notes, *dict.fromkeys(self.notes)),
        )

    def _report(self) -> Report | None:
        if not self.statuses:
            return None
        named = (self.envelope.in_reply_to, *reversed(self.envelope.references))
        return reports.read_report(self.statuses[:10], self.returned[:10], named)

    def walk(self, part: Part, depth: int) -> None:
        children = self.tree.children(part, depth)
        before = len(self.texts)
        for child in children:
            self.walk(child, depth + 1)
        if not children:
            self._leaf(part)
        elif part.kind == "multipart/alternative":
            self._put_side_by_side(before)

    def _put_side_by_side(self, before: int) -> None:
        """The same words in several forms: the first plain and the first HTML one are one text."""
        forms, self.texts = self.texts[before:], self.texts[:before]
        plain = next((plain for plain, _ in forms if plain), "")
        html = next((html for _, html in forms if html), "")
        if plain or html:
            self.texts.append((plain, html))

    def _leaf(self, part: Part) -> None:
        data = part.data()
        if part.kind == reports.STATUS:
            self.statuses.append(data)
        elif part.kind in reports.RETURNED:
            self.returned.append(split_head(data)[0])
        if self._is_text(part):
            text, read_as = charsets.decode(data, part.charset)
            text = charsets.clean_text(text)
            if read_as:
                self.notes.append(f"The text was read as {read_as}, not as the mail says.")
            self.texts.append(("", text) if part.kind == "text/html" else (text, ""))
            self.hashes.append(f"{part.kind} {_text_hash(text)}")
        else:
            self.hashes.append(f"{part.kind} {hashlib.sha256(data).hexdigest()}")
            self._keep_file(part, data)

    def _is_text(self, part: Part) -> bool:
        """What is shown: not what calls itself an attachment, and what has a file name only if there is no other."""
        if part.kind.startswith("multipart/"):
            return not self.texts  # its boundary never came: better shown as it is than lost
        if part.kind not in {"text/plain", "text/html"} or part.is_attachment:
            return False
        return not part.name or not self.texts

    def _keep_file(self, part: Part, data: bytes) -> None:
        if len(self.files) >= MOST_FILES:
            self.notes.append(f"It has more than {MOST_FILES} attachments; the others are in the original.")
            return
        if len(data) > LARGEST_FILE:
            self.notes.append("An attachment is larger than 25 MB; it is in the original.")
            return
        name = part.name
        if part.kind == "message/rfc822" and not name:
            subject = Headers.read(split_head(data)[0]).text("subject", 100)
            name = f"{subject or 'forwarded message'}.eml"
        self.files.append(
            File(
                name=safe_name(name, part.kind, len(self.hashes)),
                content_type=charsets.clean_line(part.kind, 120),
                data=data,
                content_id=charsets.clean_line(part.content_id, 200),
            )
        )


def _text_hash(text: str) -> str:
    """Of the words alone: line ends and blanks change on the way."""
    return hashlib.sha256(" ".join(text.split()).encode("utf-8", errors="surrogatepass")).hexdigest()


def _as_html(plain: str) -> str:
    escaped = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"<pre>{escaped}</pre>" if plain else ""
