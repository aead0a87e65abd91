"""A mail server for the benchmarks: Dovecot on this machine, mailboxes of made letters, and what else reads them."""

import os
import random
import shutil
import ssl
import subprocess
import tempfile
import time
import venv
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email import policy
from email.message import EmailMessage
from pathlib import Path

from imap_tools import MailBox, MailMessage

from app.accounts.models import Account
from app.db import unit_of_work
from app.installations.models import Installation
from benchmarks.stage import FIRST, LAST, email_of
from plugins.mail_monitor import accounts
from plugins.mail_monitor.settings import AccountSettings, ServerSettings
from tests.mail_services import Dovecot, dovecot_program, dovecot_server, make_certificate

HEAVY = 24 * 1024 * 1024  # bytes
MOST_LINKS = 50_000  # to one file; ext4 takes 65,000
MBSYNC = """
FSync yes

IMAPAccount yardstick
Host localhost
Port {port}
User {user}
Pass {password}
SSLType IMAPS
CertificateFile {ca}

IMAPStore far
Account yardstick

MaildirStore near
Inbox {folder}/INBOX

Channel all
Far :far:
Near :near:
SyncState *
"""

# In its default settings, as its documentation says: every message whole, one after the other, each saved at once,
# and then deleted on the server. https://django-mailbox.readthedocs.io/
DJANGO_MAILBOX = """
import sys, time
import django
from django.conf import settings
database, uri, count = sys.argv[1:]
settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "django_mailbox"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": database}},
    MEDIA_ROOT=database + ".files", USE_TZ=True, DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
)
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from django_mailbox.models import Mailbox, Message
mailbox = Mailbox.objects.create(name="yardstick", uri=uri)
begun = time.perf_counter()
for message in mailbox.get_new_mail():
    pass
spent = time.perf_counter() - begun
assert Message.objects.count() == int(count), Message.objects.count()
print(spent)
"""


