"""Shapes: what Nexudus leaves out or writes as null does no harm, and times are in UTC."""

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from plugins.nexudus.payloads import Member, Sale


def test_null_is_as_good_as_left_out() -> None:
    empty = {"FullName": None, "Email": None, "Businesses": None, "ReferenceNumber": None, "RegistrationDate": None}
    assert Member.model_validate({"Id": 1, **empty}) == Member.model_validate({"Id": 1})


@pytest.mark.parametrize("written", ["2026-01-31T06:00:00Z", "2026-01-31T06:00:00", "2026-01-31T07:00:00+01:00"])
def test_moments_are_aware_and_in_utc(written: str) -> None:
    registered = Member.model_validate({"Id": 1, "RegistrationDate": written}).registered_at
    assert registered == datetime(2026, 1, 31, 6, 0, tzinfo=UTC)
    assert registered is not None
    assert registered.tzinfo == UTC


@pytest.mark.parametrize("record_id", [0, -1, 2**63, "x", None, 1.5, True])
def test_an_id_is_a_positive_whole_number_that_a_column_can_hold(record_id: object) -> None:
    with pytest.raises(ValidationError):
        Member.model_validate({"Id": record_id})


@pytest.mark.parametrize(
    ("fields", "is_billed"),
    [({}, False), ({"Invoiced": True}, True), ({"CoworkerInvoiceId": 55001}, True), ({"Invoiced": None}, False)],
)
def test_a_sale_is_billed_once_either_sign_says_so(fields: dict[str, object], is_billed: bool) -> None:
    assert Sale.model_validate({"Id": 1, "CoworkerId": 2, **fields}).is_billed is is_billed
