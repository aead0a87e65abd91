"""A scripted IMAP server on loopback: it greets, and answers each command with the bytes a test gives it."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

Answer = bytes | Callable[[socket.socket, bytes], None]
"""Bytes in which `TAG` becomes the command's tag, or a function that writes by itself."""

GREETING = b"* OK ready\r\n"
USUAL: dict[str, Answer] = {
    "CAPABILITY": b"* CAPABILITY IMAP4rev1\r\nTAG OK done\r\n",
    "LOGIN": b"TAG OK done\r\n",
    "LOGOUT": b"* BYE\r\nTAG OK done\r\n",
    "EXAMINE": b"* 3 EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n* OK [UIDNEXT 4] ok\r\nTAG OK [READ-ONLY]\r\n",
}


@dataclass
class ScriptedServer:
    """What it was asked, and how it answers; commands without an answer get NO."""

    port: int
    answers: dict[str, Answer] = field(default_factory=dict)
    greeting: Answer = GREETING
    asked: list[bytes] = field(default_factory=list)

    def serve(self, connection: socket.socket) -> None:
        """One client, until it leaves."""
        with connection, connection.makefile("rb") as lines:
            connection.settimeout(10)
            self._say(connection, self.greeting, b"")
            for line in lines:
                self.asked.append(line.strip())
                tag, _, command = line.strip().partition(b" ")
                words = command.decode("ascii", errors="replace").upper().split()
                name = words[1] if words[:1] == ["UID"] else next(iter(words), "")
                self._say(connection, {**USUAL, **self.answers}.get(name, b"TAG NO what?\r\n"), tag)
                if name == "LOGOUT":
                    return

    def _say(self, connection: socket.socket, answer: Answer, tag: bytes) -> None:
        if callable(answer):
            answer(connection, tag)
        else:
            connection.sendall(answer.replace(b"TAG", tag))


@contextmanager
def scripted_server(greeting: Answer = GREETING, **answers: Answer) -> Iterator[ScriptedServer]:
    """A server that answers `answers` by command name, for as long as the block lasts."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = ScriptedServer(listening.getsockname()[1], dict(answers), greeting)
        ended = threading.Event()

        def run() -> None:
            while not ended.is_set():
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with contextlib.suppress(OSError):  # the client left: that is what most of these tests are about
                    server.serve(connection)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield server
        ended.set()
        listening.shutdown(socket.SHUT_RDWR)
    thread.join(5)
