"""Reading messages into records: chunk by chunk, and one at a time what went wrong in a chunk.

A chunk is noted before it is fetched and filed in one transaction with the note taken back. If the child dies, an
answer is malformed or the worker is killed, its messages are owed: each is tried alone, its tries counted before it is
touched, and only a message that fails alone three times is put into quarantine.
"""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
import structlog

from app import clock
from app.db import db, unit_of_work
from app.errors import NotSent, Outside
from plugins.mail_monitor import filing, put_aside
from plugins.mail_monitor.batches import Batch, Item, begin_look, look, portions, split
from plugins.mail_monitor.fetched import Fetched
from plugins.mail_monitor.letters import Envelope, Sender, Unreadable
from plugins.mail_monitor.mailbox import Mailbox
from plugins.mail_monitor.message_rows import Source, keep_blobs
from plugins.mail_monitor.models import EmailAccount, Folder
from plugins.mail_monitor.parser import ParserDied
from plugins.mail_monitor.places import FolderPlace, put_down, take_in_hand
from plugins.mail_monitor.senders import Unknown
from plugins.mail_monitor.turns import Tally, Turn

log = structlog.get_logger()

MOST_TRIES = 3
DIED = Unreadable("died", "Reading it took too much time or memory, three times.")
KILLED = Unreadable("killed", "Reading it ended the whole worker, three times.")
UNSTORABLE = Unreadable("unstorable", "It holds something that cannot be stored.")
# Raised by the databases and their drivers about what a mail says; whatever else goes wrong there is not its fault.
NOT_STORED = (sa.exc.DataError, UnicodeError, OverflowError)
NEVER_CAME = Unreadable("not_given", "The server did not hand it out, three times. Open it in the mailbox.")

Note = Callable[[Folder, Sequence[int], Tally], None]
"""What else is noted in the transaction that settles some UIDs: a cursor, the progress of an import."""
Sieve = Callable[[Turn, FolderPlace, list[Fetched]], list[Fetched]]
"""Takes out what is known already, once the headers are there."""


def no_note(folder: Folder, uids: Sequence[int], tally: Tally) -> None:
    """Nothing else."""


def all_of_them(turn: Turn, place: FolderPlace, seen: list[Fetched]) -> list[Fetched]:
    """Nothing is taken out."""
    return seen


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Messages in hand whose headers are here, and the child's word on these."""

    uids: list[int]
    seen: list[Fetched]
    reading: "Future[list[Envelope]] | None"


