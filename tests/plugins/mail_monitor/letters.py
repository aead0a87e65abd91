"""Mails for tests: the smallest valid one, with what matters said."""

from email.message import EmailMessage
from itertools import count

_numbers = count(1)


def mail(
    sender: str = "Tamsin Quill <tamsin@quill.example>",
    to: str = "desk@acme.example",
    subject: str = "Did my parcel arrive?",
    text: str = "Hello, did it?",
    message_id: str | None = None,
    **headers: str,
) -> bytes:
    """A plain mail; `message_id=""` leaves the Message-ID out, further headers have "_" for "-"."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, to, subject
    message["Date"] = "Mon, 23 Nov 2026 10:58:41 +0000"
    if message_id != "":
        message["Message-ID"] = message_id or f"<{next(_numbers)}@quill.example>"
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    message.set_content(text)
    return message.as_bytes().replace(b"\n", b"\r\n")
