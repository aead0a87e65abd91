"""Mail servers for tests, as a pytest plugin: Dovecot with TLS and STARTTLS, and an SMTP server that keeps what it got.

Each is started once per xdist worker, by the first test that asks for it, and ends with that worker.
"""

import contextlib
import grp
import os
import pwd
import shutil
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from app.embedded import ends_with_parent
from tests.services import eventually, free_port

DOVECOT_CONFIGURATION = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
protocols = imap
listen = 127.0.0.1, 127.0.0.5
first_valid_uid = 1
disable_plaintext_auth = yes
auth_mechanisms = plain login
auth_failure_delay = 0
mail_max_userip_connections = 200
mail_fsync = never
mail_location = maildir:~/Maildir
ssl = yes
ssl_cert = <{folder}/both.pem
ssl_key = <{folder}/both.pem
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/mail/%u
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {plain_port}
  }}
  inet_listener imaps {{
    port = {tls_port}
    ssl = yes
  }}
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Sent {{
    special_use = \\Sent
    auto = create
  }}
  mailbox Trash {{
    special_use = \\Trash
    auto = create
  }}
}}
"""


@dataclass(frozen=True)
class Dovecot:
    """A running IMAP server: every user exists and has the same password; 127.0.0.5 demands encryption."""

    folder: Path
    tls_port: int
    plain_port: int
    owner: tuple[int, int]
    ca_file: Path
    password: str = "mailbox-password"
    numbers: Iterator[int] = field(default_factory=count)

    def new_user(self) -> str:
        """The name of somebody with an empty mailbox."""
        return f"user{next(self.numbers)}"

    def maildir(self, user: str, folder: str = "INBOX") -> Path:
        """Where the messages of a folder lie, one file each; flags follow ":2," in its name."""
        home = self.folder / "mail" / user / "Maildir"
        return home if folder == "INBOX" else home / f".{folder}"

    def rebuild(self, user: str, folder: str = "INBOX") -> None:
        """As after a restored backup: the same messages under another UIDVALIDITY, however soon after the first."""
        place = self.maildir(user, folder)
        numbers = place / "dovecot-uidlist"
        validity = int(numbers.read_text().split(" V", 1)[1].split()[0]) + 1
        for path in place.glob("dovecot*"):
            path.unlink()
        numbers.write_text(f"3 V{validity} N1\n")
        os.chown(numbers, *self.owner)

    def deliver(self, user: str, raw: bytes, folder: str = "INBOX", at: float | None = None) -> None:
        """Put a message there, received at `at` (seconds since the epoch; now when None)."""
        place = self.maildir(user, folder)
        for name in ("cur", "new", "tmp"):
            (place / name).mkdir(parents=True, exist_ok=True)
            os.chown(place / name, *self.owner)  # a folder that it may not write in is opened for reading only
        number = next(self.numbers)
        path = place / "tmp" / f"{1_700_000_000 + number}.M{number}.test"
        path.write_bytes(raw)
        if at is not None:
            os.utime(path, (at, at))
        path = path.rename(place / "new" / path.name)
        for part in (path, *path.parents):
            if part == self.folder:
                break
            os.chown(part, *self.owner)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a key and a certificate for localhost and 127.0.0.1, which is its own authority."""
    return make_certificate(tmp_path_factory.mktemp("certificate"))


def make_certificate(folder: Path, *further_names: str) -> Path:
    """The same in `folder`, for the benchmarks too, and for servers that go by further names."""
    names = ",".join(["DNS:localhost", "IP:127.0.0.1", *(f"DNS:{name}" for name in further_names)])
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=localhost"),
            *("-addext", f"subjectAltName={names}"),
            *("-keyout", folder / "key.pem", "-out", folder / "cert.pem"),
        ],
        check=True,
        stderr=subprocess.DEVNULL,
    )
    both = folder / "both.pem"
    both.write_text((folder / "key.pem").read_text() + (folder / "cert.pem").read_text())
    return both


