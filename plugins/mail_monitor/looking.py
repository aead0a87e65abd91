"""A search for a message, done by a worker: folder by folder on the server, and among what is stored here.

The server is asked by number and day only; what was typed is compared here, so that it never gets into a command.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from app import clock
from app.db import db, unit_of_work
from app.errors import Outside, Refused
from app.typed import fold
from app.work import Lease
from plugins.mail_monitor import fates, finding
from plugins.mail_monitor.fates import Fate
from plugins.mail_monitor.fetched import Fetched
from plugins.mail_monitor.letters import Envelope
from plugins.mail_monitor.models import EmailAccount
from plugins.mail_monitor.places import FolderPlace, places_of
from plugins.mail_monitor.records import Message, Sighting
from plugins.mail_monitor.relinking import key_of
from plugins.mail_monitor.turns import Turn
from plugins.mail_monitor.wishes import MessageSearch, SearchState

DAYS = 30  # how far back is looked when no day is named
MOST_HEADERS = 2000  # per folder, the newest
MOST_FOLDERS = 40
MOST_HITS = 50
AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person remembers, in a form to compare with."""

    sender: str
    subject: tuple[str, ...]
    day: date | None
    zone: str

    @property
    def since(self) -> date:
        """The first day to ask the server for; its days may be a day off ours."""
        return (self.day or clock.now().date() - timedelta(days=DAYS)) - timedelta(days=1)

    @property
    def before(self) -> date | None:
        return self.day + timedelta(days=2) if self.day else None

    def fits(self, sender: str, subject: str, at: datetime) -> bool:
        """Whether a message can be the one."""
        if self.day is not None and clock.local(at, self.zone).date() != self.day:
            return False
        folded = fold(subject)
        return self.sender in fold(sender) and all(word in folded for word in self.subject)


@dataclass(slots=True)
class Found:
    """What was found so far, and which of the watched messages are on the server."""

    hits: list[dict[str, Any]] = field(default_factory=list)
    present: dict[int, set[int]] = field(default_factory=dict)  # by watched folder: the UIDs of those days
    has_more: bool = False

    def add(self, one: Fetched | Sighting, sender: str, subject: str, folder: str, fate: Fate) -> None:
        self.hits.append(
            {
                "at": one.received_at.isoformat(),
                "sender": sender[:200],
                "subject": subject[:200],
                "folder": folder[:200],
                "fate": fate.word,
                "why": fate.why[:400],
                "message_id": fate.message_id,
            }
        )

    def newest(self) -> list[dict[str, Any]]:
        return sorted(self.hits, key=lambda one: str(one["at"]), reverse=True)[:MOST_HITS]


def look(turn: Turn, lease: Lease, search_id: int) -> None:
    """Do a search and note what was found; an `Outside` error becomes its end."""
    search = db.session.get_one(MessageSearch, search_id)
    zone = db.session.get_one(EmailAccount, search.email_account_id).location.timezone
    wanted = Wanted(fold(search.sender), tuple(fold(search.subject).split()), search.day, zone)
    db.session.rollback()
    found = Found()
    try:
        _look_there(turn, lease, wanted, found)
    except Outside as error:
        turn.drop()
        _end(lease, search_id, SearchState.FAILED, error.sentence, found)
        return
    _look_here(turn, wanted, found)
    said = "Not every folder was looked at; name a day to narrow it." if turn.is_over else ""
    _end(lease, search_id, SearchState.DONE, said, found)


def _look_there(turn: Turn, lease: Lease, wanted: Wanted, found: Found) -> None:
    watched = {place.name: place for place in places_of(turn.email_account_id)}
    # Where a provider shows all mail once more in one folder, everything would be found twice.
    names = [one.name for one in turn.mailbox.folders() if "\\all" not in one.flags]
    names = sorted(names, key=lambda name: name not in watched)[:MOST_FOLDERS]
    for done, name in enumerate(names):
        if turn.is_over:
            found.has_more = True
            return
        with unit_of_work():
            lease.renew(folders_done=done, folders_all=len(names), sentence=f"Looking in {name}."[:500])
            turn.lease.renew()
        try:
            _look_in(turn, wanted, found, name, watched.get(name))
        except Refused:
            continue  # a folder that may not be opened holds nothing that could have been filed


