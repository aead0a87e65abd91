"""What people look after themselves: name, password, second factor, and where they are signed in."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pyotp
import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask

from app.access import Role
from app.accounts import second_factor
from app.accounts.models import SignIn, User
from app.accounts.second_factor_models import RecoveryCode, SecondFactor
from app.audit import AuditEntry
from app.clock import now
from app.db import db, unit_of_work
from app.mailing.models import OutgoingMail
from tests.cast import PASSWORD, Cast
from tests.visitors import Visitor

SignInAs = Callable[[User], Visitor]
NEW = "another horse, another staple"
NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(NOON, tick=False) as stopped:
        yield stopped


@pytest.fixture
def ana(cast: Cast, sign_in: SignInAs) -> Visitor:
    return sign_in(cast.ana)


def code_of(user: User) -> str:
    """What the person's authenticator shows now."""
    db.session.rollback()
    row = second_factor.of(user)
    assert row is not None
    return pyotp.TOTP(second_factor.secret_of(row)).at(now())


def set_up(visitor: Visitor, user: User) -> list[str]:
    """Add a second factor as a person does; answers the recovery codes of the page."""
    visitor.post("/acme/profile/second-factor/begin")
    page = visitor.post("/acme/profile/second-factor", data={"code": code_of(user)}).text
    return re.findall(r"<code>([a-z0-9-]{14})</code>", page)


def show_password(client: Visitor, password: str = PASSWORD) -> str:
    return str(client.post("/login", data={"email": "ana@acme.example", "password": password}).location)


def actions() -> list[str]:
    return list(db.session.scalars(sa.select(AuditEntry.action).order_by(AuditEntry.id)))


class TestTheProfile:
    def test_it_is_everybodys_own(self, cast: Cast, sign_in: SignInAs) -> None:
        for role in Role:
            page = sign_in(cast.staff[role]).get("/acme/profile").text
            assert cast.staff[role].email in page

    def test_the_name_can_be_changed(self, ana: Visitor, cast: Cast) -> None:
        ana.post("/acme/profile", data={"full_name": "  Ana Ash "})

        assert db.session.get_one(User, cast.ana.id).full_name == "Ana Ash"
        assert "person_renamed" in actions()

    @pytest.mark.parametrize("name", ["", "x" * 121, "Ana\x00", "Ana \u202eAlder"])
    def test_a_name_that_nobody_types_is_refused_beside_the_field(self, ana: Visitor, cast: Cast, name: str) -> None:
        answer = ana.post("/acme/profile", data={"full_name": name})

        assert answer.status_code == 422
        assert "sm-cell-wrong" in answer.text
        assert db.session.get_one(User, cast.ana.id).full_name == "Ana Alder"


class TestThePassword:
    def test_a_new_one_ends_every_other_browser_and_is_told_by_mail(
        self, ana: Visitor, cast: Cast, sign_in: SignInAs, client: Visitor
    ) -> None:
        other = sign_in(cast.ana)

        ana.post("/acme/profile/password", data={"current": PASSWORD, "password": NEW})

        assert ana.get("/acme/profile").status_code == 200
        assert other.get("/acme/profile").status_code == 302
        assert db.session.scalars(sa.select(OutgoingMail.template)).all() == ["password_changed"]
        assert show_password(client, NEW).endswith("/acme/")

    def test_without_the_present_one_nothing_changes(self, ana: Visitor, cast: Cast, client: Visitor) -> None:
        answer = ana.post("/acme/profile/password", data={"current": "not the password", "password": NEW})

        assert answer.status_code == 422
        assert "That is not your password. 4 tries left." in answer.text
        assert show_password(client).endswith("/acme/")

    def test_guessing_the_present_one_is_slow(self, ana: Visitor) -> None:
        for _ in range(5):
            ana.post("/acme/profile/password", data={"current": "guess", "password": NEW})

        answer = ana.post("/acme/profile/password", data={"current": PASSWORD, "password": NEW})

        assert answer.status_code == 422
        assert "Too many tries" in answer.text


