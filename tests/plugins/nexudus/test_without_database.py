"""While the database cannot be written, nothing is asked of Nexudus: what came of it could not be kept."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from app.db import db
from plugins.nexudus.models import Connection
from plugins.nexudus.sandbox.seed import EMAIL, PASSWORD
from tests import make
from tests.cast import Cast
from tests.plugins.nexudus.conftest import There, newer_invoice, the_connection, work_again
from tests.visitors import HeardBell, Visitor

TYPED = {"email": EMAIL, "password": PASSWORD, "issue": "draft", "may_add_products": "y"}


@pytest.fixture
def database_url(data_dir: Path) -> str:
    """SQLite alone has one lock for all that anybody else can hold."""
    return f"sqlite:///{data_dir / 'test.db'}"


@contextmanager
def held_by_somebody_else() -> Iterator[None]:
    """The database's lock, held; ours waits a twentieth of a second for it."""

    def impatient(connection: object, *rest: object) -> None:
        connection.execute("PRAGMA busy_timeout=50")  # type: ignore[attr-defined]

    db.session.remove()
    db.engine.dispose()
    sa.event.listen(db.engine, "connect", impatient)
    try:
        with sa.create_engine(db.engine.url).connect() as other:
            other.exec_driver_sql("BEGIN IMMEDIATE")
            yield
            other.rollback()
    finally:
        sa.event.remove(db.engine, "connect", impatient)
        db.session.remove()
        db.engine.dispose()


def test_connecting_asks_nothing_and_says_that_nothing_was_saved(ana: Visitor, there: There) -> None:
    with held_by_somebody_else():
        answer = ana.post("/acme/nexudus/connect", data=TYPED)
    assert answer.status_code == 503
    assert "not saved" in answer.text
    assert PASSWORD not in answer.text
    assert there.calls() == 0


def test_export_now_and_the_worker_send_nothing(
    cast: Cast, connected: Connection, ana: Visitor, there: There, bell: HeardBell
) -> None:
    customer = make.customer(cast.acme, "Tamsin Quill", email="tamsin@quill.example")
    work_again(bell)
    newer_invoice(customer)
    bell.ring("nexudus.work_on_connection", the_connection().id)
    before = there.calls()
    with held_by_somebody_else():
        answer = ana.post("/acme/nexudus/exports/now")
        with pytest.raises(OperationalError):
            bell.answer()
    assert answer.status_code == 503
    assert there.calls() == before
    assert there.invoices() == []

    assert ana.post("/acme/nexudus/exports/now").status_code == 303
    bell.answer()
    assert len(there.invoices()) == 1
