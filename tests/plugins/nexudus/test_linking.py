"""Who is linked to whom: by itself, by hand, once, and never by guessing."""

from collections.abc import Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask

from app import clock, effects
from app.billing import life
from app.billing.models import Customer, CustomerStatus
from app.db import db, unit_of_work
from plugins.nexudus.models import Connection, How, LinkRun, LinkState, MemberLink
from tests import make
from tests.cast import Cast
from tests.plugins.nexudus.conftest import There, link_of, the_connection, work_again
from tests.visitors import HeardBell, Visitor

LISTING = "GET /api/spaces/coworkers"
CREATING = "POST /api/spaces/coworkers"


@pytest.fixture
def run_again(ana: Visitor, bell: HeardBell) -> Callable[[], LinkRun]:
    """Press "Connect members", confirm, and let the worker work."""

    def run() -> LinkRun:
        assert ana.post("/acme/nexudus/members/connect").status_code == 303
        bell.answer()
        return db.session.scalars(sa.select(LinkRun).order_by(LinkRun.id.desc())).first() or pytest.fail("no run")

    return run


def state_of(customer: Customer) -> LinkState | None:
    link = link_of(customer)
    return link.state if link else None


@pytest.mark.parametrize("there_as", ["tamsin@quill.example", "  Tamsin@QUILL.example ", "TAMSIN@quill.example"])
def test_one_member_with_the_same_email_links_whatever_its_case_and_blanks(
    cast: Cast, there: There, connect: Callable[[], Connection], bell: HeardBell, there_as: str
) -> None:
    customer, member_id = make.customer(cast.acme, email="tamsin@quill.example"), there.member(there_as)
    connect()
    bell.answer()
    link = link_of(customer)
    assert link is not None
    assert (link.state, link.member_id, link.how) == (LinkState.LINKED, member_id, How.BY_EMAIL)
    assert db.session.get_one(Customer, customer.id).billed_by == "nexudus"
    assert len(there.members()) == 1


def test_a_missing_member_is_created_with_all_we_know(
    cast: Cast, there: There, connect: Callable[[], Connection], bell: HeardBell
) -> None:
    customer = make.customer(
        cast.acme,
        "Ada Lowell",
        email="ada@lowell.example",
        company="Lowell Maps",
        phone="+351 1",
        address="Rua 1",
        city="Porto",
        postcode="4000",
        country="PT",
    )
    connect()
    bell.answer()
    (member,) = there.members()
    assert (member["FullName"], member["Email"], member["CompanyName"]) == (
        "Ada Lowell",
        "ada@lowell.example",
        "Lowell Maps",
    )
    assert (member["MobilePhone"], member["Address"], member["CityName"], member["PostCode"]) == (
        "+351 1",
        "Rua 1",
        "Porto",
        "4000",
    )
    assert member["ReferenceNumber"] == f"acme:{customer.id}"
    assert there.space.need("Country", member["CountryId"])["TwoDigitsCode"] == "PT"
    assert not there.space.where("User", Email="ada@lowell.example")
    link = link_of(customer)
    assert link is not None
    assert (link.how, link.member_id) == (How.CREATED, member["Id"])


def test_a_missing_country_comes_from_the_location(
    cast: Cast, there: There, connect: Callable[[], Connection], bell: HeardBell
) -> None:
    make.customer(cast.acme, country="")
    connect()
    bell.answer()
    (member,) = there.members()
    assert there.space.need("Country", member["CountryId"])["TwoDigitsCode"] == "PT"


def test_a_zone_that_is_not_listed_there_becomes_the_zone_of_the_business(
    cast: Cast, there: There, connect: Callable[[], Connection], bell: HeardBell
) -> None:
    for zone in there.space.where("SimpleTimeZone"):
        there.change("SimpleTimeZone", zone["Id"], Name=f"Zone {zone['Id']}", NameIana="")
    make.customer(cast.acme)
    connect()
    bell.answer()
    home = there.space.where("Business", Name="Quayside Works Coworking")[0]
    assert [member["SimpleTimeZoneId"] for member in there.members()] == [home["SimpleTimeZoneId"]]


def test_two_members_with_one_email_wait_for_a_person(
    cast: Cast, there: There, connect: Callable[[], Connection], bell: HeardBell
) -> None:
    customer = make.customer(cast.acme, email="yuki@fennimore.example")
    there.member("yuki@fennimore.example", "Yuki")
    there.member("Yuki@Fennimore.example", "Fennimore Ceramics")
    connect()
    bell.answer()
    assert state_of(customer) == LinkState.CHOICE
    assert db.session.get_one(Customer, customer.id).billed_by == ""
    assert len(there.members()) == 2


