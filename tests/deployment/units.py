"""The product's processes as deploy/systemd starts them, on free ports and with a clock that the test moves."""

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from app.embedded import ends_with_parent
from tests.services import eventually, free_port

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
INSTALLED = "/opt/spheremail/.venv/bin/"
WEB, SWEEP = "spheremail-web", "spheremail-sweep"


@dataclass
class Unit:
    """One process of a unit file; `instance` is what stands after the @ in its name."""

    name: str
    environment: dict[str, str]
    log: Path
    instance: str = ""
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def command(self) -> list[str]:
        """What the unit file starts, with the programs of this virtual environment and the moved clock."""
        lines = (ROOT / "deploy" / "systemd" / f"{self.name}.service").read_text().splitlines()
        line = next(line.removeprefix("ExecStart=") for line in lines if line.startswith("ExecStart="))
        for there, here in (
            (INSTALLED, f"{BIN}/"),
            ("%i", self.instance),
            ("wsgi:app", "tests.deployment.moved_wsgi:app"),
            ("--app wsgi", "--app tests.deployment.moved_wsgi"),
            ("127.0.0.1:8000", f"127.0.0.1:{self.port}"),
        ):
            line = line.replace(there, here)
        return shlex.split(line)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=ends_with_parent(),
            )

    def kill(self) -> None:
        """A power cut: the process and whatever it started, at once and without a word."""
        assert self.process is not None
        family = [self.process.pid, *_below(self.process.pid)]
        for pid in family:
            os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def end(self) -> int:
        """As `systemctl stop`; answers the exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(timeout=30)

    def is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()[-4000:]
        try:
            return requests.get(f"{self.url}/readyz", timeout=5).status_code == 200
        except requests.RequestException:  # it is about to start
            return False


@dataclass
class Deployment:
    """Two web servers, a worker per queue, two sweeps."""

    environment: dict[str, str]
    folder: Path
    webs: list[Unit] = field(default_factory=list)
    workers: dict[str, Unit] = field(default_factory=dict)
    sweeps: list[Unit] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.webs = [self._unit(WEB, f"web-{number}", port=free_port()) for number in (1, 2)]
        self.workers = {
            queue: self._unit("spheremail-worker@", f"worker-{queue}", instance=queue)
            for queue in ("default", "nexudus", "mail")
        }
        self.sweeps = [self._unit(SWEEP, f"sweep-{number}") for number in (1, 2)]

    def _unit(self, name: str, called: str, **more: Any) -> Unit:
        return Unit(name, self.environment, self.folder / f"{called}.log", **more)

    @property
    def units(self) -> list[Unit]:
        return [*self.webs, *self.workers.values(), *self.sweeps]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Everything started and ready, and ended in order afterwards."""
        with ExitStack() as stack:
            for unit in self.units:
                unit.start()
                stack.callback(_end_whatever_is_left, unit)
            for web in self.webs:
                eventually(web.is_ready, "web is ready", 60)
            yield

    def flask(self, *command: str, typed: str = "") -> str:
        """What a command says; `typed` goes to its standard input."""
        line = [str(BIN / "flask"), "--app", "tests.deployment.moved_wsgi", *command]
        done = subprocess.run(
            line, cwd=ROOT, env=self.environment, input=typed, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def events(self, name: str) -> list[dict[str, Any]]:
        """What all processes have logged under this name."""
        lines = [line for unit in self.units for line in unit.log.read_text().splitlines() if line.startswith("{")]
        return [event for event in map(json.loads, lines) if event["event"] == name]

    def noise(self) -> list[str]:
        """What was logged as a warning or worse, or not by the product itself."""
        return [
            line
            for unit in self.units
            for line in unit.log.read_text().splitlines()
            if line and (not line.startswith("{") or json.loads(line)["level"] not in {"debug", "info"})
        ]


def _below(pid: int) -> list[int]:
    """Every process below this one."""
    found: list[int] = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            found += [child, *_below(child)]
    return found


def _end_whatever_is_left(unit: Unit) -> None:
    if unit.process is not None and unit.process.poll() is None:
        unit.kill()