def _look_in(turn: Turn, wanted: Wanted, found: Found, name: str, place: FolderPlace | None) -> None:
    state = turn.examine(name)
    uids = turn.mailbox.uids(1, max(1, state.uidnext - 1), wanted.since, wanted.before)
    if place is not None and state.uidvalidity == place.uidvalidity:
        found.present[place.folder_id] = set(uids)
    found.has_more = found.has_more or len(uids) > MOST_HEADERS
    for some in _newest_first(uids[-MOST_HEADERS:]):
        if turn.is_over:
            found.has_more = True
            return
        fitting = _fitting(turn, wanted, some)
        seen = [one for one, _ in fitting]
        if place is None:
            became = fates.elsewhere(turn.account_id, name, {one.uid: key_of(one) for one in seen})
        else:
            early = {one.uid for one in seen if one.received_at < place.watched_from}
            became = fates.in_watched(place.folder_id, state.uidvalidity, [one.uid for one in seen], early)
        db.session.rollback()
        for one, envelope in fitting:
            found.add(one, _sender(envelope), envelope.subject, name, became[one.uid])


def _fitting(turn: Turn, wanted: Wanted, uids: Sequence[int]) -> list[tuple[Fetched, Envelope]]:
    seen = list(turn.mailbox.headers(uids).values())
    envelopes = turn.parser.envelopes([one.bodies.get("HEADER", b"") for one in seen])
    return [
        (one, envelope)
        for one, envelope in zip(seen, envelopes, strict=True)
        if wanted.fits(_sender(envelope), envelope.subject, one.received_at)
    ]


def _look_here(turn: Turn, wanted: Wanted, found: Found) -> None:
    """Messages that are here and were on the server, and are not there any more."""
    since = datetime.combine(wanted.since, datetime.min.time(), clock.now().tzinfo) + timedelta(days=1)
    rows = db.session.execute(
        sa.select(Sighting, Message.sender_name, Message.sender_address, Message.subject)
        .join(Sighting.message)
        .where(
            Sighting.email_account_id == turn.email_account_id,
            Sighting.received_at >= since,
            Sighting.folder_id.in_(list(found.present)),
            Message.deleted_at.is_(None),
        )
        .order_by(Sighting.received_at.desc())
        .limit(MOST_HEADERS)
    ).all()
    gone = [
        (row, f"{name} {address}".strip(), subject)
        for row, name, address, subject in rows
        if row.uid not in found.present[row.folder_id] and wanted.fits(f"{name} {address}", subject, row.received_at)
    ]
    became = fates.of_messages(row.message_id for row, _, _ in gone)
    for row, sender, subject in gone:
        fate = became[row.message_id]
        by_us = "Deleted there by its option; here: " if row.deleted_there_at else "Here: "
        word = fates.WORDS[fate.word].lower()
        found.add(row, sender, subject, row.folder.name, Fate("gone", f"{by_us}{word} {fate.why}", fate.message_id))
    db.session.rollback()


def _newest_first(uids: Sequence[int]) -> Iterable[list[int]]:
    newest = sorted(uids, reverse=True)
    for start in range(0, len(newest), AT_ONCE):
        yield newest[start : start + AT_ONCE]


def _sender(envelope: Envelope) -> str:
    return f"{envelope.sender.name} {envelope.sender.address}".strip() or ", ".join(envelope.sender.mentioned)


def _end(lease: Lease, search_id: int, state: SearchState, sentence: str, found: Found) -> None:
    with unit_of_work() as session:
        lease.renew()
        search = session.get_one(MessageSearch, search_id)
        search.state, search.sentence, search.ended_at = state, sentence[:500], clock.now()
        search.hits, search.has_more = found.newest(), found.has_more or len(found.hits) > MOST_HITS
        search.folders_done = search.folders_all
        search.due_at, search.nudged_at = search.asked_at + finding.KEPT, None
