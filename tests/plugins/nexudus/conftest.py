"""A Nexudus in process for the plugin's pages and jobs, and the ways into it that tests share."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from app import clock
from app.billing.models import Customer, Invoice
from app.db import db
from app.installations.models import Installation
from app.installations.services import installation_of
from plugins.nexudus.models import Connection, InvoiceExport, MemberLink
from plugins.nexudus.sandbox import create_sandbox
from plugins.nexudus.sandbox.adapter import SandboxAdapter
from plugins.nexudus.sandbox.seed import EMAIL, PASSWORD
from plugins.nexudus.sandbox.space import Space
from tests import make
from tests.cast import Cast
from tests.visitors import HeardBell, Visitor


@dataclass
class There:
    """The other side: what it holds, what was asked of it, and what goes wrong there."""

    space: Space

    def member(self, email: str, name: str = "A member", **fields: Any) -> int:
        """A member as an operator would have added it there; answers its id."""
        home = self.space.where("Business", Name="Quayside Works Coworking")[0]
        record = self.space.create(
            "Coworker",
            {
                "FullName": name,
                "Email": email,
                "Active": True,
                "Archived": False,
                "Businesses": [home["Id"]],
                "InvoicingBusinessId": home["Id"],
                **fields,
            },
        )
        return int(record["Id"])

    def members(self, **values: Any) -> list[dict[str, Any]]:
        return self.space.where("Coworker", **values)

    def invoices(self, **values: Any) -> list[dict[str, Any]]:
        return self.space.where("CoworkerInvoice", **values)

    def change(self, kind: str, key: int, **values: Any) -> None:
        self.space.save(kind, {**self.space.need(kind, key), **values})

    def forget(self, kind: str, key: int) -> None:
        with self.space.store.change():
            self.space.store.drop(kind, key)

    def faults(self, **switches: Any) -> None:
        """From now on things go wrong; see `plugins/nexudus/sandbox/faults.py`."""
        self.space.faults.turn(switches)

    def calls(self, start: str = "") -> int:
        """How many requests began like `start`, for example "GET /api/spaces/coworkers"."""
        return sum(count for call, count in self.space.calls.counts().items() if call.startswith(start))


def mounted(app: Flask, monkeypatch: pytest.MonkeyPatch, profile: str = "current") -> There:
    """A fresh Nexudus of `profile`, put in place of the wire."""
    adapter = SandboxAdapter(create_sandbox(None, profile=profile, limits="off"))
    monkeypatch.setitem(app.extensions, "nexudus_adapter", adapter)
    return There(adapter.space)


@pytest.fixture
def there(app: Flask, monkeypatch: pytest.MonkeyPatch) -> There:
    """A Nexudus of today, with one user and no members."""
    return mounted(app, monkeypatch)


@pytest.fixture
def ana(cast: Cast, sign_in: Callable[..., Visitor]) -> Visitor:
    """The Operator's browser, Nexudus switched on."""
    browser = sign_in(cast.ana)
    browser.post("/acme/settings/integrations/systems/nexudus/toggle", data={"on": "1"})
    return browser


@pytest.fixture
def connect(app: Flask, ana: Visitor, there: There, bell: HeardBell) -> Callable[[], Connection]:
    """Connect through the popup, without doing the work that it rings for."""

    def do() -> Connection:
        typed = {"email": EMAIL, "password": PASSWORD, "issue": "draft", "may_add_products": "y"}
        answer = ana.post("/acme/nexudus/connect", data=typed)
        assert answer.status_code == 303, answer.text
        return the_connection()

    return do


@pytest.fixture
def connected(connect: Callable[[], Connection], bell: HeardBell) -> Connection:
    """Connected, and the first run of linking done."""
    connection = connect()
    bell.answer()
    return connection


def the_connection() -> Connection:
    """The connection in use."""
    return db.session.scalars(sa.select(Connection).where(Connection.ended_at.is_(None))).one()


def the_installation(cast: Cast) -> Installation:
    found = installation_of(cast.acme.id, "nexudus")
    assert found is not None
    return found


def link_of(customer: Customer) -> MemberLink | None:
    return db.session.scalars(sa.select(MemberLink).where(MemberLink.customer_id == customer.id)).one_or_none()


def export_of(invoice: Invoice) -> InvoiceExport | None:
    return db.session.scalars(
        sa.select(InvoiceExport).where(InvoiceExport.invoice_id == invoice.id).execution_options(populate_existing=True)
    ).one_or_none()


def fresh(invoice: Invoice) -> Invoice:
    """An invoice as it stands now, after others wrote to it."""
    return db.session.get_one(Invoice, invoice.id, populate_existing=True)


def newer_invoice(customer: Customer, **fields: Any) -> Invoice:
    """An invoice created after the cut-over."""
    return make.invoice(customer, created_at=clock.now() + timedelta(microseconds=1), **fields)


def work_again(bell: HeardBell, rounds: int = 1) -> None:
    """Let the worker look at the connection, as the sweep would."""
    for _ in range(rounds):
        bell.ring("nexudus.work_on_connection", the_connection().id)
        bell.answer()


@pytest.fixture
def customer(cast: Cast, connected: Connection, bell: HeardBell) -> Customer:
    """A linked customer with all that Nexudus wants to know."""
    row = make.customer(
        cast.acme, "Tamsin Quill", email="t@quill.example", address="Rua 1", city="Porto", postcode="4000", country="PT"
    )
    work_again(bell)
    return row
