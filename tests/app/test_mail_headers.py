"""Header fields: what is typed stays what it is, read by the standard library, and never becomes another line."""

from email import message_from_bytes
from email.policy import default

import pytest

from app.mail_headers import address_field, text_field

EVIL = "=?utf-8?q?x=0d=0aBcc:_evil@x.example?="


@pytest.mark.parametrize(
    "subject", ["Plain", "Grüße an alle, die noch da sind: äöü" * 5, EVIL, "a" * 900, "tab\tand\r\nline: x"]
)
def test_a_subject_arrives_as_it_was_typed_and_adds_no_field(subject: str) -> None:
    raw = text_field("Subject", subject)
    mail = message_from_bytes(raw + b"\r\nbody", policy=default)
    assert list(mail.keys()) == ["Subject"]
    assert raw.count(b"\n") == 1 + raw.count(b"\r\n ")
    if "\t" not in subject and subject != EVIL:
        assert str(mail["Subject"]) == subject


@pytest.mark.parametrize(
    "name", ["Ann", "Evil, Ann", 'Ann "Q" \\ Oak', "Änn Öak", EVIL, "Ann <x@y.example>", "a\r\nBcc: b@c.de"]
)
def test_a_name_beside_an_address_adds_neither_field_nor_address(name: str) -> None:
    raw = address_field("To", [(name, "ann@oak.example"), ("", "ben@birch.example")])
    assert b"\nBcc" not in raw
    if name != EVIL:  # the standard library reads even what is encoded twice
        mail = message_from_bytes(raw + b"\r\nbody", policy=default)
        assert [one.addr_spec for one in mail["To"].addresses] == ["ann@oak.example", "ben@birch.example"]


@pytest.mark.parametrize("address", ["ann", "ann@", "a\r\nb@oak.example", "@oak.example"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="no address"):
        address_field("To", [("", address)])
