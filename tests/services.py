"""Real services for tests, as a pytest plugin: PostgreSQL, the embedded Redis-compatible server, Chromium.

Each is started once per xdist worker, by the first test that asks for it, and ends with that worker. Where a
service is not installed its tests are skipped, and the reason names the Debian package.
"""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TypeVar

import psycopg
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from app.embedded import embedded_server, ends_with_parent

Answer = TypeVar("Answer")

CHROMIUM = Path("/usr/bin/chromium")
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def eventually(ask: Callable[[], Answer], what: str, seconds: float = 10) -> Answer:
    """Ask until the answer is true and return it; fail, naming `what`, after `seconds`."""
    until = time.monotonic() + seconds
    while not (answer := ask()):
        if time.monotonic() > until:
            pytest.fail(f"not within {seconds} s: {what}")
        threading.Event().wait(0.05)
    return answer


def free_port() -> int:
    """A port on loopback that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """URL of a Redis-compatible server; tests that mind what others left there empty it first."""
    with embedded_server() as server:
        yield server.url


@dataclass
class Postgres:
    """A PostgreSQL server, reached through the socket in `folder`; it can be stopped and started again."""

    programs: Path
    folder: Path
    owner: str | None
    numbers: Iterator[int] = field(default_factory=count)
    server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = "-c listen_addresses= -c fsync=off -c synchronous_commit=off -c full_page_writes=off"
        self.server = subprocess.Popen(
            [self.programs / "postgres", *options.split(), "-k", self.folder, "-D", self.folder / "data"],
            cwd=self.folder,
            stderr=subprocess.DEVNULL,
            user=self.owner,
            preexec_fn=ends_with_parent(),
        )
        eventually(self.answers, "PostgreSQL answers")

    def stop(self) -> None:
        """Cut all connections and end it."""
        if self.server is not None:
            self.server.send_signal(signal.SIGINT)  # its "fast" end; with SIGTERM it waits for clients to leave
            self.server.wait()

    def new_database(self) -> str:
        """SQLAlchemy's URL of a fresh, empty database."""
        name = f"test_{next(self.numbers)}"
        with self._connect() as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg://app@/{name}?host={self.folder}"

    def answers(self) -> bool:
        with contextlib.suppress(psycopg.OperationalError), self._connect():
            return True
        return False

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(host=str(self.folder), user="app", dbname="postgres", autocommit=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server of this worker's own, reached by nobody else; it forgets everything at the end."""
    if (programs := postgres_programs()) is None:
        pytest.skip("PostgreSQL is not installed (apt install postgresql)")
    with postgres_server(programs) as running:
        yield running


@contextlib.contextmanager
def postgres_server(programs: Path) -> Iterator[Postgres]:
    """A PostgreSQL server out of the folder `programs`, gone when the block ends; the benchmarks use it too."""
    # It refuses to run as root. The folder's path is short because it holds the socket.
    owner = _unprivileged_user()
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    if owner:
        shutil.chown(folder, owner)
    options = "--auth=trust --username=app --encoding=UTF8 --locale=C.UTF-8 --no-sync"
    subprocess.run(
        [programs / "initdb", *options.split(), folder / "data"],
        check=True,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        user=owner,
    )
    server = Postgres(programs, folder, owner)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


def postgres_programs() -> Path | None:
    """The folder of the newest PostgreSQL server here; Debian keeps these programs out of the PATH."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    found = shutil.which("postgres") or (installed and installed[-1])
    return Path(found).resolve().parent if found else None


def _unprivileged_user() -> str | None:
    """Who runs a server that refuses to run as root; None when this is not root anyway."""
    if os.geteuid() != 0:
        return None
    known = {user.pw_name for user in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A running Chromium; make a context of your own for each person at a screen."""
    if not CHROMIUM.exists():
        pytest.skip("Chromium is not installed (apt install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """One person at one screen, who waits five seconds for anything and no longer, a new page apart."""
    with chromium.new_context() as context:
        context.set_default_timeout(5_000)
        context.set_default_navigation_timeout(20_000)
        yield context.new_page()
