"""Where benchmarks play: the app with an Operator signed in, a sandbox that keeps time, rows by the thousand."""

import json
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import requests
import sqlalchemy as sa
from flask import Flask

from app import create_app
from app.billing.models import CustomerStatus
from app.config import Settings
from app.db import Base, db, write_access
from app.typed import fold
from plugins.nexudus.models import Connection
from plugins.nexudus.sandbox import create_sandbox
from plugins.nexudus.sandbox.adapter import SandboxAdapter
from plugins.nexudus.sandbox.seed import EMAIL, PASSWORD
from tests.cast import Cast, assemble
from tests.conftest import FILES, UNHURRIED
from tests.visitors import HeardBell, Visitor

AT_ONCE = 10_000  # rows per statement of a bulk insert
FIRST = ("Ada", "Bruno", "Chiara", "Dunja", "Emil", "Farah", "Goran", "Hedda", "Iker", "Jonas", "Kaja", "Lior")
LAST = (
    "Alder",
    "Birch",
    "Cedar",
    "Dogwood",
    "Elm",
    "Fern",
    "Gorse",
    "Hazel",
    "Ivy",
    "Juniper",
    "Kelp",
    "Larch",
    "Moss",
)


@dataclass(frozen=True)
class Sizes:
    """How much of everything: customers and invoices of the long lists, members of a run of linking, and so on."""

    customers: int = 50_000
    invoices: int = 500_000
    members: int = 2_000
    exports: int = 200
    imported: int = 2_000
    requests: int = 40
    starts: int = 5
    messages: int = 200_000
    mails: int = 5_000
    pairs: int = 3
    folder: int = 100_000
    mailboxes: int = 200
    queued: int = 20_000
    failed: int = 5_000


@dataclass
class Stage:
    """The app, its people, and the Operator's browser."""

    app: Flask
    cast: Cast
    browser: Visitor

    def connect(self, sandbox: SandboxAdapter) -> Connection:
        """Switch Nexudus on and connect to `sandbox`; the first run of linking finds nobody."""
        self.app.extensions["nexudus_adapter"] = sandbox
        self.browser.post("/acme/settings/integrations/systems/nexudus/toggle", data={"on": "1"})
        typed = {"email": EMAIL, "password": PASSWORD, "issue": "draft", "may_add_products": "y"}
        answer = self.browser.post("/acme/nexudus/connect", data=typed)
        assert answer.status_code == 303, answer.text
        self.app.extensions["bell"].answer()
        return db.session.scalars(sa.select(Connection)).one()


Stages = Callable[[], AbstractContextManager[Stage]]


@contextmanager
def staged(database_url: str = "") -> Iterator[Stage]:
    """A stage on an empty database: SQLite in a temporary folder, or the one named, left empty afterwards."""
    with data_folder() as data_dir:
        url = database_url or f"sqlite:///{data_dir / 'benchmark.db'}"
        settings = Settings.read(
            _env_file=None, data_dir=data_dir, database_url=url, log_level="error", lease_s=3600, **UNHURRIED
        )
        app = create_app(settings)
        app.test_client_class = Visitor
        app.extensions["bell"] = HeardBell(app.extensions["bell"])
        with app.app_context(), _tables():
            cast = assemble()
            browser = app.test_client()
            assert isinstance(browser, Visitor)
            browser.enter(cast.ana)
            yield Stage(app, cast, browser)


@contextmanager
def data_folder() -> Iterator[Path]:
    """A temporary `DATA_DIR` that knows what the browser files are called."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        assets = Path(folder) / "assets"
        assets.mkdir()
        (assets / "manifest.json").write_text(json.dumps({name: name for name in FILES}))
        yield Path(folder)


@contextmanager
def _tables() -> Iterator[None]:
    """Every table of the product, in a database that has none; gone again afterwards."""
    if sa.inspect(db.engine).get_table_names():
        raise SystemExit("This database holds tables already. Benchmarks fill and empty theirs: name an empty one.")
    db.session.rollback()
    with write_access(), db.engine.begin() as connection:
        db.metadata.create_all(connection)
    try:
        yield
    finally:
        db.session.remove()
        with write_access(), db.engine.begin() as connection:
            db.metadata.drop_all(connection)
        db.engine.dispose()


class MeteredSandbox(SandboxAdapter):
    """A Nexudus in process that notes what it was asked and the time spent in it, which is not the product's."""

    def __init__(self, profile: str = "current") -> None:
        super().__init__(create_sandbox(None, profile=profile, limits="off"))
        self.reset()

    def reset(self) -> None:
        self.cpu_s = self.wall_s = 0.0
        self.asked: list[requests.PreparedRequest] = []

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        cpu, wall = time.process_time(), time.perf_counter()
        try:
            return super().send(request, *args, **options)
        finally:
            self.cpu_s += time.process_time() - cpu
            self.wall_s += time.perf_counter() - wall
            self.asked.append(request)

    def add_members(self, emails: Iterable[str]) -> None:
        """Members as an operator would have added them there."""
        home = self.space.where("Business", Name="Quayside Works Coworking")[0]["Id"]
        where = {"Active": True, "Archived": False, "Businesses": [home], "InvoicingBusinessId": home}
        with self.space.store.change():
            for email in emails:
                self.space.create("Coworker", {"FullName": "A member", "Email": email, **where})


def insert(model: type[Base], rows: Iterable[dict[str, Any]]) -> None:
    """Rows by the thousand, past the ORM."""
    rows = iter(rows)
    while some := list(islice(rows, AT_ONCE)):
        with write_access(), db.engine.begin() as connection:
            connection.execute(sa.insert(model), some)
    db.session.rollback()  # what was being read there does not hold these rows


def customer_rows(cast: Cast, count: int) -> Iterator[dict[str, Any]]:
    """Active customers, `customer-<n>@bench.example`, whose names come in no order."""
    for number in range(count):
        name = f"{FIRST[number % len(FIRST)]} {LAST[number % len(LAST)]} {number:05}"
        email = email_of(number)
        yield {
            "account_id": cast.acme.id,
            "location_id": cast.acme.locations[0].id,
            "email": email,
            "email_key": email,
            "full_name": name,
            "name_key": fold(name),
            "search_key": fold(f"{name}\n{email}"),
            "address": f"{number} Quay Street",
            "city": "Lisboa",
            "postcode": "1100-001",
            "country": "PT",
            "status": CustomerStatus.ACTIVE,
        }


def email_of(number: int) -> str:
    return f"customer-{number}@bench.example"


def settle() -> None:
    """Do at once what PostgreSQL does by itself within a minute: count the new rows and note which are visible."""
    if db.engine.dialect.name == "postgresql":
        with write_access(), db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")
