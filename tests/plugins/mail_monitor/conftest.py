"""A mailbox watched by Acme, in memory or on a real server, and what tests do with it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from app.accounts.models import Account
from app.billing.models import Customer
from app.db import db, unit_of_work
from app.installations.models import Installation
from plugins.mail_monitor import accounts, credentials, jobs, pausing, testing
from plugins.mail_monitor.models import ConnectionTest, ConnectionTestState, EmailAccount
from plugins.mail_monitor.settings import AccountSettings, ServerSettings
from plugins.mail_monitor.turns import Tally, Turn
from tests import make
from tests.cast import Cast
from tests.fakes.mailbox import FakeServer
from tests.mail_services import Dovecot, Post
from tests.visitors import HeardBell, apart


@pytest.fixture
def server(app: Flask) -> FakeServer:
    """The server that every mailbox of the test is on."""
    fake = FakeServer()
    app.extensions["mail_monitor_opens"] = fake.opens
    return fake


@pytest.fixture
def installation(cast: Cast) -> Installation:
    """The mail monitor switched on for Acme."""
    return make.installation(cast.acme, "mail_monitor")


@pytest.fixture
def tamsin(cast: Cast) -> Customer:
    """The customer of Acme whom `mail()` is from unless said otherwise."""
    return make.customer(cast.acme, email="tamsin@quill.example")


@pytest.fixture
def settings(cast: Cast) -> AccountSettings:
    """A valid email account of Acme."""
    return AccountSettings(
        display_name="Front desk",
        location_id=cast.acme.locations[0].id,
        email_address="desk@acme.example",
        active=True,
        incoming=ServerSettings("imap.acme.example", 993, "tls", "desk", "right"),
        outgoing=ServerSettings("smtp.acme.example", 465, "tls"),
    )


Watch = Callable[..., EmailAccount]


@pytest.fixture
def watch(cast: Cast, installation: Installation, server: FakeServer, bell: HeardBell) -> Watch:
    """`watch(settings)`: save an account whose test passed just now, without scanning it yet."""

    def save(settings: AccountSettings) -> EmailAccount:
        row = begin_to_watch(installation, server, settings)
        bell.rings.clear()
        return row

    return save


def begin_to_watch(installation: Installation, server: FakeServer, settings: AccountSettings) -> EmailAccount:
    """Save an account whose test passed just now."""
    with unit_of_work() as session:
        test = testing.begin(installation, settings, None, "Ana Alder", ring=False)
        test.state = ConnectionTestState.PASSED
        test.begins_at = [
            {"kind": kind, "name": name, "uidvalidity": folder.uidvalidity, "uidnext": folder.uidnext}
            for kind, name in (("inbox", "INBOX"), ("sent", "Sent"))
            for folder in (server.folders[name],)
        ]
        session.flush()
        account = session.get_one(Account, installation.account_id)
        test = session.get_one(ConnectionTest, test.id)
        return accounts.save(account, installation, settings, None, test, agrees=True)


@pytest.fixture
def desk(watch: Watch, settings: AccountSettings) -> EmailAccount:
    """The watched account desk@acme.example."""
    return watch(settings)


@pytest.fixture
def scan(app: Flask) -> Callable[[EmailAccount], Tally]:
    """`scan(desk)`: one slice of work on an account, as a worker does it, and what that came to."""

    real_rest = pausing.rest

    def work(row: EmailAccount) -> Tally:
        email_account_id = row.id
        db.session.rollback()
        tallies: list[Tally] = []

        def rest(mine: Turn, *, all_done: bool) -> None:
            tallies.append(mine.tally)
            real_rest(mine, all_done=all_done)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("plugins.mail_monitor.jobs.pausing.rest", rest)
            apart(_in_a_worker, app, email_account_id)
        db.session.rollback()
        return tallies[0] if tallies else Tally()

    return work


def _in_a_worker(app: Flask, email_account_id: int) -> None:
    with app.app_context():
        jobs.work_on_account(email_account_id)


@pytest.fixture
def reachable(app: Flask, dovecot: Dovecot) -> Iterator[Flask]:
    """The app, allowed to reach loopback, and with real mailboxes."""
    before = app.config["SETTINGS"]
    changes = {"mail_private_hosts": ("127.0.0.0/8",), "mail_ca_file": dovecot.ca_file}
    app.config["SETTINGS"] = before.model_copy(update=changes)
    app.extensions.pop("mail_monitor_opens", None)
    yield app
    app.config["SETTINGS"] = before


@pytest.fixture
def real_settings(cast: Cast, dovecot: Dovecot, post: Post) -> AccountSettings:
    """An email account at the real servers, with an empty mailbox."""
    return AccountSettings(
        display_name="Desk",
        location_id=cast.acme.locations[0].id,
        email_address="desk@acme.example",
        active=True,
        incoming=ServerSettings("localhost", dovecot.tls_port, "tls", dovecot.new_user(), dovecot.password),
        outgoing=ServerSettings("127.0.0.1", post.port, "starttls", "", ""),
    )


def rows_of(model: type) -> list:  # type: ignore[type-arg]  # of whatever model was asked for
    """Every row of a model, oldest first."""
    db.session.rollback()
    return list(db.session.scalars(sa.select(model).order_by(model.id)))  # type: ignore[attr-defined]


@pytest.fixture
def sending_desk(
    watch: Watch, settings: AccountSettings, post: Post, app: Flask, certificate: Path
) -> Iterator[EmailAccount]:
    """desk@acme.example, with its outgoing server on loopback."""
    before = app.config["SETTINGS"]
    changes = {"mail_private_hosts": ("127.0.0.0/8",), "mail_ca_file": certificate}
    app.config["SETTINGS"] = before.model_copy(update=changes)
    outgoing = ServerSettings("127.0.0.1", post.port, "starttls", "desk", post.password)
    row = watch(replace(settings, outgoing=outgoing, signature="Front desk\nAcme", reply_to="team@acme.example"))
    with unit_of_work() as session:
        credentials.seal(session.get_one(EmailAccount, row.id), credentials.Passwords("right", post.password))
    yield row
    app.config["SETTINGS"] = before
