"""The words of an HTML mail as plain text, for searching, for the list, and for whoever prefers to read it so."""

import re
from html.parser import HTMLParser

LARGEST = 1024 * 1024
_SKIPPED = {"script", "style", "head", "title", "template", "noscript"}
_BREAKS = {"br", "hr"}
_BLOCKS = {
    *("address", "article", "blockquote", "center", "dd", "div", "dl", "dt", "fieldset", "figure", "footer", "form"),
    *("h1", "h2", "h3", "h4", "h5", "h6", "header", "li", "main", "nav", "ol", "p", "pre", "section", "table"),
    *("tbody", "tfoot", "thead", "tr", "ul"),
}


def text_of(html: str) -> str:
    """Plain text of at most `LARGEST` characters of HTML: blocks on lines of their own, links after their words."""
    reader = _Words()
    reader.feed(html[:LARGEST])
    reader.close()
    lines = [" ".join(line.split()) for line in "".join(reader.pieces).split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._skipping = 0
        self._link = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _SKIPPED and tag != "head":
            self._skipping += 1
        elif tag in _BREAKS or tag in _BLOCKS:
            self.pieces.append("\n")
        elif tag in {"td", "th"}:
            self.pieces.append(" ")
        elif tag == "a":
            self._link = next((value or "" for name, value in attrs if name == "href"), "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _SKIPPED:
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag in _SKIPPED and tag != "head":
            self._skipping = max(0, self._skipping - 1)
        elif tag in _BLOCKS:
            self.pieces.append("\n")
        elif tag == "a":
            self._end_link()

    def handle_data(self, data: str) -> None:
        if not self._skipping:
            # A line end in HTML is a blank; only tags break lines.
            self.pieces.append(data.replace("\r", " ").replace("\n", " "))

    def _end_link(self) -> None:
        if self._link.startswith(("http://", "https://")) and self._link not in "".join(self.pieces[-3:]):
            self.pieces.append(f" ({self._link[:500]})")
        self._link = ""
