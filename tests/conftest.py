"""What every test may ask for: the app, people who sign in, the bell, commands; and what no test may do."""

import ipaddress
import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import Result
from flask import Flask
from sqlalchemy.engine import make_url

from app import create_app
from app.accounts.models import User
from app.config import Settings
from app.db import db, write_access
from tests import cast as people
from tests.visitors import HeardBell, Visitor, apart

pytest_plugins = ["tests.services"]

# Pages only need to know what the browser files are called; a test that opens a browser gathers the real ones.
FILES = ("bootstrap.min.css", "tokens.css", "app.css", "styleguide.css", "app.js", "htmx.min.js", "icon.svg")


# Nothing waits in tests: no settling before a look-up, no pause between calls, no budget that runs out.
UNHURRIED = {
    "settle_s": 0,
    "nexudus_pause_ms": 0,
    "nexudus_calls_per_minute": 10**6,
    "nexudus_writes_per_minute": 10**6,
    "nexudus_writes_per_day": 10**6,
}


@pytest.fixture(scope="session", autouse=True)
def no_network() -> Iterator[None]:
    """Fail any test that reaches beyond this machine, whoever it asks for help."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex"):
            patch.setattr(socket.socket, name, _only_here(getattr(socket.socket, name)))
        yield


def _only_here(connect: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(self: socket.socket, address: Any) -> Any:
        if self.family != socket.AF_UNIX and not _is_here(str(address[0])):
            raise AssertionError(f"a test reached for {address}")
        return connect(self, address)

    return guarded


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`DATA_DIR` of the whole run, with names for the browser files."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "assets").mkdir()
    (folder / "assets" / "manifest.json").write_text(json.dumps({name: name for name in FILES}))
    return folder


@pytest.fixture(scope="session")
def database_url(data_dir: Path, worker_id: str) -> str:
    """The database of this worker: SQLite, or a schema of its own where SPHEREMAIL_TEST_DATABASE_URL points."""
    # Not a setting of the product: it says what the suite is run against.
    given = os.environ.get("SPHEREMAIL_TEST_DATABASE_URL", "")  # noqa: TID251
    if not given:
        return f"sqlite:///{data_dir / 'test.db'}"
    engine = sa.create_engine(given)
    with engine.begin() as connection:
        connection.execute(sa.text(f"DROP SCHEMA IF EXISTS tests_{worker_id} CASCADE"))
        connection.execute(sa.text(f"CREATE SCHEMA tests_{worker_id}"))
    engine.dispose()
    url = make_url(given).update_query_dict({"options": f"-csearch_path=tests_{worker_id}"})
    return url.render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def build_app(data_dir: Path, database_url: str) -> Callable[..., Flask]:
    """Make an app on the test database; `plugins` and every other setting may be said."""

    def build(**settings: Any) -> Flask:
        given = {"data_dir": data_dir, "database_url": database_url, "log_level": "error", **UNHURRIED, **settings}
        app = create_app(Settings.read(_env_file=None, **given))
        app.test_client_class = Visitor
        app.extensions["bell"] = HeardBell(app.extensions["bell"])
        return app

    return build


@pytest.fixture(scope="session")
def whole_app(build_app: Callable[..., Flask]) -> Iterator[Flask]:
    """The app with its plugins and its tables, made once; tests ask for `app`."""
    yield from with_tables(build_app())


def with_tables(app: Flask) -> Iterator[Flask]:
    """`app` once every table it knows is there; its connections are closed afterwards."""
    with app.app_context():
        with write_access(), db.engine.begin() as connection:
            db.metadata.create_all(connection)
        yield app
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def app(whole_app: Flask) -> Iterator[Flask]:
    """The app with an empty database, its context open: services and `make` can be called right away.

    Requests and commands run outside that context, so they see neither its `g` nor its session.
    """
    with whole_app.app_context():
        whole_app.extensions["bell"].rings.clear()
        yield whole_app
        db.session.rollback()
        _empty_every_table()


def _empty_every_table() -> None:
    with write_access(), db.engine.begin() as connection:
        for table in reversed(db.metadata.sorted_tables):
            connection.execute(sa.delete(table))


@pytest.fixture
def cast(app: Flask) -> people.Cast:
    """Ana, Ben and Mia of Acme; Zoe, a stranger with an account of her own; Ida, who looks after the machine."""
    return people.assemble()


@pytest.fixture
def client(app: Flask) -> Visitor:
    """A browser that nobody is signed in with."""
    visitor = app.test_client()
    assert isinstance(visitor, Visitor)
    return visitor


@pytest.fixture
def sign_in(app: Flask) -> Callable[[User], Visitor]:
    """`sign_in(cast.ana)`: a browser with that person signed in."""

    def enter(user: User) -> Visitor:
        visitor = app.test_client()
        assert isinstance(visitor, Visitor)
        visitor.enter(user)
        return visitor

    return enter


@pytest.fixture
def bell(app: Flask) -> HeardBell:
    """What was rung, and `bell.answer()` to do it as workers would."""
    heard = app.extensions["bell"]
    assert isinstance(heard, HeardBell)
    return heard


@pytest.fixture
def run_command(app: Flask) -> Callable[..., Result]:
    """`run_command("invoices", "import", path, "--account", "acme")`: a `flask` command and its result."""

    def run(*words: str, typed: str | None = None) -> Result:
        db.session.rollback()
        runner = app.test_cli_runner()
        return apart(runner.invoke, args=[str(word) for word in words], input=typed)

    return run
