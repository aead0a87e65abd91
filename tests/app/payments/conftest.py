"""A gateway to pay through: the test gateway, connected; and customers who left a card there."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from flask import Flask

from app.billing.models import Customer, Invoice
from app.db import db, unit_of_work
from app.payments import asking, cards, gateways, standing
from app.payments.gateways import Access
from app.payments.models import CardEntry, Charge, Collection, Gateway, ProviderName, SavedCard
from app.payments.test_gateway import TestGateway
from tests.cast import Cast


def path_of(url: str) -> str:
    """The path of an address of ours."""
    return urlsplit(url).path


def connect_test_gateway(cast: Cast) -> Gateway:
    found = Access(0, ProviderName.TEST, "", "").open().check()
    with unit_of_work():
        return gateways.connect(cast.acme, ProviderName.TEST, "", found)


@pytest.fixture
def gateway(cast: Cast) -> Gateway:
    """Acme's gateway."""
    return connect_test_gateway(cast)


@pytest.fixture
def bank(app: Flask) -> TestGateway:
    """The other side: what it was asked for."""
    return TestGateway(Path(app.config["SETTINGS"].data_dir), "")


@pytest.fixture
def leave_card(gateway: Gateway, bank: TestGateway) -> Callable[..., SavedCard]:
    """`leave_card(customer, "declined")`: that card, saved and charged from now on."""

    def leave(customer: Customer, kind: str = "good") -> SavedCard:
        db.session.rollback()
        url = cards.start_card_entry(customer.id, "/back")
        bank.leave_card(url.rpartition("/")[2], kind)
        entry_id = db.session.scalars(sa.select(CardEntry.id).order_by(CardEntry.id.desc())).first()
        assert entry_id is not None
        card = cards.finish_card_entry(entry_id)
        assert card is not None
        return card

    return leave


def charge_now(invoice: Invoice) -> int:
    """Ask for a charge as "Charge now" does, and answer the id of its collection; no worker has come yet."""
    with unit_of_work():
        return asking.charge_now(db.session.get_one(Invoice, invoice.id)).id


def collection_of(invoice: Invoice) -> Collection:
    db.session.rollback()
    collection = standing.collection_of(invoice)
    assert collection is not None
    return collection


def charges_of(invoice: Invoice) -> list[Charge]:
    db.session.rollback()
    return list(db.session.scalars(sa.select(Charge).where(Charge.invoice_id == invoice.id).order_by(Charge.id)))
