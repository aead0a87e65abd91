"""The door out: what was certainly not sent, what is unknown, and what never goes through it."""

import socket
import threading
from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa
from flask import Flask

from app.db import db, end_reading
from app.errors import NotSent, OutcomeUnknown
from app.http import Door
from tests.services import free_port

Reply = Callable[[socket.socket], None]


@pytest.fixture
def server() -> Iterator[Callable[[Reply], str]]:
    """A server that answers its one connection as told, once it has read a request."""
    sockets: list[socket.socket] = []

    def start(reply: Reply) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        sockets.append(listener)

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                reply(connection)

        threading.Thread(target=serve, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for one in sockets:
        one.close()


def test_an_answer_comes_back_with_status_headers_and_body(app: Flask, server: Callable[[Reply], str]) -> None:
    base = server(lambda wire: wire.sendall(b"HTTP/1.1 201 Made\r\nX-Thing: 1\r\nContent-Length: 2\r\n\r\nok"))
    answer = Door(base).send("POST", "/x", data=b"{}")
    assert (answer.status, answer.headers["x-thing"], answer.body) == (201, "1", b"ok")


def test_a_refused_connection_was_not_sent(app: Flask) -> None:
    with pytest.raises(NotSent):
        Door(f"http://127.0.0.1:{free_port()}").send("POST", "/")


def test_an_unknown_host_was_not_sent(app: Flask) -> None:
    with pytest.raises(NotSent):
        Door("http://nowhere.invalid").send("POST", "/")


def test_a_connection_that_breaks_after_the_request_is_unknown(app: Flask, server: Callable[[Reply], str]) -> None:
    with pytest.raises(OutcomeUnknown):
        Door(server(lambda wire: None)).send("POST", "/")


def test_a_cut_body_is_unknown(app: Flask, server: Callable[[Reply], str]) -> None:
    base = server(lambda wire: wire.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf"))
    with pytest.raises(OutcomeUnknown):
        Door(base).send("POST", "/")


def test_silence_is_unknown_after_the_time_limit(app: Flask, server: Callable[[Reply], str]) -> None:
    ended = threading.Event()

    def say_nothing(wire: socket.socket) -> None:
        ended.wait(5)

    with pytest.raises(OutcomeUnknown):
        Door(server(say_nothing)).send("POST", "/", whole_s=0.3)
    ended.set()


def test_a_body_that_drips_is_cut_off_at_the_deadline(app: Flask, server: Callable[[Reply], str]) -> None:
    ended = threading.Event()

    def drip(wire: socket.socket) -> None:
        wire.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not ended.wait(0.05):
            wire.sendall(b".")

    with pytest.raises(OutcomeUnknown):
        Door(server(drip)).send("GET", "/", whole_s=0.5)
    ended.set()


def test_a_redirect_is_an_answer_and_not_followed(app: Flask, server: Callable[[Reply], str]) -> None:
    base = server(lambda wire: wire.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere.invalid/\r\n\r\n"))
    assert Door(base).send("GET", "/").status == 302


def test_a_time_limit_for_all_requests_leaves_none_for_the_last(app: Flask) -> None:
    with pytest.raises(NotSent, match="too long"):
        Door("http://127.0.0.1:9", whole_s=-1).send("GET", "/")


def test_nothing_goes_out_while_a_transaction_is_open(app: Flask) -> None:
    db.session.execute(sa.text("SELECT 1"))
    with pytest.raises(RuntimeError, match="transaction is open"):
        Door("http://127.0.0.1:9").send("GET", "/")
    end_reading()
