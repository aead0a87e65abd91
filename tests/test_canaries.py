"""Secrets stay secret: every kind of them is typed into the product, and then looked for wherever something is kept.

A word of its own stands for each secret that a person types; those that the product makes are taken as it makes them.
Looked through are the log, Redis, every table, failed jobs, and every page that can be asked for.
"""

import base64
import binascii
import io
import logging
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import pyotp
import pytest
import sqlalchemy as sa
from flask import Flask
from redis import Redis
from rq import Queue, SimpleWorker
from rq.serializers import JSONSerializer

from app import clock
from app.access import Role
from app.accounts.models import Location
from app.accounts.services import create_user, give_role
from app.accounts.signing_in import hash_password
from app.db import db, unit_of_work, write_access
from app.mailing.letters import Letter
from app.mailing.models import OutgoingMail
from app.mailing.post_office import PostOffice
from app.payments import gateways
from app.payments.models import Gateway, ProviderName
from app.payments.provider import Checked
from app.work import Bell, HostJob, bell, sweep_once
from plugins.mail_monitor.models import ConnectionTest, EmailAccount
from plugins.nexudus.models import Connection
from plugins.nexudus.sandbox import auth
from plugins.nexudus.sandbox.seed import EMAIL
from plugins.nexudus.session import open_token
from tests import make
from tests.cast import Cast, assemble
from tests.fakes.mailbox import FakeServer
from tests.plugins.nexudus.conftest import mounted
from tests.services import free_port
from tests.visitors import Visitor, apart

pytestmark = [pytest.mark.redis, pytest.mark.slow]

WORDS = {
    "a person's password": "Canary-staff-9231",
    "a password that was wrong": "Canary-wrong-5512",
    "the password of Nexudus": "Canary-nexudus-7714",
    "a wrong password of Nexudus": "Canary-nexudus-wrong-3307",
    "a code for Nexudus": "660718",
    "a mailbox's password": "Canary-imap-4410",
    "an SMTP password": "Canary-smtp-8852",
    "the password of our mail server": "Canary-post-1193",
    "a key of Stripe": "rk_test_Canary6620key77310",
    "the secret of a webhook": "whsec_Canary2209secret",
    "a customer's password": "Canary-portal-6643",
}
CODE = WORDS["a code for Nexudus"]


@pytest.fixture
def log(build_app: Callable[..., Flask]) -> Iterator[io.StringIO]:
    """Everything that is logged, however small."""
    root, kept = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers, root.level
    yield kept
    root.handlers = handlers
    root.setLevel(level)


@pytest.fixture
def app(
    build_app: Callable[..., Flask], redis_url: str, tmp_path: Path, data_dir: Path, log: io.StringIO
) -> Iterator[Flask]:
    """A product of its own with a real Redis, whose mail server and Stripe cannot be reached."""
    (tmp_path / "assets").symlink_to(data_dir / "assets")
    nobody = f"127.0.0.1:{free_port()}"
    app = build_app(
        data_dir=tmp_path,
        redis_url=redis_url,
        log_level="debug",
        smtp_url=f"smtp://post:{WORDS['the password of our mail server']}@{nobody}",
        stripe_url=f"http://{nobody}",
    )
    # The one handler that the product installs.
    cast("logging.StreamHandler[Any]", logging.getLogger().handlers[0]).setStream(log)
    with app.app_context():
        with write_access(), db.engine.begin() as connection:
            db.metadata.create_all(connection)
        yield app
        db.session.remove()
        db.engine.dispose()


