"""The mail sandbox as a process: programs read its mailboxes, mails to it are shown, and its pages write letters."""

import json
import shutil
import smtplib
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from pathlib import Path

import pytest
import requests
from click.testing import Result
from flask import Flask
from imap_tools import MailBoxStartTls

from app.embedded import ends_with_parent
from plugins.mail_monitor.records import Filing
from plugins.mail_monitor.sandbox.seed import BILLING, DESK, PASSWORD
from plugins.mail_monitor.waiting import Choice, Quarantined, Stub
from tests import make
from tests.cast import Cast
from tests.plugins.mail_monitor.conftest import rows_of
from tests.services import eventually, free_port

pytestmark = pytest.mark.processes

MBSYNC = """
IMAPAccount sandbox
Host localhost
Port {port}
User {user}
Pass {password}
SSLType STARTTLS
CertificateFile {ca}

IMAPStore far
Account sandbox

MaildirStore near
Path {folder}/
Inbox {folder}/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Near
SyncState *
"""


@dataclass
class Sandbox:
    """A running mail sandbox."""

    folder: Path
    port: int = field(default_factory=free_port)
    imap_port: int = field(default_factory=free_port)
    smtp_port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ca_file(self) -> Path:
        return self.folder / "mail-sandbox" / "ca.pem"

    @property
    def tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca_file))

    @contextmanager
    def running(self) -> Iterator[None]:
        ports = ("--port", self.port, "--imap-port", self.imap_port, "--smtp-port", self.smtp_port)
        command = (sys.executable, "-m", "plugins.mail_monitor.sandbox", *ports, "--data-dir", self.folder, "--demo")
        process = subprocess.Popen(
            [str(word) for word in command], stdout=subprocess.PIPE, text=True, preexec_fn=ends_with_parent()
        )
        try:
            assert process.stdout is not None
            assert self.url in process.stdout.readline()
            yield
        finally:
            process.terminate()
            assert process.wait(timeout=10) == 0
            process.stdout.close()  # type: ignore[union-attr]  # it was opened above

    @contextmanager
    def mailbox(self, user: str = DESK, folder: str = "INBOX") -> Iterator[MailBoxStartTls]:
        box = MailBoxStartTls("localhost", self.imap_port, ssl_context=self.tls)
        with box.login(user, PASSWORD, initial_folder=folder) as signed_in:
            assert isinstance(signed_in, MailBoxStartTls)
            yield signed_in

    def page(self, path: str) -> str:
        answer = requests.get(self.url + path, timeout=10)
        assert answer.status_code == 200, answer.text
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        return answer.text

    def post(self, path: str, **typed: str) -> requests.Response:
        return requests.post(self.url + path, data=typed, timeout=20)

    def send(self, sender: str, to: str, text: str, *, signed_in: str = "") -> None:
        with smtplib.SMTP("localhost", self.smtp_port, "localhost") as smtp:
            if signed_in:
                smtp.starttls(context=self.tls)
                smtp.login(signed_in, PASSWORD)
            smtp.sendmail(sender, [to], text.replace("\n", "\r\n").encode())


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """One for the tests of this file, filled as in a demo."""
    started = Sandbox(tmp_path_factory.mktemp("mail"))
    with started.running():
        yield started


INVOICE = """From: Quayside Works <no-reply@localhost>
To: Tamsin Quill <tamsin@quillyarrow.example>
Reply-To: desk@quayside.example
Subject: Invoice 1072 <script>alert(1)</script>
Message-ID: <invoice-1072@localhost>

Please find it attached.
"""


def test_imap_tools_reads_a_few_dozen_letters(sandbox: Sandbox) -> None:
    with sandbox.mailbox() as box:
        assert {"INBOX", "Sent", "Trash"} <= {one.name for one in box.folder.list()}
        letters = list(box.fetch(mark_seen=False, bulk=True))
    assert 30 <= len(letters) <= 60
    assert any(one.attachments for one in letters)
    assert any(one.html for one in letters)


def test_mbsync_copies_every_folder(sandbox: Sandbox, tmp_path: Path) -> None:
    if shutil.which("mbsync") is None:
        pytest.skip("mbsync is not installed (apt install isync)")
    settings, copied = tmp_path / "mbsyncrc", tmp_path / "mail"
    copied.mkdir()
    values = {"port": sandbox.imap_port, "user": BILLING, "password": PASSWORD, "ca": sandbox.ca_file}
    settings.write_text(MBSYNC.format(folder=copied, **values))
    subprocess.run(["mbsync", "-c", settings, "all"], check=True, stderr=subprocess.PIPE)
    files = [path for path in copied.glob("INBOX/*/*") if path.is_file()]
    with sandbox.mailbox(BILLING) as box:
        assert len(files) == len(box.uids()) > 0