@dataclass(frozen=True)
class Mailroom:
    """A running server and a folder for whatever else is needed."""

    dovecot: Dovecot
    folder: Path

    def fill(self, count: int, customers: int, every: int = 1) -> str:
        """A mailbox with `count` letters of 2 to 20 KB; each `every`-th is from one of so many customers."""
        chance = random.Random(count)  # the same letters in every run
        return self.put(
            letter(chance, number, _sender(number, customers if number % every == 0 else 0)) for number in range(count)
        )

    def put(self, letters: Iterable[bytes]) -> str:
        """A mailbox with these letters, in their order."""
        user = self.dovecot.new_user()
        place = self._place(user)
        for number, raw in enumerate(letters):
            (place / f"{1_700_000_000 + number}.M{number}.bench").write_bytes(raw)
        self._give(user)
        return user

    def fill_alike(self, count: int) -> str:
        """A mailbox with `count` times the same short letter, as links to a few files."""
        user = self.dovecot.new_user()
        place = self._place(user)
        raw = letter(random.Random(1), 0, email_of(0))  # no secret
        paths = [place / f"{1_700_000_000 + number}.M{number}.bench" for number in range(count)]
        for number, path in enumerate(paths):
            if number % MOST_LINKS == 0:
                path.write_bytes(raw)
            else:
                os.link(paths[number - number % MOST_LINKS], path)
        self._give(user)
        return user

    def _place(self, user: str) -> Path:
        """The folder for new letters of an inbox that is made."""
        place = self.dovecot.maildir(user)
        for name in ("cur", "new", "tmp"):
            (place / name).mkdir(parents=True)
        return place / "new"

    def _give(self, user: str) -> None:
        home = self.dovecot.folder / "mail" / user
        subprocess.run(["chown", "-R", "{}:{}".format(*self.dovecot.owner), home.parent], check=True)

    @contextmanager
    def signed_in(self, user: str) -> Iterator[MailBox]:
        tls = ssl.create_default_context(cafile=str(self.dovecot.ca_file))
        box = MailBox("localhost", self.dovecot.tls_port, ssl_context=tls)
        with box.login(user, self.dovecot.password) as mailbox:
            yield mailbox

    def read_uids(self, user: str) -> int:
        """Let the server build its index, so that nobody measures that; how many messages there are."""
        with self.signed_in(user) as mailbox:
            return len(mailbox.uids())

    def mbsync(self, user: str) -> float:
        """Seconds that mbsync takes to copy the inbox into an empty folder, synced to the disk."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            settings = Path(folder, "mbsyncrc")
            values = {"port": self.dovecot.tls_port, "user": user, "password": self.dovecot.password}
            settings.write_text(MBSYNC.format(folder=folder, ca=self.dovecot.ca_file, **values))
            Path(folder, "INBOX").mkdir()
            for name in ("cur", "new", "tmp"):
                Path(folder, "INBOX", name).mkdir()
            begun = time.perf_counter()
            subprocess.run(["mbsync", "-q", "-c", settings, "all"], check=True, stderr=subprocess.DEVNULL)
            spent = time.perf_counter() - begun
            there = len(list(Path(folder, "INBOX").glob("???/*")))
            assert there == self.read_uids(user), there
            return spent

    def headers_by_imap_tools(self, user: str) -> float:
        """Seconds that imap-tools takes to read all headers, as many at once as it can.

        Of each it reads what decides whose message it is: it decodes no field before somebody asks for it.
        """
        begun = time.perf_counter()
        with self.signed_in(user) as mailbox:
            count = sum(map(_is_read, mailbox.fetch(headers_only=True, mark_seen=False, bulk=True)))
        spent = time.perf_counter() - begun
        assert count == self.read_uids(user), count
        return spent

    def django_mailbox(self, python: Path, user: str) -> float:
        """Seconds that django-mailbox takes to read and save the inbox; it deletes it over there."""
        count = self.read_uids(user)
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            uri = f"imap+ssl://{user}:{self.dovecot.password}@localhost:{self.dovecot.tls_port}"
            command = [str(python), "-W", "ignore", "-c", DJANGO_MAILBOX, f"{folder}/mail.db", uri, str(count)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        return float(done.stdout.split()[-1])


@contextmanager
def mailroom() -> Iterator[Mailroom]:
    """A server on loopback; ends with a sentence where Dovecot is not installed."""
    program = dovecot_program()
    if program is None:
        raise SystemExit("Dovecot is not installed (apt install dovecot-imapd).")
    if shutil.which("mbsync") is None:
        raise SystemExit("mbsync is not installed (apt install isync).")
    with tempfile.TemporaryDirectory(prefix="benchmark-mail-") as folder:
        certificate = make_certificate(Path(folder))
        with dovecot_server(program, certificate) as dovecot:
            yield Mailroom(dovecot, Path(folder))


def django_python(folder: Path) -> Path | None:
    """The Python of a fresh virtual environment with django-mailbox in it, None where it cannot be had."""
    venv.create(folder / "django", with_pip=True)
    python = folder / "django" / "bin" / "python"
    install = [
        str(python),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "django-mailbox",
        "django<5",
    ]
    return None if subprocess.run(install, check=False, stderr=subprocess.DEVNULL).returncode else python


def _is_read(mail: MailMessage) -> bool:
    """Sender, recipients, subject, date and id of a message."""
    people = mail.from_values, mail.to_values, mail.cc_values, mail.bcc_values, mail.reply_to_values
    return any(people) and bool(mail.subject and mail.date_str and mail.obj["message-id"] and mail.date.year)


def _sender(number: int, customers: int) -> str:
    return email_of(number % customers) if customers else f"stranger-{number}@elsewhere.example"


def letter(chance: random.Random, number: int, sender: str) -> bytes:
    """A letter with text and HTML, of 2 to 20 KB."""
    size = chance.randint(2_000, 20_000)
    name = f"{FIRST[number % len(FIRST)]} {LAST[number % len(LAST)]}"
    head = (
        f"Received: from mail.example by mx.bench.example with ESMTPS id {number:08x}; Mon, 5 Oct 2026 09:00 +0000\r\n"
        f"DKIM-Signature: v=1; a=rsa-sha256; d=bench.example; s=k1; h=from:to:subject:date; b={'A' * 300}\r\n"
        f"From: {name} <{sender}>\r\nTo: Desk <desk@acme.example>\r\nSubject: About parcel {number}\r\n"
        f"Date: Mon, 5 Oct 2026 09:00:00 +0000\r\nMessage-ID: <{number}.{size}@bench.example>\r\nMIME-Version: 1.0\r\n"
    )
    words = ["parcel", "letter", "forward", "invoice", "Thursday", "address", "scan", "please", "keep", "mailbox"]
    text, html = [], ["<html><body>"]
    for _ in range(max(1, (size - 900) // 150)):
        line = " ".join(chance.choices(words, k=10))
        text.append(line)
        html.append(f"<p style='margin:0'>{line}</p>")
    return (
        head + 'Content-Type: multipart/alternative; boundary="cut"\r\n\r\n--cut\r\n'
        "Content-Type: text/plain; charset=utf-8\r\n\r\n" + "\r\n".join(text) + "\r\n--cut\r\n"
        "Content-Type: text/html; charset=utf-8\r\n\r\n" + "\r\n".join(html) + "</body></html>\r\n--cut--\r\n"
    ).encode()


def heavy_letter(chance: random.Random, number: int, sender: str) -> bytes:
    """A letter of 24 MiB: a short text and one attachment."""
    message = EmailMessage(policy=policy.SMTP)
    message["From"], message["To"], message["Subject"] = sender, "desk@acme.example", f"Drawings {number}"
    message["Message-ID"] = f"<heavy-{number}@bench.example>"
    message.set_content("All drawings are attached.")
    message.add_attachment(chance.randbytes(HEAVY * 73 // 100), "application", "octet-stream", filename="drawings.zip")
    return message.as_bytes()


def add_account(account: Account, installation: Installation, room: Mailroom, user: str) -> int:
    """An email account as if its test had passed just now."""
    server = ServerSettings("localhost", room.dovecot.tls_port, "tls", user, room.dovecot.password)
    settings = AccountSettings(
        display_name=user,
        location_id=account.locations[0].id,
        email_address=f"{user}@acme.example",
        incoming=server,
        outgoing=ServerSettings("localhost", 465, "tls"),
    )
    with unit_of_work():
        row = accounts.save(account, installation, settings)
        row.active = True
        return row.id
