"""What every test may ask for: the app, people who sign in, the bell, commands; and what no test may do."""

import ipaddress
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from click.testing import Result
from flask import Flask
from flask_migrate import upgrade

from app import create_app
from app.accounts.models import User
from app.billing.models import Customer
from app.config import Settings
from app.db import db, write_access
from app.plugin import Registry
from tests import cast as people
from tests.visitors import HeardBell, Visitor, apart

if TYPE_CHECKING:
    from tests.services import Postgres

pytest_plugins = ["tests.services", "tests.mail_services"]  # pytest wants to import it itself

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
def build_app(data_dir: Path) -> Callable[..., Flask]:
    """Make an app; `database_url`, `plugins` and every other setting may be said."""
    # All tables are known before the first database gets them: an app with other plugins may be made later, and from
    # then on every test would empty tables that its own database lacks.
    Registry.load(Settings.model_fields["plugins"].default)

    def build(**settings: Any) -> Flask:
        given = {"data_dir": data_dir, "log_level": "error", **UNHURRIED, **settings}
        app = create_app(Settings.read(_env_file=None, **given))
        app.test_client_class = Visitor
        app.extensions["bell"] = HeardBell(app.extensions["bell"])
        return app

    return build


@pytest.fixture(scope="session")
def app_settings() -> dict[str, Any]:
    """Settings of the app under test; a folder of tests may say others."""
    return {}


@pytest.fixture(scope="session")
def app_on(build_app: Callable[..., Flask]) -> Iterator[Callable[..., Flask]]:
    """`app_on(url, **settings)`: such an app on that database, with every table; made once per worker process."""
    made: dict[str, Flask] = {}
    with ExitStack() as at_the_end:

        def app_with_tables(url: str, **settings: Any) -> Flask:
            key = f"{url} {settings}"
            if key not in made:
                made[key] = build_app(database_url=url, **settings)
                with made[key].app_context():
                    with write_access(), db.engine.begin() as connection:
                        db.metadata.create_all(connection)
                    at_the_end.callback(db.engine.dispose)
            return made[key]

        yield app_with_tables


@pytest.fixture(scope="session")
def postgresql_url(postgres: "Postgres") -> str:
    """A PostgreSQL database of this worker's own."""
    return postgres.new_database()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, data_dir: Path) -> str:
    """The database of this test: whatever asks for the app runs once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{data_dir / 'test.db'}"
    return str(request.getfixturevalue("postgresql_url"))


@pytest.fixture
def hosts(
    build_app: Callable[..., Flask],
    app_settings: dict[str, Any],
    request: pytest.FixtureRequest,
    tmp_path: Path,
    data_dir: Path,
) -> Iterator[Callable[..., Flask]]:
    """`hosts("old", "sqlite")`: an installation of its own, empty and up to date, its files beside its database."""
    made = []

    def host(name: str, database: str, **settings: Any) -> Flask:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "assets").symlink_to(data_dir / "assets")
        if database == "sqlite":
            url = f"sqlite:///{folder / 'own.db'}"
        else:
            postgres: Postgres = request.getfixturevalue("postgres")
            url = postgres.new_database()
        app = build_app(database_url=url, **{**app_settings, "data_dir": folder, **settings})
        with app.app_context():
            upgrade(str(Path(__file__).parent.parent / "migrations"))
        made.append(app)
        return app

    yield host
    for app in made:
        with app.app_context():
            db.session.remove()
            db.engine.dispose()


@pytest.fixture
def app(app_on: Callable[..., Flask], app_settings: dict[str, Any], database_url: str) -> Iterator[Flask]:
    """The app with an empty database, its context open: services and `make` can be called right away.

    Requests and commands run outside that context, so they see neither its `g` nor its session.
    """
    app = app_on(database_url, **app_settings)
    with app.app_context():
        app.extensions["bell"].rings.clear()
        yield app
        db.session.remove()
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
def enter_portal(app: Flask) -> Callable[[Customer], Visitor]:
    """`enter_portal(customer)`: a browser with that customer signed in at the account's portal."""

    def enter(customer: Customer) -> Visitor:
        visitor = app.test_client()
        assert isinstance(visitor, Visitor)
        visitor.enter_portal(customer)
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
