"""What is written for servers says what the code knows: settings, queues, commands, unit files."""

import re
import shutil
import subprocess
from pathlib import Path

import click
import pytest
from flask import Flask

from app.config import Settings
from tests.deployment.units import BIN, INSTALLED, ROOT

UNITS = sorted((ROOT / "deploy" / "systemd").iterdir())
FILES = [ROOT / "compose.yaml", ROOT / "Dockerfile", ROOT / "Procfile", ROOT / "deploy" / "env.example", *UNITS]
DOCUMENTS = [ROOT / "docs" / "deploy.md", ROOT / "docs" / "operating.md", ROOT / "README.md"]


def text(*paths: Path) -> str:
    return "\n".join(path.read_text() for path in paths)


def test_every_setting_is_explained() -> None:
    explained = set(re.findall(r"`([A-Z_]+)`", (ROOT / "docs" / "operating.md").read_text()))
    assert {name.upper() for name in Settings.model_fields} <= explained


def test_every_setting_that_is_named_exists() -> None:
    named = set(re.findall(r"SPHEREMAIL_([A-Z_]+)", text(*FILES, *DOCUMENTS)))
    assert named <= {name.upper() for name in Settings.model_fields}


def test_each_queue_has_a_worker_in_each_way_of_running(app: Flask) -> None:
    queues = {"default", "nexudus", "mail"}
    assert set(app.extensions["bell"].queues) <= queues
    for queue in queues:
        assert f"worker {queue}\n" in (ROOT / "Procfile").read_text()
        assert f"spheremail-worker@{queue}.service" in (ROOT / "deploy" / "systemd" / "spheremail.target").read_text()
        command = f"command: [flask, --app, wsgi, worker, {queue}]"
        assert f"worker-{queue}: {{<<: *worker, {command}}}\n" in (ROOT / "compose.yaml").read_text()


def test_every_command_that_is_named_exists(app: Flask) -> None:
    lines = text(*FILES, *DOCUMENTS).replace('", "', " ").replace(", ", " ")
    named = {tuple(found.split()) for found in re.findall(r"--app wsgi ([a-z]+(?: [a-z]+)?)", lines)}
    assert ("db", "upgrade") in named
    for words in sorted(named - {("db", "upgrade")}):
        command: click.Command | None = app.cli.commands.get(words[0])
        assert command is not None, words
        if isinstance(command, click.Group) and len(words) > 1:
            assert words[1] in command.commands, words


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze, of Debian's systemd")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for unit in UNITS:
        here = unit.read_text().replace(INSTALLED, f"{BIN}/").replace("User=spheremail", "User=root")
        (tmp_path / unit.name).write_text(here)
    names = [str(tmp_path / unit.name) for unit in UNITS]
    done = subprocess.run(["systemd-analyze", "verify", *names], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
