"""A mailbox that the server rebuilt: its UIDs mean other messages now, so every message is linked anew, quietly.

Messages that are here already get their new UIDs by size and Message-ID; nothing of them is fetched. What is left is
what came meanwhile, and is read like any other mail, without telling anybody. Only where numbers never mean anything
is what is left what is new, as on every other server.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog

from app import audit, clock
from app.db import db, unit_of_work
from plugins.mail_monitor import identity
from plugins.mail_monitor.fetched import Fetched
from plugins.mail_monitor.intake import Reader
from plugins.mail_monitor.mailbox import FolderState
from plugins.mail_monitor.models import ANOTHER, OFTEN, EmailAccount, Folder
from plugins.mail_monitor.places import FolderPlace, settled_among
from plugins.mail_monitor.records import Sighting
from plugins.mail_monitor.turns import Tally, Turn
from plugins.mail_monitor.waiting import Quarantined, Stub

log = structlog.get_logger()

Numbered = Sighting | Quarantined
NUMBERED: tuple[Any, ...] = (Sighting, Quarantined)


def is_rebuilt(place: FolderPlace, state: FolderState) -> bool:
    """Whether UIDs mean other messages than before: another validity, or numbers that began anew under the old one.

    A server that gives none may renumber at any time, so every scan links anew.
    """
    return not state.uidvalidity or state.uidvalidity != place.uidvalidity or state.uidnext <= place.cursor


def begin(turn: Turn, place: FolderPlace, state: FolderState) -> FolderPlace:
    """Note that everything up to now is to be linked anew; what comes from now on is new mail as ever."""
    now = clock.now()
    with unit_of_work() as session:
        turn.lease.renew()
        folder = session.get_one(Folder, place.folder_id)
        recent = folder.rebuilt_at is not None and folder.rebuilt_at > now - timedelta(days=1)
        folder.rebuilt_times = folder.rebuilt_times + 1 if recent else 1
        folder.rebuilt_at = now
        _forget_numbers(session, folder, state.uidvalidity)
        session.execute(sa.delete(Stub).where(Stub.folder_id == folder.id))
        sentence = _sentence(folder)
        folder.uidvalidity, folder.cursor = state.uidvalidity, max(0, state.uidnext - 1)
        folder.owed, folder.in_hand = {}, []
        folder.relinking = {"next": 1, "last": folder.cursor}
        row = session.get_one(EmailAccount, turn.email_account_id)
        row.note, row.noted_at = sentence, now
        audit.record("mailbox_rebuilt", row, folder=folder.name, times=folder.rebuilt_times)
        log.warning("mailbox_rebuilt", email_account_id=row.id, folder=folder.name, times=folder.rebuilt_times)
        return FolderPlace.of(folder)


def begin_elsewhere(session: sa.orm.Session, folder: Folder, name: str, state: FolderState) -> None:
    """Another folder takes this one's place, with what comes from now on; the numbers so far meant the one before."""
    _forget_numbers(session, folder, state.uidvalidity)
    session.execute(sa.delete(Stub).where(Stub.folder_id == folder.id))
    folder.name, folder.uidvalidity, folder.cursor = name, state.uidvalidity, max(0, state.uidnext - 1)
    folder.owed, folder.in_hand, folder.relinking = {}, [], {}
    folder.began_at = folder.watched_from = clock.now()
    folder.rebuilt_at, folder.rebuilt_times = None, 0


def _sentence(folder: Folder) -> str:
    if folder.uidvalidity == ANOTHER:
        return f"{folder.name} is another folder than before. Everything in it is linked again; nothing is filed twice."
    if folder.rebuilt_times >= OFTEN:
        return (
            f"The server renumbers {folder.name} again and again. Messages are recognised by what they are instead, "
            "which takes longer."
        )
    return f"The server rebuilt {folder.name}. Everything in it is linked again; nothing is filed twice."


def _forget_numbers(session: sa.orm.Session, folder: Folder, uidvalidity: int) -> None:
    """A validity that was there before, as after a restored backup: its old numbers mean other messages today.

    Rows keep what tells a message apart, under a validity that no server gives.
    """
    for model in NUMBERED:
        lowest = session.scalar(sa.select(sa.func.min(model.uidvalidity)).where(model.folder_id == folder.id)) or 0
        session.execute(
            sa.update(model)
            .where(model.folder_id == folder.id, model.uidvalidity == uidvalidity)
            .values(uidvalidity=min(lowest, ANOTHER) - 1)
            .execution_options(synchronize_session=False)
        )


def work(turn: Turn, place: FolderPlace, news_from: datetime) -> bool:
    """A slice of linking anew; True when there is nothing left of it."""
    folder = db.session.get_one(Folder, place.folder_id)
    where = dict(folder.relinking)
    owed = {int(uid) for uid in folder.owed}
    db.session.rollback()
    if not where:
        return True
    uids = turn.at(place.name, place.uidvalidity).uids(where["next"], where["last"])
    settled = settled_among(place, uids) | owed
    since = news_from if place.is_unstable else None
    reader = Reader(turn, place, note=_move_on, sieve=link_known, news_from=since)
    done = reader.read([uid for uid in uids if uid not in settled])
    if done:
        with unit_of_work() as session:
            turn.lease.renew()
            session.get_one(Folder, place.folder_id).relinking = {}
    return done


def _move_on(folder: Folder, uids: Sequence[int], tally: Tally) -> None:
    if folder.relinking and uids:
        folder.relinking = {**folder.relinking, "next": max(folder.relinking["next"], *(uid + 1 for uid in uids))}


def link_known(turn: Turn, place: FolderPlace, seen: list[Fetched]) -> list[Fetched]:
    """Give messages that are here already their new UIDs; answers the others, without what is too old to matter."""
    keys = {one.uid: key_of(one) for one in seen}
    with unit_of_work() as session:
        turn.lease.renew()
        unlinked: dict[tuple[str, int], list[Numbered]] = {}
        linked: set[int] = set()  # by a worker that died before it could say so
        for model in NUMBERED:
            linked.update(
                session.scalars(
                    sa.select(model.uid).where(
                        model.folder_id == place.folder_id,
                        model.uidvalidity == place.uidvalidity,
                        model.uid.in_(list(keys)),
                    )
                )
            )
            rows = session.scalars(
                sa.select(model)
                .where(model.folder_id == place.folder_id, model.uidvalidity != place.uidvalidity)
                .where(model.message_key.in_(sorted(set(keys.values()))))
                .order_by(model.uid)
            )
            for row in rows:
                unlinked.setdefault((row.message_key, row.size), []).append(row)
        others = []
        for one in seen:
            if one.uid in linked:
                continue
            same = unlinked.get((keys[one.uid], one.size), [])
            match = _match(one, same)
            if match is None:
                others.append(one)
            else:
                same.remove(match)
                match.uidvalidity, match.uid = place.uidvalidity, one.uid
                match.received_at = one.received_at
    return [one for one in others if one.received_at >= place.watched_from]


def _match(one: Fetched, same: Sequence[Numbered]) -> Numbered | None:
    """The row of a message among those of its id and size. Without an id the server's date must be the same, too."""
    fallback = next((row for row in same if row.message_key), None)
    return next((row for row in same if row.received_at == one.received_at), fallback)


def key_of(one: Fetched) -> str:
    """What a message is recognised by; "" without a Message-ID."""
    return identity.key_of_head(one.bodies.get("HEADER", b""))
