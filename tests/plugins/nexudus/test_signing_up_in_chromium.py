"""In Chromium: signing up on the portal of an account that is connected to Nexudus, as customer and as Operator."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from playwright.sync_api import Page, expect

from app.billing.models import Customer
from app.db import db
from plugins.nexudus.sandbox.seed import EMAIL as THEIR_EMAIL
from plugins.nexudus.sandbox.seed import PASSWORD as THEIR_PASSWORD
from tests.app.portal.served import EMAIL, NAME, acme_that_sells, served_app, sign_up, work
from tests.plugins.nexudus.conftest import There, mounted, newer_invoice
from tests.visitors import Visitor

pytestmark = pytest.mark.browser


@pytest.fixture
def served(
    build_app: Callable[..., Flask], app_settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Flask, str]]:
    with served_app(build_app, tmp_path_factory.mktemp("served"), **app_settings) as both:
        yield both


@pytest.fixture
def beyond(served: tuple[Flask, str], monkeypatch: pytest.MonkeyPatch) -> There:
    """The Nexudus that the served app reaches."""
    return mounted(served[0], monkeypatch)


def test_whoever_signs_up_while_nexudus_is_connected_is_billed_there_and_asked_for_no_card(
    served: tuple[Flask, str], beyond: There, page: Page
) -> None:
    app, address = served
    office = _connected_office(app)
    work(app)

    sign_up(page, address)
    expect(page.get_by_text("Active")).to_be_visible()
    expect(page.get_by_role("button", name="Add a card")).to_have_count(0)
    assert beyond.members(Email=EMAIL) == []  # nothing goes out while somebody waits for a page
    work(app)
    assert [member["FullName"] for member in beyond.members(Email=EMAIL)] == [NAME]

    invoice = newer_invoice(db.session.scalars(sa.select(Customer)).one())
    invoice_id, number = invoice.id, invoice.number
    db.session.rollback()
    page.goto(f"{address}/portal/acme/billing")
    expect(page.get_by_text("you need no card here")).to_be_visible()
    page.get_by_role("link", name="Invoices").click()
    page.get_by_role("link", name=number).click()
    expect(page.get_by_text("bills this through Nexudus")).to_be_visible()
    expect(page.get_by_role("button", name="Pay now")).to_have_count(0)

    assert "Charge now" not in office.get(f"/acme/invoices/{invoice_id}").text
    assert office.post("/acme/nexudus/exports/now").status_code == 303
    work(app)
    assert len(beyond.invoices()) == 1
    page.reload()
    expect(page.get_by_text("It has its own number there, INV-")).to_be_visible()


def _connected_office(app: Flask) -> Visitor:
    """Ana's browser, after she switched Nexudus on and connected."""
    cast = acme_that_sells()
    office = app.test_client()
    assert isinstance(office, Visitor)
    office.enter(cast.ana)
    office.post("/acme/settings/integrations/systems/nexudus/toggle", data={"on": "1"})
    typed = {"email": THEIR_EMAIL, "password": THEIR_PASSWORD, "issue": "draft", "may_add_products": "y"}
    assert office.post("/acme/nexudus/connect", data=typed).status_code == 303
    return office
