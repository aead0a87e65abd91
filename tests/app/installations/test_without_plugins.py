from collections.abc import Callable, Iterator

import pytest
from flask import Flask

from app.accounts.models import User
from app.db import db
from tests import make
from tests.cast import Cast
from tests.visitors import Visitor


@pytest.fixture
def bare(build_app: Callable[..., Flask], database_url: str) -> Iterator[Flask]:
    """The host without any plugin, on the database of the test."""
    app = build_app(database_url=database_url, plugins=())
    yield app
    with app.app_context():
        app.extensions["sqlalchemy"].engine.dispose()


def test_every_page_works_and_none_mentions_a_plugin(bare: Flask, cast: Cast) -> None:
    customer = make.customer(cast.acme, billed_by="")
    invoice = make.invoice(customer)
    ana: User = cast.ana
    visitor = bare.test_client()
    assert isinstance(visitor, Visitor)
    visitor.enter(ana)
    pages = [
        "/acme/customers",
        "/acme/customers/new",
        f"/acme/customers/{customer.id}",
        f"/acme/customers/{customer.id}/details",
        f"/acme/customers/{customer.id}/edit",
        f"/acme/customers/{customer.id}/activate",
        f"/acme/customers/{customer.id}/deactivate",
        f"/acme/customers/{customer.id}/invoices/new",
        "/acme/invoices",
        f"/acme/invoices/{invoice.id}",
        f"/acme/invoices/{invoice.id}/void",
        f"/acme/invoices/{invoice.id}/paid",
        "/acme/marketplace",
        "/acme/settings",
        "/acme/settings/integrations",
        "/acme/settings/integrations/systems",
        "/acme/nothing-here",
    ]

    for path in pages:
        answer = visitor.get(path)
        assert answer.status_code == (404 if path.endswith("nothing-here") else 200), path
        assert "nexudus" not in answer.text.lower(), path
        assert "example says" not in answer.text.lower(), path


def test_an_app_with_plugins_that_is_made_later_brings_no_table_that_others_lack(
    app: Flask, build_app: Callable[..., Flask], database_url: str
) -> None:
    known = set(db.metadata.tables)
    build_app(database_url=database_url)
    assert set(db.metadata.tables) == known
