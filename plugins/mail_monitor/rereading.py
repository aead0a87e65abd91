"""Quarantine, looked at again: on request the stored original is read once more, without asking the server."""

from dataclasses import replace

import sqlalchemy as sa

from app import clock
from app.db import db, unit_of_work
from app.errors import NotFound
from plugins.mail_monitor import filing
from plugins.mail_monitor.batches import Batch, Item, knowledge
from plugins.mail_monitor.intake import DIED, NEVER_CAME, NOT_STORED, UNSTORABLE
from plugins.mail_monitor.letters import Letter, Unreadable
from plugins.mail_monitor.message_rows import Source
from plugins.mail_monitor.mime import split_head
from plugins.mail_monitor.models import EmailAccount, Folder
from plugins.mail_monitor.parser import ParserDied
from plugins.mail_monitor.places import FolderPlace
from plugins.mail_monitor.senders import decide, others_of
from plugins.mail_monitor.turns import Turn
from plugins.mail_monitor.waiting import Quarantined, QuarantineState


def read_again(turn: Turn) -> None:
    """Every message that a person asked to try again: filed after all, or back in quarantine with today's reason."""
    ids = db.session.scalars(
        sa.select(Quarantined.id).where(
            Quarantined.email_account_id == turn.email_account_id, Quarantined.state == QuarantineState.RETRY
        )
    ).all()
    db.session.rollback()
    for row_id in ids:
        if turn.is_over:
            return
        _read_one(turn, row_id)


def _read_one(turn: Turn, row_id: int) -> None:
    row = db.session.get_one(Quarantined, row_id)
    raw_hash, folder_id, uid = row.raw_hash, row.folder_id, row.uid
    db.session.rollback()
    if not raw_hash:
        _ask_the_server(turn, row_id, folder_id, uid)
        return
    try:
        raw = turn.store.read(turn.account_id, raw_hash)
        letter = turn.parser.letters([raw])[0]
    except ParserDied:
        _put_back(turn, row_id, DIED)
    except NotFound as error:
        _put_back(turn, row_id, Unreadable("gone", error.sentence))
    else:
        if isinstance(letter, Unreadable):
            _put_back(turn, row_id, letter)
        else:
            _file_if_possible(turn, row_id, raw, letter)


def _ask_the_server(turn: Turn, row_id: int, folder_id: int, uid: int) -> None:
    """Nothing is stored of it: it is owed again, and the scan that follows tries it alone."""
    with unit_of_work() as session:
        turn.lease.renew()
        row, folder = session.get_one(Quarantined, row_id), session.get_one(Folder, folder_id)
        if folder.uidvalidity == row.uidvalidity:
            folder.owed = {**folder.owed, str(uid): 0}
            session.delete(row)
        else:
            row.state, row.reason = QuarantineState.OPEN, NEVER_CAME.reason


def _put_back(turn: Turn, row_id: int, problem: Unreadable) -> None:
    with unit_of_work() as session:
        turn.lease.renew()
        row = session.get_one(Quarantined, row_id)
        row.state, row.code, row.reason = QuarantineState.OPEN, problem.code, problem.reason[:300]
        row.tries += 1


def _file_if_possible(turn: Turn, row_id: int, raw: bytes, letter: Letter) -> None:
    try:
        _file(turn, row_id, raw, letter)
    except NOT_STORED:
        db.session.rollback()
        _put_back(turn, row_id, UNSTORABLE)


def _file(turn: Turn, row_id: int, raw: bytes, letter: Letter) -> None:
    row = db.session.get_one(Quarantined, row_id)
    account = db.session.get_one(EmailAccount, turn.email_account_id)
    # Its number may be one of a mailbox that was rebuilt since.
    place = replace(FolderPlace.of(db.session.get_one(Folder, row.folder_id)), uidvalidity=row.uidvalidity)
    known = knowledge(account, [letter.envelope])
    decision = decide(letter.envelope, known, outgoing=place.is_sent)
    others = others_of(letter.envelope, known)
    item = Item(row.uid, row.size, row.received_at, split_head(raw)[0], letter.envelope, decision, others=others)
    batch = Batch(place, [row.uid], [item], raws={row.uid: raw}, letters={row.uid: letter} if item.needs_body else {})
    db.session.rollback()
    hashes = batch.finish_storing(turn)
    with unit_of_work() as session:
        turn.lease.renew()
        source = Source(turn.account_id, turn.email_account_id)
        turn.tally.add(filing.file_batch(session, source, batch, hashes))
        row = session.get_one(Quarantined, row_id)
        row.state, row.settled_at = QuarantineState.READ, clock.now()