def test_an_archived_member_is_neither_linked_nor_doubled(
    cast: Cast, there: There, connect: Callable[[], Connection], bell: HeardBell
) -> None:
    customer = make.customer(cast.acme, email="a@quill.example")
    there.member("a@quill.example", Archived=True)
    connect()
    bell.answer()
    assert state_of(customer) == LinkState.CHOICE
    assert len(there.members()) == 1


@pytest.mark.parametrize("status", [status for status in CustomerStatus if status != CustomerStatus.ACTIVE])
def test_only_active_customers_are_linked(
    cast: Cast, there: There, connect: Callable[[], Connection], bell: HeardBell, status: CustomerStatus
) -> None:
    customer = make.customer(cast.acme, status=status)
    connect()
    bell.answer()
    assert link_of(customer) is None
    assert there.members() == []


def test_two_thousand_members_are_listed_once_and_nobody_is_searched_for(
    cast: Cast, there: There, connect: Callable[[], Connection], bell: HeardBell
) -> None:
    for number in range(2000):
        there.member(f"member-{number}@quill.example")
    linked = [make.customer(cast.acme, email=f"member-{number}@quill.example") for number in range(0, 2000, 100)]
    connect()
    there.space.calls.reset()
    bell.answer()
    assert all(state_of(customer) == LinkState.LINKED for customer in linked)
    assert there.calls(LISTING) == 10


def test_a_customer_who_becomes_active_is_linked_without_anyone_doing_anything(
    cast: Cast, there: There, connected: Connection, bell: HeardBell
) -> None:
    customer = make.customer(cast.acme, status=CustomerStatus.INACTIVE, email="new@quill.example")
    there.member("new@quill.example")
    with unit_of_work():
        life.activate(db.session.get_one(Customer, customer.id))
    assert ("nexudus.link_customer", connected.installation_id, customer.id) in bell.rings
    bell.answer()
    assert state_of(customer) == LinkState.LINKED


def test_a_lost_ring_is_made_up_by_the_next_look(
    cast: Cast, there: There, connected: Connection, bell: HeardBell
) -> None:
    customer = make.customer(cast.acme)
    bell.rings.clear()
    work_again(bell)
    assert state_of(customer) == LinkState.LINKED


def test_one_who_became_active_while_nexudus_was_away_is_linked_when_it_is_back(
    cast: Cast, there: There, connected: Connection, bell: HeardBell
) -> None:
    there.faults(only="/api/", error_next=2)
    customer = make.customer(cast.acme)
    work_again(bell)
    assert state_of(customer) is None
    assert the_connection().problem
    work_again(bell)
    assert state_of(customer) == LinkState.LINKED
    assert the_connection().problem == ""


def test_pressing_twice_starts_one_run(cast: Cast, ana: Visitor, connected: Connection) -> None:
    for _ in range(2):
        ana.post("/acme/nexudus/members/connect")
    open_runs = db.session.scalars(sa.select(LinkRun).where(LinkRun.ended_at.is_(None))).all()
    assert len(open_runs) == 1


def test_a_second_run_creates_nobody_and_says_there_was_nothing_to_do(
    cast: Cast, ana: Visitor, there: There, connected: Connection, bell: HeardBell, run_again: Callable[[], LinkRun]
) -> None:
    make.customer(cast.acme)
    work_again(bell)
    before = len(there.members())
    run = run_again()
    assert run.ended_at is not None
    assert sum(run.counts.values()) == 0
    assert len(there.members()) == before
    assert "nothing left to do" in ana.get("/acme/nexudus/members").text.lower()
    assert "Nothing left to do" in ana.get("/acme/nexudus/members/connect").text


def test_the_result_names_new_customers_and_links_to_their_records(
    cast: Cast, ana: Visitor, there: There, connect: Callable[[], Connection], bell: HeardBell
) -> None:
    make.customer(cast.acme, "Ada Lowell")
    connect()
    bell.answer()
    page = ana.get("/acme/nexudus/members").text
    assert "New customers" in page
    assert "Ada Lowell" in page
    assert f"/new-customers/{there.members()[0]['Id']}" in page


def test_progress_is_shown_while_a_run_moves_and_survives_a_look_from_elsewhere(
    cast: Cast, ana: Visitor, connect: Callable[[], Connection]
) -> None:
    make.customer(cast.acme)
    connect()
    page = ana.get("/acme/nexudus/members").text
    assert "<progress" in page
    assert 'hx-trigger="every 2s"' in page
    assert "<progress" in ana.get("/acme/nexudus/members/run", htmx=True).text


