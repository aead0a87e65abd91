"""Finding out on connecting what a user may do and how invoices can be written, without making anything."""

from typing import Any

import pytest

from app.errors import Capped, NotSent, Refused, SignInNeeded
from tests.plugins.nexudus.scripted import ME, Said, Wired, done, refused, rows

MISSING_FIELDS = refused("CoworkerId: is a required field", "Coworker")


def test_documents_are_routed_when_empty_ones_are_refused_field_by_field() -> None:
    wired = Wired(MISSING_FIELDS, MISSING_FIELDS)
    assert wired.remote.accepts_documents().routed
    assert [(one.method, one.path, one.content) for one in wired.heard] == [
        ("POST", "/api/billing/coworkerinvoices", "{}"),
        ("POST", "/api/billing/coworkerinvoicelines", "{}"),
    ]


@pytest.mark.parametrize("status", [404, 405])
def test_documents_are_not_routed_when_the_address_is_not(status: int) -> None:
    assert not Wired(Said("", status)).remote.accepts_documents().routed
    probe = Wired(MISSING_FIELDS, Said("", status)).remote.accepts_documents()
    assert not probe.routed
    assert "create invoice lines" in probe.note


@pytest.mark.parametrize("answers", [[Said("", 403)], [Said("", 401), ME]])
def test_a_missing_right_to_create_documents_is_named(answers: list[Said]) -> None:
    probe = Wired(*answers).remote.accepts_documents()
    assert not probe.routed
    assert "create invoices" in probe.note


def test_a_yes_to_an_empty_document_is_no_yes_and_says_what_may_have_been_made() -> None:
    probe = Wired(done(55001)).remote.accepts_documents()
    assert not probe.routed
    assert "invoices with id 55001" in probe.note
    assert "delete it" in probe.note


@pytest.mark.parametrize("body", [{"Message": "no"}, "no", "<html></html>", []])
def test_a_refusal_without_fields_is_no_yes(body: Any) -> None:
    assert not Wired(Said(body, 400)).remote.accepts_documents().routed


def test_a_probe_that_gets_no_answer_says_nothing_about_documents() -> None:
    with pytest.raises(NotSent):
        Wired(Said("", 500)).remote.accepts_documents()
    with pytest.raises(Capped):
        Wired(Said("", 409)).remote.accepts_documents()


def test_look_ups_are_trusted_when_an_impossible_reference_finds_nothing() -> None:
    wired = Wired(rows(), rows(), rows())
    wired.remote.check_look_ups()
    assert {one.path.rsplit("/", 1)[1] for one in wired.heard} == {"coworkers", "coworkerproducts", "coworkerinvoices"}


def test_b21_a_look_up_that_finds_the_impossible_is_refused() -> None:
    with pytest.raises(Refused) as caught:
        Wired(rows(), rows({"Id": 1})).remote.check_look_ups()
    assert caught.value.code == "look_up"
    assert "invoices" in caught.value.sentence


PATHS = ["businesses", "countries", "simpletimezones", "taxrates", "products", "coworkers"]
PATHS += ["coworkerproducts", "coworkerinvoices", "coworkerinvoicelines"]
ASKED = [*(f"GET {path}" for path in PATHS), "POST coworkers", "POST coworkerproducts"]
ASKED += ["PUT coworkerproducts", "PUT coworkerinvoices"]


def with_answers(**answers: Said) -> Wired:
    """Everything is allowed but what is said; `GET_products` stands for the list of products."""
    usual = {"GET": rows(), "POST": MISSING_FIELDS, "PUT": Said("Not found", 404)}
    return Wired(*[answers.get(one.replace(" ", "_"), usual[one.split()[0]]) for one in ASKED])


def test_rights_are_tried_by_lists_and_by_empty_records() -> None:
    wired = with_answers()
    wired.remote.check_rights()
    assert [f"{one.method} {one.path.rsplit('/', 1)[1]}" for one in wired.heard] == ASKED
    assert {one.content for one in wired.heard if one.method != "GET"} == {"{}"}


def test_b10_one_missing_right_is_named_and_everything_else_in_order() -> None:
    with pytest.raises(SignInNeeded) as caught:
        with_answers(PUT_coworkerinvoices=Said("Forbidden", 403)).remote.check_rights()
    assert caught.value.code == "missing_right"
    assert caught.value.sentence.startswith("One right is missing: change invoices. Everything else is in order.")


def test_missing_rights_are_named_all_at_once() -> None:
    denied = Said("", 403)
    with pytest.raises(SignInNeeded) as caught:
        with_answers(GET_products=denied, GET_coworkers=denied, POST_coworkers=denied).remote.check_rights()
    assert caught.value.details["right"] == "list products, list members, create members"


def test_a_list_that_refuses_the_question_is_no_missing_right() -> None:
    with_answers(GET_coworkerproducts=Said("Missing required filter: Business", 400)).remote.check_rights()


def test_b23_a_day_whose_new_members_are_used_up_is_no_missing_right() -> None:
    wired = with_answers()
    wired.script.answers[9:10] = [Said("Access Denied", 401), ME]
    wired.remote.check_rights()


def test_a_yes_to_an_empty_member_says_what_may_have_been_made() -> None:
    with pytest.raises(Refused) as caught:
        with_answers(POST_coworkers=done(4711)).remote.check_rights()
    assert "members with id 4711" in caught.value.sentence


def test_a_dead_token_is_no_missing_right() -> None:
    with pytest.raises(SignInNeeded) as caught:
        Wired(*[Said("", 401)] * 4).remote.check_rights()
    assert caught.value.code == "sign_in"
