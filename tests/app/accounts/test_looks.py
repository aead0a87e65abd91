"""Accent colours: whatever is chosen, text stays readable."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.accounts.looks import READABLE, checked_accent, contrast, look_of, style_sheet
from app.errors import InvalidInput

colours = st.integers(0, 0xFFFFFF).map(lambda number: f"#{number:06x}")


@given(colours)
def test_every_accent_is_readable_on_every_page(accent: str) -> None:
    look = look_of(accent)
    light, dark = look.light, look.dark

    for text, ground in (
        (light.ink, "#ffffff"),
        (light.ink, "#e3edeb"),
        (light.on_ink, light.ink),
        (light.strong, light.tint),
        (dark.ink, "#141e1f"),
        (dark.ink, "#0a1213"),
        (dark.on_ink, dark.ink),
        (dark.strong, dark.tint),
        (look.on_paper, "#ffffff"),
    ):
        assert contrast(text, ground) >= READABLE, (accent, text, ground)


def test_contrast_is_reckoned_as_the_web_does() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_a_readable_accent_is_shown_as_it_is() -> None:
    look = look_of("#005b66")

    assert look.light.ink == look.on_paper == "#005b66"
    assert "On white it reads well (7.8 to 1)." in look.sentence
    assert f"so we show {look.dark.ink} there" in look.sentence


def test_a_faint_accent_is_replaced_and_the_sentence_says_so() -> None:
    assert "On white it is too faint for text (1.3 to 1, 4.5 is needed)" in look_of("#ffe000").sentence


@pytest.mark.parametrize(("typed", "kept"), [("", ""), (" #0AF ", "#00aaff"), ("005B66", "#005b66")])
def test_colours_are_taken_as_people_write_them(typed: str, kept: str) -> None:
    assert checked_accent(typed) == kept


@pytest.mark.parametrize("typed", ["teal", "#12345", "#005b66;}body{", "url(x)", "#00b66g"])
def test_what_is_no_colour_is_refused(typed: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        checked_accent(typed)
    assert refused.value.field == "accent"


def test_another_accent_has_another_address() -> None:
    assert look_of("#005b66").version != look_of("#005b67").version
    assert style_sheet(look_of("#005b66")).startswith(":root {\n  --ink: light-dark(#005b66, ")
