"""Restored from yesterday: nobody is charged twice, and no customer is told twice of what was told then."""

import base64
import shutil
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask

from app import backups
from app.billing import life, plans
from app.billing.life import Terms
from app.billing.models import Customer, CustomerStatus, Invoice, InvoiceStatus
from app.billing.plans import PlanDetails
from app.billing.subscription_models import Cycle
from app.db import db, unit_of_work
from app.mailing.models import MailState, OutgoingMail
from app.payments import cards, gateways
from app.payments.gateways import Access
from app.payments.models import CardEntry, Charge, ChargeState, ProviderName
from app.payments.test_gateway import TestGateway
from app.work import sweep_once
from tests import make
from tests.cast import assemble

DATABASES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
KEYS = {"secret_key": "k" * 48, "vault_keys": f"one:{base64.b64encode(bytes(32)).decode()}"}
YESTERDAY, TODAY, BACK = "2026-11-21T12:00:00Z", "2026-11-22T08:00:00Z", "2026-11-22T16:00:00Z"


class Post:
    """What the mail server took, from whichever installation."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.taken: list[str] = []
        monkeypatch.setattr("app.mailing.jobs.PostOffice.send", lambda office, letter: self._take(letter.subject))

    def _take(self, subject: str) -> str:
        self.taken.append(subject)
        return "250 OK"


def work(app: Flask, *moments: str) -> None:
    """What sweep and workers do then: fees are billed, minutes later what fell due is looked for and charged."""
    for moment in moments:
        for minutes in (0, 10, 20):
            with time_machine.travel(datetime.fromisoformat(moment) + timedelta(minutes=minutes)):
                for _ in range(4):
                    db.session.rollback()
                    sweep_once()
                    app.extensions["bell"].answer()
                db.session.rollback()


def settle(app: Flask, kind: str) -> None:
    """Acme with a gateway, and Tamsin with a card and a plan whose first period begins tomorrow."""
    acme = assemble().acme
    bank = bank_of(app)
    found = Access(0, ProviderName.TEST, "", "").open().check()
    with unit_of_work() as session:
        session.merge(acme).mails_invoices = True
        gateways.connect(acme, ProviderName.TEST, "", found)
    customer = make.customer(acme, email="tamsin@quill.example", status=CustomerStatus.INACTIVE)
    url = cards.start_card_entry(customer.id, "/back")
    bank.leave_card(url.rpartition("/")[2], kind)
    entry = db.session.scalars(sa.select(CardEntry.id)).one()
    cards.finish_card_entry(entry)
    details = PlanDetails(title="Business 12", kind="business", monthly="39.00", long_cycle="yearly", long="420")
    with unit_of_work() as session:
        plan = plans.add(acme, details)
        row = session.get_one(Customer, customer.id)
        life.activate(row, Terms(plan, Cycle.MONTHLY, date(2026, 11, 22), setup_fee=True))


def bank_of(app: Flask) -> TestGateway:
    return TestGateway(Path(app.config["SETTINGS"].data_dir), "")


def payments(app: Flask) -> list[tuple[str, int]]:
    """What the gateway was asked for, by either installation."""
    db.session.rollback()
    return [(one["verdict"], one["minor"]) for one in bank_of(app).payments()]


def invoices() -> list[Invoice]:
    db.session.expire_all()
    return list(db.session.scalars(sa.select(Invoice).order_by(Invoice.id)))


def mails(state: MailState) -> list[str]:
    return list(db.session.scalars(sa.select(OutgoingMail.subject).where(OutgoingMail.state == state)))


@pytest.mark.parametrize("into", DATABASES)
@pytest.mark.parametrize("origin", DATABASES)
def test_a_fee_charged_in_the_time_that_is_missing_is_neither_charged_nor_told_again(
    hosts: Callable[..., Flask], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, origin: str, into: str
) -> None:
    post = Post(monkeypatch)
    old, new = hosts("old", origin, **KEYS), hosts("new", into, **KEYS)
    with old.app_context(), time_machine.travel(YESTERDAY) as now:
        settle(old, "good")
        work(old, YESTERDAY)
        backups.back_up(tmp_path / "yesterday.zip")
        now.move_to(TODAY)
        # Somebody else's invoice came first: after the restore the fee has another id.
        make.invoice(db.session.scalars(sa.select(Customer)).one(), do_not_send=True)
        work(old, TODAY)
        [_, fee] = invoices()
        assert fee.status == InvoiceStatus.PAID
        told = list(post.taken)
        assert any(fee.number in subject for subject in told)
    shutil.copy(tmp_path / "old" / "test-gateway.db", tmp_path / "new")

    with new.app_context(), time_machine.travel(BACK):
        backups.restore(tmp_path / "yesterday.zip")
        work(new, BACK)

        [fee] = invoices()
        assert fee.status == InvoiceStatus.PAID
        assert payments(new) == [("paid", 3900)]
        assert post.taken == told
        [resting] = mails(MailState.UNKNOWN)
        assert fee.number in resting

        work(new, "2026-12-22T08:00:00Z")  # what came about since is as ever
        assert [one.status for one in invoices()] == [InvoiceStatus.PAID, InvoiceStatus.PAID]
        assert len(post.taken) == len(told) + 1


def test_an_attempt_of_before_that_was_declined_is_not_told_of_again_and_a_new_one_is(
    hosts: Callable[..., Flask], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    post = Post(monkeypatch)
    old, new = hosts("old", "sqlite", **KEYS), hosts("new", "sqlite", **KEYS)
    with old.app_context(), time_machine.travel(YESTERDAY):
        settle(old, "declined")
        backups.back_up(tmp_path / "yesterday.zip")
        work(old, TODAY)
        told = list(post.taken)
        assert [one.state for one in db.session.scalars(sa.select(Charge))] == [ChargeState.FAILED]
    shutil.copy(tmp_path / "old" / "test-gateway.db", tmp_path / "new")

    with new.app_context(), time_machine.travel(BACK):
        backups.restore(tmp_path / "yesterday.zip")
        work(new, BACK)
        assert post.taken == told
        assert len(payments(new)) == 1

        work(new, "2026-11-23T17:00:00Z")
        assert len(payments(new)) == 2
        assert len(post.taken) == len(told) + 1


def test_two_invoices_of_one_row_number_have_two_keys(
    hosts: Callable[..., Flask], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restored database counts on where the backup stood, so ids come twice; no money may follow them."""
    Post(monkeypatch)
    old, new = hosts("old", "sqlite", **KEYS), hosts("new", "sqlite", **KEYS)
    ids = []
    with old.app_context(), time_machine.travel(YESTERDAY):
        settle(old, "good")
        backups.back_up(tmp_path / "yesterday.zip")
    for app, when in ((old, TODAY), (new, BACK)):
        with app.app_context(), time_machine.travel(when):
            if app is new:
                shutil.copy(tmp_path / "old" / "test-gateway.db", tmp_path / "new")
                backups.restore(tmp_path / "yesterday.zip")
            customer = db.session.scalars(sa.select(Customer)).one()
            ids.append(make.invoice(customer, due_on=date(2026, 11, 22)).id)
            work(app, when)

    assert ids[0] == ids[1]
    with new.app_context():
        assert payments(new).count(("paid", 1230)) == 2
