"""Servers that lie, drip, flood or answer what nobody asked: the connection ends, and nothing else does."""

import socket
import time

import pytest

from app.errors import Capped, NotSent, Outside, Refused, SignInNeeded
from plugins.mail_monitor import deadline, imap_client, mailbox
from plugins.mail_monitor.egress import Guard
from plugins.mail_monitor.imap_client import Server
from plugins.mail_monitor.mailbox import Mailbox
from plugins.mail_monitor.sender import Sender
from tests.fakes.mailbox_server import Answer, ScriptedServer, scripted_server

HERE = Guard(("127.0.0.1",))
HEADER = b"From: a@b.example\r\nMessage-ID: <1@x>\r\n\r\n"


def open_mailbox(server: ScriptedServer, seconds: float = 5, encryption: str = "none") -> Mailbox:
    return Mailbox(Server("127.0.0.1", server.port, encryption, "user", "pass"), HERE, time.monotonic() + seconds)


def fetched(uid: int, header: bytes = HEADER, extra: bytes = b"") -> bytes:
    return (
        b'* 1 FETCH (UID %d RFC822.SIZE 99 INTERNALDATE "23-Nov-2026 10:58:41 +0000" BODY[HEADER] {%d}\r\n'
        % (
            uid,
            len(header),
        )
        + header
        + extra
        + b")\r\n"
    )


def test_answers_in_another_order_are_put_to_their_messages() -> None:
    answer = fetched(3, b"Subject: 3\r\n\r\n") + fetched(1, b"Subject: 1\r\n\r\n") + b"TAG OK done\r\n"
    with scripted_server(FETCH=answer) as server, open_mailbox(server) as box:
        box.examine("INBOX")
        found = box.headers([1, 2, 3])
    assert {uid: one.bodies["HEADER"] for uid, one in found.items()} == {
        1: b"Subject: 1\r\n\r\n",
        3: b"Subject: 3\r\n\r\n",
    }


def test_a_message_that_nobody_asked_for_is_not_taken() -> None:
    with scripted_server(FETCH=fetched(1) + fetched(99) + b"TAG OK done\r\n") as server, open_mailbox(server) as box:
        box.examine("INBOX")
        assert set(box.headers([1])) == {1}


def test_news_of_flags_in_between_is_passed_over() -> None:
    answer = (
        b"* 1 FETCH (FLAGS (\\Seen) UID 1)\r\n" + fetched(1) + b"* 5 EXISTS\r\n* 2 FETCH (FLAGS ())\r\nTAG OK done\r\n"
    )
    with scripted_server(FETCH=answer) as server, open_mailbox(server) as box:
        box.examine("INBOX")
        assert box.headers([1])[1].bodies["HEADER"] == HEADER


def test_attributes_may_stand_on_either_side_of_the_body() -> None:
    answer = b"* 1 FETCH (BODY[HEADER] {%d}\r\n%s RFC822.SIZE 99 UID 1)\r\nTAG OK done\r\n" % (len(HEADER), HEADER)
    with scripted_server(FETCH=answer) as server, open_mailbox(server) as box:
        box.examine("INBOX")
        assert box.headers([1])[1].size == 99


@pytest.mark.parametrize("body", [b'""', b"NIL"])
def test_an_empty_body_is_none(body: bytes) -> None:
    answer = b"* 1 FETCH (UID 1 BODY[] " + body + b")\r\nTAG OK done\r\n"
    with scripted_server(FETCH=answer) as server, open_mailbox(server) as box:
        box.examine("INBOX")
        assert box.whole([1]) == {}


@pytest.mark.parametrize("size", [4 * 1024**3, 2**63])
def test_an_announced_size_beyond_reason_is_not_even_begun(size: int) -> None:
    with scripted_server(FETCH=b"* 1 FETCH (UID 1 BODY[] {%d}\r\n" % size) as server, open_mailbox(server) as box:
        box.examine("INBOX")
        with pytest.raises(NotSent):
            box.whole([1])


def test_many_large_answers_to_one_command_are_cut_off() -> None:
    def flood(connection: socket.socket, tag: bytes) -> None:
        for uid in range(1, 100):
            connection.sendall(b"* 1 FETCH (UID %d BODY[] {1000000}\r\n" % uid + b"x" * 1_000_000 + b")\r\n")

    with scripted_server(FETCH=flood) as server, open_mailbox(server, 20) as box:
        box.examine("INBOX")
        with pytest.raises(NotSent):
            box.whole(list(range(1, 100)))
        assert box.bytes_read < imap_client.LARGEST_ANSWER + 2_000_000


