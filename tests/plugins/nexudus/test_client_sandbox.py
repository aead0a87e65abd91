"""The client against a Nexudus that answers as documented."""

from datetime import timedelta
from typing import Any

import pytest

from app import clock
from app.errors import Capped, NotSent, OutcomeUnknown, Refused, SignInNeeded
from plugins.nexudus.sandbox.auth import expire_access_tokens, revoke_refresh_tokens
from plugins.nexudus.sandbox.seed import EMAIL, PASSWORD
from plugins.nexudus.signing_in import exchange_password
from tests.plugins.nexudus.over_there import CLIENT_ID, OverThere
from tests.plugins.nexudus.scripted import INTENT


@pytest.fixture
def there() -> OverThere:
    return OverThere()


def test_the_user_and_the_business_are_found(there: OverThere) -> None:
    me = there.remote.me()
    assert me.email == EMAIL
    assert there.remote.business(me.default_business_id or 0) == there.business
    assert (there.business.currency, there.remote.currency_id("EUR")) == ("EUR", there.business.currency_id)


def test_rights_and_look_ups_are_in_order(there: OverThere) -> None:
    there.remote.check_rights()
    there.remote.check_look_ups()
    assert there.records("CoworkerProduct") == []
    assert len(there.space.where("Coworker")) == 1


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize(
    ("role", "right"),
    [
        ("Product-List", "list products"),
        ("Coworker-Create", "create members"),
        ("CoworkerInvoice-Edit", "change invoices"),
        ("Coworker-Create, TaxRate-List", "list tax rates, create members"),
    ],
)
def test_b10_missing_rights_are_named(there: OverThere, role: str, right: str, status: int) -> None:
    there.faults(missing_roles=role, missing_role_status=status)
    with pytest.raises(SignInNeeded) as caught:
        there.remote.check_rights()
    assert (caught.value.code, caught.value.details["right"]) == ("missing_right", right)
    assert there.tokens.renewals == 0


@pytest.mark.parametrize(("profile", "routed"), [("current", False), ("classic-2020", True)])
def test_documents_are_taken_by_the_classic_profile_only_and_the_probe_makes_none(profile: str, routed: bool) -> None:
    there = OverThere(profile)
    assert there.remote.accepts_documents().routed is routed
    assert there.space.where("CoworkerInvoice") == []


def test_b21_a_filter_that_is_ignored_is_found_out(there: OverThere) -> None:
    there.faults(ignored_filters="Coworker_ReferenceNumber")
    with pytest.raises(Refused) as caught:
        there.remote.check_look_ups()
    assert caught.value.code == "look_up"


def test_b21_an_ignored_filter_finds_nobody_else(there: OverThere) -> None:
    other = there.make_member("ben@quill.example", "acme:13")
    there.faults(ignored_filters="Coworker_Email, Coworker_ReferenceNumber")
    assert [one.id for one in there.remote.members_with_email("ben@quill.example")] == [other]
    assert [one.id for one in there.remote.members_with_reference("acme:13")] == [other]


def test_a_new_member_is_in_its_location_and_has_no_portal_login(there: OverThere) -> None:
    member = there.remote.member(there.member_id)
    assert (member.email, member.reference) == ("ada@quill.example", "acme:12")
    assert member.businesses == (there.business.id,)
    assert member.location == there.business.name
    assert member.registered_at is not None
    (stored,) = there.space.where("Coworker")
    assert stored["UserId"] is None


def test_a_field_that_nexudus_demands_is_named(there: OverThere) -> None:
    new = there.new_member("zoe@quill.example", "acme:14").model_copy(update={"full_name": " "})
    with pytest.raises(Refused) as caught:
        there.remote.create_member(INTENT, new)
    assert (caught.value.code, caught.value.sentence) == ("field_missing", "Nexudus refuses this without a name.")


def test_b23_the_daily_cap_on_new_members_is_no_missing_right(there: OverThere) -> None:
    there.faults(creation_cap=0)
    with pytest.raises(Capped) as caught:
        there.make_member("zoe@quill.example", "acme:14")
    assert caught.value.details["code"] == "daily_members"


