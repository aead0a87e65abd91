"""Plain data that reading a mail gives: what its header says, what is in it, or why it could not be read.

It comes out of a child process by the hundred; without slots it is unpickled without running any Python.
"""

from dataclasses import dataclass, field
from datetime import datetime

from plugins.mail_monitor.address_lists import Named


@dataclass(frozen=True)
class Sender:
    """Who a mail says it is from. With a `doubt` (a sentence) nobody is to be believed to have written it."""

    name: str = ""
    address: str = ""
    doubt: str = ""
    mentioned: tuple[str, ...] = ()  # every address that From holds anywhere, names included


@dataclass(frozen=True)
class Envelope:
    """What the header says."""

    sender: Sender
    message_id: str = ""
    subject: str = ""
    reply_to: tuple[Named, ...] = ()
    to: tuple[Named, ...] = ()
    cc: tuple[Named, ...] = ()
    bcc: tuple[Named, ...] = ()
    date_text: str = ""
    sent_at: datetime | None = None
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    results: tuple[str, ...] = ()  # Authentication-Results, newest first
    automatic: str = ""  # why it was not written by a person, "" when it was
    mark: str = ""  # what a mail of the product itself carries, as it says
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class File:
    """A part that is not the text: always offered as a download."""

    name: str
    content_type: str
    data: bytes = field(repr=False)
    content_id: str = ""


@dataclass(frozen=True)
class Failure:
    """A recipient whom a mail did not reach, and why, as the server said it."""

    address: str
    why: str


@dataclass(frozen=True)
class Report:
    """What a report about delivery says: the ids of the mail it may be about, the likeliest first."""

    message_ids: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True)
class Letter:
    """A whole mail: every leaf of it is in `text` or `html`, or a file."""

    envelope: Envelope
    body_hash: str
    text: str = ""
    html: str = ""
    files: tuple[File, ...] = ()
    leaves: int = 0
    report: Report | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Unreadable:
    """Why a mail could not be read: a short code and a sentence."""

    code: str
    reason: str


@dataclass(frozen=True)
class SafeHtml:
    """The HTML of a mail as it may be shown, or the sentence why there is none to show."""

    html: str = ""
    with_pictures: str = ""  # the same with the pictures it wants from elsewhere; "" where it wants none
    height: str = "middle"
    blocked: int = 0
    trackers: int = 0
    odd_links: tuple[dict[str, str], ...] = ()
    used: frozenset[str] = frozenset()  # content ids of the pictures that are shown inside, in small letters
    refusal: str = ""