def test_endless_lines_that_nobody_asked_for_are_cut_off() -> None:
    def flood(connection: socket.socket, tag: bytes) -> None:
        for _ in range(1000):
            connection.sendall(b"* OK on and on\r\n" * 5000)

    with scripted_server(SEARCH=flood) as server, open_mailbox(server, 30) as box:
        box.examine("INBOX")
        with pytest.raises(NotSent):
            box.uids(1, 9)
        assert box.bytes_read < 2 * mailbox.LITTLE


def test_endless_lines_of_an_outgoing_server_are_cut_off() -> None:
    said = 0

    def flood(connection: socket.socket, tag: bytes) -> None:
        nonlocal said
        for _ in range(1000):
            said += connection.send(b"220-on and on\r\n" * 5000)

    with scripted_server(greeting=flood) as server, pytest.raises(NotSent):
        Sender(Server("127.0.0.1", server.port, "none", "", ""), HERE, time.monotonic() + 30)
    assert said < 20_000_000


def cut(connection: socket.socket, tag: bytes) -> None:
    connection.sendall(b"* 1 FETCH (UID 1 BODY[] {100}\r\nonly this")
    connection.shutdown(socket.SHUT_RDWR)


def blank_line(connection: socket.socket, tag: bytes) -> None:
    connection.sendall(b"* 1 FETCH (UID 1 BODY[] {3}\r\nabc\r\n)\r\n" + tag + b" OK done\r\n")


def rubbish(connection: socket.socket, tag: bytes) -> None:
    connection.sendall(b"\x00\xff\xfe what is this\r\n" * 3)


def bye(connection: socket.socket, tag: bytes) -> None:
    connection.sendall(b"* BYE going down\r\n")
    connection.close()


@pytest.mark.parametrize("answer", [cut, blank_line, rubbish, bye, b"TAG BAD no\r\n", b"TAG NO [SERVERBUG] no\r\n"])
def test_a_broken_answer_is_an_error_of_the_connection_and_nothing_else(answer: Answer) -> None:
    with scripted_server(FETCH=answer) as server, open_mailbox(server) as box:
        box.examine("INBOX")
        with pytest.raises(NotSent):
            box.whole([1])


def test_a_server_that_drips_is_cut_off_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    def drip(connection: socket.socket, tag: bytes) -> None:
        connection.sendall(b"* 1 FETCH (UID 1 BODY[] {1000}\r\n")
        connection.settimeout(0.05)
        while True:
            connection.sendall(b"x")
            try:
                if not connection.recv(1):
                    return
            except TimeoutError:
                continue

    monkeypatch.setattr(mailbox, "COMMAND_S", 1.0)
    with scripted_server(FETCH=drip) as server, open_mailbox(server, 10) as box:
        box.examine("INBOX")
        begun = time.monotonic()
        with pytest.raises(NotSent):
            box.whole([1])
        assert time.monotonic() - begun < 3


def silent(connection: socket.socket, tag: bytes) -> None:
    """Says nothing until the client leaves."""
    connection.recv(1)


def endless(connection: socket.socket, tag: bytes) -> None:
    for _ in range(20):
        connection.sendall(b"* OK " + b"x" * 1_000_000)


@pytest.mark.parametrize("greeting", [silent, endless, b"220 smtp ready\r\n", b"* BYE no\r\n", b"\x15\x03\x01"])
def test_whatever_is_no_greeting_is_no_mail_server(greeting: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imap_client, "GREETING_S", 1.0)
    monkeypatch.setattr(deadline, "IDLE_S", 1.0)
    with scripted_server(greeting=greeting) as server, pytest.raises(NotSent) as caught:
        open_mailbox(server)
    assert caught.value.details["code"] == "no_answer"
    assert caught.value.sentence.startswith("No mail server answers at 127.0.0.1")


@pytest.mark.parametrize(
    ("answer", "error", "code"),
    [
        (b"TAG NO [AUTHENTICATIONFAILED] Invalid credentials\r\n", SignInNeeded, "credentials"),
        (b"TAG NO [ALERT] Application-specific password required\r\n", SignInNeeded, "app_password"),
        (b"TAG NO IMAP is disabled for this mailbox\r\n", SignInNeeded, "closed"),
        (b"TAG NO [UNAVAILABLE] try again later\r\n", NotSent, None),
        (b"TAG NO Request is throttled. Suggested Backoff Time: 299910 milliseconds\r\n", Capped, None),
        (b"TAG NO [OVERQUOTA] Account exceeded command or bandwidth limits\r\n", Capped, None),
        (b"TAG NO Too many simultaneous connections\r\n", Capped, None),
    ],
)
def test_a_refused_sign_in_says_what_it_means(answer: bytes, error: type[Outside], code: str | None) -> None:
    with scripted_server(LOGIN=answer) as server, pytest.raises(error) as caught:
        open_mailbox(server)
    assert code is None or getattr(caught.value, "code", None) == code


