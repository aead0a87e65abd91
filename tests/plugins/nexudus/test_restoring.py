"""Restored from yesterday, nothing is exported or created twice: what is missing here is found there."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask

from app import backups, clock
from app.billing.models import Customer, Invoice, InvoiceStatus
from app.db import db, write_access
from plugins.nexudus.models import Connection, ExportState
from tests import make
from tests.cast import Cast
from tests.plugins.nexudus.conftest import There, export_of, link_of, mounted, newer_invoice, work_again
from tests.visitors import HeardBell, Visitor

WAYS = [("current", "product_sale"), ("classic-2020", "document")]


@pytest.fixture(params=WAYS, ids=["product_sale", "document"])
def there(request: pytest.FixtureRequest, app: Flask, monkeypatch: pytest.MonkeyPatch) -> There:
    """Both a Nexudus of today and one that takes whole invoices."""
    return mounted(app, monkeypatch, request.param[0])


@pytest.fixture
def customer(cast: Cast, connected: Connection, bell: HeardBell) -> Customer:
    """A linked customer."""
    row = make.customer(
        cast.acme, "Tamsin Quill", email="tamsin@quill.example", address="Rua 1", city="Porto", postcode="4000"
    )
    work_again(bell)
    return row


@pytest.fixture
def keep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Take a backup."""
    # The tables of tests are made without migrations, so there is no revision to compare.
    monkeypatch.setattr(backups, "heads", lambda: ({"here"}, {"here"}))

    def take() -> None:
        backups.back_up(tmp_path / "yesterday.zip")

    return take


@pytest.fixture
def bring_back(tmp_path: Path, bell: HeardBell) -> Callable[[], None]:
    """Lose the database and restore the backup."""

    def restore() -> None:
        db.session.remove()
        bell.rings.clear()
        with write_access(), db.engine.begin() as connection:
            for table in reversed(db.metadata.sorted_tables):
                connection.execute(sa.delete(table))
        backups.restore(tmp_path / "yesterday.zip")

    return restore


@pytest.fixture
def export_now(ana: Visitor, bell: HeardBell) -> Callable[[], None]:
    def run() -> None:
        assert ana.post("/acme/nexudus/exports/now").status_code == 303
        bell.answer()

    return run


def one_closed_invoice(there: There, invoice_id: int) -> None:
    (record,) = there.invoices()
    invoice = db.session.get_one(Invoice, invoice_id, populate_existing=True)
    export = export_of(invoice)
    assert export is not None
    assert (invoice.status, invoice.handed_over_as) == (InvoiceStatus.CLOSED, record["InvoiceNumber"])
    assert (export.state, export.remote_id) == (ExportState.EXPORTED, record["Id"])


def test_an_invoice_exported_since_is_found_there_and_closed(
    there: There,
    customer: Customer,
    keep: Callable[[], None],
    bring_back: Callable[[], None],
    export_now: Callable[[], None],
) -> None:
    invoice_id = newer_invoice(customer, lines=[("Plan", "1", 3900, "23"), ("Scans", "3", 150, "23")]).id
    keep()
    export_now()
    one_closed_invoice(there, invoice_id)
    written = there.calls("POST /api/billing")

    bring_back()
    assert db.session.get_one(Invoice, invoice_id).status == InvoiceStatus.PENDING
    export_now()

    one_closed_invoice(there, invoice_id)
    assert there.calls("POST /api/billing") == written


def test_one_that_was_turned_away_before_the_backup_and_went_through_after_it_is_found_too(
    there: There,
    customer: Customer,
    keep: Callable[[], None],
    bring_back: Callable[[], None],
    export_now: Callable[[], None],
) -> None:
    invoice_id = newer_invoice(customer).id
    there.faults(throttle_next=1, only="/api/billing/coworker")
    export_now()
    assert there.invoices() == []
    keep()
    with time_machine.travel(clock.now() + timedelta(minutes=5)):
        export_now()
        one_closed_invoice(there, invoice_id)

        bring_back()
        export_now()

        one_closed_invoice(there, invoice_id)


def test_an_invoice_made_after_the_restore_goes_over_as_ever(
    there: There,
    customer: Customer,
    keep: Callable[[], None],
    bring_back: Callable[[], None],
    export_now: Callable[[], None],
) -> None:
    keep()
    customer_id = customer.id
    bring_back()
    invoice_id = newer_invoice(db.session.get_one(Customer, customer_id)).id

    export_now()

    one_closed_invoice(there, invoice_id)


def test_a_member_created_since_is_found_there_and_linked(
    there: There,
    cast: Cast,
    connected: Connection,
    bell: HeardBell,
    keep: Callable[[], None],
    bring_back: Callable[[], None],
) -> None:
    customer_id = make.customer(cast.acme, "Rui Reed", email="rui@reed.example", country="PT").id
    keep()
    work_again(bell)
    (member,) = there.members(Email="rui@reed.example")

    bring_back()
    assert link_of(db.session.get_one(Customer, customer_id)) is None
    work_again(bell, rounds=2)

    link = link_of(db.session.get_one(Customer, customer_id))
    assert link is not None
    assert link.member_id == member["Id"]
    assert len(there.members(Email="rui@reed.example")) == 1
