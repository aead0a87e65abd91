"""Which folders of a mailbox are read: the inbox, and the folder of sent mail that was found or that a person named.

A worker lists what there is; a page shows that list and notes what a person chose, which the next scan does.
"""

from dataclasses import dataclass
from datetime import datetime

from app import audit, clock
from app.db import db, unit_of_work
from app.errors import InvalidInput, Refused
from app.work import ring_after_commit
from plugins.mail_monitor import relinking
from plugins.mail_monitor.accounts import JOB
from plugins.mail_monitor.folder_names import FolderName, choosable, sent_folder
from plugins.mail_monitor.mailbox import FolderState
from plugins.mail_monitor.models import ANOTHER, EmailAccount, Folder, FolderKind
from plugins.mail_monitor.places import FolderPlace, places_of
from plugins.mail_monitor.turns import Turn

BY_ITSELF, NONE = "found", "none"
IN = "in:"  # before the name of a folder that is chosen


def ask_for_list(row: EmailAccount, by: str) -> None:
    """Have a worker list the mailbox's folders, inside the unit of work around the caller."""
    row.folders_asked_at = clock.now()
    _ring(row)
    audit.record("folders_asked", row, actor=by)


def choose_sent(row: EmailAccount, choice: str, by: str) -> None:
    """Note which folder of sent mail is to be read from now on; `InvalidInput` for one that the server did not list."""
    name = {BY_ITSELF: None, NONE: ""}.get(choice, choice.removeprefix(IN))
    if choice not in {BY_ITSELF, NONE} and not (choice.startswith(IN) and name in row.folder_list):
        raise InvalidInput("Choose one of the folders in the list.", field="sent")
    row.sent_folder, row.sent_changed_at, row.sent_missing_since = name, clock.now(), None
    _ring(row)
    audit.record("sent_folder_chosen", row, actor=by, folder=name)


def choice_of(row: EmailAccount) -> str:
    """What is chosen, as `choose_sent` takes it."""
    return {None: BY_ITSELF, "": NONE}.get(row.sent_folder, f"{IN}{row.sent_folder}")


def _ring(row: EmailAccount) -> None:
    if row.active:
        row.due_at, row.nudged_at = clock.now(), None
        ring_after_commit(JOB, row.id)


@dataclass(frozen=True, slots=True)
class _Wish:
    """What a person wants of the folder of sent mail, as it stood when the scan looked."""

    folder: str | None
    changed_at: datetime | None
    wants_list: bool


def to_read(turn: Turn) -> list[FolderPlace]:
    """The folders to read; those that were not watched yet begin now, with what comes from now on."""
    wish = _wish(turn)
    places = places_of(turn.email_account_id)
    is_there = {place.kind for place in places}
    if FolderKind.INBOX not in is_there:
        _watch(turn, FolderKind.INBOX, "INBOX")
    looks_for_sent = wish.folder != "" and (FolderKind.SENT not in is_there or wish.changed_at is not None)
    if wish.wants_list or looks_for_sent:
        folders = turn.mailbox.folders()
        _keep_list(turn, folders, answers=wish.wants_list)
        if looks_for_sent:
            _open_sent(turn, wish, folders)
    elif wish.changed_at is not None:
        _settle(turn, wish)
    return places_of(turn.email_account_id)


def examine(turn: Turn, place: FolderPlace) -> tuple[FolderPlace, FolderState] | None:
    """How a folder stands. One of sent mail that is gone is looked for under another name, unless a person named it."""
    try:
        return place, turn.examine(place.name)
    except Refused:
        if not place.is_sent:
            raise
    folders = turn.mailbox.folders()
    _keep_list(turn, folders)
    _open_sent(turn, _wish(turn), folders)
    found = next((one for one in places_of(turn.email_account_id) if one.is_sent), None)
    return (found, turn.examine(found.name)) if found is not None else None


def _wish(turn: Turn) -> _Wish:
    row = db.session.get_one(EmailAccount, turn.email_account_id, populate_existing=True)
    wish = _Wish(row.sent_folder, row.sent_changed_at, row.folders_asked_at is not None)
    db.session.rollback()
    return wish


def _keep_list(turn: Turn, folders: list[FolderName], *, answers: bool = False) -> None:
    names = choosable(folders)
    with unit_of_work():
        turn.lease.renew(
            folder_list=names, folders_listed_at=clock.now(), **({"folders_asked_at": None} if answers else {})
        )


def _open_sent(turn: Turn, wish: _Wish, folders: list[FolderName]) -> None:
    """Watch the folder that was wished for or found; without one the page asks for it."""
    found = sent_folder(folders) if wish.folder is None else None
    name = found.name if found is not None else wish.folder or ""
    state = _state_of(turn, name) if name in {one.name for one in folders} else None
    with unit_of_work() as session:
        turn.lease.renew()
        row = session.get_one(EmailAccount, turn.email_account_id, populate_existing=True)
        if (row.sent_folder, row.sent_changed_at) != (wish.folder, wish.changed_at):
            return  # changed once more meanwhile; the next scan does that
        if state is None:
            row.sent_missing_since = row.sent_missing_since or clock.now()
            return
        row.sent_missing_since = row.sent_changed_at = None
        folder = next((one for one in row.folders if one.kind is FolderKind.SENT), None)
        if folder is None:
            session.add(_new(turn, FolderKind.SENT, name, state))
        elif folder.name != name and wish.changed_at is not None:
            relinking.begin_elsewhere(session, folder, name, state)
        elif folder.name != name:
            folder.name, folder.uidvalidity = name, ANOTHER


def _state_of(turn: Turn, name: str) -> FolderState | None:
    """How a folder stands, or None when the server does not open it: the inbox is read all the same."""
    try:
        return turn.examine(name)
    except Refused:
        return None


def _settle(turn: Turn, wish: _Wish) -> None:
    with unit_of_work() as session:
        turn.lease.renew()
        row = session.get_one(EmailAccount, turn.email_account_id, populate_existing=True)
        if row.sent_changed_at == wish.changed_at:
            row.sent_changed_at = None


def _watch(turn: Turn, kind: FolderKind, name: str) -> None:
    state = turn.examine(name)
    with unit_of_work() as session:
        turn.lease.renew()
        session.add(_new(turn, kind, name, state))


def _new(turn: Turn, kind: FolderKind, name: str, state: FolderState) -> Folder:
    return Folder(
        account_id=turn.account_id,
        email_account_id=turn.email_account_id,
        kind=kind,
        name=name,
        uidvalidity=state.uidvalidity,
        cursor=max(0, state.uidnext - 1),
    )
