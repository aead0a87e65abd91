"""One slice of everything an email account has to do: new messages first, then what is owed, then older wishes."""

from collections.abc import Sequence
from datetime import timedelta

import sqlalchemy as sa
import structlog

from app import clock
from app.db import db, unit_of_work
from app.errors import Capped
from plugins.mail_monitor import (
    deleting,
    host_mail,
    importing,
    late_recipients,
    put_aside,
    quota,
    relinking,
    rereading,
    safe_copies,
    sent_copies,
    strangers,
    sweeping,
    watched_folders,
)
from plugins.mail_monitor.intake import Reader, all_of_them
from plugins.mail_monitor.models import EmailAccount, Folder
from plugins.mail_monitor.places import FolderPlace, own_up
from plugins.mail_monitor.turns import Tally, Turn

log = structlog.get_logger()

MB = 1024 * 1024
# How old a message may be and still be news: people move old mail into the inbox, and try quarantined mail again.
# What is owed came hours later than it should where a server was away meanwhile.
NEWS, OWED_NEWS = timedelta(days=7), timedelta(days=1)


def work(turn: Turn) -> bool:
    """Scan, and answer whether all is done; False when the turn ended before.

    Raises the `Outside` error that stands in the way of the whole account, or `LeaseLost`.
    """
    _begin(turn)
    _refuse_without_room(turn)
    own_up(turn)
    rereading.read_again(turn)
    places = watched_folders.to_read(turn)
    sent_copies.work(turn, places)
    for place in places:
        if not _read_folder(turn, place):
            return False
    host_mail.catch_up(turn)
    late_recipients.catch_up(turn)
    safe_copies.make_ahead(turn)
    deleting.work(turn)
    if not (strangers.fetch_wanted(turn) and importing.work(turn)):
        return False
    put_aside.forget_expired(turn)
    sweeping.sweep_once_a_day(turn)
    return True


def _begin(turn: Turn) -> None:
    """Note the begin; a new day has its whole volume before it, a used up one raises `Capped`."""
    now = clock.now()
    with unit_of_work() as session:
        row = session.get_one(EmailAccount, turn.email_account_id)
        counts = (
            {} if row.counted_on == now.date() else {"counted_on": now.date(), "bytes_today": 0, "messages_today": 0}
        )
        turn.lease.renew(last_begun_at=now, **counts)
        turn.limits.bytes = row.daily_mb * MB - (0 if counts else row.bytes_today)
        turn.limits.messages = row.daily_messages - (0 if counts else row.messages_today)
        used_up = min(turn.limits.bytes, turn.limits.messages) <= 0
    if used_up:
        tomorrow = now.replace(hour=0, minute=5, second=0, microsecond=0) + timedelta(days=1)
        raise Capped("Today's volume for this account is used up. The rest is read tomorrow.", until=tomorrow)


def _refuse_without_room(turn: Turn) -> None:
    """With the storage full nothing is fetched; what was deleted meanwhile still goes, which makes room again."""
    room = quota.room_of(turn.account_id)
    db.session.rollback()
    if not room.is_full:
        turn.limits.stored = room.all - room.taken
        return
    deleting.work(turn)
    sweeping.sweep(turn)
    room = quota.room_of(turn.account_id)
    db.session.rollback()
    if room.is_full:
        raise quota.no_room(room)
    turn.limits.stored = room.all - room.taken


def _read_folder(turn: Turn, place: FolderPlace) -> bool:
    found = watched_folders.examine(turn, place)
    if found is None:
        return True
    place, state = found
    if relinking.is_rebuilt(place, state):
        place = relinking.begin(turn, place, state)
    last, news_from = state.uidnext - 1, clock.now() - NEWS
    if last > place.cursor:
        mailbox = turn.at(place.name, place.uidvalidity)
        if not Reader(turn, place, note=_move_cursor, news_from=news_from).read(mailbox.uids(place.cursor + 1, last)):
            return False
        _settle(turn, place, last)
    done = relinking.work(turn, place, news_from)
    sieve = relinking.link_known if place.was_rebuilt else all_of_them
    return Reader(turn, place, sieve=sieve, news_from=clock.now() - OWED_NEWS).read_owed() and done


def _move_cursor(folder: Folder, uids: Sequence[int], tally: Tally) -> None:
    folder.cursor = max(folder.cursor, *uids) if uids else folder.cursor


def _settle(turn: Turn, place: FolderPlace, last: int) -> None:
    """Everything up to `last` was read: UIDs that were given to nobody are passed as well."""
    with unit_of_work():
        turn.lease.renew()
        db.session.execute(
            sa.update(Folder)
            .where(Folder.id == place.folder_id, Folder.uidvalidity == place.uidvalidity, Folder.cursor < last)
            .values(cursor=last)
            .execution_options(synchronize_session=False)
        )
