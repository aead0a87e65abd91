"""What the header of a mail says: who, to whom, when, about what, and whether a person wrote it."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from plugins.mail_monitor import identity
from plugins.mail_monitor.address_lists import Named, address_key, addresses_in, is_address, read_list
from plugins.mail_monitor.charsets import clean_line
from plugins.mail_monitor.headers import Headers, decode_words
from plugins.mail_monitor.letters import Envelope, Sender

MOST_RECIPIENTS = 1000  # every customer among them is found; a message keeps the first hundred to show
EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)
REPORT = "a report about delivery"
_MACHINES = re.compile(r"^(?:mailer-daemon|postmaster)$", re.IGNORECASE)


def read_envelope(headers: Headers) -> Envelope:
    """The fields that matter, decoded and cleaned. Nothing here raises, whatever they hold."""
    sender = read_sender(headers.all("from"))
    notes = ("Its header was longer than the limit and was cut.",) if headers.was_cut else ()
    return Envelope(
        sender=sender,
        message_id=identity.normal_id(_raw_text(headers.first("message-id"))),
        subject=headers.text("subject"),
        reply_to=_recipients(headers, "reply-to"),
        to=_recipients(headers, "to"),
        cc=_recipients(headers, "cc"),
        bcc=_recipients(headers, "bcc"),
        date_text=headers.text("date", 100),
        sent_at=_moment(headers.text("date", 100)),
        in_reply_to=next(iter(identity.ids_in(_raw_text(headers.first("in-reply-to")))), ""),
        references=tuple(identity.ids_in(_raw_text(headers.first("references")))),
        results=tuple(clean_line(_raw_text(value), 2000) for value in headers.all("authentication-results")[:5]),
        automatic=_automatic(headers, sender),
        mark=headers.text("x-spheremail-mark", 64),
        notes=notes,
    )


def read_sender(fields: list[bytes]) -> Sender:
    """Who the From fields name. Exactly one address is believed, and only if the name beside it holds no other."""
    named = [one for field in fields for one in read_list(field)]
    mentioned = _mentioned(fields, named)
    angled = [one for one in named if one.is_angled]
    able = angled or [one for one in named if one.address]
    if not able:
        doubt = "Its From cannot be read as one address." if mentioned else ""
        return Sender(name=" ".join(one.name for one in named)[:200], doubt=doubt, mentioned=mentioned)
    chosen = able[0]
    name = ", ".join(one.name for one in named if one.name)[:200]
    if not is_address(chosen.address):
        return Sender(name=name, doubt="Its From cannot be read as one address.", mentioned=mentioned)
    return Sender(name, chosen.address[:254], _doubt(fields, able, mentioned), mentioned)


def _doubt(fields: list[bytes], able: list[Named], mentioned: tuple[str, ...]) -> str:
    if len(fields) > 1:
        return "It has more than one From."
    if len({one.key for one in able}) > 1:
        return "Its From names several addresses."
    others = [address for address in mentioned if address_key(address) != able[0].key]
    if others:
        return f"The name in From says {others[0][:100]}, the address is another."
    return ""


def _mentioned(fields: list[bytes], named: list[Named]) -> tuple[str, ...]:
    found = [one.address for one in named if is_address(one.address)]
    for field in fields:
        found += addresses_in(decode_words(field))
    return tuple({address_key(address): address[:254] for address in found}.values())[:10]


def _recipients(headers: Headers, name: str) -> tuple[Named, ...]:
    found = [one for value in headers.all(name) for one in read_list(value) if is_address(one.address)]
    return tuple({one.key: one for one in reversed(found[:MOST_RECIPIENTS])}.values())[::-1]


def _raw_text(value: bytes) -> str:
    return value.decode("utf-8", errors="replace")


def _moment(text: str) -> datetime | None:
    """The Date of a mail, if it can be one."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    try:
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except OverflowError:
        return None
    return moment if moment > EARLIEST and moment.year < 2200 else None


# RFC 3834 and what came before it; the first that holds says why.
_SIGNS: tuple[tuple[str, Callable[[Headers, str], bool]], ...] = (
    (REPORT, lambda headers, kind: kind.startswith("multipart/report")),
    (
        "an automatic answer",
        lambda headers, kind: headers.text("auto-submitted", 40).lower().startswith("auto-replied"),
    ),
    ("sent by a program", lambda headers, kind: headers.text("auto-submitted", 40).lower()[:2] not in {"", "no"}),
    ("an automatic answer", lambda headers, kind: bool(headers.first("x-autoreply") or headers.first("x-autorespond"))),
    ("a mailing list", lambda headers, kind: bool(headers.first("list-id"))),
    (
        "sent in bulk",
        lambda headers, kind: headers.text("precedence", 40).lower() in {"bulk", "list", "junk", "auto_reply"},
    ),
    ("sent without a way back", lambda headers, kind: headers.first("return-path").strip() == b"<>"),
)


def _automatic(headers: Headers, sender: Sender) -> str:
    if _MACHINES.match(sender.address.partition("@")[0]):
        return REPORT
    kind = headers.text("content-type", 100).lower()
    return next((why for why, holds in _SIGNS if holds(headers, kind)), "")
