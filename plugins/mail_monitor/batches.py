"""Messages in hand: first their headers, then whose they are, then the bodies of those that belong to somebody.

Headers are looked at 500 at a time; of these, a batch is as many as bring at most 100 bodies and 8 MB, so that a
mailbox of any size costs the same memory and strangers' mail costs next to nothing. While one batch is filed the child
reads the next one.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa

from app import clock
from app.db import db
from plugins.mail_monitor import directory, presets
from plugins.mail_monitor.envelopes import REPORT
from plugins.mail_monitor.fetched import Fetched
from plugins.mail_monitor.letters import Envelope, Letter, Unreadable
from plugins.mail_monitor.models import EmailAccount
from plugins.mail_monitor.places import FolderPlace
from plugins.mail_monitor.records import Role
from plugins.mail_monitor.senders import Decision, Doubtful, Filed, Known, Reported, Unknown, decide, keys_of, others_of
from plugins.mail_monitor.sending_models import Outgoing
from plugins.mail_monitor.turns import Turn

MOST_HEADERS = 500
MOST_BODIES = 100
MOST_BYTES = 8 * 1024 * 1024
MB = 1024 * 1024
COME_BACK_WITHIN = timedelta(days=14)


@dataclass(frozen=True, slots=True)
class Item:
    """One message in hand: where it lies, what its header says, and what is to become of it."""

    uid: int
    size: int
    received_at: datetime
    head: bytes
    envelope: Envelope
    decision: Decision
    is_too_large: bool = False
    others: tuple[tuple[Role, str], ...] = ()  # recipients who are nobody's customer yet, by role and key

    @property
    def stands_at(self) -> datetime:
        """Where it stands in lists: when it came, and within one second in the order of arrival.

        Servers say it in whole seconds, and give out UIDs in order. What is compared with the server keeps its word.
        """
        if self.received_at.microsecond:
            return self.received_at
        return self.received_at.replace(microsecond=self.uid % 1_000_000)

    @property
    def needs_body(self) -> bool:
        return isinstance(self.decision, Filed | Doubtful | Reported)


@dataclass(slots=True)
class Batch:
    """Some messages of one folder that are filed in one transaction."""

    place: FolderPlace
    uids: list[int]  # all that are settled by it, gone ones included
    items: list[Item]
    raws: dict[int, bytes] = field(default_factory=dict)
    partial: dict[int, Letter] = field(default_factory=dict)
    reading: "Future[list[Letter | Unreadable]] | None" = None
    letters: dict[int, Letter | Unreadable] = field(default_factory=dict)
    storing: "Future[dict[bytes, str]] | None" = None

    @property
    def missing(self) -> set[int]:
        """UIDs whose body is needed and did not come, and those that came without a header."""
        return {
            item.uid
            for item in self.items
            if (item.needs_body and item.uid not in self.letters) or (item.size and not item.head.strip())
        }

    def fetch(self, turn: Turn) -> None:
        """Get the bodies that are needed; they are stored while the child reads them."""
        wanted = [item for item in self.items if item.needs_body]
        turn.hold()
        mailbox = turn.at(self.place.name, self.place.uidvalidity)
        self.raws = mailbox.whole([item.uid for item in wanted if not item.is_too_large])
        for item in wanted:
            if item.is_too_large:
                turn.hold()
                beginning = mailbox.beginning(item.uid)
                self.partial[item.uid] = turn.parser.beginning(item.head, beginning)
        if self.raws:
            self.storing = turn.store.begin_put(turn.account_id, self.raws.values())
            self.reading = turn.parser.begin_letters(list(self.raws.values()))

    def finish_reading(self, turn: Turn) -> None:
        """Wait for the child; raises `ParserDied`."""
        turn.hold()
        if self.reading is not None:
            self.letters = dict(zip(self.raws, turn.parser.end_letters(self.reading), strict=True))
        self.letters.update(self.partial)

    def finish_storing(self, turn: Turn) -> dict[bytes, str]:
        """Wait until originals and attachments are on the disk; the hash of each."""
        files = [file.data for letter in self.letters.values() if isinstance(letter, Letter) for file in letter.files]
        if self.storing is None:
            return turn.store.put_all(turn.account_id, [*self.raws.values(), *files])
        return self.storing.result() | turn.store.put_all(turn.account_id, files)


def begin_look(turn: Turn, seen: Sequence[Fetched]) -> "Future[list[Envelope]] | None":
    """Let the child read headers, for `look` to decide about; raises `ParserDied`."""
    return turn.parser.begin_envelopes([one.bodies.get("HEADER", b"") for one in seen]) if seen else None


def look(
    turn: Turn, place: FolderPlace, seen: Sequence[Fetched], reading: "Future[list[Envelope]] | None"
) -> list[Item]:
    """Decide whose each message is, once the child has read the headers; raises `ParserDied`."""
    if reading is None:
        return []
    heads = [one.bodies.get("HEADER", b"") for one in seen]
    envelopes = turn.parser.end_envelopes(reading)
    row = db.session.get_one(EmailAccount, turn.email_account_id)
    known = knowledge(row, envelopes)
    largest = row.largest_mb * MB
    wants_reports = _wants_reports(row, place, envelopes)
    db.session.rollback()
    items = []
    for one, head, envelope in zip(seen, heads, envelopes, strict=True):
        decision = _decide(envelope, known, place, wants_reports=wants_reports)
        others = others_of(envelope, known) if isinstance(decision, Filed | Doubtful) else ()
        items.append(Item(one.uid, one.size, one.received_at, head, envelope, decision, one.size > largest, others))
    return items


def _wants_reports(row: EmailAccount, place: FolderPlace, envelopes: Sequence[Envelope]) -> bool:
    """Whether reports about delivery among these are read: only while a mail of ours may come back."""
    if place.is_sent or not any(envelope.automatic == REPORT for envelope in envelopes):
        return False
    since = clock.now() - COME_BACK_WITHIN
    sent = sa.select(Outgoing.id).where(Outgoing.email_account_id == row.id, Outgoing.asked_at > since)
    return db.session.scalar(sent.limit(1)) is not None


def _decide(envelope: Envelope, known: Known, place: FolderPlace, *, wants_reports: bool) -> Decision:
    decision = decide(envelope, known, outgoing=place.is_sent)
    if wants_reports and envelope.automatic == REPORT and isinstance(decision, Unknown):
        return Reported(decision.name, decision.address, decision.keys)
    return decision


def knowledge(row: EmailAccount, envelopes: Sequence[Envelope]) -> Known:
    """What is known of every address in these headers."""
    keys = {key for envelope in envelopes for key in keys_of(envelope)}
    servers = presets.results_servers(row.provider, row.results_server)
    return directory.known_for(row.account_id, keys, row.relays, servers)


def portions(uids: Sequence[int]) -> Iterator[list[int]]:
    """UIDs, in order, in lists of at most `MOST_HEADERS`."""
    ordered = sorted(uids)
    for start in range(0, len(ordered), MOST_HEADERS):
        yield ordered[start : start + MOST_HEADERS]


def split(place: FolderPlace, uids: Sequence[int], items: Sequence[Item]) -> Iterator[Batch]:
    """The same messages, in order, as batches whose bodies fit into memory; a large one is alone.

    Every batch settles all UIDs up to its last one, gone ones included, so that whoever stops between two batches
    has left nothing out.
    """
    left = deque(sorted(uids))
    batch, bodies, weight = Batch(place, [], []), 0, 0
    for item in sorted(items, key=lambda one: one.uid):
        size = min(item.size, MB) if item.is_too_large else item.size if item.needs_body else 0
        if bodies and item.needs_body and (bodies == MOST_BODIES or weight + size > MOST_BYTES):
            yield batch
            batch, bodies, weight = Batch(place, [], []), 0, 0
        batch.items.append(item)
        while left and left[0] <= item.uid:
            batch.uids.append(left.popleft())
        bodies += item.needs_body
        weight += size
    batch.uids.extend(left)
    yield batch


def is_stub(item: Item) -> bool:
    """Whether only the header is kept: a stranger, but one who could become a customer."""
    return isinstance(item.decision, Unknown) and bool(item.decision.keys)
