"""The sandbox as a program: a real socket, a real end."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from plugins.nexudus.sandbox.seed import EMAIL, PASSWORD

pytestmark = [pytest.mark.processes, pytest.mark.xdist_group("processes")]

ROOT = Path(__file__).parents[4]
STARTS_WITHIN_S = 60


def sandbox(folder: Path, port: int, *options: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "plugins.nexudus.sandbox", "--port", str(port), *options]
    environment = {**os.environ, "SPHEREMAIL_DATA_DIR": str(folder)}  # noqa: TID251  # handed on to the program
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@pytest.fixture
def running(tmp_path: Path, port: int) -> Iterator["subprocess.Popen[str]"]:
    process = sandbox(tmp_path, port, "--limits", "off")
    assert process.stdout is not None
    assert f"http://127.0.0.1:{port}" in process.stdout.readline()
    yield process
    process.kill()
    process.communicate()


def test_it_serves_loses_answers_on_the_wire_and_ends_when_told(
    running: "subprocess.Popen[str]", port: int, tmp_path: Path
) -> None:
    base = f"http://127.0.0.1:{port}"
    with requests.Session() as session:
        form = {"grant_type": "password", "username": EMAIL, "password": PASSWORD}
        client = {"client_id": "ours"}
        tokens = session.post(f"{base}/api/token", data=form, headers=client, timeout=10).json()
        refresh = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
        tokens = session.post(f"{base}/api/token", data=refresh, headers=client, timeout=10).json()
        # Refused before its body was read; the same connection must still be good for the next call.
        assert (
            session.post(f"{base}/api/spaces/coworkers", json={"FullName": "x" * 9000}, timeout=10).status_code == 401
        )
        session.headers["Authorization"] = f"Bearer {tokens['access_token']}"
        session.post(f"{base}/sandbox/switches", json={"lost_answer_next": 1}, timeout=10)
        record = {"FullName": "Ada", "Email": "ada@example.example", "CountryId": 1220, "SimpleTimeZoneId": 2023}
        with pytest.raises(requests.ConnectionError):
            session.post(f"{base}/api/spaces/coworkers", json=record, timeout=10)
        assert session.get(f"{base}/api/spaces/coworkers", timeout=10).json()["TotalItems"] == 1

        second = sandbox(tmp_path, port)
        said = second.communicate(timeout=STARTS_WITHIN_S)
        assert second.returncode == 1
        assert said == ("", f"The Nexudus sandbox cannot listen on 127.0.0.1:{port}: Address already in use.\n")

        running.send_signal(signal.SIGTERM)
        assert running.wait(timeout=10) == 0
    assert running.stderr is not None
    assert running.stderr.read() == ""
    assert (tmp_path / "nexudus-sandbox.db").exists()
