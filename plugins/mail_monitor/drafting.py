"""A mail as plain data, and how it becomes the bytes that travel: pure, and the same bytes at every try."""

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from app import clock
from app.mail_headers import address_field, text_field
from plugins.mail_monitor.address_lists import Named
from plugins.mail_monitor.egress import ascii_name
from plugins.mail_monitor.letters import File
from plugins.mail_monitor.subjects import is_answer

LONGEST_QUOTE = 20_000
MOST_REFERENCES = 20
# An id of somebody else's mail goes into our header only if it is one plain word: ids are chosen by senders.
_PLAIN_ID = re.compile(r"[!-;=?-~]{1,250}")
# Types that a mail would be read apart by; as a file they are bytes like any other.
_OPENED = ("multipart/", "message/")


@dataclass(frozen=True, slots=True)
class Draft:
    """Everything that goes into one mail. `message_id` and the ids it names are without brackets."""

    message_id: str
    sender_name: str
    sender_address: str
    subject: str
    text: str
    written_at: datetime
    to: tuple[Named, ...] = ()
    cc: tuple[Named, ...] = ()
    bcc: tuple[Named, ...] = ()
    reply_to: str = ""
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    files: tuple[File, ...] = field(default=(), repr=False)

    @property
    def recipients(self) -> tuple[Named, ...]:
        """Everybody it goes to, each once."""
        return tuple({one.key: one for one in reversed((*self.to, *self.cc, *self.bcc))}.values())[::-1]

    @property
    def needs_utf8(self) -> bool:
        """Whether the part before an @ holds letters that only servers with SMTPUTF8 take."""
        addresses = [self.sender_address, self.reply_to, *(one.address for one in self.recipients)]
        return not all(plain_address(one).isascii() for one in addresses)

    def as_bytes(self) -> bytes:
        """The mail as RFC 5322 wants it, 7 bits wide; whoever is in Bcc does not stand in it."""
        fields = [
            text_field("Date", format_datetime(self.written_at)),
            _people("From", [Named(self.sender_name, self.sender_address)]),
            _people("To", self.to),
            _people("Cc", self.cc),
            _people("Reply-To", [Named("", self.reply_to)] if self.reply_to else []),
            text_field("Subject", self.subject),
        ]
        mail = EmailMessage(policy=SMTP.clone(cte_type="7bit"))
        mail.set_content(self.text)
        for file in self.files:
            kind = file.content_type
            main, _, sub = ("application/octet-stream" if kind.startswith(_OPENED) else kind).partition("/")
            mail.add_attachment(file.data, maintype=main, subtype=sub, filename=file.name)
        return self._ids() + b"".join(fields) + mail.as_bytes()

    def _ids(self) -> bytes:
        """One id on each line: they are long, and a line that is cut inside one matches nothing."""
        lines = [f"Message-ID: <{self.message_id}>"]
        if self.in_reply_to:
            lines.append(f"In-Reply-To: <{self.in_reply_to}>")
        if self.references:
            lines.append("References: " + "\r\n ".join(f"<{one}>" for one in self.references))
        return "".join(f"{line}\r\n" for line in lines).encode("ascii")


def new_message_id(token: str, secret: str, account_id: int, address: str) -> str:
    """The Message-ID of the mail that `token` stands for: always the same, and nobody else can make one."""
    words = f"mail_monitor.message_id\0{account_id}\0{token}".encode()
    proof = hmac.new(secret.encode(), words, hashlib.sha256).hexdigest()[:24]
    return f"{token}.{proof}@{ascii_name(address.rpartition('@')[2]) or 'localhost'}"


def thread_ids(message_id: str, references: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """In-Reply-To and References of an answer to the message with this id and these references."""
    kept = [one for one in dict.fromkeys([*references, message_id]) if _PLAIN_ID.fullmatch(one)]
    if len(kept) > MOST_REFERENCES:
        kept = [kept[0], *kept[1 - MOST_REFERENCES :]]
    return (message_id if _PLAIN_ID.fullmatch(message_id) else ""), tuple(kept)


def answer_subject(subject: str) -> str:
    """The subject of an answer."""
    return subject if is_answer(subject) else f"Re: {subject}".strip()


def quoted(text: str, writer: str, at: datetime, zone: str) -> str:
    """The words that are answered, marked as such, with who wrote them and when."""
    there = clock.local(at, zone)
    cut = text[:LONGEST_QUOTE].rstrip()
    lines = [f"> {line}".rstrip() for line in cut.split("\n")]
    if len(text) > LONGEST_QUOTE:
        lines.append("> …")
    return "\n".join([f"On {there.day} {there:%B %Y} at {there:%H:%M}, {writer} wrote:", *lines])


def whole_text(answer: str, signature: str, quote: str) -> str:
    """What the recipient reads: the answer, who signs it, and what it answers."""
    parts = [answer.strip("\n"), f"-- \n{signature.strip()}" if signature.strip() else "", quote]
    return "\n\n".join(part for part in parts if part) + "\n"


def plain_address(address: str) -> str:
    """An address as it travels: its domain in ASCII."""
    local, at, domain = address.rpartition("@")
    return f"{local}{at}{ascii_name(domain) or domain}"


def _people(field_name: str, named: Sequence[Named]) -> bytes:
    """A field of addresses, nothing for none."""
    return address_field(field_name, [(one.name, plain_address(one.address)) for one in named]) if named else b""
