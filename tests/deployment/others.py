"""The other sides of a deployment: Nexudus and a mail server, as programs of their own."""

import email
import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path

import requests
from imap_tools import MailBoxStartTls

from app import clock
from app.embedded import ends_with_parent
from plugins.mail_monitor.sandbox.seed import DESK, PASSWORD
from plugins.mail_monitor.sandbox.store import Store
from tests.deployment.units import ROOT
from tests.plugins.nexudus.over_the_wire import NexudusThere
from tests.services import free_port


@contextmanager
def nexudus(folder: Path, environment: dict[str, str]) -> Iterator[NexudusThere]:
    """Nexudus on the moved clock, with its documented limits."""
    port = free_port()
    options = ("--port", str(port), "--limits", "documented", "--data-dir", str(folder))
    with _program("tests.deployment.moved_nexudus", options, environment):
        there = NexudusThere(f"http://127.0.0.1:{port}")
        there.reset("current")
        yield there


@dataclass
class MailServer:
    """The mail sandbox: a watched mailbox, and an SMTP server that keeps what it was given."""

    folder: Path
    port: int = field(default_factory=free_port)
    imap_port: int = field(default_factory=free_port)
    smtp_port: int = field(default_factory=free_port)

    @property
    def settings(self) -> dict[str, str]:
        """What the product has to know of it."""
        return {
            "SPHEREMAIL_SMTP_URL": f"smtp://127.0.0.1:{self.smtp_port}",
            "SPHEREMAIL_MAIL_PRIVATE_HOSTS": "127.0.0.1",
            "SPHEREMAIL_MAIL_CA_FILE": str(self.folder / "mail-sandbox" / "ca.pem"),
        }

    @contextmanager
    def running(self, environment: dict[str, str]) -> Iterator[None]:
        ports = ("--port", self.port, "--imap-port", self.imap_port, "--smtp-port", self.smtp_port)
        options = tuple(str(one) for one in (*ports, "--data-dir", self.folder))
        with _program("plugins.mail_monitor.sandbox", options, environment):
            yield

    def account_file(self) -> Path:
        """An email account for its mailbox that tells of new messages, as `flask mail add` reads it."""
        path = self.folder / "mail-sandbox" / "email-account.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "send_notifications": True}))
        return path

    def deliver(self, sender: str, subject: str, message_id: str) -> None:
        """Somebody wrote to the watched mailbox, and it arrives now, by the moved clock."""
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"], mail["Message-ID"] = sender, DESK, subject, message_id
        mail.set_content("Please keep my parcels until Friday.")
        tls = ssl.create_default_context(cafile=self.folder / "mail-sandbox" / "ca.pem")
        with MailBoxStartTls("localhost", self.imap_port, ssl_context=tls).login(DESK, PASSWORD) as box:
            box.append(mail.as_bytes(), "INBOX", dt=clock.now())

    def taken(self) -> list[tuple[str, str, str]]:
        """Whatever the product handed in: to whom, subject, Message-ID."""
        store = Store(self.folder / "mail-sandbox" / "sandbox.db")
        try:
            sent = store.sent()
        finally:
            store.close()
        mails = [(email.message_from_bytes(one.raw), one) for one in sent]
        return [(one.recipients[0], str(mail["Subject"]), str(mail["Message-ID"])) for mail, one in mails]


@contextmanager
def _program(module: str, options: tuple[str, ...], environment: dict[str, str]) -> Iterator[None]:
    with subprocess.Popen(
        [sys.executable, "-m", module, *options],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=ends_with_parent(),
    ) as process:
        try:
            assert process.stdout is not None
            assert "http://" in process.stdout.readline()
            yield
        finally:
            process.kill()


class Person:
    """Somebody at a browser, who reads from one web server and writes to another."""

    def __init__(self, *urls: str) -> None:
        self._urls, self._session = list(urls), requests.Session()

    def sign_in(self, address: str, password: str) -> None:
        answer = self.post("/login", {"email": address, "password": password}, read="/login")
        assert answer.status_code == 303, answer.text

    def get(self, path: str) -> requests.Response:
        self._urls.reverse()
        return self._session.get(self._urls[0] + path, timeout=30, allow_redirects=False)

    def post(self, path: str, typed: dict[str, str], read: str) -> requests.Response:
        """Press a button on the page at `read`."""
        token = self.get(read).text.split('{"X-CSRFToken": "')[1].split('"')[0]
        self._urls.reverse()
        headers = {"X-CSRFToken": token}
        return self._session.post(self._urls[0] + path, typed, headers=headers, timeout=30, allow_redirects=False)
