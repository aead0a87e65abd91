"""Mails that broke somebody's program, or could break ours: each a file in tests/samples/mail, and what must come out.

`expected.json` says per file: `why` it is there, and what of it matters. Whatever else is in a mail, it is read in a
moment, nothing of it disappears, and nothing comes out that a database or a page could not bear.
"""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from plugins.mail_monitor.address_lists import address_key
from plugins.mail_monitor.letters import Letter, Unreadable
from plugins.mail_monitor.parsing import read_letters

SAMPLES = Path(__file__).parents[2] / "samples" / "mail"
EXPECTED: dict[str, dict[str, Any]] = json.loads((SAMPLES / "expected.json").read_text(encoding="utf-8"))
UNBEARABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def read(name: str) -> Letter | Unreadable:
    return read_letters([(SAMPLES / f"{name}.eml").read_bytes()])[0]


def readable(name: str) -> Letter:
    letter = read(name)
    assert isinstance(letter, Letter), letter
    return letter


def those_with(key: str) -> list[str]:
    return [name for name, expected in EXPECTED.items() if key in expected]


def test_every_sample_says_why_it_is_there() -> None:
    assert {path.stem for path in SAMPLES.glob("*.eml")} == set(EXPECTED)
    assert len(EXPECTED) >= 80
    assert all(expected["why"] for expected in EXPECTED.values())


@pytest.mark.parametrize("name", EXPECTED)
def test_it_is_read_in_a_moment_and_only_bombs_are_refused(name: str) -> None:
    begun = time.process_time()
    letter = read(name)
    assert time.process_time() - begun < 2
    if isinstance(letter, Unreadable):
        assert letter.code == EXPECTED[name].get("unreadable")
    else:
        assert "unreadable" not in EXPECTED[name]


@pytest.mark.parametrize("name", [name for name in EXPECTED if "unreadable" not in EXPECTED[name]])
def test_nothing_comes_out_that_a_database_or_a_page_could_not_bear(name: str) -> None:
    letter = readable(name)
    envelope = letter.envelope
    words = [envelope.subject, envelope.sender.name, envelope.sender.address, envelope.date_text, envelope.message_id]
    words += [letter.text, *(file.name for file in letter.files), *(one.name for one in envelope.to + envelope.cc)]
    assert not any(UNBEARABLE.search(word) for word in words)
    assert all(len(one.address) <= 320 for one in envelope.to)
    assert len(letter.body_hash) == 64


@pytest.mark.parametrize("name", those_with("sender"))
def test_who_it_is_from(name: str) -> None:
    assert readable(name).envelope.sender.address == EXPECTED[name]["sender"]


@pytest.mark.parametrize("name", those_with("key"))
def test_which_address_that_is(name: str) -> None:
    assert address_key(readable(name).envelope.sender.address) == EXPECTED[name]["key"]


@pytest.mark.parametrize("name", those_with("name"))
def test_the_senders_name(name: str) -> None:
    assert readable(name).envelope.sender.name == EXPECTED[name]["name"]


@pytest.mark.parametrize("name", those_with("doubt"))
def test_whether_the_sender_is_in_doubt(name: str) -> None:
    assert bool(readable(name).envelope.sender.doubt) is EXPECTED[name]["doubt"]


@pytest.mark.parametrize("name", those_with("subject"))
def test_the_subject(name: str) -> None:
    assert readable(name).envelope.subject == EXPECTED[name]["subject"]


@pytest.mark.parametrize("name", those_with("text"))
def test_the_text(name: str) -> None:
    assert readable(name).text == EXPECTED[name]["text"]


@pytest.mark.parametrize("name", those_with("text_has"))
def test_what_the_text_holds(name: str) -> None:
    text = readable(name).text
    assert all(words in text for words in EXPECTED[name]["text_has"])


@pytest.mark.parametrize("name", those_with("files"))
def test_the_files(name: str) -> None:
    assert [[file.name, file.content_type] for file in readable(name).files] == EXPECTED[name]["files"]


@pytest.mark.parametrize("name", those_with("names"))
def test_the_names_of_the_files(name: str) -> None:
    assert [file.name for file in readable(name).files] == EXPECTED[name]["names"]


@pytest.mark.parametrize("name", those_with("file_count"))
def test_how_many_files_are_kept(name: str) -> None:
    assert len(readable(name).files) == EXPECTED[name]["file_count"]


@pytest.mark.parametrize("name", those_with("leaves"))
def test_no_leaf_is_lost(name: str) -> None:
    assert readable(name).leaves == EXPECTED[name]["leaves"]


@pytest.mark.parametrize("name", those_with("html"))
def test_the_html_is_kept(name: str) -> None:
    assert bool(readable(name).html) is EXPECTED[name]["html"]


@pytest.mark.parametrize("name", those_with("notes"))
def test_what_is_unusual_is_said(name: str) -> None:
    assert EXPECTED[name]["notes"] in " ".join(readable(name).notes)


@pytest.mark.parametrize("name", those_with("sent_at"))
def test_the_date_is_believed_only_when_it_can_be_true(name: str) -> None:
    sent_at = readable(name).envelope.sent_at
    assert (sent_at.isoformat() if sent_at else None) == EXPECTED[name]["sent_at"]


@pytest.mark.parametrize("name", those_with("automatic"))
def test_whether_a_person_wrote_it(name: str) -> None:
    assert readable(name).envelope.automatic == EXPECTED[name]["automatic"]