def test_a_field_that_nexudus_demands_and_we_lack_is_named(
    cast: Cast, there: There, connect: Callable[[], Connection], bell: HeardBell
) -> None:
    location = make.location(cast.acme, "Nowhere", country="ZZ")
    customer = make.customer(cast.acme, location=location)
    other = make.customer(cast.acme)
    connect()
    bell.answer()
    link = link_of(customer)
    assert link is not None
    assert link.state == LinkState.SKIPPED
    assert "country" in link.reason
    assert state_of(other) == LinkState.LINKED


def test_the_51st_member_of_a_day_is_created_tomorrow_and_the_connection_stays_fine(
    cast: Cast, ana: Visitor, there: There, connect: Callable[[], Connection], bell: HeardBell
) -> None:
    there.faults(creation_cap=2)
    everybody = [make.customer(cast.acme) for _ in range(4)]
    connect()
    bell.answer()
    assert sorted(str(state_of(one)) for one in everybody) == ["linked", "linked", "tomorrow", "tomorrow"]
    assert the_connection().installation.works
    assert "Tomorrow" in ana.get("/acme/nexudus/members").text
    there.faults(creation_cap=None)
    with time_machine.travel(clock.now() + timedelta(days=1, hours=1)):
        work_again(bell, rounds=2)
    assert {state_of(one) for one in everybody} == {LinkState.LINKED}
    assert len(there.members()) == 4


@pytest.mark.parametrize("fault", ["lost_answer_next", "dropped_next"])
def test_a_lost_answer_makes_no_second_member(
    cast: Cast, there: There, connect: Callable[[], Connection], bell: HeardBell, fault: str
) -> None:
    customer = make.customer(cast.acme)
    connect()
    there.faults(only="/api/spaces/coworkers", **{fault: 1} if fault.startswith("lost") else {})
    if fault == "dropped_next":
        there.faults(error_next=0)
    bell.answer()
    work_again(bell, rounds=2)
    assert state_of(customer) == LinkState.LINKED
    assert len(there.members()) == 1


@pytest.mark.parametrize("point", effects.CRASH_POINTS)
def test_a_crash_while_a_member_is_created_makes_no_second_one(
    cast: Cast,
    there: There,
    connect: Callable[[], Connection],
    bell: HeardBell,
    monkeypatch: pytest.MonkeyPatch,
    point: str,
) -> None:
    class Crash(BaseException):
        pass

    def crash(at: str) -> None:
        if at == point:
            raise Crash

    customer = make.customer(cast.acme)
    connect()
    with monkeypatch.context() as patch, pytest.raises(Crash):
        patch.setattr(effects, "crash_point", crash)
        bell.answer()
    work_again(bell, rounds=2)
    assert state_of(customer) == LinkState.LINKED
    assert len(there.members()) == 1


def test_members_that_vanish_or_are_archived_there_are_noticed_and_never_recreated(
    cast: Cast, there: There, connected: Connection, bell: HeardBell, run_again: Callable[[], LinkRun]
) -> None:
    archived, deleted = make.customer(cast.acme), make.customer(cast.acme)
    work_again(bell)
    first, second = link_of(archived), link_of(deleted)
    assert first is not None
    assert second is not None
    assert first.member_id
    assert second.member_id
    there.change("Coworker", first.member_id, Archived=True)
    there.forget("Coworker", second.member_id)
    run_again()
    assert state_of(archived) == LinkState.GONE
    assert state_of(deleted) == LinkState.GONE
    assert len(there.members()) == 1