@dataclass(slots=True)
class Reader:
    """Reads in one folder. `note` joins every transaction, `sieve` drops what needs no reading."""

    turn: Turn
    place: FolderPlace
    note: Note = no_note
    sieve: Sieve = all_of_them
    news_from: datetime | None = None  # somebody is told of what came since then; None tells nobody
    _waiting: Batch | None = None  # fetched, not filed yet

    def read(self, uids: Sequence[int]) -> bool:
        """Read messages chunk by chunk; False when the turn ended before.

        Raises the `Outside` error of a connection that broke: what was fetched by then is filed, the rest is owed.
        """
        left = deque(portions(uids))
        while left and not self.turn.is_over:
            try:
                self._read_chunks(left)
            except (ParserDied, *NOT_STORED):
                self._finish()
                self._owe()
            except NotSent:
                self._finish()
                self._owe()
                raise
            except Outside:
                # Told to wait, or to sign in: nothing is wrong with these messages.
                self._finish()
                self._put_back()
                raise
        return not self._put_back() and not left

    def _mailbox(self) -> Mailbox:
        return self.turn.at(self.place.name, self.place.uidvalidity)

    def _read_chunks(self, left: deque[list[int]]) -> None:
        """Three things at once: the child reads a chunk's headers while the one before is fetched and filed."""
        ahead = self._begin(left)
        while ahead is not None:
            chunk, ahead = ahead, self._begin(left)
            if not self._read_chunk(chunk):
                break  # nothing behind a gap may be filed: the cursor would pass over it
        self._finish()

    def _begin(self, left: deque[list[int]]) -> _Chunk | None:
        """Take the next chunk in hand and get its headers."""
        if not left or self.turn.is_over:
            return None
        uids = left.popleft()
        take_in_hand(self.turn, self.place, uids)
        found = self._mailbox().headers(uids)
        seen = self.sieve(self.turn, self.place, sorted(found.values(), key=lambda one: one.uid))
        return _Chunk(uids, seen, begin_look(self.turn, seen))

    def _read_chunk(self, chunk: _Chunk) -> bool:
        """Fetch and file batch by batch, each while the child reads the next one; False when the turn ended before."""
        for batch in split(self.place, chunk.uids, look(self.turn, self.place, chunk.seen, chunk.reading)):
            if self.turn.is_over:
                return False
            batch.fetch(self.turn)
            self._finish()
            self._waiting = batch
        return True

    def _finish(self) -> None:
        """File what the child has read; if it died over it, its messages are owed one at a time."""
        batch, self._waiting = self._waiting, None
        if batch is None:
            return
        try:
            batch.finish_reading(self.turn)
            self._file(batch)
        except (ParserDied, *NOT_STORED):
            self._owe(batch.uids)

    def _file(self, batch: Batch, tries: int = 1) -> None:
        turn = self.turn
        hashes = batch.finish_storing(turn)
        missing = batch.missing
        settled = [uid for uid in batch.uids if uid not in missing]
        with unit_of_work() as session:
            turn.lease.renew(**turn.count_today(len(settled)))
            source = Source(turn.account_id, turn.email_account_id)
            tally = filing.file_batch(session, source, batch, hashes, tries, self.news_from)
            folder = session.get_one(Folder, self.place.folder_id)
            put_down(folder, settled, settled=True)
            put_down(folder, missing, settled=False)
            tally.seen -= len(missing)
            self.note(folder, batch.uids, tally)
        turn.tally.add(tally)
        turn.stored += sum(map(len, hashes))

    def _owe(self, uids: Sequence[int] | None = None) -> None:
        """Owe `uids`, or all that is in hand, one at a time."""
        db.session.rollback()
        with unit_of_work() as session:
            self.turn.lease.renew()
            folder = session.get_one(Folder, self.place.folder_id)
            owed = [uid for uid in folder.in_hand if uids is None or uid in uids]
            put_down(folder, owed, settled=False)
            self.note(folder, owed, Tally())

    def _put_back(self) -> bool:
        """Let go of what is still in hand, for the next turn to find beyond the cursor; whether there was anything."""
        db.session.rollback()
        with unit_of_work() as session:
            self.turn.lease.renew()
            folder = session.get_one(Folder, self.place.folder_id)
            left, folder.in_hand = folder.in_hand, []
        return bool(left)

    def read_owed(self) -> bool:
        """Try each owed message alone, until it is filed or quarantined; False when the turn ended before.

        One that broke the connection is left for the next turn: the network may have been to blame.
        """
        left: set[int] = set()
        while owed := [one for one in self._owed() if one[0] not in left]:
            for uid, tries in owed:
                if self.turn.is_over:
                    return False
                if not self._read_alone(uid, tries + 1):
                    left.add(uid)
        return True

    def _owed(self) -> list[tuple[int, int]]:
        folder = db.session.get_one(Folder, self.place.folder_id, populate_existing=True)
        owed = sorted((int(uid), int(tries)) for uid, tries in folder.owed.items())
        db.session.rollback()
        return owed

    def _read_alone(self, uid: int, tries: int) -> bool:
        """One try; False when the connection broke over it."""
        mailbox = self._mailbox()
        self._count_try(uid, tries)
        log.info("message_alone", email_account_id=self.turn.email_account_id, uid=uid, tries=tries)
        one: Fetched | None = None
        try:
            one = mailbox.header(uid)
            # More tries than there are can only mean that the worker did not outlive them.
            problem = KILLED if tries > MOST_TRIES else None if self._take_alone(uid, one, tries) else NEVER_CAME
        except ParserDied:
            problem = DIED
        except NOT_STORED:
            problem = UNSTORABLE
        except NotSent:
            problem = NEVER_CAME
            self.turn.drop()
        except (Outside, OSError):
            self._count_try(uid, tries - 1)  # a pause, a new password, a full disk: not its fault
            raise
        if problem is not None and tries >= MOST_TRIES:
            self._quarantine(one or Fetched(uid, 0, clock.now()), problem, tries)
        return problem is not NEVER_CAME

    def _count_try(self, uid: int, tries: int) -> None:
        db.session.rollback()
        with unit_of_work() as session:
            self.turn.lease.renew()
            folder = session.get_one(Folder, self.place.folder_id)
            folder.owed = {**folder.owed, str(uid): tries}

    def _take_alone(self, uid: int, one: Fetched | None, tries: int) -> bool:
        """Read and file one message; False when its body did not come."""
        seen = self.sieve(self.turn, self.place, [one] if one is not None else [])
        items = look(self.turn, self.place, seen, begin_look(self.turn, seen))
        for batch in split(self.place, [uid], items):
            batch.fetch(self.turn)
            batch.finish_reading(self.turn)
            self._file(batch, tries)
            if batch.missing:
                return False
        return True

    def _quarantine(self, one: Fetched, problem: Unreadable, tries: int) -> None:
        """Put aside what cannot be read even alone, with its original if that can be had."""
        head = one.bodies.get("HEADER", b"")
        raw = self._original(one) if problem is DIED else None
        hashes = self.turn.store.put_all(self.turn.account_id, [raw] if raw is not None else [])
        db.session.rollback()
        envelope = Envelope(Sender()) if problem is UNSTORABLE else self._envelope(head)
        item = Item(one.uid, one.size, one.received_at, head, envelope, Unknown("", "", ()))
        with unit_of_work() as session:
            self.turn.lease.renew()
            source = Source(self.turn.account_id, self.turn.email_account_id)
            keep_blobs(session, source.account_id, hashes)
            put_aside.quarantine(session, source, self.place, item, problem, "".join(hashes.values()), tries)
            put_down(session.get_one(Folder, self.place.folder_id), [one.uid], settled=True)
        self.turn.tally.seen += 1
        self.turn.tally.quarantined += 1

    def _envelope(self, head: bytes) -> Envelope:
        try:
            return self.turn.parser.envelopes([head])[0]
        except ParserDied:
            return Envelope(Sender())

    def _original(self, one: Fetched) -> bytes | None:
        row = db.session.get_one(EmailAccount, self.turn.email_account_id)
        largest = row.largest_mb * 1024 * 1024
        db.session.rollback()
        return self._mailbox().whole([one.uid]).get(one.uid) if one.size <= largest else None
