"""A portal on a real address, and Acme with what a customer needs to sign up there."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

from flask import Flask
from playwright.sync_api import Page, expect
from werkzeug.serving import make_server

from app import assets
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

NAME, EMAIL = "Tamsin Quill", "tamsin@quill.example"


@contextmanager
def served_app(build_app: Callable[..., Flask], data_dir: Path, **settings: Any) -> Iterator[tuple[Flask, str]]:
    """The app on a port of its own with an empty database, and its address."""
    port = free_port()
    assets.build(data_dir)
    address = f"http://127.0.0.1:{port}"
    app = build_app(
        data_dir=data_dir, database_url=f"sqlite:///{data_dir / 'portal.db'}", public_url=address, **settings
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


def acme_that_sells() -> Cast:
    """Acme with a plan to choose and a gateway."""
    cast = people.assemble()
    with unit_of_work() as rows:
        acme = cast.acme
        plan = Plan(account_id=acme.id, title="Business 12", kind="business", currency="EUR", monthly_minor=3900)
        plan.shown = True
        rows.add(plan)
        gateways.connect(acme, ProviderName.TEST, "", Checked("test", is_live=False, is_restricted=True))
    return cast


def sign_up(page: Page, address: str) -> None:
    """Fill in the public page, follow the link in the mail, choose a password."""
    page.goto(f"{address}/portal/acme/sign-up")
    page.get_by_label("€39.00 a month").check()
    page.get_by_label("Name", exact=True).fill(NAME)
    page.get_by_label("Email").fill(EMAIL)
    page.get_by_role("button", name="Sign up").click()
    expect(page.get_by_role("heading", name="Look in your mail")).to_be_visible()
    db.session.rollback()
    page.goto(f"{address}{link_in_mail('portal_confirmation')}")
    page.get_by_label("New password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Confirm and go on").click()


def work(app: Flask) -> None:
    """Do all that was rung for, as workers would."""
    bell = app.extensions["bell"]
    assert isinstance(bell, HeardBell)

    def answer() -> None:
        with app.app_context():
            bell.answer()

    db.session.rollback()
    apart(answer)
