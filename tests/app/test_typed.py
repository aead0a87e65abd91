import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidInput
from app.typed import email_key, fold, line, paragraphs, problem_of, tidy


def test_blanks_around_go_and_letters_are_composed() -> None:
    assert tidy("  A\u0301gua ") == "Água"


@pytest.mark.parametrize("text", ["Tamsin Quill", "Łódź 12/3", "日本語", "محمد", "Auf\u200clage", "👩\u200d🚀", ""])
def test_what_people_type_is_taken(text: str) -> None:
    assert problem_of(text, 40) is None


@pytest.mark.parametrize(
    "text", ["a\0b", "a\nb", "a\tb", "a\x7fb", "a\u202eb", "a\u200fb", "a\u2028b", "a\ufeffb", "a\ud800b"]
)
def test_what_nobody_can_see_is_refused_by_its_code(text: str) -> None:
    with pytest.raises(InvalidInput, match=rf"U\+{ord(text[1]):04X}") as refused:
        line(text, 40, "name")
    assert refused.value.field == "name"


def test_paragraphs_keep_their_lines_and_nothing_else_that_cannot_be_seen() -> None:
    assert paragraphs(" One \r\n\r\ntwo\n", 20, "note") == "One\n\ntwo"
    for wrong in ("One\x0btwo", "One\rtwo", "One\u2028two", "a\n" * 20 + "b"):
        with pytest.raises(InvalidInput):
            paragraphs(wrong, 20, "note")


def test_a_long_line_is_refused_with_both_lengths() -> None:
    assert problem_of("x" * 41, 40) == "That is 41 characters; there is room for 40."
    assert problem_of("x" * 40, 40) is None


@pytest.mark.parametrize(
    ("one", "other"), [("ÁSTA", "asta"), ("Straße", "STRASSE"), ("\uff31uill", "quill"), ("Ærø", "ÆRØ"), ("㎒", "mhz")]
)
def test_case_accents_and_width_do_not_count(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@given(st.text())
def test_folding_twice_changes_nothing_more(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(st.text(max_size=60))
def test_whatever_is_taken_can_be_stored_and_logged(text: str) -> None:
    if problem_of(tidy(text), 60) is None:
        stored = tidy(text).encode()
        assert b"\0" not in stored
        assert b"\n" not in stored


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (" Tamsin@Quill.example ", "tamsin@quill.EXAMPLE"),
        ("a@bücher.example", "A@xn--bcher-kva.example"),
        ("a@BÜCHER.example", "a@XN--BCHER-KVA.example"),
        ("a\uff20quill.example", "a@quill.example"),
    ],
)
def test_emails_are_the_same_whatever_case_blanks_and_form_of_the_domain(one: str, other: str) -> None:
    assert email_key(one) == email_key(other)


@given(st.text(max_size=60))
def test_the_key_of_an_email_is_its_own_key(text: str) -> None:
    assert email_key(email_key(text)) == email_key(text)
