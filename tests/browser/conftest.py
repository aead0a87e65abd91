"""The whole product in real processes, and people who sit down at it in Chromium."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

from app.demo import SIGN_INS
from tests.front_door.marked import Mark
from tests.services import eventually, free_port

PEOPLE = {role: (email, password) for role, email, password in SIGN_INS}
PATIENCE_MS = 15_000
# What Chromium itself says of every answer that refuses something.
NO_FAULT = ("status of 403", "status of 422")


@dataclass
class Product:
    """Where it answers, and where the sandboxes beside it do."""

    port: int = field(default_factory=free_port)
    sandbox_port: int = field(default_factory=free_port)
    mail_port: int = field(default_factory=free_port)
    imap_port: int = field(default_factory=free_port)
    smtp_port: int = field(default_factory=free_port)
    said: str = ""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/quayside"

    @property
    def sandbox(self) -> str:
        return f"http://127.0.0.1:{self.sandbox_port}"

    @property
    def mail_sandbox(self) -> str:
        return f"http://127.0.0.1:{self.mail_port}"

    @property
    def options(self) -> list[str]:
        """What the starter is told about ports."""
        mail_ports = [str(port) for port in (self.mail_port, self.imap_port, self.smtp_port)]
        return ["--sandbox-port", str(self.sandbox_port), "--mail-ports", *mail_ports]

    def listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout
        with process.stdout as lines:
            for line in lines:
                self.said += line


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the product keeps its data."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def surroundings() -> dict[str, str]:
    """What else the product finds in its environment; a module that has something to say brings its own."""
    return {}


@pytest.fixture(scope="module")
def product(data_dir: Path, surroundings: dict[str, str]) -> Iterator[Product]:
    """`make run` with a data folder and ports of its own, and a pace at which progress can be seen."""
    made, mark = Product(), Mark()
    with TemporaryDirectory(prefix=mark.value, ignore_cleanup_errors=True) as folder:
        settings = {
            "TMPDIR": folder,
            "SPHEREMAIL_DATA_DIR": str(data_dir),
            "SPHEREMAIL_PORT": str(made.port),
            "SPHEREMAIL_SETTLE_S": "0",
            "SPHEREMAIL_SWEEP_S": "1",
            "SPHEREMAIL_NEXUDUS_PAUSE_MS": "150",
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "app.starter", *made.options, "--end-with-parent"],
            env={**mark.environment, **settings, **surroundings},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        listener = threading.Thread(target=made.listen, args=[process])
        listener.start()
        try:
            eventually(lambda: "Ctrl-C ends" in made.said or process.poll() is not None, "it has started", 120)
            assert process.poll() is None, made.said
            yield made
        finally:
            process.terminate()
            process.wait(timeout=30)
            for number in mark.processes():
                os.kill(number, signal.SIGKILL)
            listener.join()


@pytest.fixture
def faults() -> list[str]:
    """What browsers complained about in their consoles; a test that minds asserts that this is empty."""
    return []


@pytest.fixture
def sit_down(chromium: Browser, product: Product, faults: list[str]) -> Iterator[Callable[..., Page]]:
    """`sit_down("Operator")`: that person, signed in, at a screen of their own; options are the context's."""
    opened: list[BrowserContext] = []

    def listen(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not any(words in message.text for words in NO_FAULT):
            faults.append(message.text)

    def enter(role: str, **options: Any) -> Page:
        context = chromium.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
        context.set_default_timeout(PATIENCE_MS)
        opened.append(context)
        page = context.new_page()
        page.on("console", listen)
        page.on("pageerror", lambda error: faults.append(str(error)))
        email, password = PEOPLE[role]
        page.goto(product.address.replace("/quayside", "/login"))
        page.get_by_label("Email", exact=True).fill(email)
        page.get_by_label("Password", exact=True).fill(password)
        page.get_by_role("button", name="Sign in", exact=True).click()
        page.wait_for_url("**/quayside/**")
        return page

    yield enter
    for context in opened:
        context.close()


@pytest.fixture(scope="session")
def pictures() -> Path | None:
    """Where the pictures of docs/walk.md are renewed: the folder that `WALK_PICTURES` names, None without it."""
    folder = os.environ.get("WALK_PICTURES")  # noqa: TID251  # a wish of the person who runs the tests
    return Path(folder) if folder else None
