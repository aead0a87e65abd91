"""Every answer of Nexudus becomes data or exactly one of the five errors."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import requests
import time_machine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from urllib3.exceptions import NewConnectionError

from app.errors import Capped, NotSent, OutcomeUnknown, Refused, SignInNeeded
from app.work import LeaseLost
from plugins.nexudus.sent import NewMember
from tests.plugins.nexudus.scripted import INTENT, ME, Said, Wired, done, refused, rows

NOW = datetime(2026, 1, 31, 6, 0, tzinfo=UTC)
MEMBER = NewMember(
    full_name="Ada Example", email="ada@quill.example", country_id=1220, zone_id=2023, business_id=900, reference="SM-1"
)
HTML = "<html><body>Sign in to the guest network CANARY</body></html>"


def read(wired: Wired) -> Any:
    return wired.remote.member(4711)


def write(wired: Wired) -> Any:
    return wired.remote.invoice_sales(INTENT, [99001])


def create_a_member(wired: Wired) -> Any:
    return wired.remote.create_member(INTENT, MEMBER)


@pytest.fixture(autouse=True)
def stopped_clock() -> Any:
    with time_machine.travel(NOW, tick=False):
        yield


# Throttled


@pytest.mark.parametrize("status", [409, 429])
@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("7", timedelta(seconds=7)),
        ("Sat, 31 Jan 2026 06:02:00 GMT", timedelta(minutes=2)),
        ("Sat, 31 Jan 2026 06:02:00 -0000", timedelta(minutes=2)),
        ("Sat, 31 Jan 2026 05:00:00 GMT", timedelta(seconds=1)),
        ("-30", timedelta(seconds=1)),
        ("0", timedelta(seconds=1)),
        ("86400", timedelta(hours=1)),
        ("9" * 40, timedelta(hours=1)),
        ("-" + "9" * 40, timedelta(seconds=1)),
        ("Fri, 31 Dec 9999 23:59:59 GMT", timedelta(hours=1)),
    ],
)
def test_b4_a_throttled_call_waits_as_long_as_it_is_told_within_reason(
    status: int, header: str, wait: timedelta
) -> None:
    with pytest.raises(Capped) as caught:
        write(Wired(Said("busy", status, {"Retry-After": header})))
    assert caught.value.until == NOW + wait


@pytest.mark.parametrize("header", [{}, {"Retry-After": "soon"}, {"Retry-After": ""}])
def test_b4_without_a_usable_header_the_seconds_stand_in_the_text(header: dict[str, str]) -> None:
    with pytest.raises(Capped) as caught:
        read(Wired(Said("API calls quota exceeded. Wait 12 seconds.", 429, header)))
    assert caught.value.until == NOW + timedelta(seconds=12)


def test_b4_without_any_hint_the_pauses_grow_and_start_again_after_an_answer() -> None:
    wired = Wired(*[Said("", 409)] * 4, Said({"Id": 4711}), Said("", 409))
    pauses = []
    for _ in range(4):
        with pytest.raises(Capped) as caught:
            read(wired)
        pauses.append((caught.value.until - NOW).seconds)
    read(wired)
    with pytest.raises(Capped) as caught:
        read(wired)
    assert [*pauses, (caught.value.until - NOW).seconds] == [2, 4, 8, 8, 2]


# Nothing readable came back


@pytest.mark.parametrize("status", [301, 302, 408, 500, 502, 503, 504])
def test_an_answer_that_says_nothing_is_asked_again_when_reading_and_looked_up_when_writing(status: int) -> None:
    with pytest.raises(NotSent):
        read(Wired(Said({"Message": "An error has occurred."}, status)))
    with pytest.raises(OutcomeUnknown):
        write(Wired(Said({"Message": "An error has occurred."}, status)))


def test_a_conflict_with_a_body_is_no_throttling_and_leaves_a_write_unknown() -> None:
    with pytest.raises(OutcomeUnknown):
        write(Wired(Said({"Message": "Edited by somebody else"}, 409)))
    with pytest.raises(NotSent):
        read(Wired(Said({"Message": "Edited by somebody else"}, 409)))


UNREADABLE = [
    HTML,
    "",
    '{"Id": 4711, "FullName": "CANARY',
    '{"Id": NaN, "FullName": "CANARY"}',
    '{"Id": 1e999999999, "FullName": "CANARY"}',
    "[" * 100_000,
    b"\xff\xfe\x00CANARY",
]
WRONG_SHAPE: list[Any] = [
    None,
    4711,
    "Not found CANARY",
    [],
    ["CANARY"],
    {},
    {"Id": "CANARY"},
    {"Id": -1},
    {"Id": 2**70},
]


@pytest.mark.parametrize("body", [*UNREADABLE, *WRONG_SHAPE])
def test_b7_an_unreadable_answer_to_a_read_is_asked_again(body: Any) -> None:
    with pytest.raises(NotSent) as caught:
        read(Wired(Said(body)))
    assert "CANARY" not in f"{caught.value.sentence} {caught.value.details}"


@pytest.mark.parametrize("body", [*UNREADABLE, *WRONG_SHAPE, {"WasSuccessful": "CANARY"}, {"WasSuccessful": True}])
def test_b7_an_unreadable_answer_to_a_create_is_looked_up(body: Any) -> None:
    with pytest.raises(OutcomeUnknown) as caught:
        create_a_member(Wired(Said(body)))
    assert "CANARY" not in f"{caught.value.sentence} {caught.value.details}"


def test_b7_bodies_and_tokens_are_never_logged(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG):
        with pytest.raises(NotSent):
            read(Wired(Said(HTML)))
        with pytest.raises(Refused):
            create_a_member(Wired(refused("CANARY")))
    written = caplog.text + "".join(capsys.readouterr())
    assert "nexudus_call" in written
    for secret in ("CANARY", "token-1", "ada@quill.example"):
        assert secret not in written


@pytest.mark.parametrize("call", [read, write])
def test_no_connection_means_nothing_was_sent(call: Callable[[Wired], Any]) -> None:
    for error in (
        requests.ConnectTimeout("too slow"),
        requests.exceptions.SSLError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed"),
        requests.ConnectionError(_Reason(NewConnectionError(None, "refused"))),  # type: ignore[arg-type]
    ):
        with pytest.raises(NotSent):
            call(Wired(error))


class _Reason:
    def __init__(self, reason: Exception) -> None:
        self.reason = reason


@pytest.mark.parametrize("error", [requests.ReadTimeout("silence"), requests.ConnectionError("reset by peer")])
def test_b1_a_lost_answer_is_asked_again_when_reading_and_looked_up_when_writing(error: Exception) -> None:
    with pytest.raises(NotSent):
        read(Wired(error))
    with pytest.raises(OutcomeUnknown):
        write(Wired(error))


# Its first text takes seconds to make, which says nothing about the client.
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(
        st.sampled_from(["Id", "FullName", "Email", "Active", "Businesses", "RegistrationDate", "WasSuccessful"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
            max_leaves=5,
        ),
    )
)
def test_b20_whatever_stands_in_a_record_it_is_a_member_or_a_named_error(record: dict[str, Any]) -> None:
    try:
        member = read(Wired(Said(record)))
    except (NotSent, Refused):
        return
    assert member.id == 4711


def test_b20_amounts_are_exact_decimals() -> None:
    invoice = Said('{"Id": 55001, "CoworkerId": 4711, "TotalAmount": 0.1, "TaxAmount": 1234567890.10}')
    there = Wired(invoice).remote.invoice(55001)
    assert (there.total, there.tax) == (Decimal("0.1"), Decimal("1234567890.10"))


@pytest.mark.parametrize("amount", ["1e13", "-1e13", "1e41", "1" * 90, '"ten"'])
def test_b20_an_amount_out_of_range_is_no_answer(amount: str) -> None:
    with pytest.raises(NotSent):
        Wired(Said(f'{{"Id": 55001, "CoworkerId": 4711, "TotalAmount": {amount}, "TaxAmount": 0}}')).remote.invoice(
            55001
        )


# Refused


@pytest.mark.parametrize("status", [200, 400, 422])
def test_b6_a_refusal_gives_the_first_message_and_the_field(status: int) -> None:
    with pytest.raises(Refused) as caught:
        write(Wired(refused("The sale is  not\npending", "Invoiced", status)))
    assert caught.value.sentence == "Nexudus refused: “The sale is not pending”"
    assert (caught.value.code, caught.value.details["field"]) == ("refused", "Invoiced")


@pytest.mark.parametrize(
    ("message", "field", "sentence"),
    [
        ("BillToPostCode: is a required field", "BillToPostCode", "Nexudus refuses this without a postcode."),
        ("Country: is a required field", "Country", "Nexudus refuses this without a country."),
        ("Email: may not be null or empty", "", "Nexudus refuses this without an email."),
        ("Gizmo: is a required field", "Gizmo", "Nexudus refuses this without the field “Gizmo”."),
    ],
)
def test_a_demanded_field_is_named_in_words(message: str, field: str, sentence: str) -> None:
    with pytest.raises(Refused) as caught:
        create_a_member(Wired(refused(message, field)))
    assert (caught.value.code, caught.value.sentence) == ("field_missing", sentence)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("Missing required filter: CoworkerInvoice", "Nexudus refused: “Missing required filter: CoworkerInvoice”"),
        ('"Not today"', "Nexudus refused: “Not today”"),
        ({"Message": "The request is invalid."}, "Nexudus refused: “The request is invalid.”"),
        (HTML, "Nexudus refused without saying why."),
        ("", "Nexudus refused without saying why."),
        ([1, 2], "Nexudus refused without saying why."),
        ({"Message": {"Odd": 1}, "Errors": "none"}, "Nexudus refused without saying why."),
        ("x" * 500, f"Nexudus refused: “{'x' * 199}…”"),
    ],
)
def test_a_refusal_of_any_shape_becomes_one_short_line(body: Any, sentence: str) -> None:
    with pytest.raises(Refused) as caught:
        write(Wired(Said(body, 400)))
    assert caught.value.sentence == sentence


@pytest.mark.parametrize(
    ("status", "code"), [(404, "not_found"), (405, "not_routed"), (410, "refused"), (413, "refused")]
)
@pytest.mark.parametrize("call", [read, write])
def test_what_is_not_there_or_not_routed_is_refused(call: Callable[[Wired], Any], status: int, code: str) -> None:
    with pytest.raises(Refused) as caught:
        call(Wired(Said("Not found", status)))
    assert caught.value.code == code


# Signed out, not allowed, used up


def test_b8_a_refused_token_is_renewed_once_and_the_call_repeated_once() -> None:
    wired = Wired(Said("", 401), Said("", 401), Said({"Id": 4711}))
    assert read(wired).id == 4711
    assert wired.tokens.renewed == ["token-1"]
    assert [(one.path, one.token) for one in wired.heard] == [
        ("/api/spaces/coworkers/4711", "token-1"),
        ("/api/auth/me", "token-1"),
        ("/api/spaces/coworkers/4711", "token-2"),
    ]


def test_b9_a_second_refusal_asks_for_a_person() -> None:
    wired = Wired(*[Said("", 401)] * 4)
    with pytest.raises(SignInNeeded) as caught:
        write(wired)
    assert caught.value.code == "sign_in"
    assert wired.tokens.renewed == ["token-1"]


@pytest.mark.parametrize("answers", [[Said("", 403)], [Said("Unauthorized", 401), ME]])
def test_b10_a_missing_right_is_named(answers: list[Said]) -> None:
    wired = Wired(*answers)
    with pytest.raises(SignInNeeded) as caught:
        create_a_member(wired)
    assert caught.value.code == "missing_right"
    assert caught.value.details["right"] == "create members"
    assert "create members" in caught.value.sentence
    assert wired.tokens.renewed == []


def test_b10_a_right_missing_with_a_renewed_token_is_named_too() -> None:
    with pytest.raises(SignInNeeded) as caught:
        create_a_member(Wired(Said("", 401), Said("", 401), Said("", 401), ME))
    assert caught.value.code == "missing_right"


def test_b23_access_denied_to_new_members_while_the_token_reads_means_used_up_until_tomorrow() -> None:
    with pytest.raises(Capped) as caught:
        create_a_member(Wired(Said("Access Denied", 401), ME))
    assert caught.value.until == datetime(2026, 2, 1, 0, 5, tzinfo=UTC)
    assert caught.value.details["code"] == "daily_members"


def test_b23_access_denied_to_anything_else_is_a_missing_right() -> None:
    with pytest.raises(SignInNeeded):
        write(Wired(Said("Access Denied", 401), ME))


def test_a_denied_write_whose_reason_cannot_be_asked_was_not_sent() -> None:
    with pytest.raises(NotSent):
        write(Wired(Said("", 401), Said("", 500)))


# The permit


def test_every_request_asks_for_leave_first_and_says_whether_it_writes() -> None:
    wired = Wired(Said("", 401), Said("", 401), done())
    write(wired)
    assert wired.permit.asked == ["write", "read", "write"]


def test_a_lost_lease_stops_the_call_before_the_wire() -> None:
    wired = Wired(rows())

    def lost(kind: str) -> None:
        raise LeaseLost("connection 1")

    wired.permit.before = lost  # type: ignore[method-assign]
    with pytest.raises(LeaseLost):
        read(wired)
    assert wired.heard == []
