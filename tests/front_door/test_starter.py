"""`make run` as a person meets it: real processes, an address at the end, and nothing left behind."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from app.demo import SIGN_INS
from tests.front_door.marked import Mark
from tests.services import eventually, free_port

pytestmark = [pytest.mark.processes, pytest.mark.slow]

LAST_WORDS = "Ctrl-C ends everything"


@dataclass
class Run:
    """One start of the whole product, with a temporary folder of its own."""

    folder: Path
    data: Path
    mark: Mark
    port: int = field(default_factory=free_port)
    sandbox_port: int = field(default_factory=free_port)
    mail_port: int = field(default_factory=free_port)
    settings: dict[str, str] = field(default_factory=dict)
    said: str = ""
    listeners: list[threading.Thread] = field(default_factory=list)

    def start(self, *, through: tuple[str, ...] = (), options: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        """Start, and gather what it says; `through` is a command to start it with."""
        settings = {
            "SPHEREMAIL_DATA_DIR": str(self.data),
            "SPHEREMAIL_PORT": str(self.port),
            "TMPDIR": str(self.folder),
            **self.settings,
        }
        mail_ports = [str(port) for port in (self.mail_port, free_port(), free_port())]
        ports = ("--sandbox-port", str(self.sandbox_port), "--mail-ports", *mail_ports)
        starter = (sys.executable, "-m", "app.starter", *ports, *options)
        process = subprocess.Popen(
            [*through, *starter],
            env={**self.mark.environment, **settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.listeners.append(threading.Thread(target=self._listen, args=[process]))
        self.listeners[-1].start()
        return process

    def start_and_wait(self, **how: tuple[str, ...]) -> subprocess.Popen[str]:
        process = self.start(**how)
        eventually(lambda: LAST_WORDS in self.said or process.poll() is not None, "it has started", 120)
        assert LAST_WORDS in self.said, self.said
        return process

    def ended_without_a_trace(self) -> None:
        eventually(lambda: not self.mark.processes(), f"these end: {self.mark.processes()}", 20)
        eventually(lambda: not list(self.folder.iterdir()), "the socket's folder is gone")

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout
        with process.stdout as lines:
            for line in lines:
                self.said += line
        process.wait()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One data folder for all: only the first start has to fill it."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def run(data: Path) -> Iterator[Run]:
    # Not tmp_path: below it the path of a socket would grow too long.
    mark = Mark()
    with TemporaryDirectory(prefix=mark.value, ignore_cleanup_errors=True) as folder:
        started = Run(Path(folder), data, mark)
        yield started
        for number in mark.processes():
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.kill(number, signal.SIGKILL)
        for listener in started.listeners:
            listener.join()


def test_it_says_where_to_look_and_ctrl_c_leaves_nothing_behind(run: Run) -> None:
    process = run.start_and_wait()
    assert f"http://127.0.0.1:{run.port}" in run.said
    assert f"http://127.0.0.1:{run.sandbox_port}" in run.said
    assert f"http://127.0.0.1:{run.mail_port}" in run.said
    assert "Adding the demo's mailbox" in run.said
    assert all(email in run.said and password in run.said for _, email, password in SIGN_INS)
    with urllib.request.urlopen(f"http://127.0.0.1:{run.port}/login") as page:
        assert page.status == 200

    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 0
    run.ended_without_a_trace()


def test_a_second_start_keeps_the_data_and_a_second_ctrl_c_does_no_harm(run: Run) -> None:
    keys = []
    for start in range(2):
        run.said = ""
        process = run.start_and_wait()
        keys.append((run.data / "vault_keys").read_text())
        process.send_signal(signal.SIGINT)
        assert start == 0 or "Adding the demo's mailbox" not in run.said
        eventually(lambda: "Ending everything" in run.said, "it heard the first")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0
        run.ended_without_a_trace()
    assert keys[0] == keys[1]


def test_without_plugins_it_starts_too_and_there_is_no_sandbox(run: Run) -> None:
    run.settings["SPHEREMAIL_PLUGINS"] = ""
    process = run.start_and_wait()
    assert "sandbox" not in run.said
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 0
    run.ended_without_a_trace()


@pytest.mark.parametrize("victim", [r"\S+ -m app.starter", r"\S+ -P \S+/procfile.py"], ids=["starter", "honcho"])
def test_a_kill_of_what_holds_it_together_still_ends_everything(run: Run, victim: str) -> None:
    run.start_and_wait()
    run.mark.kill(victim)
    run.ended_without_a_trace()


def test_a_kill_of_the_program_that_started_it_ends_it_too_where_that_was_asked_for(run: Run) -> None:
    make = "import subprocess, sys; subprocess.call(sys.argv[1:])"
    process = run.start_and_wait(through=(sys.executable, "-c", make), options=("--end-with-parent",))
    process.kill()
    run.ended_without_a_trace()


@pytest.mark.parametrize(
    ("victim", "name"),
    [
        (r"\S+ \S+/flask --app wsgi worker mail", "worker-mail"),
        (r"\S+ -m plugins.nexudus.sandbox", "sandbox"),
        (r"\S+ -m plugins.mail_monitor.sandbox", "mail-sandbox"),
        (r"\S+/valkey-server", "redis"),
    ],
    ids=["a worker", "the sandbox", "the mail sandbox", "redis"],
)
def test_when_one_process_ends_all_end_and_it_is_named(run: Run, victim: str, name: str) -> None:
    process = run.start_and_wait()
    run.mark.kill(victim)
    assert process.wait(timeout=20) == 1
    eventually(lambda: f"{name} ended" in run.said, f"it names {name}")
    run.ended_without_a_trace()


@pytest.mark.parametrize("which", ["port", "sandbox_port", "mail_port"])
def test_a_taken_port_is_one_sentence(run: Run, which: str) -> None:
    port = getattr(run, which)
    with socket.create_server(("127.0.0.1", port)):
        process = run.start()
        assert process.wait(timeout=20) == 1
    eventually(lambda: run.said, "it says why")
    assert len(run.said.splitlines()) == 1
    assert f"127.0.0.1:{port}" in run.said
    run.ended_without_a_trace()
