"""What strangers type stays text: script in every word of theirs, and every page of the office opened in Chromium.

The policy of the pages would keep most of it from running; so this looks for what a browser made of it, and for what
the policy had to refuse.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from playwright.sync_api import ConsoleMessage, Dialog, Page, Request
from werkzeug.serving import make_server

from app import assets, audit, clock
from app.accounts.models import Account
from app.db import db, unit_of_work, write_access
from app.mailing.models import MailState
from app.mailing.services import ended, post
from app.work import sweep_once
from plugins.mail_monitor import customer_addresses
from plugins.mail_monitor.models import EmailAccount, Trouble
from plugins.mail_monitor.settings import AccountSettings, ServerSettings
from plugins.nexudus.sandbox.seed import EMAIL
from plugins.nexudus.sandbox.seed import PASSWORD as PASSWORD_THERE
from tests import make
from tests.cast import PASSWORD, assemble
from tests.fakes.mailbox import FakeServer
from tests.plugins.mail_monitor.conftest import begin_to_watch
from tests.plugins.mail_monitor.letters import mail
from tests.plugins.nexudus.conftest import mounted
from tests.visitors import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SIGN = "sm-canary"
EVIL = f"\"'><img src=/{SIGN} class={SIGN} onerror=alert(1)><script class={SIGN}>alert(2)</script>"
# Whether something of theirs is to be seen there; the others are opened all the same.
PAGES = {
    "/acme/today": False,
    "/acme/problems": True,
    "/acme/activity": True,
    "/acme/activity/mails": True,
    "/acme/activity/audit": True,
    "/acme/customers": True,
    "/acme/customers/{customer}": True,
    "/acme/customers/{customer}/timeline": True,
    "/acme/customers/{customer}/details": True,
    "/acme/customers/{customer}/mail/crm": True,
    "/acme/invoices": True,
    "/acme/invoices/{invoice}": True,
    "/acme/mail/accounts": True,
    "/acme/mail/choices": True,
    "/acme/mail/quarantine": False,
    "/acme/mail/unknown-senders": True,
    "/acme/nexudus/members?show=choice": True,
    "/acme/nexudus/exports/held": True,
    "/acme/profile": False,
}


@contextmanager
def served(app: Flask) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()


@pytest.fixture
def app(build_app: Callable[..., Flask], tmp_path: Path) -> Iterator[Flask]:
    """A product of its own, with the real browser files."""
    assets.build(tmp_path)
    app = build_app(data_dir=tmp_path)
    with app.app_context():
        with write_access(), db.engine.begin() as connection:
            db.metadata.create_all(connection)
        yield app
        db.session.remove()
        db.engine.dispose()


def furnish(app: Flask, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Everything that a stranger can write, with script in it; the ids that addresses need."""
    people = assemble()
    acme, there = people.acme, mounted(app, monkeypatch)
    browser = app.test_client()
    assert isinstance(browser, Visitor)
    browser.enter(people.ana)
    browser.post("/acme/settings/integrations/systems/nexudus/toggle", data={"on": "1"})
    typed = {"email": EMAIL, "password": PASSWORD_THERE, "issue": "draft", "may_add_products": "y"}
    assert browser.post("/acme/nexudus/connect", data=typed).status_code == 303
    for _ in range(2):  # two members with one email: somebody has to choose
        there.member("twins@quill.example", EVIL)
    make.customer(acme, EVIL, email="twins@quill.example")
    place: dict[str, Any] = {"address": EVIL, "city": EVIL, "postcode": "4000", "country": "PT"}
    customer = make.customer(acme, EVIL, email="tamsin@quill.example", company=EVIL, **place)
    app.extensions["bell"].answer()
    later = clock.now() + timedelta(microseconds=1)
    invoice = make.invoice(customer, lines=[(EVIL, "1", 1000, "23")], currency="CHF", created_at=later)  # to be held
    invoice_id = invoice.id

    write_mails(app, acme, customer.id)
    with unit_of_work():
        audit.record("customer_changed", customer, name=EVIL, actor=f"{EVIL} (customer)")
        ended(post(acme, to="x@y.example", template="test", context={"name": EVIL}), MailState.REFUSED, EVIL)
    assert browser.post("/acme/nexudus/exports/now").status_code == 303
    app.extensions["bell"].answer()
    with unit_of_work() as session:  # what servers of others said
        failing = post(acme, to="z@y.example", template="test", context={"name": EVIL})
        failing.due_at, failing.problem, failing.attempts = clock.now() + timedelta(hours=1), EVIL, 3
        mailbox = session.scalars(sa.select(EmailAccount)).one()
        mailbox.trouble, mailbox.failing_since, mailbox.problem = Trouble.SETTINGS, clock.now(), EVIL
    customer_id = customer.id
    db.session.rollback()
    return {"customer": customer_id, "invoice": invoice_id}