def test_a_folder_that_may_not_be_opened_is_a_closed_mailbox() -> None:
    answer = b"TAG BAD User is authenticated but not connected.\r\n"
    with scripted_server(EXAMINE=answer) as server, open_mailbox(server) as box, pytest.raises(SignInNeeded) as caught:
        box.examine("INBOX")
    assert caught.value.code == "closed"


def test_a_folder_that_is_gone_is_named() -> None:
    answer = b"TAG NO [NONEXISTENT] Unknown mailbox\r\n"
    with scripted_server(EXAMINE=answer) as server, open_mailbox(server) as box, pytest.raises(Refused) as caught:
        box.examine("Old mail")
    assert "Old mail" in caught.value.sentence


def test_a_server_without_starttls_gets_no_password() -> None:
    with scripted_server() as server, pytest.raises(Refused) as caught:
        open_mailbox(server, encryption="starttls")
    assert caught.value.code == "encryption"
    assert not any(b"LOGIN" in command for command in server.asked)


def test_what_is_sent_before_the_encryption_begins_ends_the_connection() -> None:
    answers: dict[str, Answer] = {
        "CAPABILITY": b"* CAPABILITY IMAP4rev1 STARTTLS\r\nTAG OK done\r\n",
        "STARTTLS": b"TAG OK begin\r\n* OK injected\r\n",
    }
    with scripted_server(**answers) as server, pytest.raises(NotSent):
        open_mailbox(server, encryption="starttls")
    assert not any(b"LOGIN" in command for command in server.asked)


def test_a_server_that_wants_no_plain_password_gets_none() -> None:
    answer = b"* CAPABILITY IMAP4rev1 LOGINDISABLED\r\nTAG OK done\r\n"
    with scripted_server(CAPABILITY=answer) as server, pytest.raises(Refused):
        open_mailbox(server)
    assert not any(b"LOGIN " in command for command in server.asked)


def test_the_last_message_is_not_taken_for_a_new_one() -> None:
    with scripted_server(SEARCH=b"* SEARCH 3\r\nTAG OK done\r\n") as server, open_mailbox(server) as box:
        box.examine("INBOX")
        assert box.uids(4, 9) == []


def test_a_server_that_gives_no_next_number_is_asked_for_it() -> None:
    answers: dict[str, Answer] = {
        "EXAMINE": b"* 3 EXISTS\r\nTAG OK done\r\n",
        "STATUS": b"* STATUS INBOX (UIDNEXT 12 UIDVALIDITY 5)\r\nTAG OK done\r\n",
    }
    with scripted_server(**answers) as server, open_mailbox(server) as box:
        state = box.examine("INBOX")
    assert (state.uidvalidity, state.uidnext) == (5, 12)


def test_a_server_that_never_gives_a_next_number_is_read_up_to_its_newest_message() -> None:
    answers: dict[str, Answer] = {
        "EXAMINE": b"* 3 EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\nTAG OK done\r\n",
        "STATUS": b"* STATUS INBOX (UIDVALIDITY 7)\r\nTAG OK done\r\n",
        "SEARCH": b"* SEARCH 11\r\nTAG OK done\r\n",
    }
    with scripted_server(**answers) as server, open_mailbox(server) as box:
        assert box.examine("INBOX").uidnext == 12


def test_a_validity_beyond_32_bits_is_none() -> None:
    answers: dict[str, Answer] = {
        "EXAMINE": b"* 3 EXISTS\r\n* OK [UIDVALIDITY 99999999999999999999] ok\r\n* OK [UIDNEXT 4] ok\r\nTAG OK done\r\n"
    }
    with scripted_server(**answers) as server, open_mailbox(server) as box:
        assert box.examine("INBOX").uidvalidity == 0


READING = {"CAPABILITY", "LOGIN", "LOGOUT", "EXAMINE", "UID", "STATUS", "LIST", "FETCH"}


def test_nothing_but_reading_is_ever_asked() -> None:
    answers: dict[str, Answer] = {
        "FETCH": fetched(1) + b"TAG OK done\r\n",
        "SEARCH": b"* SEARCH 1\r\nTAG OK done\r\n",
        "LIST": b'* LIST () "/" INBOX\r\nTAG OK done\r\n',
    }
    with scripted_server(**answers) as server, open_mailbox(server) as box:
        state = box.examine("INBOX")
        box.uids(1, 3)
        box.headers([1])
        box.header(1)
        box.whole([1])
        box.beginning(1)
        box.newest(state, 5)
        box.folders()
    assert {command.split()[1].decode() for command in server.asked} <= READING
    assert all(b"PEEK" in command for command in server.asked if b"BODY" in command)
