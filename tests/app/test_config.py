"""The environment is read once, and a bad value stops the start with a sentence."""

import base64
from pathlib import Path

import pytest

from app.config import BadSettings, Settings


def read(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(f"SPHEREMAIL_{name}", value)
    return Settings.read(_env_file=None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "eighty"),
        ("PORT", "70000"),
        ("ENV", "staging"),
        ("DATABASE_URL", "mysql://localhost/x"),
        ("PUBLIC_URL", "spheremail.example"),
        ("NEXUDUS_URL", "ftp://nexudus.example"),
        ("LEASE_S", "0"),
        ("MAIL_PRIVATE_HOSTS", "10.0.0.0/99"),
    ],
)
def test_a_bad_value_stops_the_start_and_is_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadSettings, match=f"SPHEREMAIL_{name}"):
        read(monkeypatch, **{name: value})


def test_an_empty_list_of_plugins_means_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(monkeypatch, PLUGINS="").plugins == ()
    assert read(monkeypatch, PLUGINS="nexudus, mail_monitor").plugins == ("nexudus", "mail_monitor")


def test_production_refuses_to_start_without_its_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadSettings, match="SPHEREMAIL_REDIS_URL, SPHEREMAIL_SECRET_KEY, SPHEREMAIL_VAULT_KEYS"):
        read(monkeypatch, ENV="production")


PRODUCTION = {
    "ENV": "production",
    "REDIS_URL": "redis://127.0.0.1/0",
    "SECRET_KEY": "k" * 40,
    "VAULT_KEYS": "a:" + base64.b64encode(b"x" * 32).decode(),
    "PUBLIC_URL": "https://mail.example",
}


def test_production_refuses_plain_http_and_the_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadSettings, match="https://"):
        read(monkeypatch, **{**PRODUCTION, "PUBLIC_URL": "http://mail.example"})
    with pytest.raises(BadSettings, match="sandbox"):
        read(monkeypatch, **PRODUCTION, NEXUDUS_URL="http://127.0.0.1:8400")


def test_the_sandbox_stands_for_nexudus_in_the_demo_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(monkeypatch).nexudus_base == "http://127.0.0.1:8400"
    assert read(monkeypatch, **PRODUCTION).nexudus_base == "https://spaces.nexudus.com"


@pytest.mark.parametrize(
    "keys", ["a", "a:short", "a:" + base64.b64encode(b"x" * 16).decode(), ":" + base64.b64encode(b"x" * 32).decode()]
)
def test_keys_that_are_no_keys_stop_the_start(keys: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(monkeypatch, **{**PRODUCTION, "VAULT_KEYS": keys})
    with pytest.raises(BadSettings, match="SPHEREMAIL_VAULT_KEYS"):
        _ = settings.encryption_keys


def test_keys_of_the_demo_are_made_once_and_only_their_owner_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = read(monkeypatch, DATA_DIR=str(tmp_path))
    assert first.session_key == Settings.read(_env_file=None).session_key
    assert first.encryption_keys == Settings.read(_env_file=None).encryption_keys
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
