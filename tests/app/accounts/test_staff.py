"""Inviting, joining, roles, removing, and new passwords by mail."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa
import time_machine

from app import clock
from app.access import Role
from app.accounts.models import Invitation, Membership, User
from app.accounts.services import give_role, membership_of
from app.db import db, unit_of_work
from app.mailing.models import MailState, OutgoingMail
from app.mailing.services import ended
from tests import make
from tests.cast import PASSWORD, Cast
from tests.visitors import Visitor

NEW = {"full_name": "Nora New", "password": "a sentence nobody guesses"}


@pytest.fixture
def ana(cast: Cast, sign_in: Callable[[User], Visitor]) -> Visitor:
    return sign_in(cast.ana)


def last_mail() -> OutgoingMail:
    return db.session.scalars(sa.select(OutgoingMail).order_by(OutgoingMail.id.desc()).limit(1)).one()


def link_in_mail() -> str:
    found = re.search(r"http://[^/]+(/(?:invitation|reset)/\S+)", last_mail().text)
    assert found
    return found[1]


def invite(visitor: Visitor, email: str = "nora@new.example", role: str = "mail_admin") -> str:
    answer = visitor.post("/acme/settings/staff/invite", data={"email": email, "role": role})
    assert answer.status_code == 303
    return link_in_mail()


def row_of(user: User, cast: Cast) -> int:
    found = membership_of(user, cast.acme)
    assert found
    return found.id


def test_a_new_person_joins_by_the_link_once(ana: Visitor, client: Visitor) -> None:
    link = invite(ana)
    assert "nora@new.example" in ana.get("/acme/settings/staff").text

    assert client.post(link, data=NEW).location == "/acme/"

    assert "Mail Admin at Acme." in client.get("/acme/").text
    assert client.get(link).status_code == 404


def test_the_token_is_kept_as_a_hash_and_the_mail_forgets_it(ana: Visitor) -> None:
    token = invite(ana).rsplit("/", 1)[1]
    assert db.session.scalars(sa.select(Invitation)).one().token_hash != token

    with unit_of_work():
        ended(last_mail(), MailState.SENT)

    assert token not in last_mail().text + last_mail().html


def test_whoever_has_a_sign_in_joins_with_it(ana: Visitor, client: Visitor, cast: Cast) -> None:
    link = invite(ana, "zoe@zenith.example", "admin")
    assert "Sign in to join" in client.get(link).text
    assert client.post(link, data=NEW).status_code == 422

    client.post("/login", data={"email": "zoe@zenith.example", "password": PASSWORD})
    assert client.post(link).location == "/acme/"

    assert 'href="/zenith/"' in client.get("/acme/customers").text


def test_an_invitation_is_no_use_to_somebody_else(ana: Visitor, cast: Cast, sign_in: Callable[[User], Visitor]) -> None:
    link, zoe = invite(ana), sign_in(cast.zoe)

    assert "You are signed in as zoe@zenith.example" in zoe.get(link).text
    assert zoe.post(link, data=NEW).status_code == 422
    assert membership_of(cast.zoe, cast.acme) is None


def test_a_link_ends_after_a_day_by_withdrawing_and_by_a_newer_one(ana: Visitor, client: Visitor) -> None:
    first, second = invite(ana), invite(ana)
    assert client.get(first).status_code == 404
    with time_machine.travel(clock.now() + timedelta(hours=25)):
        assert client.get(second).status_code == 404
    invitation = db.session.scalars(sa.select(Invitation).order_by(Invitation.id.desc())).first()
    assert invitation

    ana.post(f"/acme/settings/staff/invitations/{invitation.id}/withdraw")

    assert client.post(second, data=NEW).status_code == 404


def test_a_changed_role_acts_at_once(ana: Visitor, cast: Cast, sign_in: Callable[[User], Visitor]) -> None:
    ben = sign_in(cast.ben)

    answer = ana.post(f"/acme/settings/staff/{row_of(cast.ben, cast)}/role", data={"role": "mail_admin"})

    assert answer.status_code == 303
    assert ben.get("/acme/customers").status_code == 302


def test_an_operator_is_told_about_mail_of_one_location_or_of_all(ana: Visitor, cast: Cast) -> None:
    pier = make.location(cast.acme, "Pier 17")
    assert "Told about mail of" in ana.get("/acme/settings/staff").text
    where = f"/acme/settings/staff/{row_of(cast.ana, cast)}/told"
    assert "Pier 17" in ana.get(where).text

    ana.post(where, data={"location": pier.id})
    assert "Pier 17</td>" in ana.get("/acme/settings/staff").text

    ana.post(where, data={"location": 0})
    assert "all locations</td>" in ana.get("/acme/settings/staff").text


def test_a_location_of_another_account_and_people_who_are_told_nothing_are_refused(ana: Visitor, cast: Cast) -> None:
    theirs = cast.zenith.locations[0].id
    answer = ana.post(f"/acme/settings/staff/{row_of(cast.ana, cast)}/told", data={"location": theirs})
    assert answer.status_code == 422

    answer = ana.post(f"/acme/settings/staff/{row_of(cast.ben, cast)}/told", data={"location": 0})
    assert answer.status_code == 422
    assert "Only Operators are told about new mail." in answer.text


def test_an_admin_does_not_choose_what_operators_are_told(
    cast: Cast, sign_in: Callable[[User], Visitor], ana: Visitor
) -> None:
    assert sign_in(cast.ben).post(f"/acme/settings/staff/{row_of(cast.ana, cast)}/told").status_code == 403


def test_a_deleted_location_leaves_nobody_untold(ana: Visitor, cast: Cast) -> None:
    pier = make.location(cast.acme, "Pier 17")
    ana.post(f"/acme/settings/staff/{row_of(cast.ana, cast)}/told", data={"location": pier.id})

    assert ana.post(f"/acme/settings/locations/{pier.id}/delete").status_code == 303

    found = membership_of(cast.ana, cast.acme)
    assert found
    assert found.location_id is None


def test_who_is_removed_is_out_at_once(ana: Visitor, cast: Cast, sign_in: Callable[[User], Visitor]) -> None:
    ben = sign_in(cast.ben)
    assert "Remove Ben Birch?" in ana.get(f"/acme/settings/staff/{row_of(cast.ben, cast)}/remove").text

    ana.post(f"/acme/settings/staff/{row_of(cast.ben, cast)}/remove")

    assert ben.get("/acme/customers").status_code == 302
    assert membership_of(cast.ben, cast.acme) is None


@pytest.mark.parametrize(("act", "status"), [("role", 422), ("remove", 409)])
def test_the_last_operator_stays(ana: Visitor, cast: Cast, act: str, status: int) -> None:
    answer = ana.post(f"/acme/settings/staff/{row_of(cast.ana, cast)}/{act}", data={"role": "admin"})

    assert answer.status_code == status
    assert "The last Operator stays." in answer.text
    assert ana.get("/acme/settings/staff").status_code == 200


def test_of_two_operators_one_may_go(ana: Visitor, cast: Cast) -> None:
    with unit_of_work():
        give_role(cast.acme, cast.ben, Role.OPERATOR)

    assert ana.post(f"/acme/settings/staff/{row_of(cast.ana, cast)}/remove").status_code == 303


def test_an_admin_looks_after_mail_admins_alone(cast: Cast, sign_in: Callable[[User], Visitor]) -> None:
    ben = sign_in(cast.ben)

    assert ben.post("/acme/settings/staff/invite", data={"email": "a@b.example", "role": "operator"}).status_code == 422
    assert ben.post(f"/acme/settings/staff/{row_of(cast.ana, cast)}/remove").status_code == 403
    assert ben.post(f"/acme/settings/staff/{row_of(cast.mia, cast)}/remove").status_code == 303


def test_ids_of_another_account_are_not_found(ana: Visitor, cast: Cast, sign_in: Callable[[User], Visitor]) -> None:
    invite(ana)
    invitation = db.session.scalars(sa.select(Invitation)).one()
    zoe, ben = sign_in(cast.zoe), row_of(cast.ben, cast)

    assert zoe.post(f"/zenith/settings/staff/{ben}/remove").status_code == 404
    assert zoe.post(f"/zenith/settings/staff/{ben}/role", data={"role": "admin"}).status_code == 404
    assert zoe.post(f"/zenith/settings/staff/invitations/{invitation.id}/withdraw").status_code == 404


@pytest.mark.parametrize("email", ["no email", "", "ben@acme.example", "a\0b@c.example"])
def test_a_bad_email_is_refused_beside_its_field(ana: Visitor, email: str) -> None:
    answer = ana.post("/acme/settings/staff/invite", data={"email": email, "role": "admin"})

    assert answer.status_code == 422
    assert 'id="email-note"' in answer.text
    assert db.session.scalars(sa.select(Invitation)).all() == []


def test_a_new_password_by_mail_ends_every_sign_in_and_is_told(ana: Visitor, client: Visitor, cast: Cast) -> None:
    client.post("/reset", data={"email": "ANA@acme.example "})
    link = link_in_mail()

    assert client.post(link, data={"password": NEW["password"]}).location == "/login"

    assert last_mail().subject == "Your password was changed"
    assert ana.get("/acme/customers").status_code == 302
    assert client.get(link).status_code == 404
    assert client.post("/login", data={"email": "ana@acme.example", "password": NEW["password"]}).status_code == 303


def test_nobody_learns_which_emails_sign_in(client: Visitor, cast: Cast) -> None:
    known = client.post("/reset", data={"email": "ana@acme.example"})
    unknown = client.post("/reset", data={"email": "eve@acme.example"})

    assert known.status_code == unknown.status_code == 200
    assert known.text.replace("ana@", "eve@").count("eve@acme.example, a mail") == 1
    assert "eve@acme.example, a mail" in unknown.text
    assert len(db.session.scalars(sa.select(OutgoingMail)).all()) == 1


def test_the_sixth_reset_waits(client: Visitor, cast: Cast) -> None:
    for _ in range(5):
        client.post("/reset", data={"email": "eve@acme.example"})

    assert client.post("/reset", data={"email": "eve@acme.example"}).status_code == 429


def test_a_short_password_is_refused_and_the_link_stays(client: Visitor, cast: Cast) -> None:
    client.post("/reset", data={"email": "ana@acme.example"})
    link = link_in_mail()

    assert client.post(link, data={"password": "short"}).status_code == 422
    assert client.get(link).status_code == 200


def test_membership_rows_of_the_removed_are_gone(ana: Visitor, cast: Cast) -> None:
    ana.post(f"/acme/settings/staff/{row_of(cast.mia, cast)}/remove")

    assert db.session.scalar(sa.select(sa.func.count()).where(Membership.user_id == cast.mia.id)) == 0