def test_no_secret_is_found_anywhere_but_where_it_is_meant_to_be(
    app: Flask, redis_url: str, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = assemble()
    secrets = dict(WORDS)
    with Redis.from_url(redis_url) as redis:
        redis.flushdb()
        monkeypatch.setattr(bell(), "connection", redis)
        heard = bell()
        monkeypatch.setattr(heard, "ring", lambda name, *ids: Bell.ring(heard, name, *ids), raising=False)

        ana = sign_in_with_everything(app, people, secrets)
        secrets["the key of the vault"] = app.config["SETTINGS"]._kept("vault_keys", str).partition(":")[2]
        secrets["the key of sessions"] = app.config["SETTINGS"].session_key
        connect_to_nexudus(app, people, ana, secrets, monkeypatch)
        watch_a_mailbox(app, people, ana)
        connect_a_gateway(people, ana)
        let_a_customer_in(app, people, ana, redis, secrets, monkeypatch)
        work_and_fail(app, redis, monkeypatch)
        secrets["a browser's sign-in"] = cookie_of(ana)

        places = {
            "log": log.getvalue(),
            "Redis": everything_in(redis),
            "database": everything_stored(),
            "pages": every_page(app, people),
        }
    assert len(log.getvalue().splitlines()) > 50
    assert "Traceback" in places["Redis"], "a job that failed keeps its traceback, and that was looked through"
    found = {(what, place) for what, secret in secrets.items() for place, text in places.items() if secret in text}
    assert found == set()


def sign_in_with_everything(app: Flask, people: Cast, secrets: dict[str, str]) -> Visitor:
    """A person with a password and a second factor, who mistypes, forgets, and signs in."""
    password = WORDS["a person's password"]
    hashed = hash_password(password)
    with unit_of_work():
        user = create_user("una@acme.example", hashed, "Una Ulm")
        give_role(people.acme, user, Role.OPERATOR)
    browser = visitor(app)
    browser.post("/login", data={"email": "una@acme.example", "password": WORDS["a password that was wrong"]})
    browser.post("/reset", data={"email": "una@acme.example"})
    assert browser.post("/login", data={"email": "una@acme.example", "password": password}).status_code == 303
    browser.post("/acme/profile/second-factor/begin")
    shown = browser.get("/acme/profile/second-factor").text
    key = re.search(r"<code>((?:[A-Z2-7]{4} ?){8})</code>", shown)
    assert key is not None
    secrets["the key of a second factor"] = plain = key[1].replace(" ", "")
    secrets["the same as it is shown"] = key[1]
    codes = browser.post("/acme/profile/second-factor", data={"code": pyotp.TOTP(plain).now()}).text
    made = re.findall(r"\b[a-z2-9]{4}-[a-z2-9]{4}-[a-z2-9]{4}\b", codes)
    assert len(made) == 10
    secrets |= {f"recovery code {number}": code for number, code in enumerate(made)}
    wrong = {"current": WORDS["a password that was wrong"], "password": password + "x", "again": password + "x"}
    browser.post("/acme/profile/password", data=wrong)
    other = visitor(app)
    other.post("/login", data={"email": "una@acme.example", "password": password})
    assert other.post("/login/code", data={"code": made.pop()}).status_code == 303
    return browser


def connect_to_nexudus(
    app: Flask, people: Cast, ana: Visitor, secrets: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused first, then with a code, then for good; later it fails in the middle of its work."""
    there = mounted(app, monkeypatch)
    password = WORDS["the password of Nexudus"]
    auth.set_password(there.space, there.space.where("User", Email=EMAIL)[0], password)
    ana.post("/acme/settings/integrations/systems/nexudus/toggle", data={"on": "1"})
    typed = {"email": EMAIL, "issue": "draft", "may_add_products": "y"}
    refused = ana.post("/acme/nexudus/connect", data={**typed, "password": WORDS["a wrong password of Nexudus"]})
    assert refused.status_code == 422
    there.faults(error_next=1)
    assert ana.post("/acme/nexudus/connect", data={**typed, "password": password, "totp": CODE}).status_code != 303
    there.faults(error_next=0)
    assert ana.post("/acme/nexudus/connect", data={**typed, "password": password}).status_code == 303
    connection = db.session.scalars(sa.select(Connection)).one()
    secrets["an access token"] = open_token(connection, "access_token")
    secrets["a refresh token"] = open_token(connection, "refresh_token")
    make.invoice(make.customer(people.acme, country="PT", city="Porto", address="Rua 1", postcode="4000"))
    there.faults(error_next=3)


def watch_a_mailbox(app: Flask, people: Cast, ana: Visitor) -> None:
    """Tested with a password that the server refuses; saved all the same, resting."""
    server = FakeServer(password="another")
    app.extensions["mail_monitor_opens"] = server.opens
    ana.post("/acme/settings/integrations/systems/mail_monitor/toggle", data={"on": "1"})
    typed = {
        "email_address": "desk@acme.example",
        "display_name": "Desk",
        "location_id": str(
            db.session.scalars(sa.select(Location.id).where(Location.account_id == people.acme.id)).one()
        ),
        "provider": "",
        "incoming-host": "imap.acme.example",
        "incoming-port": "993",
        "incoming-encryption": "tls",
        "incoming-user": "desk",
        "incoming-password": WORDS["a mailbox's password"],
        "incoming-delete": "never",
        "outgoing-host": "smtp.acme.example",
        "outgoing-port": "465",
        "outgoing-encryption": "tls",
        "outgoing-user": "desk",
        "outgoing-password": WORDS["an SMTP password"],
        "interval_minutes": "15",
        "largest_mb": "25",
        "daily_mb": "500",
        "daily_messages": "5000",
    }
    ana.post("/acme/mail/accounts/test", data={**typed, "active": "y"})
    assert db.session.scalars(sa.select(ConnectionTest)).all() != []
    saved = ana.post("/acme/mail/accounts/new", data=typed)
    assert saved.status_code == 303, saved.text
    assert db.session.scalars(sa.select(EmailAccount)).one().outgoing_password is not None


def connect_a_gateway(people: Cast, ana: Visitor) -> None:
    """Stripe does not answer; a gateway that was connected earlier keeps its key and takes a webhook's secret."""
    key = WORDS["a key of Stripe"]
    assert ana.post("/acme/settings/payments/stripe", data={"secret_key": key}).status_code != 303
    with unit_of_work():
        gateways.connect(people.acme, ProviderName.STRIPE, key, Checked("acct_1", is_live=False, is_restricted=True))
    ana.post("/acme/settings/payments/webhook", data={"webhook_secret": WORDS["the secret of a webhook"]})
    gateway = db.session.scalars(sa.select(Gateway)).one()
    assert gateway.webhook_secret is not None
    ana.post(f"/webhooks/payments/{gateway.webhook_key}", data="{}", headers={"Stripe-Signature": "t=1,v1=00"})


def let_a_customer_in(
    app: Flask, people: Cast, ana: Visitor, redis: Redis, secrets: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Invited to the portal by a mail that goes out, and in with a password of its own."""
    sent: list[str] = []

    do_what_was_rung(app, redis)  # nobody answers at our mail server

    def take(office: object, letter: Letter) -> str:
        sent.append(letter.text)
        return "250 OK"

    customer = make.customer(people.acme, email="cara@quill.example")
    monkeypatch.setattr(PostOffice, "send", take)
    with unit_of_work() as session:
        session.execute(
            sa.update(OutgoingMail).where(OutgoingMail.ended_at.is_(None)).values(due_at=clock.now(), nudged_at=None)
        )
    sweep_once()
    assert ana.post(f"/acme/customers/{customer.id}/portal-invitation").status_code == 303
    do_what_was_rung(app, redis)
    links = [link for text in sent for link in re.findall(r"https?://\S+", text)]
    tokens = [part for link in links for part in urlsplit(link).path.split("/") + urlsplit(link).query.split("=")]
    long = [token for token in tokens if len(token) > 30]
    assert len(long) >= 2, "one for the new password of before, one for the portal"
    secrets |= {f"a token that was mailed {number}": token for number, token in enumerate(long)}
    (invitation,) = [link for link in links if "/portal/" in link]
    browser, password = visitor(app), WORDS["a customer's password"]
    parts = urlsplit(invitation)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    browser.get(path)
    chosen = browser.post(path, data={"password": password, "again": password})
    assert chosen.status_code == 303, chosen.text


def work_and_fail(app: Flask, redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that is due is worked on, and one job of each kind breaks at a line that nobody foresaw."""
    with unit_of_work() as session:
        for model, _ in bell().kinds:
            session.execute(
                sa.update(model).where(model.due_at.is_not(None)).values(due_at=clock.now(), nudged_at=None)
            )
    sweep_once()
    do_what_was_rung(app, redis)
    connection_id = db.session.scalars(sa.select(Connection.id)).one()
    account_id = db.session.scalars(sa.select(EmailAccount.id)).one()
    with monkeypatch.context() as patch:

        def break_down(*args: Any, **options: Any) -> None:
            raise RuntimeError("nobody foresaw this")

        patch.setattr("plugins.nexudus.linking.work", break_down)
        patch.setattr("plugins.mail_monitor.scanning.work", break_down)
        with unit_of_work() as session:
            session.get_one(EmailAccount, account_id).active = True
        bell().ring("nexudus.work_on_connection", connection_id)
        bell().ring("mail_monitor.work_on_account", account_id)
        do_what_was_rung(app, redis)


def do_what_was_rung(app: Flask, redis: Redis) -> None:
    """As workers do, to the end; a job that fails stays with its traceback."""
    db.session.rollback()
    apart(_work, app, redis)
    db.session.rollback()


def _work(app: Flask, redis: Redis) -> None:
    with app.app_context():
        queues = [Queue(name, connection=redis, serializer=JSONSerializer, job_class=HostJob) for name in bell().queues]
        worker = SimpleWorker(queues, connection=redis, serializer=JSONSerializer, job_class=HostJob)
        worker.work(burst=True, logging_level="DEBUG")


def visitor(app: Flask) -> Visitor:
    browser = app.test_client()
    assert isinstance(browser, Visitor)
    return browser


def cookie_of(browser: Visitor) -> str:
    with browser.session_transaction() as session:
        return str(session["sign_in"])


def everything_in(redis: Redis) -> str:
    """Every key with everything it holds, whatever its type; what RQ has compressed is read as it is meant."""
    read: dict[bytes, Callable[[bytes], Any]] = {
        b"string": redis.get,
        b"hash": redis.hgetall,
        b"list": lambda key: redis.lrange(key, 0, -1),
        b"set": redis.smembers,
        b"zset": lambda key: redis.zrange(key, 0, -1, withscores=True),
        b"stream": redis.xrange,
    }
    found = []
    for key in cast("list[bytes]", redis.keys("*")):
        held: Any = read[cast("bytes", redis.type(key))](key)
        found.append(repr((key, held)))
        if isinstance(held, dict):
            found += [unpacked(value) for value in held.values()]
        elif key.startswith(b"rq:results"):
            found += [unpacked(value) for _, fields in held for value in fields.values()]
    return "\n".join(found)


def unpacked(value: bytes) -> str:
    for decode in (lambda one: one, lambda one: base64.b64decode(one, validate=True)):
        try:
            return zlib.decompress(decode(value)).decode()
        except (zlib.error, binascii.Error):
            continue
    return value.decode(errors="replace")


def everything_stored() -> str:
    """Every row of every table, bytes as text."""
    rows = []
    with db.engine.connect() as connection:
        for table in db.metadata.sorted_tables:
            for row in connection.execute(sa.select(table)):
                values = [one.decode("latin-1") if isinstance(one, bytes) else str(one) for one in row]
                rows.append(f"{table.name}: {values}")
    return "\n".join(rows)


def every_page(app: Flask, people: Cast) -> str:
    """Every page with ids that exist: those of the machine for its administrator, all others for the Operator."""
    ana, ida, texts = visitor(app), visitor(app), []
    ana.enter(people.ana)
    ida.enter(people.ida)
    for rule in app.url_map.iter_rules():
        if "GET" not in (rule.methods or ()) or rule.endpoint == "static":
            continue
        numbers = {name for name in rule.arguments if "Integer" in type(rule._converters[name]).__name__}
        for number in (1, 2):
            values: dict[str, Any] = {name: number if name in numbers else "nexudus" for name in rule.arguments}
            with app.test_request_context():
                path = app.url_map.bind("").build(
                    rule.endpoint, values | {"account_slug": "acme"}, append_unknown=False
                )
            answer = (ida if path.startswith("/rq") else ana).get(path)
            assert answer.status_code < 500 or rule.endpoint == "health.ready", path
            texts.append(answer.get_data().decode("latin-1"))
            if not numbers:
                break
    with Redis.from_url(app.config["SETTINGS"].redis_url) as redis:
        for key in redis.keys("rq:job:*"):
            answer = ida.get(f"/rq/jobs/{key.decode().split(':')[2]}")
            texts.append(answer.get_data().decode("latin-1"))
    return "\n".join(texts)
