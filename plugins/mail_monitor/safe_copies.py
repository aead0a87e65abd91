"""Copies of messages that are safe to show: asked for by whoever opens one, made by a worker, kept until deleted.

A copy is a cache: it carries the sanitiser's version, and one of another version is made anew from the original.
"""

from collections.abc import Iterable
from datetime import timedelta

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from app import clock
from app.db import db, insert_missing, unit_of_work
from app.errors import NotFound
from app.work import ring_after_commit
from plugins.mail_monitor.letters import SafeHtml
from plugins.mail_monitor.parser import Parser, ParserDied
from plugins.mail_monitor.reading_models import Height, SafeCopy
from plugins.mail_monitor.records import Attachment, Filing, Message
from plugins.mail_monitor.safe_html import VERSION
from plugins.mail_monitor.storage import Store
from plugins.mail_monitor.turns import Turn

log = structlog.get_logger()

JOB = "mail_monitor.make_safe_copy"
MOST_TRIES = 2
DIED = SafeHtml(refusal="Making it safe to show took too much time or memory.")
AHEAD = 20  # new messages whose copies a scan makes by itself, so that they open at once
FRESH = timedelta(days=1)


def is_current(copy: SafeCopy | None) -> bool:
    """Whether a copy may be shown: this version of the sanitiser made it."""
    return copy is not None and copy.version == VERSION


def ask(session: Session, message: Message) -> None:
    """Ask a worker for the copy of a message, inside the unit of work around the caller; nothing if it is there."""
    insert_missing(session, SafeCopy, [{"account_id": message.account_id, "message_id": message.id}])
    copy = session.scalars(sa.select(SafeCopy).where(SafeCopy.message_id == message.id).with_for_update()).one()
    if is_current(copy):
        return
    if copy.version:
        copy.version, copy.attempts = 0, 0
    copy.due_at, copy.nudged_at = clock.now(), None
    ring_after_commit(JOB, copy.id)


def make(copy_id: int, store: Store) -> None:
    """Make one copy. Its tries are counted before it is touched: a message may take the worker along."""
    with unit_of_work() as session:
        copy = session.get(SafeCopy, copy_id, with_for_update=True)
        if copy is None:
            return
        if is_current(copy):
            copy.due_at = None
            return
        copy.attempts += 1
        tries, message_id, account_id = copy.attempts, copy.message_id, copy.account_id
        raw_hash = session.scalar(sa.select(Message.raw_hash).where(Message.id == message_id)) or ""
    made = DIED if tries > MOST_TRIES else _made(account_id, raw_hash, store)
    with unit_of_work() as session:
        _keep(session, message_id, made)


def _made(account_id: int, raw_hash: str, store: Store) -> SafeHtml:
    try:
        raw = store.read(account_id, raw_hash)
        with Parser() as parser:
            return parser.safe([raw])[0]
    except NotFound as error:
        return SafeHtml(refusal=error.sentence)
    except ParserDied:
        return DIED


def make_ahead(turn: Turn) -> None:
    """Copies of what was just filed and is new to everybody, in the child that the turn has anyway."""
    for message_id, raw_hash in _newly_filed(turn):
        if turn.is_over:
            return
        try:
            made = turn.parser.safe([turn.store.read(turn.account_id, raw_hash)])[0]
        except (ParserDied, NotFound):
            continue  # whoever opens it asks again, and is told
        with unit_of_work() as session:
            turn.lease.renew()
            insert_missing(session, SafeCopy, [{"account_id": turn.account_id, "message_id": message_id}])
            _keep(session, message_id, made)


def _newly_filed(turn: Turn) -> list[tuple[int, str]]:
    query = (
        sa.select(Message.id, Message.raw_hash)
        .join(Filing, Filing.message_id == Message.id)
        .outerjoin(SafeCopy, SafeCopy.message_id == Message.id)
        .where(
            Filing.email_account_id == turn.email_account_id,
            Filing.filed_at > clock.now() - FRESH,
            Filing.deleted_at.is_(None),
            Message.has_html,
            Message.is_quiet.is_(False),
            Message.raw_hash != "",
            SafeCopy.id.is_(None),
        )
        .order_by(Filing.filed_at.desc(), Filing.id.desc())
        .limit(AHEAD)
    )
    found = list(dict.fromkeys((row[0], row[1]) for row in db.session.execute(query)))
    db.session.rollback()
    return found


def _keep(session: Session, message_id: int, made: SafeHtml) -> None:
    copy = session.scalar(sa.select(SafeCopy).where(SafeCopy.message_id == message_id).with_for_update())
    if copy is None:  # the message was deleted meanwhile
        return
    copy.version, copy.made_at, copy.due_at, copy.problem = VERSION, clock.now(), None, ""
    copy.html, copy.html_with_pictures, copy.height = made.html, made.with_pictures, Height(made.height)
    copy.blocked, copy.trackers, copy.odd_links = made.blocked, made.trackers, list(made.odd_links)
    copy.refusal = made.refusal[:200]
    _mark_inline(session, message_id, made.used)


def _mark_inline(session: Session, message_id: int, used: Iterable[str]) -> None:
    """Pictures that are shown inside the message are not listed below it as well."""
    inline = set(used)
    for attachment in session.scalars(sa.select(Attachment).where(Attachment.message_id == message_id)):
        attachment.is_inline = attachment.content_id.strip().casefold() in inline if attachment.content_id else False