class TestSignIns:
    def test_each_browser_is_listed_and_can_be_ended(self, ana: Visitor, cast: Cast, sign_in: SignInAs) -> None:
        other = sign_in(cast.ana)
        ids = db.session.scalars(sa.select(SignIn.id).where(SignIn.user_id == cast.ana.id).order_by(SignIn.id)).all()
        assert ana.get("/acme/profile").text.count('id="sign-in-') == 2

        ana.post(f"/acme/profile/sign-ins/{ids[-1]}/end")

        assert other.get("/acme/profile").status_code == 302
        assert ana.post(f"/acme/profile/sign-ins/{ids[-1]}/end").status_code == 404

    def test_all_others_end_at_once(self, ana: Visitor, cast: Cast, sign_in: SignInAs) -> None:
        others = [sign_in(cast.ana), sign_in(cast.ana)]

        ana.post("/acme/profile/sign-ins/end-others")

        assert [other.get("/acme/profile").status_code for other in others] == [302, 302]
        assert ana.get("/acme/profile").status_code == 200

    def test_those_of_somebody_else_are_not_found(self, ana: Visitor, cast: Cast, sign_in: SignInAs) -> None:
        ben = sign_in(cast.ben)
        theirs = db.session.scalars(sa.select(SignIn.id).where(SignIn.user_id == cast.ben.id)).one()

        assert ana.post(f"/acme/profile/sign-ins/{theirs}/end").status_code == 404
        assert ben.get("/acme/profile").status_code == 200


