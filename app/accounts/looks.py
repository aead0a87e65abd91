"""How an account's accent colour becomes the colours of its pages and mails, readable in light and dark."""

import hashlib
import re
from dataclasses import dataclass

from app.errors import InvalidInput
from app.typed import tidy

OWN_ACCENT = "#005b66"
READABLE = 4.5  # WCAG 2.2, 1.4.3: text against its ground
# The darkest ground of light pages and the lightest of dark ones; tokens.css names them `desk` and `sheet`.
_LIGHT_GROUND, _DARK_GROUND = "#e3edeb", "#141e1f"
_WHITE, _BLACK, _PAPER = "#ffffff", "#000000", "#ffffff"
_STEPS = 50

Rgb = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Tones:
    """Colours of one theme: `ink` of links and buttons, `strong` to hover, `tint` as a ground, `on_ink` on buttons."""

    ink: str
    strong: str
    tint: str
    on_ink: str


@dataclass(frozen=True, slots=True)
class Look:
    """What an accent means for both themes and for paper."""

    accent: str
    light: Tones
    dark: Tones
    version: str

    @property
    def on_paper(self) -> str:
        """A tone in which text on white paper is readable."""
        return _readable(self.accent, _PAPER, _BLACK)

    @property
    def sentence(self) -> str:
        """How the colour itself reads on white and on dark pages, and what is shown where it does not."""
        on_white, on_dark = contrast(self.accent, _WHITE), contrast(self.accent, _DARK_GROUND)
        white = _judged("On white", on_white, self.accent, self.light)
        return f"{white} {_judged('On dark pages', on_dark, self.accent, self.dark)}"


def checked_accent(text: str) -> str:
    """A colour as "#005b66", or "" for none; raises `InvalidInput` for `accent`."""
    text = tidy(text).lower()
    if not text:
        return ""
    found = re.fullmatch(r"#?([0-9a-f]{6}|[0-9a-f]{3})", text)
    if not found:
        raise InvalidInput("A colour has six digits, such as #005b66.", "accent")
    digits = found[1]
    return "#" + (digits if len(digits) == 6 else "".join(digit * 2 for digit in digits))


def look_of(accent: str) -> Look:
    """The look for an accent; an empty one is our own."""
    accent = accent or OWN_ACCENT
    light_ink, dark_ink = _readable(accent, _LIGHT_GROUND, _BLACK), _readable(accent, _DARK_GROUND, _WHITE)
    light_tint, dark_tint = _mixed(accent, _WHITE, 0.87), _mixed(accent, _DARK_GROUND, 0.8)
    light = Tones(light_ink, _readable(_mixed(light_ink, _BLACK, 0.25), light_tint, _BLACK), light_tint, _WHITE)
    dark = Tones(dark_ink, _readable(_mixed(dark_ink, _WHITE, 0.3), dark_tint, _WHITE), dark_tint, "#07191c")
    version = hashlib.sha256(repr((light, dark)).encode()).hexdigest()[:12]
    return Look(accent, light, dark, version)


def contrast(one: str, other: str) -> float:
    """The contrast of two colours as WCAG 2 reckons it, 1 to 21."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def style_sheet(look: Look) -> str:
    """The rules that put a look over our own colours."""
    pairs = {
        "ink": (look.light.ink, look.dark.ink),
        "ink-strong": (look.light.strong, look.dark.strong),
        "ink-tint": (look.light.tint, look.dark.tint),
        "on-ink": (look.light.on_ink, look.dark.on_ink),
        "tile": (look.light.tint, look.dark.tint),
    }
    rules = "".join(f"  --{name}: light-dark({light}, {dark});\n" for name, (light, dark) in pairs.items())
    return f":root {{\n{rules}}}\n"


def _judged(where: str, ratio: float, accent: str, tones: Tones) -> str:
    if tones.ink == accent:
        return f"{where} it reads well ({ratio:.1f} to 1)."
    if ratio >= READABLE:
        return f"{where} it reads well ({ratio:.1f} to 1); on tinted grounds we show {tones.ink}."
    return f"{where} it is too faint for text ({ratio:.1f} to 1, {READABLE} is needed), so we show {tones.ink} there."


def _readable(colour: str, ground: str, towards: str) -> str:
    """`colour`, or the first mixture with `towards` that text on `ground` can have."""
    for step in range(_STEPS):
        mixture = _mixed(colour, towards, step / _STEPS)
        if contrast(mixture, ground) >= READABLE:
            return mixture
    return towards


def _mixed(colour: str, other: str, share: float) -> str:
    """`colour` with a `share` (0 to 1) of `other`."""
    pairs = zip(_rgb(colour), _rgb(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def _luminance(colour: str) -> float:
    """How light a colour is to the eye, 0 to 1: https://www.w3.org/TR/WCAG22/#dfn-relative-luminance ."""

    def linear(channel: int) -> float:
        share = channel / 255
        return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4

    red, green, blue = map(linear, _rgb(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _rgb(colour: str) -> Rgb:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
