"""Nexudus tells of changes by itself: signed or not believed, and what changed is read again."""

from datetime import timedelta
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
import time_machine

from app import clock
from app.audit import AuditEntry
from app.billing.models import Customer
from app.db import db, unit_of_work
from plugins.nexudus import hooks
from plugins.nexudus.hook_routes import LARGEST
from plugins.nexudus.models import Connection, LinkState
from plugins.nexudus.sandbox.webhooks import SIGNATURE, signature
from tests.plugins.nexudus.conftest import There, link_of, the_connection, work_again
from tests.visitors import HeardBell, Visitor

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

SECRET = "a shared secret of theirs"
SYSTEMS = "/acme/settings/integrations/systems"
BODY = b'[{"Id": 7}]'


@pytest.fixture
def address(ana: Visitor, connected: Connection) -> str:
    """Where Nexudus posts, once its secret is kept."""
    assert "/webhooks/nexudus/" not in ana.get(SYSTEMS).text
    assert ana.post("/acme/nexudus/webhooks", data={"secret": SECRET}).status_code == 303
    found = hooks.address_of(the_connection())
    page = ana.get(SYSTEMS).text
    assert found in page
    assert SECRET not in page
    return urlsplit(found).path


def post(client: Visitor, address: str, body: bytes = BODY, signed: str | None = None) -> int:
    headers = {SIGNATURE: signature(body, SECRET) if signed is None else signed}
    return client.post(address, data=body, headers=headers, csrf=False).status_code


def test_an_archived_member_is_noticed_within_a_minute(
    client: Visitor, there: There, address: str, customer: Customer, bell: HeardBell
) -> None:
    link = link_of(customer)
    assert link is not None
    assert link.member_id is not None
    there.change("Coworker", link.member_id, Archived=True)
    work_again(bell)
    assert link_state(customer) == LinkState.LINKED, "nobody told"
    with time_machine.travel(clock.now() + timedelta(minutes=2)):
        assert post(client, address) == 204
        work_again(bell)
        assert link_state(customer) == LinkState.GONE


def link_state(customer: Customer) -> LinkState:
    db.session.expire_all()
    link = link_of(customer)
    assert link is not None
    return link.state


def test_many_in_a_row_are_one_listing(
    client: Visitor, there: There, address: str, customer: Customer, bell: HeardBell
) -> None:
    with time_machine.travel(clock.now() + timedelta(minutes=2)):
        before = there.calls("GET /api/spaces/coworkers")
        for _ in range(5):
            assert post(client, address) == 204
            work_again(bell)
        assert there.calls("GET /api/spaces/coworkers") == before + 1
    taken = sa.select(AuditEntry.actor).where(AuditEntry.action == "webhook_taken")
    assert set(db.session.scalars(taken)) == {"Nexudus"}


@pytest.mark.parametrize("signed", ["", "00", signature(b"[]", SECRET), signature(BODY, "another"), "\u00e9"])
def test_what_is_not_signed_changes_nothing(client: Visitor, address: str, signed: str) -> None:
    assert post(client, address, signed=signed.encode().decode("latin-1")) == 401
    assert the_connection().heard_at is None


def test_capitals_do_not_matter_and_the_body_may_be_anything(client: Visitor, address: str) -> None:
    assert post(client, address, b"\xff\0", signature(b"\xff\0", SECRET).lower()) == 204


def test_a_body_beyond_reason_is_not_read(client: Visitor, address: str) -> None:
    assert post(client, address, b"x" * (LARGEST + 1)) == 413


def test_an_address_ends_with_its_connection(ana: Visitor, client: Visitor, address: str) -> None:
    assert post(client, "/webhooks/nexudus/another") == 404
    ana.post("/acme/nexudus/disconnect")
    assert post(client, address) == 404
    with unit_of_work() as session:
        assert session.scalars(sa.select(Connection.hook_secret)).all() == [None]


@pytest.mark.parametrize("typed", ["", "x" * 201])
def test_a_secret_that_is_none_is_refused(ana: Visitor, connected: Connection, typed: str) -> None:
    assert ana.post("/acme/nexudus/webhooks", data={"secret": typed}).status_code == 422
    assert hooks.address_of(the_connection()) == ""
