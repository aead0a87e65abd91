"""Mails for tests: the smallest valid one, with what matters said."""

import base64
import email
from email import policy
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


def html_mail(html: str, text: str = "", pictures: dict[str, bytes] | None = None, **fields: str) -> bytes:
    """A mail with formatted text beside the plain one; `pictures` are parts of it, by content id."""
    message = email.message_from_bytes(mail(text=text or "In plain words.", **fields), policy=policy.SMTP)
    assert isinstance(message, EmailMessage)
    message.add_alternative(html, subtype="html")
    formatted = message.get_body(("html",))
    assert isinstance(formatted, EmailMessage)
    for content_id, data in (pictures or {}).items():
        formatted.add_related(data, "image", "png", cid=f"<{content_id}>", filename=f"{content_id}.png")
    return message.as_bytes()


# The smallest picture there is: one pixel.
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
