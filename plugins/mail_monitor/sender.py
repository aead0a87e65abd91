"""Speaks SMTP and answers in our words: whether a server would take a mail from us, and handing one in."""

import base64
import contextlib
import io
import re
import smtplib
import socket
import ssl
import time
from collections.abc import Sequence
from typing import Any, Self

from app import remote_calls
from app.errors import NotSent, OutcomeUnknown, Outside, Refused
from plugins.mail_monitor import refusals
from plugins.mail_monitor.charsets import clean_line
from plugins.mail_monitor.deadline import Deadlined
from plugins.mail_monitor.egress import SMTP_PORTS, Guard, Place
from plugins.mail_monitor.imap_client import Server, Tell, about
from plugins.mail_monitor.mailbox import told_nobody

MOST_SAID = 1024 * 1024  # bytes of all answers of one connection


class GuardedSmtp(smtplib.SMTP):
    """smtplib over a guarded connection: its own would verify no certificate and know no overall time limit."""

    def __init__(self, server: Server, guard: Guard, ends: float, tell: Tell) -> None:
        self._server = server
        self._guard = guard
        self._ends = ends
        self._tell = tell
        self._place: Place | None = None
        super().__init__(server.host, server.port, local_hostname="localhost")

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        self._place = place = self._guard.find(host, port, SMTP_PORTS)
        if self._server.encryption == "none" and not place.is_private:
            raise Refused("Without encryption only servers of the own network may be used.", code="encryption")
        connection = self._guard.connect(place, self._ends)
        if self._server.encryption == "tls":
            connection = self._guard.encrypt(connection, place, self._ends)
        return connection

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None and self.sock is not None:
            self.file = io.BufferedReader(Deadlined(self.sock, self._ends, MOST_SAID))
        return super().getreply()

    def send(self, s: Any) -> None:
        if self.sock is not None:
            self.sock.settimeout(max(0.1, min(20.0, self._ends - time.monotonic())))
        super().send(s)

    def encrypt(self) -> None:
        """STARTTLS; `Refused` when the server does not offer it."""
        assert self._place is not None
        if not self.has_extn("starttls"):
            raise Refused(f"{self._place.name} offers no STARTTLS on port {self._place.port}.", code="encryption")
        code, answer = self.docmd("STARTTLS")
        if code != 220 or self.sock is None:
            raise smtplib.SMTPResponseException(code, answer)
        self.sock = self._guard.encrypt(self.sock, self._place, self._ends)
        # What was said before the encryption counts for nothing.
        self.file, self.helo_resp, self.ehlo_resp, self.esmtp_features = None, None, None, {}
        self.does_esmtp = False
        self.ehlo_or_helo_if_needed()


