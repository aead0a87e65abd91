"""Restored from yesterday: files are there again, and what happened today happens no second time.

Through pages and jobs, with a Nexudus and a mailbox that remember today; from either database into either.
"""

import base64
import email
import io
from collections.abc import Callable
from datetime import timedelta
from email import policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask
from PIL import Image

from app import backups, clock
from app.accounts.models import Account, User
from app.billing.models import Customer, Invoice, InvoiceStatus
from app.db import db
from app.work import sweep_once
from plugins.mail_monitor.records import Attachment, Filing, Message
from plugins.mail_monitor.settings import AccountSettings, ServerSettings
from plugins.nexudus.models import ExportState, InvoiceExport
from plugins.nexudus.sandbox.adapter import SandboxAdapter
from plugins.nexudus.sandbox.seed import EMAIL, PASSWORD
from tests import make
from tests.cast import assemble
from tests.fakes.mailbox import FakeServer
from tests.plugins.mail_monitor.conftest import begin_to_watch
from tests.plugins.mail_monitor.letters import mail
from tests.plugins.nexudus.conftest import There, mounted
from tests.visitors import Visitor

DATABASES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
KEYS = {"secret_key": "k" * 48, "vault_keys": f"one:{base64.b64encode(bytes(32)).decode()}"}
PDF = b"%PDF-1.4 " + bytes(range(256)) * 40


class Story:
    """One installation after the other, between the same Nexudus and the same mailbox."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch, self.mailbox, self.hours = monkeypatch, FakeServer(), 0
        self.there: There | None = None
        self.adapter: SandboxAdapter | None = None

    def connect_to_the_same(self, app: Flask) -> None:
        app.extensions["mail_monitor_opens"] = self.mailbox.opens
        if self.adapter is None:
            self.there = mounted(app, self.monkeypatch)
            self.adapter = app.extensions["nexudus_adapter"]
        self.monkeypatch.setitem(app.extensions, "nexudus_adapter", self.adapter)

    def ana(self, app: Flask) -> Visitor:
        browser = app.test_client()
        assert isinstance(browser, Visitor)
        browser.enter(db.session.scalars(sa.select(User).where(User.email == "ana@acme.example")).one())
        return browser


def work(app: Flask) -> None:
    """What sweep and workers do until nothing is due."""
    for _ in range(3):
        db.session.rollback()
        sweep_once()
        app.extensions["bell"].answer()


def letter(number: int) -> bytes:
    """A mail with a file."""
    message = email.message_from_bytes(mail(subject=f"Papers {number}", message_id=f"<{number}@q>"), policy=policy.SMTP)
    assert isinstance(message, EmailMessage)
    message.add_attachment(PDF + bytes([number]), "application", "pdf", filename=f"papers-{number}.pdf")
    return message.as_bytes()


def settle(app: Flask, story: Story) -> None:
    """Acme with a logo, a mailbox, Nexudus, and a customer who is billed there."""
    acme = assemble().acme
    story.connect_to_the_same(app)
    ana = story.ana(app)
    drawn = io.BytesIO()
    Image.new("RGB", (40, 20), "#c03").save(drawn, "PNG")
    drawn.seek(0)
    assert ana.post("/acme/settings/logo", data={"logo": (drawn, "logo.png")}).status_code == 303
    ana.post("/acme/settings/integrations/systems/nexudus/toggle", data={"on": "1"})
    typed = {"email": EMAIL, "password": PASSWORD, "issue": "draft", "may_add_products": "y"}
    assert ana.post("/acme/nexudus/connect", data=typed).status_code == 303
    settings = AccountSettings(
        display_name="Front desk",
        location_id=acme.locations[0].id,
        email_address="desk@acme.example",
        active=True,
        incoming=ServerSettings("imap.acme.example", 993, "tls", "desk", "right"),
        outgoing=ServerSettings("smtp.acme.example", 465, "tls"),
    )
    begin_to_watch(make.installation(acme, "mail_monitor"), story.mailbox, settings)
    place: dict[str, Any] = {"address": "Rua 1", "city": "Porto", "postcode": "4000", "country": "PT"}
    make.customer(acme, "Tamsin Quill", email="tamsin@quill.example", **place)
    work(app)


def one_more(app: Flask, story: Story, number: int) -> None:
    """An invoice is handed over, and a mail is filed."""
    customer = db.session.scalars(sa.select(Customer)).one()
    make.invoice(customer, number=f"A-{number}", created_at=clock.now() + timedelta(microseconds=1))
    story.mailbox.inbox.put(letter(number))
    export_and_scan(app, story)


def export_and_scan(app: Flask, story: Story) -> None:
    assert story.ana(app).post("/acme/nexudus/exports/now").status_code == 303
    work(app)
    story.hours += 1
    with time_machine.travel(clock.now() + timedelta(hours=story.hours)):  # the mailbox is scanned again
        work(app)
    db.session.rollback()


@pytest.mark.parametrize("into", DATABASES)
@pytest.mark.parametrize("origin", DATABASES)
def test_restored_from_yesterday_files_are_back_and_nothing_is_exported_or_filed_twice(
    hosts: Callable[..., Flask], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, origin: str, into: str
) -> None:
    story = Story(monkeypatch)
    old, new = hosts("old", origin, **KEYS), hosts("new", into, **KEYS)
    with old.app_context():
        settle(old, story)
        one_more(old, story, 1)
        make.invoice(db.session.scalars(sa.select(Customer)).one(), number="A-2", created_at=clock.now())
        backups.back_up(tmp_path / "yesterday.zip")
        story.mailbox.inbox.put(letter(2))
        export_and_scan(old, story)  # today, which the backup knows nothing of
        assert (len(exported()), len(filed())) == (2, 2)
        address = (
            f"/portal/acme/logo/{db.session.scalar(sa.select(Account.logo_version).where(Account.slug == 'acme'))}.png"
        )
        logo = story.ana(old).get(address).data
        assert logo.startswith(b"\x89PNG")
    assert story.there is not None
    over_there = story.there.invoices()
    assert len(over_there) == 2

    with new.app_context():
        backups.restore(tmp_path / "yesterday.zip")
        story.connect_to_the_same(new)
        assert (len(exported()), len(filed())) == (1, 1)
        export_and_scan(new, story)

        assert story.there.invoices() == over_there
        assert {one.remote_id for one in exported()} == {one["Id"] for one in over_there}
        assert {one.status for one in db.session.scalars(sa.select(Invoice))} == {InvoiceStatus.CLOSED}
        assert len(exported()) == 2
        assert sorted(one.message.subject for one in filed()) == ["Papers 1", "Papers 2"]
        assert len(db.session.scalars(sa.select(Message)).all()) == 2
        ana = story.ana(new)
        for number, file in enumerate(db.session.scalars(sa.select(Attachment).order_by(Attachment.id)), start=1):
            answer = ana.get(f"/acme/mail/messages/{file.message_id}/attachments/{file.id}")
            assert (answer.status_code, answer.data) == (200, PDF + bytes([number]))
            original = ana.get(f"/acme/mail/messages/{file.message_id}/original")
            assert original.data == story.mailbox.inbox.messages[number].raw
        assert ana.get(address).data == logo


def exported() -> list[InvoiceExport]:
    return list(db.session.scalars(sa.select(InvoiceExport).where(InvoiceExport.state == ExportState.EXPORTED)))


def filed() -> list[Filing]:
    return list(db.session.scalars(sa.select(Filing)))
