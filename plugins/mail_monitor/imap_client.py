"""The connection underneath an imap-tools MailBox: guarded, encrypted as asked, and limited in bytes and time."""

import imaplib
import io
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from imap_tools import MailBox

from app import remote_calls
from app.errors import Refused
from plugins.mail_monitor import refusals
from plugins.mail_monitor.deadline import Deadlined
from plugins.mail_monitor.egress import IMAP_PORTS, Guard, Place, no_answer

LARGEST_ANSWER = 40 * 1024 * 1024
LONGEST_LINE = 8 * 1024 * 1024
GREETING_S = 10.0

Tell = Callable[[str, str], None]
"""Told what was reached on the way in: "found", "answers", "encrypted", each with a detail for people."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where to sign in and as whom. `encryption` is "tls", "starttls" or "none"."""

    host: str
    port: int
    encryption: str
    user: str
    password: str = field(repr=False)


class GuardedClient(imaplib.IMAP4):
    """imaplib with its overridable methods overridden: how it connects, and how much it reads for how long.

    imaplib verifies no certificate by itself, reads a literal of whatever size the server announces, and knows no
    time limit for a whole connection (https://docs.python.org/3/library/imaplib.html).
    """

    def __init__(self, server: Server, guard: Guard, ends: float, tell: Tell) -> None:
        self._server = server
        self._guard = guard
        self._tell = tell
        self.ends = ends
        self._place: Place | None = None
        self._read_before = 0
        super().__init__(server.host, server.port)
        if server.encryption == "starttls":
            try:
                self.starttls()
            except BaseException:
                self.shutdown()
                raise

    def open(self, host: str = "", port: int = 0, timeout: float | None = None) -> None:
        self.host, self.port = host, port
        self._place = place = self._guard.find(host, port, IMAP_PORTS)
        if self._server.encryption == "none" and not place.is_private:
            raise Refused("Without encryption only servers of the own network may be watched.", code="encryption")
        self._tell("found", "")
        begun = time.monotonic()
        connection = self._guard.connect(place, self.ends)
        if self._server.encryption == "tls":
            connection = self._guard.encrypt(connection, place, self.ends)
        self._use(connection)
        self._took = time.monotonic() - begun

    def _use(self, connection: socket.socket) -> None:
        self.sock = connection
        self._raw = Deadlined(connection, self.ends, LONGEST_LINE)
        self._reader = io.BufferedReader(self._raw)
        self.allow(GREETING_S, LONGEST_LINE)

    def _connect(self) -> None:
        assert self._place is not None
        try:
            super()._connect()  # type: ignore[misc]  # the stubs leave imaplib's own steps out
        except (OSError, ValueError, imaplib.IMAP4.error) as error:
            raise refusals.about_waiting(str(error)) or no_answer(self._place, causes=[repr(error)]) from error
        self._tell("answers", f"{self._took:.1f} s")
        if isinstance(self.sock, ssl.SSLSocket):
            self._tell("encrypted", about(self.sock))

    def starttls(self, ssl_context: ssl.SSLContext | None = None) -> Any:
        """Encrypt; `Refused` when the server does not offer it, and never a plain connection instead."""
        assert self._place is not None
        if "STARTTLS" not in self.capabilities:
            raise Refused(f"{self._place.name} offers no STARTTLS on port {self._place.port}.", code="encryption")
        kind, data = self._simple_command("STARTTLS")
        self._raw.is_paused = True
        if kind != "OK" or self._reader.peek(1):
            # What was sent before the encryption began could be anybody's.
            raise no_answer(self._place, causes=["STARTTLS went wrong"])
        self._read_before = self.bytes_read
        connection = self._guard.encrypt(self.sock, self._place, self.ends)
        self._use(connection)
        self.untagged_responses.clear()
        self._tls_established = True
        self._get_capabilities()
        self._tell("encrypted", about(connection))
        return kind, data

    def _simple_command(self, name: str, *args: Any) -> Any:
        """Every command of imaplib goes through here; it is counted by its name, UID FETCH as FETCH."""
        op = str(args[0]) if name == "UID" and args else name
        with remote_calls.timed("imap", op.upper()) as call:
            kind, data = super()._simple_command(name, *args)  # type: ignore[misc]  # the stubs leave it out
            if kind != "OK":
                call.outcome = "refused"
            return kind, data

    @property
    def bytes_read(self) -> int:
        return self._read_before + self._raw.bytes_read

    def allow(self, seconds: float, most: int) -> None:
        """How long the next command may take, never beyond the connection's end, and how many bytes it may bring."""
        self._raw.ends = min(time.monotonic() + seconds, self.ends)
        self._raw.most = self._raw.bytes_read + most

    def read(self, size: int) -> bytes:
        if self._raw.bytes_read + size > self._raw.most:
            raise self.abort(f"more was announced than was asked for: {size} bytes")
        data = self._reader.read(size)
        if len(data) < size:
            raise self.abort("the connection ended inside a literal")
        return data

    def readline(self) -> bytes:
        line = self._reader.readline(LONGEST_LINE + 1)
        if len(line) > LONGEST_LINE:
            raise self.abort("a line that does not end")
        return line

    def send(self, data: Any) -> None:
        self.sock.settimeout(self._raw.left())
        self.sock.sendall(data)

    def shutdown(self) -> None:
        self._reader.close()
        self.sock.close()


class WatchedMailBox(MailBox):
    """An imap-tools MailBox over a `GuardedClient`, whatever the encryption."""

    client: GuardedClient

    def __init__(self, server: Server, guard: Guard, ends: float, tell: Tell) -> None:
        self._make = partial(GuardedClient, server, guard, ends, tell)
        super().__init__(server.host, server.port)

    def _get_mailbox_client(self) -> GuardedClient:
        return self._make()


def about(connection: ssl.SSLSocket) -> str:
    """The version of TLS, and until when the certificate is good."""
    certificate = connection.getpeercert() or {}
    until = str(certificate.get("notAfter", "")).split()
    date = f", to {int(until[1])} {until[0]} {until[3]}" if len(until) >= 4 else ""
    return f"{(connection.version() or 'TLS').replace('TLSv', 'TLS ')}{date}"
