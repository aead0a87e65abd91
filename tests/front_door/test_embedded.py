"""The embedded server: private, forgetful, and gone with whoever started it."""

import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from redis import Redis

from app import embedded
from tests.front_door.marked import Mark
from tests.services import eventually

pytestmark = pytest.mark.redis

HOLDER = """
import sys
from app.embedded import embedded_server
with embedded_server() as server:
    print(server.url, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def mark() -> Mark:
    return Mark()


@pytest.fixture
def folder(mark: Mark, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary folder of the test's own. Not tmp_path, which is too long a name for a socket's folder."""
    with TemporaryDirectory(prefix=mark.value) as name:
        monkeypatch.setenv("TMPDIR", name)
        monkeypatch.setattr("tempfile.tempdir", None)
        yield Path(name)


def test_it_answers_on_a_socket_that_only_its_owner_reaches_and_takes_its_folder_away(folder: Path) -> None:
    with embedded.embedded_server() as server:
        with Redis.from_url(server.url) as redis:
            assert redis.ping()
            assert redis.config_get("port")["port"] == "0"
        (private,) = folder.iterdir()
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert list(folder.iterdir()) == []


def test_it_keeps_nothing_from_one_start_to_the_next(folder: Path) -> None:
    with embedded.embedded_server() as server, Redis.from_url(server.url) as redis:
        redis.set("a", "b")
    with embedded.embedded_server() as server, Redis.from_url(server.url) as redis:
        assert redis.keys() == []


@pytest.mark.parametrize("victim", [r"\S+ -c ", r"\S+/valkey-server"], ids=["its owner", "the server itself"])
def test_a_kill_leaves_neither_process_nor_folder(folder: Path, mark: Mark, victim: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], env=mark.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline().startswith(b"unix://")
        mark.kill(victim)
        assert holder.stdin
        holder.stdin.close()
        eventually(lambda: not mark.processes(), "every process has ended")
    eventually(lambda: not list(folder.iterdir()), "the socket's folder is gone")


def test_a_server_on_this_machine_serves_where_the_package_brings_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(embedded, "find_spec", lambda name: None)
    server = tmp_path / "redis-server"
    server.touch(mode=0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert embedded.server_binary() == server


def test_without_any_server_the_sentence_names_the_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(embedded.NoServer, match="install redis-server, or set SPHEREMAIL_REDIS_URL"):
        embedded.server_binary()
