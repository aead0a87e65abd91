"""A mail's HTML made safe to show: what is known to be harmless stays, everything else goes. Runs in the child process.

nh3 takes the HTML apart and decides about tags; the filters here decide about addresses and styles, which nh3 lets
pass (https://nh3.readthedocs.io). Cleaning is the last step: nothing edits the HTML after it. The page that shows it
forbids once more what is forbidden here, so that a mistake here fetches nothing and runs nothing.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

import nh3

from plugins.mail_monitor.letters import File, Letter, SafeHtml, Unreadable
from plugins.mail_monitor.parsing import LARGEST_HTML, read_letters
from plugins.mail_monitor.safe_styles import names_a_picture, safe_style
from plugins.mail_monitor.shown_html import look_at

VERSION = 1  # raise it with every change of what comes out; copies of another version are made anew
DEEPEST = 512
MOST_PICTURES = 2 * 1024 * 1024  # bytes of all pictures that stand inside one message

_CELL = {"align", "valign", "bgcolor", "width", "height", "colspan", "rowspan", "nowrap", "background"}
_ATTRIBUTES = {
    "*": {"style", "dir", "lang", "title", "align"},
    "a": {"href"},
    "img": {"src", "srcset", "alt", "width", "height", "border", "hspace", "vspace"},
    "table": {"width", "border", "cellpadding", "cellspacing", "bgcolor", "background"},
    "tr": {"valign", "bgcolor"},
    "td": _CELL,
    "th": _CELL,
    "col": {"span", "width"},
    "font": {"color", "size", "face"},
    "ol": {"start", "type"},
    "ul": {"type"},
    "hr": {"width", "size", "color"},
}
_TAGS = {
    *("a", "abbr", "address", "article", "b", "big", "blockquote", "br", "caption", "center", "cite", "code", "col"),
    *("colgroup", "dd", "del", "dfn", "div", "dl", "dt", "em", "figcaption", "figure", "font", "footer", "h1", "h2"),
    *("h3", "h4", "h5", "h6", "header", "hr", "i", "img", "ins", "kbd", "li", "main", "mark", "ol", "p", "pre", "q"),
    *("s", "samp", "section", "small", "span", "strike", "strong", "sub", "sup", "table", "tbody", "td", "tfoot"),
    *("th", "thead", "tr", "tt", "u", "ul", "var", "wbr"),
}
# Their content is no text for people, or is read by other rules than those of HTML.
_GONE_WITH_CONTENT = {
    *("script", "style", "title", "template", "noscript", "noembed", "noframes", "iframe", "object", "embed"),
    *("svg", "math", "xmp", "plaintext"),
}
_LINKS = ("http://", "https://", "mailto:", "tel:")
_UNSEEN = re.compile(r"[\x00-\x20\x7f-\x9f]+")  # browsers take blanks and controls out of an address
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
# They hold nothing, or end by themselves where the next one begins.
_SHALLOW = {
    *("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"),
    *("p", "li", "dd", "dt", "td", "th", "tr", "tbody", "thead", "tfoot", "option"),
}
_RASTERS = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "image/webp"),
)


def make_safe(raws: Sequence[bytes]) -> list[SafeHtml]:
    """The HTML of each mail as it may be shown; where there is none to show, `refusal` says why."""
    return [_of_letter(letter) for letter in read_letters(raws)]


def _of_letter(letter: Letter | Unreadable) -> SafeHtml:
    if isinstance(letter, Unreadable):
        return SafeHtml(refusal=letter.reason)
    return sanitise(letter.html, letter.files)


def sanitise(html: str, files: Sequence[File] = ()) -> SafeHtml:
    """`html` as it may be shown, once without and once with the pictures it wants from elsewhere."""
    if not html.strip():
        return SafeHtml(refusal="It has no formatted text.")
    if len(html) >= LARGEST_HTML:
        return SafeHtml(refusal="Its formatting is larger than the limit of 1 MB.")
    if _depth(html) > DEEPEST:
        return SafeHtml(refusal=f"Its formatting is nested deeper than the limit of {DEEPEST}.")
    pictures = {file.content_id.strip().casefold(): file.data for file in files if file.content_id}
    quiet = _Cleaner(pictures)
    safe = quiet.clean(html)
    loud = _Cleaner(pictures, with_remote=True).clean(html) if quiet.remote else ""
    seen = look_at(loud or safe)
    return SafeHtml(
        html=safe,
        with_pictures=loud,
        height=look_at(safe).height,
        blocked=quiet.remote + quiet.backgrounds,
        trackers=min(seen.trackers, quiet.remote),
        odd_links=tuple(seen.odd_links),
        used=frozenset(quiet.used),
    )


def _depth(html: str) -> int:
    """How deep tags are nested, roughly and cheaply: enough to refuse what is made to be slow."""
    opened: dict[str, int] = {}
    depth = deepest = 0
    for closing, name in _TAG.findall(_COMMENT.sub("", html)):
        tag = name.lower()
        if tag in _SHALLOW:
            continue
        if not closing:
            opened[tag] = opened.get(tag, 0) + 1
            depth += 1
            deepest = max(deepest, depth)
        elif opened.get(tag):
            opened[tag] -= 1
            depth -= 1
    return deepest


@dataclass(slots=True)
class _Cleaner:
    """One pass over a mail. Pictures that are parts of it are put in, those from elsewhere only `with_remote`."""

    pictures: dict[str, bytes]
    with_remote: bool = False
    room: int = MOST_PICTURES
    remote: int = 0  # pictures from elsewhere that can be shown
    backgrounds: int = 0  # those that never are: behind text, or as one of several sizes
    used: set[str] = field(default_factory=set)
    failure: Exception | None = None

    def clean(self, html: str) -> str:
        safe = nh3.clean(
            html,
            tags=_TAGS,
            clean_content_tags=_GONE_WITH_CONTENT,
            attributes=_ATTRIBUTES,
            attribute_filter=self._allowed,
            set_tag_attribute_values={"a": {"target": "_blank"}},
            link_rel="noopener noreferrer",
            # Both are taken further apart below, which nh3 asks only about what it lets pass itself.
            url_schemes={"http", "https", "mailto", "tel", "cid", "data"},
            url_relative="pass_through",
        )
        if self.failure is not None:
            raise self.failure
        return safe

    def _allowed(self, tag: str, name: str, value: str) -> str | None:
        """What an attribute may hold; None takes it away."""
        try:
            return self._filtered(tag, name, value)
        except Exception as error:  # noqa: BLE001
            # nh3 would keep the attribute as it is; `clean` raises this in place of an answer.
            self.failure = error
            return None

    def _filtered(self, tag: str, name: str, value: str) -> str | None:
        if name == "href":
            address = _UNSEEN.sub("", value)
            return address if address.lower().startswith(_LINKS) else None
        if name == "src":
            return self._source(_UNSEEN.sub("", value))
        if name in {"srcset", "background"}:
            self.backgrounds += name == "background" or "//" in value
            return None
        if name == "style":
            self.backgrounds += names_a_picture(value)
            return safe_style(value) or None
        return value

    def _source(self, address: str) -> str | None:
        lowered = address.lower()
        if lowered.startswith("cid:"):
            key = unquote(address[4:]).strip("<>").casefold()
            data = self.pictures.get(key)
            shown = self._embedded(data) if data is not None else None
            if shown:
                self.used.add(key)
            return shown
        if lowered.startswith("data:"):
            return self._embedded(_data_of(address))
        if lowered.startswith(("http://", "https://", "//")):
            self.remote += 1
            # Never without encryption: who sits between would see what is being read.
            return f"https://{address.partition('//')[2]}" if self.with_remote else None
        return None

    def _embedded(self, data: bytes | None) -> str | None:
        """A picture as an address that holds it; None for what is no picture by its first bytes, or too much."""
        kind = next((kind for begin, kind in _RASTERS if data and begin.match(data)), None)
        if kind is None or data is None or len(data) > self.room:
            return None
        self.room -= len(data)
        return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _data_of(address: str) -> bytes | None:
    head, _, body = address.partition(",")
    if not head.lower().endswith(";base64") or len(body) > MOST_PICTURES * 2:
        return None
    try:
        return base64.b64decode(unquote(body), validate=True)
    except (binascii.Error, ValueError):
        return None
