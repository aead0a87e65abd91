"""Styles of a mail: known properties with plain values stay; whatever could fetch, run or escape goes."""

import re

_PROPERTIES = {
    *("color", "background", "background-color", "font", "font-family", "font-size", "font-style", "font-weight"),
    *("font-variant", "line-height", "letter-spacing", "word-spacing", "white-space", "direction", "unicode-bidi"),
    *("text-align", "text-decoration", "text-indent", "text-transform", "vertical-align", "word-break", "word-wrap"),
    *("overflow-wrap", "width", "max-width", "min-width", "height", "max-height", "min-height", "display", "float"),
    *("clear", "border", "border-collapse", "border-spacing", "border-radius", "border-color", "border-style"),
    *("border-width", "table-layout", "list-style-type", "caption-side", "empty-cells", "opacity", "box-sizing"),
    *(f"{kind}{side}" for kind in ("margin", "padding") for side in ("", "-top", "-right", "-bottom", "-left")),
    *(
        f"border-{side}{part}"
        for side in ("top", "right", "bottom", "left")
        for part in ("", "-color", "-style", "-width")
    ),
}
_VALUE = re.compile(r"[\w\s#%.,'\"!+()-]{1,300}")
_FUNCTION = re.compile(r"([\w-]*)\s*\(")
_FUNCTIONS = {"rgb", "rgba", "hsl", "hsla"}
_FORBIDDEN = ("url", "image", "expression", "behavior", "binding", "import", "src")
_PICTURE = re.compile(r"(?:url|image|image-set)\s*\(", re.IGNORECASE)


def safe_style(style: str) -> str:
    """Those declarations of a style attribute that are harmless; "" when none is."""
    kept = []
    for declaration in style[:20_000].split(";"):
        name, colon, value = declaration.partition(":")
        name, value = name.strip().lower(), value.strip()
        if colon and name in _PROPERTIES and _is_plain(value):
            kept.append(f"{name}:{value}")
    return ";".join(kept)


def names_a_picture(style: str) -> bool:
    """Whether a style asks for a picture."""
    return _PICTURE.search(style) is not None


def _is_plain(value: str) -> bool:
    """No address, no escape, no comment, no function but those of colours, and every quote is closed."""
    lowered = value.lower()
    if not _VALUE.fullmatch(value) or any(word in lowered for word in _FORBIDDEN):
        return False
    if value.count('"') % 2 or value.count("'") % 2 or value.count("(") != value.count(")"):
        return False
    return all(name in _FUNCTIONS for name in _FUNCTION.findall(lowered))