def test_a_mail_of_the_product_is_shown_and_nothing_in_it_runs(sandbox: Sandbox) -> None:
    sandbox.send("no-reply@localhost", "tamsin@quillyarrow.example", INVOICE)
    shown = sandbox.page("/")
    assert "Invoice 1072 &lt;script&gt;" in shown
    assert "<script>" not in shown
    assert "the product itself" in shown
    number = shown.split('href="/sent/')[1].split('"')[0]
    assert "Please find it attached." in sandbox.page(f"/sent/{number}")
    original = requests.get(f"{sandbox.url}/sent/{number}.eml", timeout=10)
    assert original.headers["Content-Disposition"].startswith("attachment")
    assert original.content.replace(b"\r\n", b"\n").decode() == INVOICE


def test_a_mail_of_an_email_account_names_it_and_its_recipient_can_answer_or_return_it(sandbox: Sandbox) -> None:
    text = INVOICE.replace("no-reply@localhost", DESK).replace("1072", "1073")
    sandbox.send(DESK, "tamsin@quillyarrow.example", text, signed_in=DESK)
    shown = sandbox.page("/")
    assert DESK in shown
    number = shown.split('href="/sent/')[1].split('"')[0]

    form = sandbox.page(f"/write?answers={number}")
    assert 'value="tamsin@quillyarrow.example"' in form
    assert 'value="Re: Invoice 1073' in form
    answer = sandbox.post(
        "/write",
        name="Tamsin Quill",
        address="tamsin@quillyarrow.example",
        to=DESK,
        subject="Re: Invoice 1073",
        text="Thank you.",
        in_reply_to="<invoice-1073@localhost>",
    )
    assert "Delivered." in answer.text
    assert "Returned as undeliverable" in sandbox.post(f"/sent/{number}/return").text
    with sandbox.mailbox() as box:
        answered, returned = list(box.fetch(mark_seen=False, limit=2, reverse=True))[::-1]
    assert answered.headers["in-reply-to"] == ("<invoice-1073@localhost>",)
    assert answered.text.strip() == "Thank you."
    assert returned.obj.get_content_type() == "multipart/report"
    assert "<invoice-1073@localhost>" in message_from_bytes(returned.obj.as_bytes()).as_string()


def test_a_mail_to_one_of_the_mailboxes_arrives_there(sandbox: Sandbox) -> None:
    sandbox.send("no-reply@localhost", BILLING, "From: a@b.example\nSubject: for the billing desk\n\nHello\n")
    with sandbox.mailbox(BILLING) as box:
        assert [one.subject for one in box.fetch(mark_seen=False, limit=1, reverse=True)] == ["for the billing desk"]


@pytest.mark.parametrize(("name", "code"), [("refused", 550), ("later", 451)])
def test_some_recipients_are_refused_for_good_or_for_now(sandbox: Sandbox, name: str, code: int) -> None:
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        sandbox.send("no-reply@localhost", f"{name}@anywhere.example", "Subject: x\n\nx\n")
    assert refused.value.recipients[f"{name}@anywhere.example"][0] == code


def test_what_comes_from_no_mailbox_here_is_not_offered_to_be_returned(sandbox: Sandbox) -> None:
    sandbox.send("no-reply@localhost", "tamsin@quillyarrow.example", INVOICE.replace("1072", "1074"))
    number = sandbox.page("/").split('href="/sent/')[1].split('"')[0]
    assert "Return as undeliverable" not in sandbox.page(f"/sent/{number}")
    assert sandbox.post(f"/sent/{number}/return").status_code == 404


@pytest.mark.parametrize("address", ["nobody", "a..b@c.example", "a@c..example", "a[b@c.example"])
def test_a_letter_without_a_sender_is_refused_beside_the_field_and_what_was_typed_stays(
    sandbox: Sandbox, address: str
) -> None:
    answer = sandbox.post("/write", name="Tamsin", address=address, to=DESK, subject="Hello", text="Hi <b>there</b>")
    assert answer.status_code == 422
    assert "Write an email address" in answer.text
    assert "Hi &lt;b&gt;there&lt;/b&gt;" in answer.text