def write_mails(app: Flask, acme: Account, customer_id: int) -> None:
    """A customer, somebody unknown, somebody who may be two, and a mail that cannot be read write to the office."""
    server = FakeServer()
    app.extensions["mail_monitor_opens"] = server.opens
    other = make.customer(acme, f"Other {EVIL}", email="other@quill.example")
    with unit_of_work() as session:
        for one in (customer_id, other.id):
            customer_addresses.add(session.get_one(type(other), one), "home@oxbow.example")
    settings = AccountSettings(
        display_name="Front desk",
        location_id=acme.locations[0].id,
        email_address="desk@acme.example",
        active=True,
        incoming=ServerSettings("imap.acme.example", 993, "tls", "desk", "right"),
        outgoing=ServerSettings("smtp.acme.example", 465, "tls"),
    )
    begin_to_watch(make.installation(acme, "mail_monitor"), server, settings)
    name = EVIL.replace('"', "")
    for address in ("tamsin@quill.example", "nobody@voss.example", "home@oxbow.example"):
        server.inbox.put(mail(f'"{name}" <{address}>', subject=EVIL, text=EVIL))
    bomb = f"From: tamsin@quill.example\r\nSubject: {EVIL}\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    server.inbox.put((bomb + "--b\r\n\r\nx\r\n" * 600).encode())
    db.session.rollback()
    sweep_once()
    app.extensions["bell"].answer()


def test_script_in_every_word_of_strangers_is_drawn_as_text(
    app: Flask, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = furnish(app, monkeypatch)
    complaints: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text or "Content-Security-Policy" in message.text:
            complaints.append(message.text)

    def asked(request: Request) -> None:
        if SIGN in request.url:
            complaints.append(f"asked for {request.url}")

    page.on("console", heard)
    page.on("request", asked)

    def spoken(dialog: Dialog) -> None:
        complaints.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", spoken)
    with served(app) as base:
        page.goto(f"{base}/login")
        page.get_by_label("Email", exact=True).fill("ana@acme.example")
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_role("button", name="Sign in", exact=True).click()
        page.wait_for_url("**/today")
        found: dict[str, Any] = {path: what_became_of_it(page, base + path.format(**ids)) for path in PAGES}

    assert {path: one["made"] for path, one in found.items() if one["made"]} == {}, "markup of theirs became elements"
    assert {path: one["acts"] for path, one in found.items() if one["acts"]} == {}, "attributes of theirs would run"
    assert complaints == []
    assert {path for path, one in found.items() if one["said"]} >= {path for path, is_said in PAGES.items() if is_said}


def what_became_of_it(page: Page, url: str) -> dict[str, Any]:
    """On one page: elements and attributes that are not ours, and whether the words are there to be read."""
    answer = page.goto(url)
    assert answer is not None
    assert answer.status == 200, url
    page.wait_for_load_state("networkidle")
    found: dict[str, Any] = page.evaluate(
        """sign => ({
            made: [...document.getElementsByClassName(sign)].map(one => one.outerHTML),
            acts: [...document.querySelectorAll("*")].filter(
                one => [...one.attributes].some(each => each.name.startsWith("on"))).map(one => one.outerHTML),
            said: document.body.textContent.includes("<img src=/" + sign),
        })""",
        SIGN,
    )
    return found
