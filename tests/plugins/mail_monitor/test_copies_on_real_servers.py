"""Copies of sent mail on a real IMAP server: put once, found again by their id, read already, dated when they went."""

import ssl
import time
from datetime import UTC, datetime

import pytest
from imap_tools import MailBox

from app.errors import Refused
from plugins.mail_monitor.drafting import new_message_id
from plugins.mail_monitor.egress import Guard
from plugins.mail_monitor.imap_client import Server
from plugins.mail_monitor.mailbox import Mailbox
from tests.mail_services import Dovecot
from tests.plugins.mail_monitor.letters import mail

pytestmark = pytest.mark.dovecot

SENT_AT = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)


def test_a_copy_is_put_once_and_found_again(dovecot: Dovecot) -> None:
    user = dovecot.new_user()
    ours, another = (new_message_id(letter * 32, "secret", 7, "desk@acme.example") for letter in "ab")
    raw = mail(to="tamsin@quill.example", sender="desk@acme.example", text="Grüße, it arrived.", message_id=f"<{ours}>")
    server = Server("localhost", dovecot.tls_port, "tls", user, dovecot.password)
    with Mailbox(server, Guard(("127.0.0.0/8",), dovecot.ca_file), time.monotonic() + 20) as box:
        box.examine("Sent")
        assert not box.holds(ours)
        box.append("Sent", raw, SENT_AT)
        assert box.examine("Sent").messages == 1
        assert box.holds(ours)
        assert not box.holds(another)
        with pytest.raises(Refused, match="takes no copy in Nowhere"):
            box.append("Nowhere", raw, SENT_AT)
        assert box.examine("INBOX").messages == 0  # and the connection is still good

    tls = ssl.create_default_context(cafile=str(dovecot.ca_file))
    with MailBox("localhost", dovecot.tls_port, ssl_context=tls).login(user, dovecot.password, "Sent") as colleague:
        [copy] = colleague.fetch(mark_seen=False, bulk=True)
        [dated] = colleague.client.uid("FETCH", "1", "(INTERNALDATE)")[1]
    stored = next(path for part in ("cur", "new") for path in (dovecot.maildir(user, "Sent") / part).iterdir())
    assert stored.read_bytes().replace(b"\r\n", b"\n") == raw.replace(b"\r\n", b"\n")
    assert "\\Seen" in copy.flags
    assert b"24-Nov-2026 09:30:00 +0000" in dated


@pytest.mark.parametrize("words", ['x" DELETED SUBJECT "', "a@quill.example", "*"])
def test_words_of_others_never_become_part_of_a_command(dovecot: Dovecot, words: str) -> None:
    server = Server("localhost", dovecot.tls_port, "tls", dovecot.new_user(), dovecot.password)
    with Mailbox(server, Guard(("127.0.0.0/8",), dovecot.ca_file), time.monotonic() + 20) as box:
        box.examine("Sent")
        with pytest.raises(ValueError, match="not made here"):
            box.holds(words)
