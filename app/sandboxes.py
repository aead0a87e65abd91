"""The stand-ins that a demo runs beside the product: where they listen, how they are started, who is told of them.

They are programs of their own; the starter adds their lines to the Procfile's and their addresses to the settings.
"""

import http.client
import socket
from dataclasses import dataclass, field
from pathlib import Path

from app.config import Settings

HOST = "127.0.0.1"
NEXUDUS_PORT = 8400
MAIL_PORTS = (8500, 9143, 9125)
"""Of the mail sandbox: its pages, IMAP, SMTP."""


class CannotStart(SystemExit):
    """Something stands in the way; the text says what, and what to do."""


@dataclass(frozen=True)
class Sandboxes:
    """What is to run: lines for honcho, settings for the processes, and addresses for people, by name."""

    lines: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    mailbox: Path | None = None
    """Where the mail sandbox says what an email account of its first mailbox looks like."""

    @property
    def are_up(self) -> bool:
        """Whether each of them answers by now."""
        return all(answers(HOST, int(address.rpartition(":")[2]), "/") for address in self.addresses.values())


def sandboxes(settings: Settings, nexudus_port: int, mail_ports: tuple[int, int, int]) -> Sandboxes:
    """What a demo with these settings needs; raises `CannotStart` when a port is taken."""
    found = Sandboxes()
    if settings.is_demo and "nexudus" in settings.plugins:
        _add_nexudus(found, settings, nexudus_port)
    if settings.is_demo and "mail_monitor" in settings.plugins:
        return _with_mail(found, settings, *mail_ports)
    return found


def refuse_taken_port(host: str, port: int, way_out: str) -> None:
    """Raise `CannotStart` with `way_out` when something listens there."""
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        raise CannotStart(f"Cannot listen on {host}:{port} ({error.strerror}): {way_out}.") from error


def answers(host: str, port: int, path: str) -> bool:
    """Whether a web server answers there and is well."""
    caller = http.client.HTTPConnection(host, port, timeout=5)
    try:
        caller.request("GET", path)
        return caller.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        caller.close()


def _add_nexudus(found: Sandboxes, settings: Settings, port: int) -> None:
    try:
        refuse_taken_port(HOST, port, "end what runs there, the Nexudus sandbox needs that port")
    except CannotStart:
        if settings.nexudus_url:  # another Nexudus is meant, perhaps the very server that has the port
            return
        raise
    found.lines.append(f"sandbox: exec python -m plugins.nexudus.sandbox --port {port} --demo")
    found.addresses["Nexudus sandbox"] = f"http://{HOST}:{port}"
    if not settings.nexudus_url:
        found.environment["SPHEREMAIL_NEXUDUS_URL"] = f"http://{HOST}:{port}"


def _with_mail(found: Sandboxes, settings: Settings, page: int, imap: int, smtp: int) -> Sandboxes:
    for port in (page, imap, smtp):
        refuse_taken_port(HOST, port, "end what runs there, the mail sandbox needs that port")
    ports = f"--port {page} --imap-port {imap} --smtp-port {smtp}"
    found.lines.append(f"mail-sandbox: exec python -m plugins.mail_monitor.sandbox {ports} --demo")
    found.addresses["mail sandbox"] = f"http://{HOST}:{page}"
    folder = settings.data_dir.resolve() / "mail-sandbox"
    found.environment["SPHEREMAIL_MAIL_PRIVATE_HOSTS"] = ",".join(dict.fromkeys([*settings.mail_private_hosts, HOST]))
    if not settings.smtp_url.get_secret_value():
        found.environment["SPHEREMAIL_SMTP_URL"] = f"smtp://{HOST}:{smtp}"
    if settings.mail_ca_file is None:
        found.environment["SPHEREMAIL_MAIL_CA_FILE"] = str(folder / "ca.pem")
    return Sandboxes(found.lines, found.environment, found.addresses, folder / "email-account.json")