@pytest.fixture(scope="session")
def dovecot(certificate: Path) -> Iterator[Dovecot]:
    """A Dovecot of this worker's own on loopback, with TLS and STARTTLS."""
    program = dovecot_program()
    if program is None:
        pytest.skip("Dovecot is not installed (apt install dovecot-imapd)")
    with dovecot_server(program, certificate) as running:
        yield running


def dovecot_program() -> str | None:
    """Where Dovecot is installed, if it is."""
    return shutil.which("dovecot", path="/usr/sbin:/usr/bin:/sbin")


@contextlib.contextmanager
def dovecot_server(program: str, certificate: Path) -> Iterator[Dovecot]:
    """A Dovecot that ends with the block; the benchmarks use it too."""
    who = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    folder = Path(tempfile.mkdtemp(prefix="dovecot-"))
    running = Dovecot(folder, free_port(), free_port(), (who.pw_uid, who.pw_gid), certificate)
    shutil.copy(certificate, folder / "both.pem")
    configuration = folder / "dovecot.conf"
    configuration.write_text(
        DOVECOT_CONFIGURATION.format(
            folder=folder,
            user=who.pw_name,
            group=grp.getgrgid(who.pw_gid).gr_name,
            uid=who.pw_uid,
            gid=who.pw_gid,
            password=running.password,
            plain_port=running.plain_port,
            tls_port=running.tls_port,
        )
    )
    for path in (folder, *folder.iterdir()):
        os.chown(path, *running.owner)
    server = subprocess.Popen(
        [program, "-F", "-c", configuration],
        user=who.pw_uid if os.geteuid() == 0 else None,
        group=who.pw_gid if os.geteuid() == 0 else None,
        extra_groups=[] if os.geteuid() == 0 else None,
        cwd=folder,
        stderr=subprocess.DEVNULL,
        preexec_fn=ends_with_parent(),
    )
    try:
        eventually(lambda: _listens(running.tls_port), "Dovecot answers")
        yield running
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(folder)


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@dataclass
class Post:
    """A running SMTP server that demands STARTTLS and a sign-in; what it took lies in `taken`."""

    port: int
    tls_port: int
    password: str = "mailbox-password"
    refused: set[str] = field(default_factory=set)  # senders and recipients it takes nothing from and for
    says: dict[str, str] = field(default_factory=dict)  # another answer to "RCPT" or "DATA"
    closes_after_data: bool = False  # the answer to a whole mail gets lost
    taken: list[Envelope] = field(default_factory=list)

    async def handle_MAIL(  # noqa: N802  # aiosmtpd finds its hooks by these names
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refused:
            return "553 not your address"
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(  # noqa: N802  # as above
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refused:
            return "550 no such user here"
        if "RCPT" in self.says:
            return self.says["RCPT"]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802  # as above
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        if "DATA" in self.says:
            return self.says["DATA"]
        self.taken.append(envelope)
        if self.closes_after_data and server.transport is not None:
            server.transport.close()  # before the answer is written
        return "250 OK"

    def check(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: LoginPassword
    ) -> AuthResult:
        return AuthResult(success=data.password == self.password.encode(), handled=False)


@pytest.fixture
def post(certificate: Path) -> Iterator[Post]:
    """An SMTP server on loopback, with STARTTLS on one port and TLS from the first byte on the other."""
    with post_server(certificate) as running:
        yield running


@contextlib.contextmanager
def post_server(certificate: Path) -> Iterator[Post]:
    """The same, until the block ends."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    running = Post(free_port(), free_port())
    common: dict[str, Any] = {"hostname": "127.0.0.1", "authenticator": running.check}
    demands: dict[str, Any] = {"require_starttls": True, "auth_required": True}
    starttls = Controller(running, port=running.port, tls_context=context, **demands, **common)
    tls = Controller(running, port=running.tls_port, ssl_context=context, auth_require_tls=False, **common)
    starttls.start()
    tls.start()
    try:
        yield running
    finally:
        starttls.stop()
        tls.stop()
