"""What other people's scripts rest on: commands and their options, settings and defaults, columns, addresses."""

import json
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy.exc import OperationalError

from app.accounts.services import RESERVED_SLUGS
from app.billing.csv_files import CUSTOMER_COLUMNS, INVOICE_COLUMNS
from app.config import NEXUDUS_URL, Settings
from plugins.nexudus.sandbox import __main__ as sandbox
from tests.cast import Cast

COMMANDS = {
    "accounts create": {"name", "slug", "operator-email", "timezone", "currency", "country", "json"},
    "users add": {"account", "email", "role", "json"},
    "users password": {"email", "json"},
    "admins add": {"email", "json"},
    "customers import": {"account", "json"},
    "customers activate": {"account", "email", "all", "json"},
    "invoices import": {"account", "json"},
    "nexudus connect": {"account", "email", "totp", "writer", "issue", "json"},
    "nexudus link": {"account", "dry-run", "json"},
    "nexudus export": {"account", "dry-run", "invoice", "json"},
    "nexudus links": {"account", "json"},
    "nexudus status": {"account", "json"},
    "mail add": {"account", "file", "json"},
    "mail test": {"account", "email-account", "json"},
    "mail poll": {"account", "email-account", "json"},
    "sweep": {"once", "json"},
    "backup": {"json"},
    "restore": {"json"},
    "vault rotate": {"json"},
}
WORDS = {
    "users add role": ["operator", "admin", "mail_admin"],
    "nexudus connect writer": ["auto", "document", "product_sale"],
    "nexudus connect issue": ["draft", "issued"],
}
DEFAULTS = {
    "env": "demo",
    "data_dir": Path("var"),
    "redis_url": "",
    "plugins": ("nexudus", "mail_monitor"),
    "mail_private_hosts": (),
    "mail_ca_file": None,
    "lease_s": 45,
    "settle_s": 10,
    "sweep_s": 5,
    "host": "127.0.0.1",
    "port": 8000,
    "log_level": "info",
}
ADDRESSES = [
    "/healthz",
    "/readyz",
    "/metrics",
    "/login",
    "/rq",
    "/acme/customers",
    "/acme/invoices",
    "/acme/marketplace",
    "/acme/settings",
    "/acme/settings/integrations/systems",
    "/acme/nexudus/members",
    "/acme/mail/accounts",
    "/portal/acme/login",
]


def command_of(app: Flask, words: str) -> click.Command:
    found: click.Command = app.cli
    for word in words.split():
        assert isinstance(found, click.Group)
        found = found.commands[word]
    return found


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_takes_its_options(app: Flask, words: str) -> None:
    options = [one for one in command_of(app, words).params if isinstance(one, click.Option)]
    assert {name.removeprefix("--") for one in options for name in one.opts} >= COMMANDS[words]


@pytest.mark.parametrize("option", WORDS)
def test_options_take_the_words_that_are_written_down(app: Flask, option: str) -> None:
    words, _, name = option.rpartition(" ")
    (found,) = [one for one in command_of(app, words).params if f"--{name}" in one.opts]
    assert isinstance(found.type, click.Choice)
    assert list(found.type.choices) == WORDS[option]


def test_settings_have_their_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings.read(_env_file=None)
    assert {name: getattr(settings, name) for name in DEFAULTS} == DEFAULTS
    assert settings.nexudus_base == "http://127.0.0.1:8400"
    assert NEXUDUS_URL == "https://spaces.nexudus.com"


def test_files_have_their_columns() -> None:
    customers = (
        "email full_name company phone address city postcode country mailbox_number location status signed_up_at"
    )
    invoices = "number customer_email created_at due_on currency line_description quantity unit_price tax_rate status"
    assert set(CUSTOMER_COLUMNS) == set(customers.split())
    assert set(INVOICE_COLUMNS) == set(invoices.split())


def test_addresses_exist_and_their_first_words_are_no_slugs(app: Flask) -> None:
    adapter = app.url_map.bind("")
    for address in ADDRESSES:
        assert adapter.match(address), address
    kept = "login portal rq static webhooks healthz readyz metrics marketplace"
    assert set(kept.split()) <= RESERVED_SLUGS


def test_webhooks_of_nexudus_have_their_address(app: Flask) -> None:
    assert app.url_map.bind("").match("/webhooks/nexudus/some-key", method="POST")


def test_the_sandbox_takes_its_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "sys.argv", ["sandbox", "--port", "8400", "--profile", "classic-2020", "--limits", "documented"]
    )
    options = sandbox._options()
    assert (options.port, options.profile, options.limits) == (8400, "classic-2020", "documented")


@pytest.mark.parametrize(
    "words",
    [
        ["customers", "import", "nowhere.csv"],
        ["invoices", "import", "nowhere.csv"],
        ["mail", "add", "--file", "nowhere.json"],
        ["nexudus", "links"],
        ["nexudus", "export"],
    ],
)
def test_a_failure_is_one_json_object_and_exit_code_1(
    cast: Cast, run_command: Callable[..., Result], words: list[str]
) -> None:
    result = run_command(*words, "--account", "acme", "--json")
    assert result.exit_code == 1, result.output
    error = json.loads(result.stdout)["error"]
    assert set(error) == {"code", "message"}
    assert all(error.values())


def test_a_database_that_does_not_answer_is_such_a_failure(
    cast: Cast, run_command: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(slug: str) -> None:
        raise OperationalError("SELECT 1", {}, Exception("database is locked"))

    monkeypatch.setattr("plugins.nexudus.cli.account_by_slug", gone)
    result = run_command("nexudus", "status", "--account", "acme", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["error"]["code"] == "database_gone"


def test_status_has_its_keys_before_there_is_a_connection(cast: Cast, run_command: Callable[..., Result]) -> None:
    answer = json.loads(run_command("nexudus", "status", "--account", "acme", "--json").stdout)
    assert answer == {"state": "off", "links": {}, "exports": {}, "next_window": None, "last_run": None}
