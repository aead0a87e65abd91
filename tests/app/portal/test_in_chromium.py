"""In Chromium: from the public sign-up page, through the gateway's page, to an invoice that is paid."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from playwright.sync_api import Page, expect

from app import clock
from app.billing import invoices
from app.billing.lines import Line
from app.billing.models import Customer
from app.db import unit_of_work
from tests.app.portal.served import acme_that_sells, served_app, sign_up, work

pytestmark = pytest.mark.browser


@pytest.fixture
def served(
    build_app: Callable[..., Flask], app_settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Flask, str]]:
    with served_app(build_app, tmp_path_factory.mktemp("served"), **app_settings) as both:
        yield both


def test_from_sign_up_to_a_paid_invoice(served: tuple[Flask, str], page: Page) -> None:
    app, address = served
    acme = acme_that_sells()
    sign_up(page, address)
    expect(page.get_by_text("One step is left.")).to_be_visible()
    page.get_by_role("button", name="Add a card").click()
    page.get_by_label("every payment goes through").first.check()
    page.get_by_role("button", name="Leave this card").click()
    expect(page.get_by_text("Visa ··4242", exact=True)).to_be_visible()
    expect(page.get_by_text("Active")).to_be_visible()

    with unit_of_work() as rows:
        customer = rows.scalars(sa.select(Customer)).one()
        line = Line("Business 12", Decimal(1), 3900, Decimal(23))
        number = invoices.create(acme.acme, customer, [line], due_on=clock.today("Europe/Lisbon")).number
    page.get_by_role("link", name="Invoices").click()
    page.get_by_role("link", name=number).click()
    page.get_by_role("button", name="Pay now").click()
    expect(page.get_by_text("Your payment is on its way.")).to_be_visible()
    work(app)
    # The page asks again by itself.
    expect(page.get_by_text("Paid today")).to_be_visible()