class TestByHand:
    """On the customer's page."""

    def test_candidates_for_the_customers_email_come_by_themselves(
        self, cast: Cast, ana: Visitor, there: There, connected: Connection, bell: HeardBell
    ) -> None:
        customer = make.customer(cast.acme, email="yuki@fennimore.example", status=CustomerStatus.INACTIVE)
        there.member("Yuki@fennimore.example", "Yuki Fennimore")
        there.member("yuki@fennimore.example", "Fennimore Ceramics", Archived=True)
        panel = ana.get(f"/acme/nexudus/customers/{customer.id}/panel", htmx=True).text
        assert 'value="yuki@fennimore.example"' in panel
        assert "load" in panel
        found = ana.get(f"/acme/nexudus/customers/{customer.id}/members?q=yuki@fennimore.example", htmx=True).text
        assert "Yuki Fennimore" in found
        assert "archived" in found
        assert "2 members found" in found

    def test_choosing_one_connects_and_names_who_did_it(
        self, cast: Cast, ana: Visitor, there: There, connected: Connection
    ) -> None:
        customer = make.customer(cast.acme, email="yuki@fennimore.example", status=CustomerStatus.INACTIVE)
        member_id = there.member("yuki@fennimore.example")
        ana.get(f"/acme/nexudus/customers/{customer.id}/members", htmx=True)
        assert ana.post(f"/acme/nexudus/customers/{customer.id}/link", data={"member_id": member_id}).status_code == 303
        link = link_of(customer)
        assert link is not None
        assert (link.state, link.how, link.by) == (LinkState.LINKED, How.BY_HAND, "Ana Alder")

    def test_a_member_with_another_email_is_connected_after_a_question(
        self, cast: Cast, ana: Visitor, there: There, connected: Connection
    ) -> None:
        customer = make.customer(cast.acme, email="yuki@fennimore.example", status=CustomerStatus.INACTIVE)
        member_id = there.member("studio@fennimore.example", "Studio")
        ana.get(f"/acme/nexudus/customers/{customer.id}/members?q=studio@fennimore.example", htmx=True)
        address = f"/acme/nexudus/customers/{customer.id}/link"
        asked = ana.post(address, data={"member_id": member_id}, htmx=True)
        assert asked.status_code == 422
        assert "studio@fennimore.example" in asked.text
        assert link_of(customer) is None
        ana.post(address, data={"member_id": member_id, "sure": "yes"})
        assert state_of(customer) == LinkState.LINKED

    def test_a_taken_member_is_shown_with_who_has_it_and_refused(
        self, cast: Cast, ana: Visitor, there: There, connected: Connection, bell: HeardBell
    ) -> None:
        holder = make.customer(cast.acme, "Oxbow Vintage", email="shared@quill.example")
        work_again(bell)
        link = link_of(holder)
        assert link is not None
        customer = make.customer(cast.acme, status=CustomerStatus.INACTIVE)
        found = ana.get(f"/acme/nexudus/customers/{customer.id}/members?q=shared@quill.example", htmx=True).text
        assert "taken: linked to" in found
        assert "Oxbow Vintage" in found
        answer = ana.post(
            f"/acme/nexudus/customers/{customer.id}/link", data={"member_id": link.member_id, "sure": "yes"}
        )
        assert answer.status_code == 409
        assert "Oxbow Vintage" in answer.text

    def test_who_is_disconnected_by_hand_is_never_reconnected_but_by_a_person(
        self,
        cast: Cast,
        ana: Visitor,
        there: There,
        connected: Connection,
        bell: HeardBell,
        run_again: Callable[[], LinkRun],
    ) -> None:
        customer = make.customer(cast.acme)
        work_again(bell)
        ana.post(f"/acme/nexudus/customers/{customer.id}/unlink", data={"reason": "Own contract"})
        run_again()
        link = link_of(customer)
        assert link is not None
        assert (link.state, link.by, link.reason) == (LinkState.BILLED_HERE, "Ana Alder", "Own contract")
        assert db.session.get_one(Customer, customer.id).billed_by == ""
        ana.post(f"/acme/nexudus/customers/{customer.id}/connect-again")
        bell.answer()
        assert state_of(customer) == LinkState.LINKED
        assert len(there.members()) == 1

    def test_billed_here_can_be_said_beforehand(
        self, cast: Cast, ana: Visitor, there: There, connected: Connection, bell: HeardBell
    ) -> None:
        customer = make.customer(cast.acme, status=CustomerStatus.INACTIVE)
        ana.post(f"/acme/nexudus/customers/{customer.id}/unlink", data={"reason": ""})
        with unit_of_work():
            life.activate(db.session.get_one(Customer, customer.id))
        bell.answer()
        assert state_of(customer) == LinkState.BILLED_HERE
        assert there.members() == []

    def test_another_accounts_customer_is_not_found(
        self, cast: Cast, ana: Visitor, there: There, connected: Connection
    ) -> None:
        theirs = make.customer(cast.zenith)
        for path in ("panel", "members", "unlink"):
            assert ana.get(f"/acme/nexudus/customers/{theirs.id}/{path}").status_code == 404
        assert ana.post(f"/acme/nexudus/customers/{theirs.id}/link", data={"member_id": 1}).status_code == 404
        assert db.session.scalars(sa.select(MemberLink)).all() == []


def test_commands_link_and_list(
    app: Flask, cast: Cast, there: There, connected: Connection, run_command: Callable[..., object]
) -> None:
    make.customer(cast.acme, email="cli@quill.example")
    there.member("cli@quill.example")
    make.customer(cast.acme, email="other@quill.example")
    result = run_command("nexudus", "link", "--account", "acme", "--json")
    assert '"matched": 1, "created": 1, "ambiguous": 0' in result.output  # type: ignore[attr-defined]
    listed = run_command("nexudus", "links", "--account", "acme", "--json")
    assert "cli@quill.example" in listed.output  # type: ignore[attr-defined]
