"""New keys: every secret is sealed anew, however often it is interrupted; what cannot be read is left as it is."""

import base64
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import Result
from flask import Flask

from app import rotation
from app.audit import AuditEntry
from app.db import db, unit_of_work
from app.vault import Place, Vault, key_of
from plugins.nexudus.models import Connection
from tests import make
from tests.cast import Cast

ROOT = Path(__file__).parents[2]
OLD, NEW, OTHER = b"o" * 32, b"n" * 32, b"x" * 32
SECRETS = ("access_token", "refresh_token")


@pytest.fixture
def keys(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`keys(new=NEW, old=OLD)`: the keys of the settings, the first one seals."""

    def use(**keys: bytes) -> None:
        monkeypatch.setitem(app.extensions, "vault", Vault(keys))

    return use


@pytest.fixture
def connections(app: Flask, cast: Cast, keys: Callable[..., None]) -> list[int]:
    """Five rows with two secrets each, and one without any, sealed with the old key."""
    keys(old=OLD)
    installation = make.installation(cast.acme, "nexudus")
    with unit_of_work() as session:
        rows = [
            Connection(
                account_id=cast.acme.id,
                installation_id=installation.id,
                business_id=number,
                business_name="Acme there",
                currency="EUR",
                currency_id=1,
                email="a@acme.example",
                client_id="c",
                ended_at=installation.switched_on_at,
            )
            for number in range(6)
        ]
        session.add_all(rows)
        session.flush()
        for row in rows[:5]:
            for field in SECRETS:
                setattr(row, field, app.extensions["vault"].seal(f"{field} {row.id}", place(row, field)))
    return [row.id for row in rows[:5]]


def place(row: Connection, field: str) -> Place:
    return Place("nexudus_connection", row.id, row.account_id, field)


def sealed() -> dict[tuple[int, str], str]:
    db.session.rollback()
    rows = db.session.scalars(sa.select(Connection).execution_options(populate_existing=True))
    return {(row.id, field): getattr(row, field) for row in rows for field in SECRETS if getattr(row, field)}


def readable_with(**keys: bytes) -> bool:
    vault = Vault(keys)
    db.session.rollback()
    rows = [row for row in db.session.scalars(sa.select(Connection)) if row.access_token]
    return all(
        vault.open(getattr(row, field), place(row, field)) == f"{field} {row.id}" for row in rows for field in SECRETS
    )


@pytest.fixture
def rotate(run_command: Callable[..., Result]) -> Callable[[], dict[str, Any]]:
    def run() -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(run_command("vault", "rotate", "--json").output)
        return answer

    return run


def test_after_a_rotation_the_old_key_may_go(
    connections: list[int], keys: Callable[..., None], rotate: Callable[[], dict[str, Any]]
) -> None:
    keys(new=NEW, old=OLD)

    assert rotate() == {"rows": {"new": 5}}

    assert readable_with(new=NEW)
    assert len(db.session.scalars(sa.select(AuditEntry).where(AuditEntry.action == "vault_rotated")).all()) == 1


def test_a_second_rotation_changes_nothing(
    connections: list[int], keys: Callable[..., None], rotate: Callable[[], dict[str, Any]]
) -> None:
    keys(new=NEW, old=OLD)
    rotate()
    before = sealed()

    assert rotate() == {"rows": {"new": 5}}

    assert sealed() == before


@pytest.mark.parametrize(
    ("known", "named"),
    [
        pytest.param({"new": NEW}, "“old”", id="the old key is lost"),
        pytest.param({"new": NEW, "old": OTHER}, "“old”", id="another key under the old name"),
    ],
)
def test_with_a_lost_or_wrong_key_nothing_is_overwritten(
    connections: list[int],
    keys: Callable[..., None],
    rotate: Callable[[], dict[str, Any]],
    known: dict[str, bytes],
    named: str,
) -> None:
    before = sealed()
    keys(**known)

    message = rotate()["error"]["message"]

    assert named in message
    assert f"nexudus_connection {connections[0]}" in message
    assert sealed() == before


def test_a_first_key_that_is_not_the_one_of_that_name_seals_nothing(
    connections: list[int],
    keys: Callable[..., None],
    rotate: Callable[[], dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys(new=NEW, old=OLD)
    monkeypatch.setattr(rotation, "BATCH", 2)
    rotation._reseal(Connection.__table__, connections[:2])  # type: ignore[arg-type]
    before = sealed()
    keys(new=OTHER, old=OLD)

    assert "“new”" in rotate()["error"]["message"]

    assert sealed() == before


KILLED = """
import os, signal, sys
from app import create_app, rotation
from app.config import Settings

app = create_app(Settings.read(_env_file=None, **eval(sys.argv[1])))
rotation.BATCH, reseal, batches = 2, rotation._reseal, []

def killed_in_the_second(table, ids):
    batches.append(ids)
    if len(batches) == 2:
        original = rotation.vault
        opened = []
        class Dying:
            def __getattr__(self, name):
                return getattr(original(), name)
            def seal(self, *given):
                opened.append(given)
                if len(opened) == 3:
                    os.kill(os.getpid(), signal.SIGKILL)
                return original().seal(*given)
        rotation.vault = Dying
    reseal(table, ids)

rotation._reseal = killed_in_the_second
with app.app_context():
    rotation.rotate()
"""


def test_killed_on_the_way_it_loses_nothing_and_goes_on(
    app: Flask,
    database_url: str,
    data_dir: Path,
    connections: list[int],
    keys: Callable[..., None],
    rotate: Callable[[], dict[str, Any]],
) -> None:
    text = ",".join(f"{name}:{base64.b64encode(key).decode()}" for name, key in (("new", NEW), ("old", OLD)))
    settings = {"data_dir": str(data_dir), "database_url": database_url, "plugins": ("nexudus",), "vault_keys": text}
    db.session.rollback()

    run = subprocess.run([sys.executable, "-c", KILLED, repr(settings)], cwd=ROOT, check=False)

    assert run.returncode == -signal.SIGKILL
    assert sorted({key_of(secret) for secret in sealed().values()}) == ["new", "old"]
    assert readable_with(new=NEW, old=OLD)
    keys(new=NEW, old=OLD)
    assert rotate() == {"rows": {"new": 5}}
    assert readable_with(new=NEW)
