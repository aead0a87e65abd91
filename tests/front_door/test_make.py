"""What a fresh machine meets first: make's targets, its refusals, and the pinned requirements."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from honcho.environ import parse_procfile

ROOT = Path(__file__).parents[2]


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """A folder as after a clone, as far as installing is concerned."""
    for name in ("requirements.txt", "requirements-dev.txt", "requirements-browser.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def make(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = ["make", "--no-print-directory", "--file", str(ROOT / "Makefile"), *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def python_that(answers: str, folder: Path) -> str:
    """An interpreter that is as this shell text says, and otherwise works."""
    program = folder / "python"
    program.write_text(f'#!/bin/sh\ncase "$*" in {answers};; esac\n')
    program.chmod(0o700)
    return f"PYTHON={program}"


def test_make_alone_lists_every_target_with_a_line(fresh: Path) -> None:
    said = make(folder=fresh).stdout
    (phony,) = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for target in set(phony.split()) - {"debian-packages"}:
        assert re.search(rf"^  make {target} +\w", said, re.MULTILINE), target


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        ("*version_info*) exit 1", "Python 3.11 or newer is needed"),
        ("*ensurepip*) exit 1", "Python's venv module is missing: apt install python3-venv"),
    ],
    ids=["an old Python", "no venv module"],
)
def test_what_is_missing_is_one_sentence_and_nothing_is_made(answers: str, sentence: str, fresh: Path) -> None:
    done = make(python_that(answers, fresh), "run", folder=fresh)
    assert done.returncode == 2
    assert done.stderr.splitlines()[0].startswith(sentence)
    assert not (fresh / ".venv").exists()


def test_without_any_python_the_sentence_says_what_to_install(fresh: Path) -> None:
    assert "Install Python 3.11 or newer" in make("PYTHON=python9", "run", folder=fresh).stderr


def test_a_second_run_installs_nothing(fresh: Path) -> None:
    (fresh / ".venv").mkdir()
    for stamp in (".made", ".installed", ".installed-dev"):
        (fresh / ".venv" / stamp).touch()
    assert "pip" not in make("--dry-run", ".venv/.installed-dev", folder=fresh).stdout
    later = (fresh / ".venv" / ".installed").stat().st_mtime + 10
    os.utime(fresh / "requirements.txt", (later, later))
    assert "pip" in make("--dry-run", ".venv/.installed-dev", folder=fresh).stdout


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt", "requirements-browser.txt"])
def test_every_pin_has_hashes_and_no_file_names_an_index(name: str) -> None:
    text = (ROOT / name).read_text().replace("\\\n", "")
    pins = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    assert pins
    assert all(re.match(r"[a-z0-9.-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", pin) for pin in pins)
    assert "://" not in text
    assert "--index" not in text


@pytest.mark.parametrize("name", ["requirements.in", "requirements-dev.in"])
def test_every_direct_requirement_says_why_it_is_there(name: str) -> None:
    lines = (ROOT / name).read_text().splitlines()
    assert [line for line in lines if line and not re.match(r"#|-c |\S+ +# \w", line)] == []


def test_every_worker_listens_to_one_queue() -> None:
    lines = parse_procfile((ROOT / "Procfile").read_text()).processes
    queues = [line.partition(" worker ")[2].split() for name, line in lines.items() if name.startswith("worker-")]
    assert sorted(queues) == [["default"], ["mail"], ["nexudus"]]
