"""The toggle and the popup: what each refusal says, what connecting begins, and what ends with it."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa
from flask import Flask

from app.audit import AuditEntry
from app.billing.models import Customer
from app.db import db
from app.installations.models import InstallationState
from plugins.nexudus.models import Connection, LinkRun, MemberLink
from plugins.nexudus.sandbox.seed import EMAIL, PASSWORD
from tests import make
from tests.cast import Cast
from tests.plugins.nexudus.conftest import There, mounted, newer_invoice, the_connection, the_installation, work_again
from tests.visitors import HeardBell, Visitor

TYPED = {"email": EMAIL, "password": PASSWORD, "issue": "draft", "may_add_products": "y"}


def test_the_server_refuses_to_connect_while_the_toggle_is_off(
    cast: Cast, sign_in: Callable[..., Visitor], there: There
) -> None:
    answer = sign_in(cast.ana).post("/acme/nexudus/connect", data=TYPED)
    assert answer.status_code == 404
    assert there.calls() == 0


def test_switching_on_alone_links_and_sends_nothing(cast: Cast, ana: Visitor, there: There, bell: HeardBell) -> None:
    make.customer(cast.acme)
    bell.answer()
    assert there.calls() == 0
    assert the_installation(cast).state == InstallationState.ON
    assert "Connect" in ana.get("/acme/settings/integrations/systems").text


@pytest.mark.parametrize("who", ["ben", "mia"])
def test_only_an_operator_connects(
    cast: Cast, ana: Visitor, sign_in: Callable[..., Visitor], there: There, who: str
) -> None:
    browser = sign_in(getattr(cast, who))
    for method, path in (("get", "/acme/nexudus/connect"), ("post", "/acme/nexudus/connect")):
        answer = getattr(browser, method)(path, **({"data": TYPED} if method == "post" else {}))
        assert answer.status_code == 403
        assert "Ana Alder" in answer.text
    assert there.calls() == 0


def test_connecting_shows_the_business_and_begins_to_link(
    cast: Cast, ana: Visitor, there: There, bell: HeardBell
) -> None:
    answer = ana.post("/acme/nexudus/connect", data=TYPED, htmx=True)
    assert answer.status_code == 200
    assert "Quayside Works Coworking" in answer.text
    assert "Connect members" in answer.text
    assert "Customers not connected" in answer.text
    assert the_installation(cast).state == InstallationState.CONNECTED
    assert ("nexudus.work_on_connection", the_connection().id) in bell.rings
    assert db.session.scalars(sa.select(LinkRun)).one().begun_by == "Ana Alder"


def test_the_password_is_kept_nowhere(cast: Cast, ana: Visitor, there: There) -> None:
    ana.post("/acme/nexudus/connect", data=TYPED)
    connection = the_connection()
    for table in db.metadata.sorted_tables:
        assert PASSWORD not in str(db.session.execute(sa.select(table)).all())
    assert connection.access_token
    assert there.space.where("User")[0]["Email"] == EMAIL


@pytest.mark.parametrize(
    ("faults", "typed", "sentence"),
    [
        ({}, {"password": "wrong"}, "does not accept this email and password"),
        ({"api_access": "off"}, {}, "Switch on “API access”"),
        ({"missing_roles": "Coworker-Create"}, {}, "create members"),
        ({"html_next": 5}, {}, "it is not Nexudus"),
        ({"error_next": 5}, {}, "again"),
        ({"ignored_filters": "Coworker_ReferenceNumber"}, {}, "nothing can be sent to it safely"),
    ],
)
def test_each_refusal_has_its_sentence_and_changes_nothing(
    cast: Cast, ana: Visitor, there: There, faults: dict[str, object], typed: dict[str, str], sentence: str
) -> None:
    there.member("somebody@quill.example")
    there.faults(**faults)
    if "html_next" in faults or "error_next" in faults:
        there.faults(only="/api/")
    answer = ana.post("/acme/nexudus/connect", data={**TYPED, **typed}, htmx=True)
    assert answer.status_code == 422
    assert sentence in answer.text
    assert EMAIL in answer.text
    assert PASSWORD not in answer.text
    assert db.session.scalars(sa.select(Connection)).all() == []


def test_a_demanded_code_swaps_in_the_code_field_alone(cast: Cast, ana: Visitor, there: There) -> None:
    there.faults(one_time_code="123456")
    answer = ana.post("/acme/nexudus/connect", data=TYPED, htmx=True)
    assert answer.status_code == 422
    assert answer.headers["HX-Retarget"] == "#connect-code"
    assert "password" not in answer.text.split("<label")[-1].lower() or "The password is right" in answer.text
    assert 'name="password"' not in answer.text
    assert ana.post("/acme/nexudus/connect", data={**TYPED, "totp": "123456"}, htmx=True).status_code == 200


def test_the_sixth_try_within_a_quarter_of_an_hour_does_not_reach_nexudus(
    cast: Cast, ana: Visitor, there: There
) -> None:
    for _ in range(5):
        assert ana.post("/acme/nexudus/connect", data={**TYPED, "password": "wrong"}).status_code == 422
    before = there.calls()
    assert ana.post("/acme/nexudus/connect", data=TYPED).status_code == 429
    assert there.calls() == before


def test_signing_in_again_keeps_the_cut_over_and_the_links(
    cast: Cast, there: There, connected: Connection, connect: Callable[[], Connection], bell: HeardBell
) -> None:
    customer = make.customer(cast.acme)
    work_again(bell)
    cutover, links = the_installation(cast).cutover_at, db.session.scalars(sa.select(MemberLink)).all()
    assert links
    again = connect()
    assert again.id == connected.id
    assert the_installation(cast).cutover_at == cutover
    assert db.session.get_one(Customer, customer.id).billed_by == "nexudus"


def test_off_and_on_again_sets_a_new_cut_over_and_keeps_the_links(
    cast: Cast, ana: Visitor, there: There, connected: Connection, connect: Callable[[], Connection], bell: HeardBell
) -> None:
    customer = make.customer(cast.acme)
    work_again(bell)
    before = the_installation(cast).cutover_at
    invoice = newer_invoice(customer)
    toggle = "/acme/settings/integrations/systems/nexudus/toggle"
    ana.post(toggle, data={"on": "0", "sure": "1"})
    ana.post(toggle, data={"on": "0"})
    assert the_installation(cast).state == InstallationState.OFF
    assert db.session.get_one(Customer, customer.id).billed_by == ""
    old = db.session.get_one(Connection, connected.id)
    assert (old.access_token, old.refresh_token) == (None, None)
    ana.post(toggle, data={"on": "1"})
    connect()
    installation = the_installation(cast)
    assert before is not None
    assert installation.cutover_at is not None
    assert installation.cutover_at > before
    assert installation.cutover_at > invoice.created_at
    assert db.session.get_one(Customer, customer.id).billed_by == "nexudus"


def test_another_business_does_not_reuse_the_links(
    app: Flask, cast: Cast, ana: Visitor, connected: Connection, bell: HeardBell, monkeypatch: pytest.MonkeyPatch
) -> None:
    make.customer(cast.acme)
    work_again(bell)
    old_id = connected.id
    elsewhere = mounted(app, monkeypatch)
    home = elsewhere.space.where("Business", Name="Quayside Works Coworking")[0]
    user = elsewhere.space.where("User")[0]
    other = next(one for one in elsewhere.space.where("Business") if one["Id"] != home["Id"])
    elsewhere.change("User", user["Id"], DefaultBusinessId=other["Id"], Businesses=[other["Id"]])
    assert ana.post("/acme/nexudus/connect", data=TYPED).status_code == 303
    new = the_connection()
    assert new.id != old_id
    assert db.session.scalars(sa.select(MemberLink).where(MemberLink.connection_id == new.id)).all() == []
    assert db.session.get_one(Connection, old_id).ended_at is not None


def test_a_revoked_sign_in_asks_a_person_on_every_page_and_one_click_leads_there(
    cast: Cast, ana: Visitor, there: There, connected: Connection, bell: HeardBell
) -> None:
    make.customer(cast.acme)
    there.faults(api_access="off")
    work_again(bell)
    installation = the_installation(cast)
    assert installation.state == InstallationState.ATTENTION
    page = ana.get("/acme/customers").text
    assert installation.problem.split(".")[0] in page
    assert "/acme/nexudus/connect" in page


def test_while_a_sign_in_is_missing_nothing_is_due_whoever_asks_and_signing_in_makes_it_due(
    cast: Cast, ana: Visitor, there: There, connected: Connection, bell: HeardBell
) -> None:
    make.customer(cast.acme)
    there.faults(api_access="off")
    work_again(bell)
    assert the_connection().due_at is None

    ana.post("/acme/nexudus/exports/now")
    bell.answer()
    assert the_connection().due_at is None

    there.faults(api_access="on")
    assert ana.post("/acme/nexudus/connect", data=TYPED).status_code == 303
    assert the_connection().due_at is not None


def test_connecting_and_refusals_are_in_the_audit(
    cast: Cast, ana: Visitor, there: There, connect: Callable[[], Connection]
) -> None:
    connect()
    actions = set(db.session.scalars(sa.select(AuditEntry.action)))
    assert {"plugin_on", "connected", "connect_members"} <= actions
