"""The database or Redis is gone, or somebody types what nobody types: a readable page, and never a 500."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes

import pytest
import sqlalchemy as sa
from flask import Flask

from app import create_app, work
from app.billing.models import Customer, CustomerStatus
from app.config import Settings
from app.db import db, write_access
from app.embedded import embedded_server
from tests import make
from tests.cast import PASSWORD, Cast, assemble
from tests.services import Postgres, postgres_programs, postgres_server
from tests.visitors import Visitor

Build = Callable[..., Flask]
CUSTOMER = {"full_name": "Rui Reed", "email": "rui@reed.example", "location_id": "1"}


@contextlib.contextmanager
def furnished(app: Flask) -> Iterator[tuple[Cast, Visitor]]:
    """Tables, the cast, and Ana's browser."""
    with app.app_context():
        with write_access(), db.engine.begin() as connection:
            db.metadata.create_all(connection)
        cast = assemble()
        ana = app.test_client()
        assert isinstance(ana, Visitor)
        ana.enter(cast.ana)
        db.session.rollback()
        yield cast, ana
        db.session.remove()
        db.engine.dispose()


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[Postgres]:
    """A server that nobody else misses."""
    if (programs := postgres_programs()) is None:
        pytest.skip("PostgreSQL is not installed (apt install postgresql)")
    with postgres_server(programs) as server:
        yield server


@pytest.mark.postgres
def test_a_stopped_database_is_said_in_words_and_work_goes_on_when_it_is_back(
    build_app: Build, app_settings: dict[str, Any], own_postgres: Postgres
) -> None:
    app = build_app(database_url=own_postgres.new_database(), **app_settings)
    with furnished(app) as (cast, ana):
        location = str(cast.acme.locations[0].id)
        assert ana.get("/acme/customers").status_code == 200
        db.session.remove()
        own_postgres.stop()
        try:
            answers = [
                ana.get("/acme/customers"),
                ana.get("/acme/customers", htmx=True),
                ana.post("/acme/customers/new", data={**CUSTOMER, "location_id": location}),
                app.test_client().post("/login", data={"email": "ana@acme.example", "password": PASSWORD}),
            ]
            ready = ana.get("/readyz")
        finally:
            own_postgres.start()
        for answer in answers:
            assert answer.status_code == 503
            assert "The database does not answer" in answer.text
            assert "psycopg" not in answer.text
        assert (ready.status_code, ready.get_json()["failing"]) == (503, ["database"])

        assert ana.get("/acme/customers").status_code == 200
        assert ana.post("/acme/customers/new", data={**CUSTOMER, "location_id": location}).status_code == 303

        own_postgres.stop()
        own_postgres.start()
        assert ana.get("/acme/customers").status_code == 200  # nobody notices a restart between two pages


def test_while_somebody_holds_the_lock_reading_goes_on_and_a_change_says_that_it_was_not_saved(
    build_app: Build, app_settings: dict[str, Any], tmp_path: Path
) -> None:
    app = build_app(database_url=f"sqlite:///{tmp_path / 'own.db'}", lock_wait_s=0.1, **app_settings)
    with furnished(app) as (cast, ana):
        typed = {**CUSTOMER, "location_id": str(cast.acme.locations[0].id)}
        db.session.rollback()
        with sa.create_engine(app.config["SQLALCHEMY_DATABASE_URI"]).connect() as other:
            other.exec_driver_sql("BEGIN IMMEDIATE")
            assert ana.get("/acme/customers").status_code == 200
            refused = [ana.post("/acme/customers/new", data=typed, htmx=htmx) for htmx in (False, True)]
            other.rollback()
        for answer in refused:
            assert answer.status_code == 503
            assert "Your last change was not saved" in answer.text
        assert db.session.scalars(sa.select(Customer)).all() == []
        assert ana.post("/acme/customers/new", data=typed).status_code == 303


def test_without_redis_pages_say_since_when_work_waits_and_changes_are_taken(
    app_settings: dict[str, Any], data_dir: Path, tmp_path: Path
) -> None:
    settings = {"data_dir": data_dir, "log_level": "error", "database_url": f"sqlite:///{tmp_path / 'own.db'}"}
    with embedded_server() as server:
        app = create_app(Settings.read(_env_file=None, redis_url=server.url, **settings, **app_settings))
        app.test_client_class = Visitor
        with app.app_context():
            assert work.bell().connection.ping()
    with furnished(app) as (cast, ana):
        make.installation(cast.acme, "example")
        customer_id = make.customer(cast.acme, status=CustomerStatus.INACTIVE).id

        page = ana.get("/acme/customers")
        taken = ana.post(f"/acme/customers/{customer_id}/activate")

        assert page.status_code == 200
        assert "Waiting for a worker since" in page.text
        assert taken.status_code in {200, 303}
        assert db.session.get_one(Customer, customer_id, populate_existing=True).activated_at is not None


FORM = "application/x-www-form-urlencoded"


def encoded(fields: dict[str, str]) -> bytes:
    """As a browser sends it, or a program that does not care whether it is Unicode."""
    return "&".join(
        f"{name}={quote_from_bytes(value.encode(errors='surrogatepass'))}" for name, value in fields.items()
    ).encode()


STRANGE = [
    pytest.param("x" * 10_000, id="10 kB"),
    pytest.param("a\0b", id="NUL"),
    pytest.param("Quill \u202eellimaT", id="right-to-left mark"),
    pytest.param("\ud800", id="half a character"),
    pytest.param("💌\u0301" * 40, id="beyond the basic plane"),
]


@pytest.mark.parametrize("text", STRANGE)
class TestWhatNobodyTypes:
    def test_at_sign_in(self, client: Visitor, cast: Cast, text: str) -> None:
        for typed in ({"email": text, "password": PASSWORD}, {"email": "ana@acme.example", "password": text}):
            answer = client.post("/login", data=encoded(typed), content_type=FORM)
            assert answer.status_code == 422

    def test_in_every_field_of_a_customer(self, cast: Cast, sign_in: Callable[..., Visitor], text: str) -> None:
        ana, customer_id = sign_in(cast.ana), make.customer(cast.acme).id
        whole = {**CUSTOMER, "location_id": str(cast.acme.locations[0].id)}
        fields = ("full_name", "company", "email", "phone", "address", "postcode", "city", "country", "mailbox_number")
        for path in ("/acme/customers/new", f"/acme/customers/{customer_id}/edit"):
            for field in (*fields, "location_id"):
                answer = ana.post(path, data=encoded({**whole, field: text}), content_type=FORM)
                assert answer.status_code < 500, (path, field)

    def test_in_addresses(self, cast: Cast, sign_in: Callable[..., Visitor], text: str) -> None:
        ana = sign_in(cast.ana)
        for query in ("q", "status", "page", "location"):
            answer = ana.get("/acme/customers", query_string=encoded({query: text}).decode())
            assert answer.status_code < 500, query
