"""Letters that the sandbox writes itself: those of the form, and mails that come back as undeliverable."""

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.errors import HeaderParseError, MessageDefect
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, getaddresses, parseaddr

from plugins.mail_monitor.sandbox.store import Sent

_ADDRESS = re.compile(r"[^\s@<>,;\"]+@[^\s@<>,;\"]+")
_POLICY = policy.SMTP


@dataclass(frozen=True, slots=True)
class Draft:
    """What the form holds. `in_reply_to` and `references` are there when it answers a mail."""

    name: str = ""
    address: str = ""
    to: str = ""
    cc: str = ""
    subject: str = ""
    text: str = ""
    html: str = ""
    in_reply_to: str = ""
    references: str = ""
    automatic: bool = False
    files: tuple[tuple[str, bytes, str], ...] = ()

    @classmethod
    def of(cls, form: Mapping[str, str], files: Sequence[tuple[str, bytes, str]]) -> "Draft":
        """What was typed, on one line where a line is meant."""
        line = {
            name: " ".join(form.get(name, "").split())
            for name in ("name", "address", "to", "cc", "subject", "in_reply_to", "references")
        }
        return cls(
            **line,
            text=form.get("text", ""),
            html=form.get("html", ""),
            automatic=bool(form.get("automatic")),
            files=tuple(files),
        )

    def problems(self, mailboxes: Sequence[str]) -> dict[str, str]:
        """A sentence per field that cannot be taken."""
        found = {}
        if not _is_address(self.address):
            found["address"] = "Write an email address, such as tamsin@quillyarrow.example."
        if self.to not in mailboxes:
            found["to"] = "Choose one of the mailboxes."
        if any(not _ADDRESS.fullmatch(address) for _, address in getaddresses([self.cc]) if self.cc):
            found["cc"] = "Write email addresses, joined by commas."
        if not (self.text.strip() or self.html.strip() or self.files):
            found["text"] = "Write a text, or attach a file."
        return found


def _is_address(text: str) -> bool:
    """Whether a From can be made of it; what strangers write oddly is for the files of `letters.toml`."""
    if not _ADDRESS.fullmatch(text) or not text.isascii():
        return False
    try:
        Address(addr_spec=text)
    except (ValueError, HeaderParseError, MessageDefect):
        return False
    return True


def answer_to(mail: Sent, mailboxes: Sequence[str]) -> Draft:
    """The beginning of an answer by the recipient of a sent mail."""
    letter = message_from_bytes(mail.raw, policy=policy.default)
    recipients = getaddresses([str(letter["To"] or "")])
    name, address = recipients[0] if recipients else ("", mail.recipients[0] if mail.recipients else "")
    reply_to = parseaddr(str(letter["Reply-To"] or letter["From"] or ""))[1].lower()
    subject = str(letter["Subject"] or "")
    own_id = str(letter["Message-ID"] or "").strip()
    return Draft(
        name=name,
        address=address,
        to=reply_to if reply_to in mailboxes else "",
        subject=subject if subject.lower().startswith("re:") else f"Re: {subject}",
        in_reply_to=own_id,
        references=" ".join([str(letter["References"] or "").strip(), own_id]).strip(),
    )


def letter(draft: Draft) -> bytes:
    """The draft as a mail that has come over the internet."""
    message = EmailMessage(policy=_POLICY)
    message["From"] = Address(draft.name, addr_spec=draft.address)
    message["To"] = draft.to
    if draft.cc:
        message["Cc"] = draft.cc
    message["Subject"] = draft.subject
    now = datetime.now(UTC)  # noqa: TID251  # a program of its own, whose clock nobody stops
    message["Date"] = format_datetime(now)
    message["Message-ID"] = f"<{secrets.token_hex(12)}@{draft.address.rpartition('@')[2]}>"
    if draft.in_reply_to:
        message["In-Reply-To"], message["References"] = draft.in_reply_to, draft.references or draft.in_reply_to
    if draft.automatic:
        message["Auto-Submitted"] = "auto-replied"
    message.set_content(draft.text)
    if draft.html.strip():
        message.add_alternative(draft.html, subtype="html")
    for name, data, kind in draft.files:
        main, _, sub = kind.partition("/")
        known = bool(sub) and main not in {"multipart", "message", "text"}
        message.add_attachment(data, main if known else "application", sub if known else "octet-stream", filename=name)
    return message.as_bytes()


def undeliverable(mail: Sent, mailbox: str) -> bytes:
    """What a mail server sends back that knows nobody by that name (https://www.rfc-editor.org/rfc/rfc3464)."""
    recipient = mail.recipients[0]
    head, _, _ = mail.raw.partition(b"\r\n\r\n")
    boundary = f"=={secrets.token_hex(12)}=="
    now = datetime.now(UTC)  # noqa: TID251  # a program of its own, whose clock nobody stops
    lines = [
        "Return-Path: <>",
        "From: Mail Delivery System <mailer-daemon@mail-sandbox.example>",
        f"To: <{mailbox}>",
        "Subject: Undelivered Mail Returned to Sender",
        f"Date: {format_datetime(now)}",
        f"Message-ID: <{secrets.token_hex(12)}@mail-sandbox.example>",
        "Auto-Submitted: auto-replied",
        "MIME-Version: 1.0",
        f'Content-Type: multipart/report; report-type=delivery-status; boundary="{boundary}"',
        "",
        f"--{boundary}",
        "Content-Type: text/plain; charset=us-ascii",
        "",
        f"The mail could not be delivered to <{recipient}>: there is nobody by this name.",
        "",
        f"--{boundary}",
        "Content-Type: message/delivery-status",
        "",
        "Reporting-MTA: dns; mail-sandbox.example",
        "",
        f"Final-Recipient: rfc822; {recipient}",
        "Action: failed",
        "Status: 5.1.1",
        "Diagnostic-Code: smtp; 550 5.1.1 There is nobody by this name",
        "",
        f"--{boundary}",
        "Content-Type: text/rfc822-headers",
        "",
        head.decode("utf-8", errors="replace").replace("\r\n", "\n").replace("\n", "\r\n"),
        "",
        f"--{boundary}--",
        "",
    ]
    return "\r\n".join(lines).encode()