class TestTheSecondFactor:
    def test_from_then_on_the_password_alone_opens_nothing(self, ana: Visitor, cast: Cast, client: Visitor) -> None:
        assert len(set_up(ana, cast.ana)) == 10

        assert "/login/code" in show_password(client)
        assert client.get("/acme/profile").status_code == 302

    def test_the_code_signs_in_and_leads_where_one_wanted(
        self, ana: Visitor, cast: Cast, client: Visitor, clock: time_machine.Traveller
    ) -> None:
        set_up(ana, cast.ana)
        clock.shift(timedelta(minutes=1))
        address = client.post(
            "/login?next=/acme/customers", data={"email": "ana@acme.example", "password": PASSWORD}
        ).location

        answer = client.post(address, data={"code": code_of(cast.ana)})

        assert answer.location == "/acme/customers"
        assert client.get("/acme/profile").status_code == 200

    def test_a_code_counts_once(
        self, ana: Visitor, cast: Cast, app: Flask, client: Visitor, clock: time_machine.Traveller
    ) -> None:
        set_up(ana, cast.ana)
        clock.shift(timedelta(minutes=1))
        code = code_of(cast.ana)
        show_password(client)
        client.post("/login/code", data={"code": code})
        onlooker = app.test_client()
        assert isinstance(onlooker, Visitor)
        show_password(onlooker)

        answer = onlooker.post("/login/code", data={"code": code})

        assert answer.status_code == 422
        assert "was used already" in answer.text
        assert "sign_in_code" in actions()

    def test_codes_of_a_clock_that_is_a_little_off_are_taken_and_others_not(
        self, ana: Visitor, cast: Cast, client: Visitor, clock: time_machine.Traveller
    ) -> None:
        set_up(ana, cast.ana)
        for late, status in ((timedelta(minutes=5), 422), (timedelta(seconds=30), 303)):
            code = code_of(cast.ana) if late > timedelta(minutes=1) else None
            clock.shift(late if code else timedelta(0))
            show_password(client)
            if code is None:
                code = code_of(cast.ana)
                clock.shift(late)
            assert client.post("/login/code", data={"code": code}).status_code == status

    def test_a_recovery_code_does_as_well_once(self, ana: Visitor, cast: Cast, client: Visitor) -> None:
        first, *_ = set_up(ana, cast.ana)
        show_password(client)
        assert client.post("/login/code", data={"code": first.upper().replace("-", " ")}).status_code == 303
        client.post("/logout")

        show_password(client)
        assert client.post("/login/code", data={"code": first}).status_code == 422
        assert "9 recovery codes are left" in ana.get("/acme/profile").text

    def test_guessing_codes_is_slow(self, ana: Visitor, cast: Cast, client: Visitor) -> None:
        set_up(ana, cast.ana)
        show_password(client)
        for _ in range(5):
            client.post("/login/code", data={"code": "000000"})

        assert client.post("/login/code", data={"code": code_of(cast.ana)}).status_code == 429

    def test_the_password_is_forgotten_after_a_while(
        self, ana: Visitor, cast: Cast, client: Visitor, clock: time_machine.Traveller
    ) -> None:
        set_up(ana, cast.ana)
        show_password(client)
        clock.shift(timedelta(minutes=11))

        assert client.post("/login/code", data={"code": code_of(cast.ana)}).location.startswith("/login")

    def test_without_the_password_there_is_no_second_step(self, client: Visitor, cast: Cast) -> None:
        assert client.get("/login/code").location.startswith("/login")

    def test_a_wrong_first_code_changes_nothing(self, ana: Visitor, cast: Cast) -> None:
        ana.post("/acme/profile/second-factor/begin")

        answer = ana.post("/acme/profile/second-factor", data={"code": "000000"})

        assert answer.status_code == 422
        assert db.session.get_one(User, cast.ana.id).second_factor_since is None
        assert db.session.scalar(sa.select(sa.func.count()).select_from(RecoveryCode)) == 0

    @pytest.mark.parametrize("deed", ["off", "codes"])
    def test_changing_it_asks_for_the_password(self, ana: Visitor, cast: Cast, deed: str) -> None:
        old = set_up(ana, cast.ana)
        address = f"/acme/profile/second-factor/change/{deed}"
        assert ana.post(address, data={"current": "wrong"}).status_code == 422
        assert second_factor.codes_left(cast.ana) == 10

        ana.post(address, data={"current": PASSWORD})

        left = set(db.session.scalars(sa.select(RecoveryCode.code_hash)))
        assert len(left) == (0 if deed == "off" else 10)
        assert second_factor._hash(old[0]) not in left

    def test_a_reset_of_the_password_does_not_get_around_it(self, ana: Visitor, cast: Cast, client: Visitor) -> None:
        set_up(ana, cast.ana)
        client.post("/reset", data={"email": "ana@acme.example"})
        text = db.session.scalars(sa.select(OutgoingMail.text).order_by(OutgoingMail.id.desc())).first()
        assert text
        found = re.search(r"/reset/(\S+)", text)
        assert found
        client.post(f"/reset/{found[1]}", data={"password": NEW})

        assert "/login/code" in show_password(client, NEW)

    def test_what_is_stored_tells_nobody_anything(self, ana: Visitor, cast: Cast) -> None:
        codes = set_up(ana, cast.ana)
        row = db.session.scalars(sa.select(SecondFactor)).one()

        assert second_factor.secret_of(row) not in row.secret
        stored = " ".join(map(str, db.session.execute(sa.select(RecoveryCode.code_hash)).scalars()))
        assert not any(code in stored for code in codes)


def test_in_production_an_operator_adds_one_before_anything_else(
    app: Flask, cast: Cast, sign_in: SignInAs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.config, "SETTINGS", app.config["SETTINGS"].model_copy(update={"env": "production"}))
    ana, ben = sign_in(cast.ana), sign_in(cast.ben)

    assert ana.get("/acme/customers").location == "/acme/profile"
    assert "Add a second factor" in ana.get("/acme/profile").text
    assert ben.get("/acme/customers").status_code == 200
    set_up(ana, cast.ana)
    assert ana.get("/acme/customers").status_code == 200


@pytest.mark.parametrize(("site", "status"), [("cross-site", 400), ("same-site", 400), ("same-origin", 303)])
def test_what_another_website_sends_changes_nothing(ana: Visitor, cast: Cast, site: str, status: int) -> None:
    answer = ana.post("/acme/profile", data={"full_name": "Eve"}, headers={"Sec-Fetch-Site": site})

    assert answer.status_code == status
    with unit_of_work() as session:
        assert (session.get_one(User, cast.ana.id).full_name == "Eve") is (status == 303)
