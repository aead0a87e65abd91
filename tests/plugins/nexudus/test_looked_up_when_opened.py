"""Whoever opens an invoice whose outcome at Nexudus is unknown has it looked up: by a worker, once in a while."""

from collections.abc import Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask

from app import clock
from app.accounts.models import User
from app.audit import AuditEntry
from app.billing.models import Customer, Invoice, InvoiceStatus
from app.db import db, unit_of_work
from plugins.nexudus.export_acts import ASK_AGAIN
from plugins.nexudus.models import ExportState, InvoiceExport
from plugins.nexudus.sandbox.seed import EMAIL, PASSWORD
from tests.cast import Cast
from tests.plugins.nexudus.conftest import There, export_of, mounted, newer_invoice
from tests.visitors import HeardBell, Visitor

NEXT_LOOK = timedelta(hours=1)


@pytest.fixture
def unknown(app: Flask, ana: Visitor, there: There, customer: Customer, bell: HeardBell) -> Invoice:
    """An invoice whose sale was made there while its answer got lost; the next timed look-up is in an hour."""
    invoice, settings = newer_invoice(customer), app.config["SETTINGS"]
    there.faults(only="/coworkerproducts", lost_answer_next=1)
    ana.post("/acme/nexudus/exports/now")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(app.config, "SETTINGS", settings.model_copy(update={"settle_s": 60}))
        bell.answer()
    put_off()
    assert the_export(invoice).state == ExportState.UNKNOWN
    return invoice


def put_off() -> None:
    with unit_of_work() as session:
        session.execute(sa.update(InvoiceExport).values(next_try_at=clock.now() + NEXT_LOOK))


def the_export(invoice: Invoice) -> InvoiceExport:
    export = export_of(invoice)
    assert export is not None
    return export


def look_up_of(invoice: Invoice) -> str:
    """Where the page of an invoice asks for a look-up."""
    return f"/acme/nexudus/exports/{the_export(invoice).id}/look-up"


def test_the_page_asks_by_itself_and_a_worker_finds_it_there(
    ana: Visitor, there: There, unknown: Invoice, bell: HeardBell
) -> None:
    asks = look_up_of(unknown)
    assert "Unknown" in ana.get("/acme/invoices").text
    assert "Linked" in ana.get("/acme/customers").text
    page = ana.get(f"/acme/invoices/{unknown.id}").text
    assert f'hx-post="{asks}"' in page
    assert 'hx-trigger="load"' in page
    before = there.calls()
    panel = ana.post(asks, htmx=True).text
    assert there.calls() == before, "a request waited for Nexudus"
    assert "We are asking Nexudus whether it arrived." in panel
    assert f'hx-get="/acme/nexudus/invoices/{unknown.id}/panel"' in panel
    bell.answer()
    assert db.session.get_one(Invoice, unknown.id, populate_existing=True).status == InvoiceStatus.CLOSED
    assert len(there.space.where("CoworkerProduct")) == 1
    closed = ana.get(f"/acme/nexudus/invoices/{unknown.id}/panel", htmx=True)
    assert closed.headers["HX-Redirect"] == f"/acme/invoices/{unknown.id}"


def test_two_who_open_it_ask_once(
    ana: Visitor, cast: Cast, sign_in: Callable[[User], Visitor], unknown: Invoice, bell: HeardBell
) -> None:
    asks = look_up_of(unknown)
    assert ana.post(asks).location == f"/acme/invoices/{unknown.id}"
    sign_in(cast.ben).post(asks, htmx=True)
    assert len(bell.rings) == 1
    put_off()
    assert asks not in ana.get(f"/acme/invoices/{unknown.id}").text
    asked = sa.select(AuditEntry.actor).where(AuditEntry.action == "export_looked_up")
    assert db.session.scalars(asked).all() == ["Ana Alder"]


def test_it_asks_again_after_a_while(ana: Visitor, there: There, unknown: Invoice, bell: HeardBell) -> None:
    there.faults(only="/coworkerproducts", dropped_every=1)
    for later in (timedelta(0), ASK_AGAIN + timedelta(seconds=1)):
        with time_machine.travel(clock.now() + later, tick=False):
            put_off()
            ana.post(look_up_of(unknown), htmx=True)
            assert len(bell.rings) == 1
            bell.answer()
            assert the_export(unknown).state == ExportState.UNKNOWN


def test_what_is_looked_up_within_the_minute_is_followed_and_not_asked_for(
    ana: Visitor, unknown: Invoice, bell: HeardBell
) -> None:
    with unit_of_work() as session:
        session.execute(sa.update(InvoiceExport).values(next_try_at=clock.now() + timedelta(seconds=30)))
    page = ana.get(f"/acme/invoices/{unknown.id}").text
    assert look_up_of(unknown) not in page
    assert f'hx-get="/acme/nexudus/invoices/{unknown.id}/panel"' in page
    ana.post(look_up_of(unknown), htmx=True)
    assert bell.rings == []


def test_one_that_is_left_at_a_business_let_go_of_says_where_to_look_and_offers_nothing(
    app: Flask, ana: Visitor, unknown: Invoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    asks = look_up_of(unknown)
    elsewhere = mounted(app, monkeypatch).space
    home = elsewhere.where("Business", Name="Quayside Works Coworking")[0]
    other = next(one for one in elsewhere.where("Business") if one["Id"] != home["Id"])
    user = elsewhere.where("User")[0]
    elsewhere.save("User", {**user, "DefaultBusinessId": other["Id"], "Businesses": [other["Id"]]})
    typed = {"email": EMAIL, "password": PASSWORD, "issue": "draft"}
    assert ana.post("/acme/nexudus/connect", data=typed).status_code == 303
    page = ana.get(f"/acme/invoices/{unknown.id}").text
    assert "It was on its way to Quayside Works Coworking, which is not connected any more." in page
    assert "Check now" not in page
    assert ana.post(asks).status_code == 404


def test_what_is_not_unknown_is_not_looked_up(ana: Visitor, unknown: Invoice, bell: HeardBell) -> None:
    with unit_of_work() as session:
        session.execute(
            sa.update(InvoiceExport).values(state=ExportState.HELD, reason_code="by_hand", next_try_at=None)
        )
    asks = look_up_of(unknown)
    assert asks not in ana.get(f"/acme/invoices/{unknown.id}").text
    assert "Held" in ana.post(asks, htmx=True).text
    assert bell.rings == []