class Sender:
    """One signed-in connection to an outgoing server. Methods raise one of the five `Outside` errors."""

    def __init__(self, server: Server, guard: Guard, ends: float, tell: Tell = told_nobody) -> None:
        """Connect, encrypt and sign in, all before `ends` (monotonic clock)."""
        self._host = server.host
        with remote_calls.timed("smtp", "connect"):
            self._enter(server, guard, ends, tell)

    def _enter(self, server: Server, guard: Guard, ends: float, tell: Tell) -> None:
        with self._translated():
            self._smtp = GuardedSmtp(server, guard, ends, tell)
        try:
            with self._translated():
                self._smtp.ehlo_or_helo_if_needed()
                if server.encryption == "starttls":
                    self._smtp.encrypt()
                tell("connected", about(self._smtp.sock) if isinstance(self._smtp.sock, ssl.SSLSocket) else "")
                self._sign_in(server)
        except Outside:
            self.close()
            raise

    def _sign_in(self, server: Server) -> None:
        if not server.user:
            return
        if server.user.isascii() and server.password.isascii():
            self._smtp.login(server.user, server.password)
            return
        # smtplib knows ASCII only.
        words = f"\0{server.user}\0{server.password}".encode()
        code, answer = self._smtp.docmd("AUTH", f"PLAIN {base64.b64encode(words).decode()}")
        if code != 235:
            raise smtplib.SMTPAuthenticationError(code, answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Say goodbye; a connection that is gone already has none to say."""
        with contextlib.suppress(OSError, smtplib.SMTPException):
            self._smtp.quit()
        self._smtp.close()

    def would_take_mail_from(self, address: str) -> None:
        """Begin a mail from `address` to itself and take it back; raises `Refused` when the server would not."""
        with self._translated():
            for command, answer in (("MAIL FROM", self._smtp.mail(address)), ("RCPT TO", self._smtp.rcpt(address))):
                if answer[0] >= 400:
                    raise Refused(
                        f"The server signs us in, but takes no mail from {address}. Its user may have to be allowed to "
                        "send as this address.",
                        code="sender",
                        answer=f"{command}: {answer}"[:300],
                    )
            self._smtp.rset()

    def send(self, sender: str, recipients: Sequence[str], raw: bytes, *, utf8: bool = False) -> dict[str, str]:
        """Hand a mail in; answers which recipients were refused, and with what words. `utf8`: addresses need SMTPUTF8.

        Raises `NotSent` when the server took nothing and may take it later, `Refused` when it said no for good, and
        `OutcomeUnknown` when everything went out and the answer is missing: SMTP cannot be asked then.
        """
        with remote_calls.timed("smtp", "send"):
            return self._send(sender, recipients, raw, utf8=utf8)

    def _send(self, sender: str, recipients: Sequence[str], raw: bytes, *, utf8: bool) -> dict[str, str]:
        with self._translated():
            self._expect(250, self._smtp.mail(sender, self._options(raw, utf8=utf8)), "sender", sender)
            refused = {}
            for recipient in recipients:
                answer = self._smtp.rcpt(recipient)
                if answer[0] not in {250, 251}:
                    refused[recipient] = answer
            if len(refused) == len(recipients):
                address, answer = next(iter(refused.items()))
                self._expect(250, answer, "recipient", address)
            self._expect(354, self._smtp.docmd("DATA"), "letter")
            # Without the line that ends it a mail is not taken (RFC 5321, 4.1.1.4), so up to there nothing is lost.
            self._smtp.send(re.sub(rb"(?m)^\.", b"..", raw if raw.endswith(b"\r\n") else raw + b"\r\n"))
        self._end_letter()
        return {address: _said(answer) for address, answer in refused.items()}

    def _end_letter(self) -> None:
        """Say that the mail is over. From here on silence is no answer: the server may have it whole."""
        try:
            self._smtp.send(b".\r\n")
            answer = self._smtp.getreply()
        except (OSError, smtplib.SMTPException, UnicodeError) as error:
            raise OutcomeUnknown(
                f"{self._host} got the mail and did not say whether it took it.",
                cause=repr(error)[:300],
            ) from error
        self._expect(250, answer, "letter")

    def _options(self, raw: bytes, *, utf8: bool) -> list[str]:
        options = []
        if self._smtp.has_extn("size"):
            most = self._smtp.esmtp_features.get("size", "")
            if most.isdecimal() and 0 < int(most) < len(raw):
                raise Refused(
                    f"The server takes mails of at most {int(most) // 1_000_000} MB; with its attachments this one "
                    f"has {len(raw) / 1_000_000:.1f} MB on the way.",
                    code="size",
                )
            options.append(f"size={len(raw)}")
        if utf8:
            if not self._smtp.has_extn("smtputf8"):
                raise Refused("The server takes no addresses with such letters before the @.", code="recipient")
            options += ["SMTPUTF8", "BODY=8BITMIME"]
        return options

    def _expect(self, wanted: int, answer: tuple[int, bytes], what: str, address: str = "") -> None:
        if answer[0] == wanted or (wanted == 250 and answer[0] in {251, 252}):
            return
        said = _said(answer)
        if not 500 <= answer[0] < 600:
            waiting = refusals.about_waiting(said)
            raise waiting or NotSent("The server takes nothing at the moment.", code="busy", answer=said)
        sentences = {
            "sender": f"The server takes no mail from {address}. Its user may have to be allowed to send as it.",
            "recipient": f"The server takes no mail for {address}.",
            "letter": "The server does not take this mail.",
        }
        raise Refused(f"{sentences[what]} It says: {said}", code=what, answer=said)

    @contextlib.contextmanager
    def _translated(self) -> Any:
        try:
            yield
        except smtplib.SMTPAuthenticationError as error:
            raise _about_sign_in(error) from error
        except smtplib.SMTPNotSupportedError as error:
            raise Refused(
                "The server takes no password on this port. Try another port or encryption.",
                code="encryption",
                answer=str(error)[:200],
            ) from error
        except (smtplib.SMTPException, OSError, UnicodeError) as error:
            waiting = refusals.about_waiting(str(error))
            raise waiting or NotSent(
                f"No mail server answers at {self._host}, or it broke off. Check server, port and encryption.",
                code="no_answer",
                cause=repr(error)[:300],
            ) from error


def _said(answer: tuple[int, bytes]) -> str:
    """What a server said, as one line that can be shown."""
    return clean_line(f"{answer[0]} {answer[1].decode('utf-8', 'replace')}", 200)


def _about_sign_in(error: smtplib.SMTPAuthenticationError) -> Outside:
    if error.smtp_code == 534:  # what Google and Yahoo answer to the normal password
        return refusals.about_sign_in("application-specific password required")
    answer = error.smtp_error.decode("utf-8", "replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
    return refusals.about_sign_in(answer)
