"""In Chromium: from the public sign-up page, through the gateway's page, to an invoice that is paid."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from threading import Thread
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from playwright.sync_api import Page, expect
from werkzeug.serving import make_server

from app import assets, clock
from app.billing import invoices
from app.billing.lines import Line
from app.billing.models import Customer
from app.billing.subscription_models import Plan
from app.db import db, unit_of_work, write_access
from app.payments import gateways
from app.payments.models import ProviderName
from app.payments.provider import Checked
from tests import cast as people
from tests.app.portal.test_entering import link_in_mail
from tests.cast import PASSWORD, Cast
from tests.services import free_port
from tests.visitors import HeardBell, apart

pytestmark = pytest.mark.browser


@pytest.fixture
def served(
    build_app: Callable[..., Flask], app_settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Flask, str]]:
    data_dir, port = tmp_path_factory.mktemp("served"), free_port()
    assets.build(data_dir)
    address = f"http://127.0.0.1:{port}"
    app = build_app(
        data_dir=data_dir, database_url=f"sqlite:///{data_dir / 'portal.db'}", public_url=address, **app_settings
    )
    server = make_server("127.0.0.1", port, app, threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    with app.app_context():
        with write_access(), db.engine.begin() as connection:
            db.metadata.create_all(connection)
        yield app, address
        db.session.remove()
    server.shutdown()
    thread.join()


@pytest.fixture
def acme(served: tuple[Flask, str]) -> Cast:
    """Acme with a plan to choose and a gateway."""
    cast = people.assemble()
    with unit_of_work() as rows:
        acme = cast.acme
        plan = Plan(account_id=acme.id, title="Business 12", kind="business", currency="EUR", monthly_minor=3900)
        plan.shown = True
        rows.add(plan)
        gateways.connect(acme, ProviderName.TEST, "", Checked("test", is_live=False, is_restricted=True))
    return cast


def test_from_sign_up_to_a_paid_invoice(served: tuple[Flask, str], acme: Cast, page: Page) -> None:
    app, address = served
    page.goto(f"{address}/portal/acme/sign-up")
    page.get_by_label("€39.00 a month").check()
    page.get_by_label("Name", exact=True).fill("Tamsin Quill")
    page.get_by_label("Email").fill("tamsin@quill.example")
    page.get_by_role("button", name="Sign up").click()
    expect(page.get_by_role("heading", name="Look in your mail")).to_be_visible()

    db.session.rollback()
    page.goto(f"{address}{link_in_mail('portal_confirmation')}")
    page.get_by_label("New password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Confirm and go on").click()
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
    bell = app.extensions["bell"]
    assert isinstance(bell, HeardBell)
    apart(_work, app, bell)
    # The page asks again by itself.
    expect(page.get_by_text("Paid today")).to_be_visible()


def _work(app: Flask, bell: HeardBell) -> None:
    with app.app_context():
        bell.answer()
