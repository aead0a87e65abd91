"""Fills the demo's mailboxes: the letters of `letters.toml`, dated back from now."""

import base64
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from typing import Any

from plugins.mail_monitor.sandbox.mailboxes import Mailboxes
from plugins.mail_monitor.sandbox.samples import sample_file

DESK, BILLING = "desk@quayside.example", "billing@quayside.example"
MAILBOXES = (DESK, BILLING)
PASSWORD = "quayside-mail"
DEPTH = 60  # mails within mails: more than any reader opens
_LETTERS = Path(__file__).with_name("letters.toml")
_POLICY = policy.SMTP.clone(max_line_length=200)


@dataclass(frozen=True, slots=True)
class Letter:
    """One letter of the demo, ready to be delivered."""

    mailboxes: tuple[str, ...]
    folder: str
    received_at: datetime
    raw: bytes


async def fill(mailboxes: Mailboxes) -> None:
    """Deliver every letter, the oldest first."""
    now = datetime.now(UTC)  # noqa: TID251  # a program of its own, whose clock nobody stops
    for letter in sorted(letters(now), key=lambda one: one.received_at):
        for name in letter.mailboxes:
            await mailboxes.deliver(name, letter.raw, letter.folder, at=letter.received_at)


def letters(now: datetime) -> list[Letter]:
    """The letters as they would have come before `now`."""
    rows = tomllib.loads(_LETTERS.read_text(encoding="utf-8"))["letter"]
    ids = {row["id"]: f"<{row['id']}@{row['from'].rpartition('@')[2].rstrip('>')}>" for row in rows}
    answered = {row["id"]: row.get("answers", "") for row in rows}
    return [_letter(row, now, ids, answered) for row in rows]


def _letter(row: dict[str, Any], now: datetime, ids: dict[str, str], answered: dict[str, str]) -> Letter:
    mailbox = row.get("mailbox", DESK)
    at = now - timedelta(hours=row["hours"])
    message = _body(row)
    message["From"], message["To"], message["Subject"] = row["from"], row.get("to", mailbox), row["subject"]
    message["Date"], message["Message-ID"] = format_datetime(at), ids[row["id"]]
    if "cc" in row:
        message["Cc"] = row["cc"]
    before: str = row.get("answers", "")
    chain: list[str] = []
    while before:
        chain.insert(0, ids[before])
        before = answered[before]
    if chain:
        message["In-Reply-To"], message["References"] = chain[-1], " ".join(chain)
    for name, value in row.get("headers", {}).items():
        message[name] = value
    raw = _nested(message) if row.get("kind") == "nested" else message.as_bytes(policy=_POLICY)
    return Letter((mailbox, *row.get("also", ())), row.get("folder", "INBOX"), at, raw)


def _body(row: dict[str, Any]) -> EmailMessage:
    message = EmailMessage(policy=_POLICY)
    message.set_content(row["text"].strip() + "\n", charset=row.get("charset", "utf-8"))
    if "html" in row:
        message.add_alternative(row["html"].strip() + "\n", subtype="html")
        page = message.get_body(("html",))
        assert isinstance(page, EmailMessage)
        for content_id, name in row.get("inline", {}).items():
            data, kind = sample_file(name)
            main, _, sub = kind.partition("/")
            page.add_related(data, main, sub, cid=f"<{content_id}>", filename=name, disposition="inline")
    if "forwards" in row:
        message.add_attachment(_forwarded(row["forwards"]))
    for name in row.get("files", ()):
        data, kind = sample_file(name)
        main, _, sub = kind.partition("/")
        message.add_attachment(data, main, sub, filename=name)
    return message


def _forwarded(row: dict[str, str]) -> EmailMessage:
    inner = EmailMessage(policy=_POLICY)
    inner["From"], inner["To"], inner["Subject"] = row["from"], "anselm@wray.example", row["subject"]
    inner.set_content(row["text"] + "\n")
    return inner


def _nested(message: EmailMessage) -> bytes:
    """The letter as the innermost of many multiparts: nothing an honest program writes, and nothing to read whole."""
    head = "".join(f"{name}: {value}\r\n" for name, value in message.items() if not name.startswith("Content-"))
    opened = "".join(f'Content-Type: multipart/mixed; boundary="b{n}"\r\n\r\n--b{n}\r\n' for n in range(DEPTH))
    closed = "".join(f"\r\n--b{n}--" for n in reversed(range(DEPTH)))
    text = base64.encodebytes(message.get_content().encode()).decode("ascii").replace("\n", "\r\n")
    inner = f"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n{text}"
    return f"{head}MIME-Version: 1.0\r\n{opened}{inner}{closed}\r\n".encode()
