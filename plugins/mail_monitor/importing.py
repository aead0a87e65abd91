"""Importing older messages on request: quietly, chunk by chunk between the scans, and resumed wherever it stopped."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import sqlalchemy as sa

from app import audit, clock
from app.db import db, unit_of_work
from app.errors import Conflict, InvalidInput
from app.work import ring_after_commit
from plugins.mail_monitor.accounts import JOB
from plugins.mail_monitor.fetched import Fetched
from plugins.mail_monitor.intake import Reader
from plugins.mail_monitor.models import EmailAccount, Folder, ImportRun
from plugins.mail_monitor.places import FolderPlace, places_of, settled_among
from plugins.mail_monitor.turns import Tally, Turn

MOST_DAYS = 3650
COUNTED = ("filed", "duplicates", "choices", "stubs", "quarantined")


def start(row: EmailAccount, days: int, by: str = "") -> ImportRun:
    """Begin to import the last `days` days, inside the unit of work around the caller."""
    if not 1 <= days <= MOST_DAYS:
        raise InvalidInput(f"A number of days from 1 to {MOST_DAYS:,}.", field="days")
    if not row.active:
        raise Conflict("The account is inactive. Watch it first, then import.")
    if under_way(row.id) is not None:
        raise Conflict("An import of this account is under way already.")
    run = ImportRun(
        account_id=row.account_id,
        email_account_id=row.id,
        days=days,
        since=clock.now() - timedelta(days=days),
        begun_by=by,
        counts=dict.fromkeys(COUNTED, 0),
    )
    db.session.add(run)
    row.due_at, row.nudged_at = clock.now(), None
    db.session.flush()
    audit.record("import_begun", run, actor=by or None, days=days)
    ring_after_commit(JOB, row.id)
    return run


def stop(run: ImportRun, by: str) -> None:
    """End an import before it is through; what it filed stays."""
    if run.ended_at is None:
        run.ended_at = clock.now()
        audit.record("import_stopped", run, actor=by)


def under_way(email_account_id: int) -> ImportRun | None:
    """The import that has not ended, if there is one."""
    return db.session.scalar(
        sa.select(ImportRun).where(ImportRun.email_account_id == email_account_id, ImportRun.ended_at.is_(None))
    )


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an import is, in messages looked at; `all` is None until the server was asked."""

    done: int
    all: int | None
    counts: dict[str, int]


def progress(run: ImportRun) -> Progress:
    """How far `run` is; numbers never run backwards."""
    return Progress(run.done, run.total, {name: int(run.counts.get(name, 0)) for name in COUNTED})


def work(turn: Turn) -> bool:
    """A slice of the import under way; True when there is nothing left of it."""
    run = under_way(turn.email_account_id)
    run_id, since = (run.id, run.since) if run is not None else (0, clock.now())
    db.session.rollback()
    if not run_id:
        return True
    places = places_of(turn.email_account_id)
    left = {place: _left(turn, run_id, place, since) for place in places}
    with unit_of_work() as session:
        turn.lease.renew()
        run = session.get_one(ImportRun, run_id)
        run.total = max(run.total or 0, run.done + sum(map(len, left.values())))
        for place in places:
            folder = session.get_one(Folder, place.folder_id)
            folder.watched_from = min(folder.watched_from, since)
    for place, uids in left.items():
        if not Reader(turn, place, note=partial(_note, run_id), sieve=_Younger(since)).read(uids):
            return False
    with unit_of_work() as session:
        turn.lease.renew()
        run = session.get_one(ImportRun, run_id)
        run.ended_at, run.done = run.ended_at or clock.now(), run.total or 0
        audit.record("import_ended", run, counts=run.counts)
    return True


def _left(turn: Turn, run_id: int, place: FolderPlace, since: datetime) -> list[int]:
    """What the server has from that time and is not settled yet, from where the last slice stopped."""
    uidvalidity, next_uid = db.session.get_one(ImportRun, run_id).places.get(str(place.folder_id), (0, 1))
    owed = {int(uid) for uid in db.session.get_one(Folder, place.folder_id).owed}
    db.session.rollback()
    first = next_uid if uidvalidity == place.uidvalidity else 1
    # A day earlier: the server counts days in a zone of its own. What is too early is left out by its exact date.
    day = (since - timedelta(days=1)).date()
    uids = turn.at(place.name, place.uidvalidity).uids(first, place.cursor, since=day)
    settled = settled_among(place, uids) | owed
    return [uid for uid in uids if uid not in settled]


def _note(run_id: int, folder: Folder, uids: Sequence[int], tally: Tally) -> None:
    run = db.session.get_one(ImportRun, run_id)
    run.places = {**run.places, str(folder.id): [folder.uidvalidity, max(uids, default=0) + 1]}
    run.done += len(uids)
    run.counts = {name: int(run.counts.get(name, 0)) + getattr(tally, name) for name in COUNTED}


@dataclass(frozen=True, slots=True)
class _Younger:
    """Takes out what came before a moment."""

    since: datetime

    def __call__(self, turn: Turn, place: FolderPlace, seen: list[Fetched]) -> list[Fetched]:
        return [one for one in seen if one.received_at >= self.since]
