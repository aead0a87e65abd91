"""A look at HTML that is safe already: how much room it takes, what is too small to be seen, where links mislead."""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlsplit

MOST_ODD = 20
SHORT_TEXT, TALL_TEXT = 300, 2500

_HOST = re.compile(r"(?:https?://)?((?:[a-z0-9-]+\.)+[a-z]{2,24})(?:[/:?#]\S*)?", re.IGNORECASE)
_TINY_STYLE = re.compile(r"(?:^|;)(?:width|height|max-width|max-height):\s*[012]?(?:px)?(?:;|$)|display:\s*none")


@dataclass(slots=True)
class Look:
    """What was seen."""

    letters: int = 0
    pictures: int = 0
    blocks: int = 0
    trackers: int = 0
    odd_links: list[dict[str, str]] = field(default_factory=list)

    @property
    def height(self) -> str:
        """How much room it is given: "short", "middle" or "tall"."""
        if self.letters > TALL_TEXT or self.pictures > 2 or self.blocks > 40:
            return "tall"
        return "short" if self.letters < SHORT_TEXT and not self.pictures and self.blocks < 6 else "middle"


def look_at(html: str) -> Look:
    """Look at what the sanitiser let pass."""
    reader = _Looking()
    reader.feed(html)
    reader.close()
    return reader.look


class _Looking(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.look = Look()
        self._leads_to = ""
        self._says: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "img":
            self._picture(values)
        elif tag == "a":
            self._leads_to, self._says = values.get("href", ""), []
        elif tag in {"br", "p", "div", "tr", "li", "h1", "h2", "h3"}:
            self.look.blocks += 1

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self._leads_to:
            self._link("".join(self._says))
            self._leads_to = ""

    def handle_data(self, data: str) -> None:
        self.look.letters += len(data.strip())
        if self._leads_to:
            self._says.append(data)

    def _picture(self, values: dict[str, str]) -> None:
        sizes = [values.get("width", ""), values.get("height", "")]
        is_tiny = any(size.rstrip("px") in {"0", "1", "2"} for size in sizes) or bool(
            _TINY_STYLE.search(values.get("style", "").lower())
        )
        if is_tiny and values.get("src", "").startswith("https:"):
            self.look.trackers += 1
        elif not is_tiny and values.get("src"):
            self.look.pictures += 1
        elif not is_tiny:
            self.look.blocks += 2  # the empty frame of one that is blocked

    def _link(self, says: str) -> None:
        said = _HOST.fullmatch(" ".join(says.split()))
        try:
            host = (urlsplit(self._leads_to).hostname or "").lower()
        except ValueError:
            host = self._leads_to[:100].lower()
        if not said or not host or len(self.look.odd_links) >= MOST_ODD:
            return
        shown = said[1].lower().removeprefix("www.")
        if host != shown and not host.endswith(f".{shown}") and not shown.endswith(f".{host.removeprefix('www.')}"):
            self.look.odd_links.append({"says": said[0][:200], "leads_to": host[:200]})