def test_a_page_of_another_site_cannot_press_its_buttons(sandbox: Sandbox) -> None:
    answer = requests.post(f"{sandbox.url}/sandbox/reset", headers={"Sec-Fetch-Site": "cross-site"}, timeout=10)
    assert answer.status_code == 403


@pytest.mark.parametrize("path", ["/sent/99999", "/mailboxes/x@y.example/INBOX", f"/letters/{DESK}/99999/INBOX"])
def test_what_is_not_there_is_said_to_be_not_there(sandbox: Sandbox, path: str) -> None:
    answer = requests.get(sandbox.url + path, timeout=10)
    assert (answer.status_code, "There is nothing here" in answer.text) == (404, True)


def test_letters_flags_and_numbers_outlive_a_restart_and_a_reset_gives_new_numbers(tmp_path: Path) -> None:
    again = Sandbox(tmp_path)
    with again.running():
        with again.mailbox() as box:
            before = box.folder.status("INBOX")
            first, second, third = box.uids()[:3]
            box.flag([first], ["\\Flagged"], value=True)
            box.move([second], "Trash")
            box.delete([third])
        again.send("no-reply@localhost", "a@b.example", INVOICE)
    with again.running():
        with again.mailbox() as box:
            after = box.folder.status("INBOX")
            assert (after["UIDVALIDITY"], after["UIDNEXT"]) == (before["UIDVALIDITY"], before["UIDNEXT"])
            assert after["MESSAGES"] == before["MESSAGES"] - 2
            assert box.uids()[0] == first
            assert next(box.fetch(mark_seen=False)).flags == ("\\Flagged",)
            assert box.folder.status("Trash")["MESSAGES"] == 1
        assert "Invoice 1072" in again.page("/")
        assert "as on the first day" in again.post("/sandbox/reset").text
        assert "Nothing was sent yet" in again.page("/")
        with again.mailbox() as box:
            anew = box.folder.status("INBOX")
    assert anew["UIDVALIDITY"] != before["UIDVALIDITY"]
    assert anew["MESSAGES"] == before["MESSAGES"]


def test_the_product_watches_the_mailbox_that_the_sandbox_describes(
    app: Flask, cast: Cast, sandbox: Sandbox, run_command: Callable[..., Result]
) -> None:
    for email in ("tamsin@quillyarrow.example", "clementine@rook-optical.example", "joren@juniper-hop.example"):
        make.customer(cast.acme, email=email)
    make.customer(cast.acme, email="aziz@pennywhistle.example")
    settings = app.config["SETTINGS"]
    changes = {"mail_private_hosts": ("127.0.0.1",), "mail_ca_file": sandbox.ca_file}
    app.config["SETTINGS"] = settings.model_copy(update=changes)
    file = sandbox.folder / "mail-sandbox" / "email-account.json"
    try:
        added = run_command("mail", "add", "--account", "acme", "--file", file, "--import-days", 90, "--json")
        assert added.exit_code == 0, added.output
        polled = run_command("mail", "poll", "--account", "acme", "--json")
    finally:
        app.config["SETTINGS"] = settings
    counts = json.loads(polled.stdout)
    assert counts["failed"] == []
    assert counts["seen"] >= 40
    assert {one.role for one in rows_of(Filing)} >= {"sender", "to"}
    assert {one.doubt.value for one in rows_of(Choice)} == {"unclear_sender", "failed_check"}
    assert [one.code for one in rows_of(Quarantined)] == ["nesting"]
    assert len(rows_of(Stub)) >= 5


def test_a_taken_port_is_one_sentence(sandbox: Sandbox, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "plugins.mail_monitor.sandbox", "--data-dir", str(tmp_path)]
    for option, port in (("--port", sandbox.port), ("--imap-port", free_port()), ("--smtp-port", free_port())):
        command += [option, str(port)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert str(sandbox.port) in done.stderr


def test_the_end_waits_for_no_client(tmp_path: Path) -> None:
    hanging = Sandbox(tmp_path)
    with hanging.running():
        box = MailBoxStartTls("localhost", hanging.imap_port, ssl_context=hanging.tls)
        smtp = smtplib.SMTP("localhost", hanging.smtp_port, "localhost")
        eventually(lambda: requests.get(hanging.url, timeout=5).ok, "it answers")
    box.client.shutdown()
    smtp.close()