def test_b8_an_expired_token_is_renewed_once(there: OverThere) -> None:
    with there.meanwhile() as space:
        expire_access_tokens(space)
    assert there.remote.member(there.member_id).id == there.member_id
    assert there.tokens.renewals == 1


def test_b9_a_revoked_sign_in_asks_for_a_person(there: OverThere) -> None:
    with there.meanwhile() as space:
        expire_access_tokens(space)
        revoke_refresh_tokens(space)
    with pytest.raises(SignInNeeded) as caught:
        there.remote.me()
    assert caught.value.code == "sign_in"


@pytest.mark.parametrize(
    ("email", "password", "totp", "switches", "code"),
    [
        (EMAIL, "wrong", None, {}, "wrong_password"),
        ("nobody@quayside.example", PASSWORD, None, {}, "wrong_password"),
        (EMAIL, PASSWORD, None, {"one_time_code": "123456"}, "code_needed"),
        (EMAIL, PASSWORD, "000000", {"one_time_code": "123456"}, "code_wrong"),
        (EMAIL, PASSWORD, None, {"api_access": "off"}, "no_api_access"),
    ],
)
def test_signing_in_tells_apart_what_is_wrong(
    there: OverThere, email: str, password: str, totp: str | None, switches: dict[str, Any], code: str
) -> None:
    there.faults(**switches)
    with pytest.raises(SignInNeeded) as caught:
        exchange_password(there.door, email, password, CLIENT_ID, totp)
    assert caught.value.code == code


def test_a_user_only_shown_without_api_access_may_sign_in(there: OverThere) -> None:
    there.faults(api_access="shown_off", one_time_code="123456")
    exchange_password(there.door, EMAIL, PASSWORD, CLIENT_ID, totp="123456")
    assert there.remote.me().api_access is False


@pytest.mark.parametrize(
    ("fault", "reading", "writing"),
    [
        ({"error_next": 1}, NotSent, OutcomeUnknown),
        ({"error_next": 1, "error_ooops": True}, NotSent, OutcomeUnknown),
        ({"html_next": 1}, NotSent, OutcomeUnknown),
        ({"dropped_next": 1}, NotSent, OutcomeUnknown),
        ({"slow_s": 25}, NotSent, OutcomeUnknown),
        ({"throttle_next": 1}, Capped, Capped),
        ({"throttle_next": 1, "throttle_status": 409}, Capped, Capped),
        ({"throttle_next": 1, "throttle_retry_after": False}, Capped, Capped),
    ],
)
def test_faults_become_the_error_that_says_what_is_next(
    there: OverThere, fault: dict[str, Any], reading: type[Exception], writing: type[Exception]
) -> None:
    there.faults(**fault)
    with pytest.raises(reading):
        there.remote.member(there.member_id)
    there.space.faults.reset()
    there.faults(**fault, only="coworkerproducts")
    with pytest.raises(writing):
        there.remote.invoice_sales(INTENT, [1])


def test_b1_an_answer_lost_after_a_create_is_unknown_and_the_member_found_again(there: OverThere) -> None:
    there.faults(lost_answer_next=1)
    with pytest.raises(OutcomeUnknown):
        there.make_member("zoe@quill.example", "acme:14")
    assert len(there.remote.members_with_reference("acme:14")) == 1
    assert len(there.remote.members_with_email(" Zoe@Quill.example")) == 1


def test_only_members_changed_since_a_moment_are_listed(there: OverThere) -> None:
    assert there.remote.members_page(1, updated_since=clock.now() - timedelta(minutes=5)).total == 1
    assert there.remote.members_page(1, updated_since=clock.now() + timedelta(minutes=5)).total == 0


def test_two_thousand_members_take_ten_listings(there: OverThere) -> None:
    source = there.space.where("Coworker")[0]
    with there.meanwhile() as space:
        for number in range(1999):
            space.create("Coworker", {**source, "Email": f"member-{number}@quill.example"})
    emails: set[str] = set()
    page = there.remote.members_page(1)
    while not page.is_last:
        emails.update(member.email for member in page)
        page = there.remote.members_page(page.number + 1)
    emails.update(member.email for member in page)
    assert (len(emails), page.total) == (2000, 2000)
    assert (there.calls(), there.writes()) == (10, 0)
