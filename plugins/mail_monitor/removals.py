"""Which filed messages are to be deleted on their server, and what a person is told about that beforehand and after."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session, joinedload

from app import clock
from app.db import db, insert_missing, unit_of_work
from app.work import ring_after_commit
from plugins.mail_monitor.accounts import JOB
from plugins.mail_monitor.models import DeletePolicy, EmailAccount, Folder, FolderKind
from plugins.mail_monitor.records import Filing, Message, Sighting
from plugins.mail_monitor.turns import Turn
from plugins.mail_monitor.wishes import Cause, Removal, RemovalState

AT_ONCE = 200
LATELY = timedelta(days=30)  # a choice that was decided later than this leaves its message on the server
SHOWN = 20
PREVIEWED = 10


@dataclass(frozen=True, slots=True)
class Preview:
    """What an option would take from a mailbox, from what is stored here: a sentence, and the newest such messages."""

    sentence: str
    count: int
    sightings: Sequence[Sighting]


@dataclass(frozen=True, slots=True)
class Outlook:
    """What becomes of a message in one mailbox when it is deleted here."""

    address: str
    sentence: str
    goes: bool = False


def preview(row: EmailAccount, policy: DeletePolicy) -> Preview:
    """A dry run of an option, before somebody agrees to it: nothing is asked of the server, nothing changes."""
    query = _could_go(row.id).where(Folder.uidvalidity > 0)  # else nothing is deleted: see `deleting`
    if policy is DeletePolicy.AFTER_FILING:
        query = _filed_in_full(query)
    count = int(db.session.scalar(sa.select(sa.func.count()).select_from(query.subquery())) or 0)
    shown = query.options(joinedload(Sighting.message)).order_by(Sighting.received_at.desc(), Sighting.id.desc())
    return Preview(_said(policy, count), count, db.session.scalars(shown.limit(PREVIEWED)).all())


def _said(policy: DeletePolicy, count: int) -> str:
    messages = "1 message" if count == 1 else f"{count:,} messages"
    if policy is DeletePolicy.AFTER_FILING:
        if not count:
            return "None of the messages seen so far would have been deleted there. It begins with what comes next."
        return f"Had it been chosen before, {messages} would be gone there now. It begins with what comes next."
    if not count:
        return "No filed message lies there now."
    lie = "lies there and goes once it is" if count == 1 else "lie there, and each goes once it is"
    return f"{messages} {lie} deleted here from the last record that holds it."


def _could_go(email_account_id: int) -> sa.Select[Sighting]:
    """Filed messages that lie in a mailbox under the number we know."""
    return (
        sa.select(Sighting)
        .join(Folder, Folder.id == Sighting.folder_id)
        .join(Message, Message.id == Sighting.message_id)
        .where(
            Sighting.email_account_id == email_account_id,
            Sighting.uidvalidity == Folder.uidvalidity,
            Sighting.deleted_there_at.is_(None),
            _stands(),
        )
    )


def _filed_in_full(query: sa.Select[Sighting]) -> sa.Select[Sighting]:
    """Of these what was received; what is here without its attachments is nowhere else but there."""
    return query.where(Folder.kind == FolderKind.INBOX, Message.raw_hash != "", Message.is_partial.is_(False))


def _stands() -> sa.ColumnElement[bool]:
    """Whether a record holds the message of a sighting."""
    return sa.select(Filing.id).where(Filing.message_id == Sighting.message_id, Filing.deleted_at.is_(None)).exists()


def outlook(message_id: int, *, is_last: bool) -> list[Outlook]:
    """What deleting a message here does in each mailbox it was seen in; `is_last`: no other record holds it."""
    rows = db.session.scalars(
        sa.select(Sighting)
        .where(Sighting.message_id == message_id)
        .options(joinedload(Sighting.email_account))
        .order_by(Sighting.id)
    ).all()
    found: dict[str, Outlook] = {}
    for row in rows:
        said = _outlook_of(row, is_last=is_last)
        # Copies in two folders of one mailbox: the one that goes is the one to tell.
        if said.address not in found or said.goes:
            found[said.address] = said
    return list(found.values())


def _outlook_of(row: Sighting, *, is_last: bool) -> Outlook:
    account = row.email_account
    if row.deleted_there_at is not None:
        return Outlook(account.email_address, "was deleted there before")
    if account.deletes is not DeletePolicy.WHEN_DELETED_HERE:
        return Outlook(account.email_address, "stays there")
    if not is_last:
        return Outlook(account.email_address, "stays there while a record holds it")
    if not account.active:
        return Outlook(account.email_address, "is deleted there once this mailbox is watched again", goes=True)
    return Outlook(account.email_address, "is deleted there too, within a minute or so", goes=True)


def wish(session: Session, message_id: int, by: str) -> None:
    """A message left the last record: delete it in every mailbox whose option says so."""
    rows = session.scalars(
        sa.select(Sighting)
        .where(Sighting.message_id == message_id, Sighting.deleted_there_at.is_(None))
        .options(joinedload(Sighting.email_account))
    ).all()
    wanted = [row for row in rows if row.email_account.deletes is DeletePolicy.WHEN_DELETED_HERE]
    insert_missing(session, Removal, [_row(one, Cause.DELETED_HERE, by) for one in wanted])
    for account in {row.email_account for row in wanted if row.email_account.active}:
        account.due_at, account.nudged_at = clock.now(), None
        ring_after_commit(JOB, account.id)


def wish_filed(turn: Turn) -> None:
    """Under "after filing": what was received and filed since somebody agreed to that, and is here in full."""
    account = db.session.get_one(EmailAccount, turn.email_account_id)
    agreed_at, deletes = account.delete_agreed_at, account.deletes
    db.session.rollback()
    if deletes is not DeletePolicy.AFTER_FILING or agreed_at is None:
        return
    while not turn.is_over:
        with unit_of_work() as session:
            turn.lease.renew()
            rows = session.scalars(_filed_since(turn.email_account_id, max(agreed_at, clock.now() - LATELY))).all()
            insert_missing(session, Removal, [_row(one, Cause.AFTER_FILING, "") for one in rows])
        if len(rows) < AT_ONCE:
            return


def _filed_since(email_account_id: int, since: datetime) -> sa.Select[Sighting]:
    return (
        _filed_in_full(_could_go(email_account_id))
        .outerjoin(Removal, Removal.sighting_id == Sighting.id)
        .where(Sighting.seen_at >= since, Removal.id.is_(None))
        .order_by(Sighting.id)
        .limit(AT_ONCE)
    )


def _row(sighting: Sighting, cause: Cause, by: str) -> dict[str, object]:
    return {
        "account_id": sighting.account_id,
        "email_account_id": sighting.email_account_id,
        "sighting_id": sighting.id,
        "cause": cause,
        "asked_by": by,
    }


def latest(email_account_id: int) -> Sequence[Removal]:
    """What was deleted, or is to be deleted, on the server of an email account, the newest first."""
    return db.session.scalars(
        sa.select(Removal)
        .where(Removal.email_account_id == email_account_id)
        .options(joinedload(Removal.sighting).options(joinedload(Sighting.folder), joinedload(Sighting.message)))
        .order_by(Removal.id.desc())
        .limit(SHOWN)
    ).all()


def count_waiting(email_account_id: int) -> int:
    """How many wait to be deleted there."""
    query = sa.select(sa.func.count()).where(
        Removal.email_account_id == email_account_id, Removal.state == RemovalState.WAITING
    )
    return int(db.session.scalar(query) or 0)
