"""A letter: everything one mail consists of, as plain data, and how it becomes the bytes that travel."""

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime

from markupsafe import Markup, escape

from app.mail_headers import address_field, text_field

MARK = "X-SphereMail-Mark"
_WEB_ADDRESS = re.compile(r"https?://[^\s<>\"]+[^\s<>\".,;:!?)]")


@dataclass(frozen=True, slots=True)
class Attached:
    """A file that goes along with a mail."""

    file_name: str
    content_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Letter:
    """One mail to one address, complete; `written_at` is aware UTC."""

    message_id: str
    sender_name: str
    sender_address: str
    reply_to: str
    recipient: str
    subject: str
    text: str
    html: str
    written_at: datetime
    attachments: tuple[Attached, ...] = ()
    mark: str = ""

    @property
    def needs_utf8(self) -> bool:
        """Whether an address holds letters that only servers with SMTPUTF8 take."""
        return not (self.recipient + self.sender_address + self.reply_to).isascii()

    def as_bytes(self) -> bytes:
        """The mail as RFC 5322 wants it, text and HTML, announced as automatic (RFC 3834)."""
        fields = [
            text_field("Message-ID", self.message_id),
            text_field("Date", format_datetime(self.written_at)),
            address_field("From", [(self.sender_name, self.sender_address)]),
            address_field("To", [("", self.recipient)]),
            address_field("Reply-To", [("", self.reply_to)]) if self.reply_to else b"",
            text_field("Subject", self.subject),
            text_field("Auto-Submitted", "auto-generated"),
            text_field("X-Auto-Response-Suppress", "All"),
            text_field(MARK, self.mark) if self.mark else b"",
        ]
        mail = EmailMessage(policy=SMTPUTF8 if self.needs_utf8 else SMTP)
        mail.set_content(self.text)
        mail.add_alternative(self.html, subtype="html")
        for file in self.attachments:
            kind, _, sub = file.content_type.partition("/")
            mail.add_attachment(file.content, maintype=kind, subtype=sub, filename=file.file_name)
        return b"".join(fields) + mail.as_bytes()


def mark_of(message_id: str, secret: str) -> str:
    """What our own mails carry in the field `MARK`: nobody else can make it, so we know them when they come back."""
    words = f"host.mail\0{message_id.strip('<>')}".encode()
    return hmac.new(secret.encode(), words, hashlib.sha256).hexdigest()[:32]


def as_html(text: str) -> Markup:
    """Paragraphs of `text` as HTML: escaped first, then web addresses become links."""
    paragraphs = (part.strip("\n") for part in re.split(r"\n{2,}", text.strip("\n")))
    return Markup("\n").join(Markup(f"<p>{_linked(part)}</p>") for part in paragraphs)  # noqa: S704  # escaped there


def _linked(text: str) -> Markup:
    pieces, end = [], 0
    for found in _WEB_ADDRESS.finditer(text):
        pieces.append(escape(text[end : found.start()]))
        pieces.append(Markup('<a href="{0}">{0}</a>').format(found[0]))
        end = found.end()
    pieces.append(escape(text[end:]))
    return Markup("").join(pieces).replace("\n", Markup("<br>\n"))
