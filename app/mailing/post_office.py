"""Speaks SMTP to the server of `SPHEREMAIL_SMTP_URL` and answers in our words."""

import contextlib
import re
import smtplib
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from app import remote_calls
from app.db import in_transaction
from app.errors import NotSent, OutcomeUnknown, Refused
from app.mailing.letters import Letter

WHOLE_S, EACH_S = 40.0, 15.0
PORTS = {"smtp": 25, "smtps": 465, "smtp+starttls": 587}


@dataclass(frozen=True, slots=True)
class Server:
    """Where mail is handed in, and how: `smtp` unencrypted, `smtps`, or `smtp+starttls`."""

    scheme: str
    host: str
    port: int
    user: str = ""
    password: str = ""

    @classmethod
    def of(cls, url: str) -> "Server | None":
        """The server that a checked `SPHEREMAIL_SMTP_URL` names; None when it is empty."""
        if not url:
            return None
        parts = urlsplit(url)
        return cls(
            parts.scheme,
            parts.hostname or "",
            parts.port or PORTS[parts.scheme],
            unquote(parts.username or ""),
            unquote(parts.password or ""),
        )


class _HurriedSmtp(smtplib.SMTP):
    """smtplib with one deadline for everything that is said."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.ends = time.monotonic() + WHOLE_S
        super().__init__(*args, **options)

    def send(self, s: Any) -> None:
        if self.sock is not None:
            self.sock.settimeout(max(0.1, min(EACH_S, self.ends - time.monotonic())))
        super().send(s)


class _HurriedSmtps(_HurriedSmtp, smtplib.SMTP_SSL):
    """The same, encrypted from the first byte."""


class PostOffice:
    """Hands letters to the mail server, one connection each."""

    def __init__(self, url: str, ca_file: Path | None = None) -> None:
        self._server = Server.of(url)
        self._ca_file = ca_file

    def send(self, letter: Letter) -> str:
        """Hand `letter` in and answer what the server said, at most 200 characters.

        Raises `NotSent` when the server took nothing and may take it later, `Refused` when it said no for good,
        `OutcomeUnknown` when the whole letter went out and the answer is missing: SMTP cannot be asked then.
        """
        if in_transaction():
            raise RuntimeError("a mail is sent while a database transaction is open")
        if self._server is None:
            raise NotSent("No mail server is set: SPHEREMAIL_SMTP_URL is empty.")
        with remote_calls.timed("post_office", "send"), self._signed_in(self._server) as smtp:
            with _nothing_taken(self._server.host):
                options = _options(smtp, letter)
                _expect(250, smtp.mail(letter.sender_address, options), "sender", letter.sender_address)
                _expect(250, smtp.rcpt(letter.recipient), "recipient", letter.recipient)
                _expect(354, smtp.docmd("DATA"), "letter")
            return _hand_over(smtp, letter.as_bytes())

    @contextlib.contextmanager
    def _signed_in(self, server: Server) -> Iterator[smtplib.SMTP]:
        with _nothing_taken(server.host):
            smtp = self._connected(server)
        try:
            with _nothing_taken(server.host):
                smtp.ehlo_or_helo_if_needed()
                if server.scheme == "smtp+starttls":
                    smtp.starttls(context=self._trust())
                    smtp.ehlo_or_helo_if_needed()
                if server.user:
                    smtp.login(server.user, server.password)
            yield smtp
        finally:
            with contextlib.suppress(OSError, smtplib.SMTPException):
                smtp.quit()
            smtp.close()

    def _connected(self, server: Server) -> smtplib.SMTP:
        own_name = "localhost"  # else smtplib asks the name service for this machine's, which may take long
        if server.scheme == "smtps":
            return _HurriedSmtps(server.host, server.port, own_name, timeout=EACH_S, context=self._trust())
        return _HurriedSmtp(server.host, server.port, own_name, timeout=EACH_S)

    def _trust(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self._ca_file is not None:
            context.load_verify_locations(self._ca_file)
        return context


def _options(smtp: smtplib.SMTP, letter: Letter) -> list[str]:
    if not letter.needs_utf8:
        return []
    if not smtp.has_extn("smtputf8"):
        raise Refused(f"Our mail server takes no addresses with such letters: {letter.recipient}.", code="recipient")
    return ["SMTPUTF8", "BODY=8BITMIME"]


def _hand_over(smtp: smtplib.SMTP, raw: bytes) -> str:
    """Send the letter's bytes. From the first of them on a silence is no answer: the server may have it whole."""
    stuffed = re.sub(rb"(?m)^\.", b"..", raw)  # RFC 5321, 4.5.2
    try:
        smtp.send((stuffed if stuffed.endswith(b"\r\n") else stuffed + b"\r\n") + b".\r\n")
        answer = smtp.getreply()
    except (OSError, smtplib.SMTPException) as error:
        raise OutcomeUnknown("The mail server did not say whether it took the mail.", cause=repr(error)) from error
    _expect(250, answer, "letter")
    return answer[1].decode("utf-8", "replace")[:200]


_REFUSALS = {
    "sender": "Our mail server takes no mail from {}.",
    "recipient": "The mail server takes no mail for {}.",
    "letter": "The mail server refused the mail.",
}


def _expect(wanted: int, answer: tuple[int, bytes], what: str, address: str = "") -> None:
    code, text = answer
    if code == wanted or (wanted == 250 and code == 251):
        return
    said = f"{code} {text.decode('utf-8', 'replace')}"[:300]
    if code >= 500:
        raise Refused(_REFUSALS[what].format(address), code=what, answer=said)
    raise NotSent("The mail server takes nothing at the moment.", answer=said)


@contextlib.contextmanager
def _nothing_taken(host: str) -> Iterator[None]:
    """Whatever breaks in here, the server has no letter of ours."""
    try:
        yield
    except smtplib.SMTPAuthenticationError as error:
        raise NotSent(
            f"{host} does not accept the user and password of SPHEREMAIL_SMTP_URL.", cause=str(error)
        ) from error
    except (OSError, smtplib.SMTPException) as error:
        raise NotSent(f"The mail server {host} does not answer as it should.", cause=repr(error)) from error
