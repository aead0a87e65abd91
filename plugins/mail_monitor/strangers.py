"""Unknown senders: their stubs wait until they become customers, and then their messages are fetched after all."""

from collections.abc import Iterable, Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

from app import audit, clock
from app.db import db, unit_of_work
from app.work import ring_after_commit
from plugins.mail_monitor import directory, left_out
from plugins.mail_monitor.accounts import JOB
from plugins.mail_monitor.batches import portions
from plugins.mail_monitor.intake import Reader
from plugins.mail_monitor.models import EmailAccount, Folder
from plugins.mail_monitor.places import places_of
from plugins.mail_monitor.records import Direction
from plugins.mail_monitor.turns import Tally, Turn
from plugins.mail_monitor.waiting import RememberedAddress, Stub, StubAddress


def fetch_wanted(turn: Turn) -> bool:
    """Fetch the messages of strangers who are customers by now; True when the turn sufficed.

    Asked of the stored addresses, not of events: an event that was lost costs nothing but time.
    """
    claimed = _claimed(turn.account_id)
    db.session.rollback()
    if claimed:
        with unit_of_work():
            turn.lease.renew()
            _give_back(turn.account_id, claimed)
    ids = _wanted(turn.account_id)
    db.session.rollback()
    if not ids:
        return True
    for place in places_of(turn.email_account_id):
        uids = _uids(ids, place.folder_id, place.uidvalidity)
        if uids and not Reader(turn, place, note=_forget).read(uids):
            return False
    return True


def look_again(account_id: int) -> int:
    """Ring for the email accounts that have stubs of somebody who is a customer by now; answers how many have."""
    _give_back(account_id, _claimed(account_id))
    ids = _wanted(account_id)
    through = {
        email_account_id
        for some in portions(ids)
        for email_account_id in db.session.scalars(sa.select(Stub.email_account_id).where(Stub.id.in_(some)).distinct())
    }
    rows = db.session.scalars(
        sa.select(EmailAccount).where(EmailAccount.id.in_(sorted(through)), EmailAccount.active)
    ).all()
    for row in rows:
        row.due_at, row.nudged_at = clock.now(), None
        ring_after_commit(JOB, row.id)
    return len(rows)


def listed(account_id: int) -> sa.Select[Stub]:
    """The newest stub of every unknown sender of received mail, the newest first."""
    newest = (
        sa.select(sa.func.max(Stub.id))
        .join(StubAddress, StubAddress.stub_id == Stub.id)
        .where(
            Stub.account_id == account_id,
            Stub.direction == Direction.INCOMING,
            Stub.expires_at > clock.now(),
            left_out.is_listed(account_id),
        )
        .group_by(StubAddress.address_key)
    )
    return (
        sa.select(Stub)
        .where(Stub.id.in_(newest))
        .options(joinedload(Stub.email_account))
        .order_by(Stub.received_at.desc(), Stub.id.desc())
    )


def counts(account_id: int, keys: Iterable[str]) -> dict[str, int]:
    """How many messages of each address are kept as stubs."""
    rows = db.session.execute(
        sa.select(StubAddress.address_key, sa.func.count())
        .where(StubAddress.account_id == account_id, StubAddress.address_key.in_(list(keys)))
        .group_by(StubAddress.address_key)
    )
    return dict(rows.all())


def _claimed(account_id: int) -> dict[str, int]:
    """Addresses that were said to be nobody's and are one customer's by now: whose.

    While two share one, "nobody's" may be what a person chose between them, so that stays.
    """
    keys = set(db.session.scalars(left_out.nobodys(account_id)))
    owners = directory.matches(account_id, keys) if keys else {}
    return {key: found[0].customer_id for key, found in owners.items() if len(found) == 1}


def _give_back(account_id: int, claimed: Mapping[str, int]) -> None:
    for row in db.session.scalars(
        sa.select(RememberedAddress).where(
            RememberedAddress.account_id == account_id, RememberedAddress.address_key.in_(sorted(claimed))
        )
    ):
        audit.record("stranger_signed_up", row, customer_id=claimed[row.address_key])
        db.session.delete(row)
    db.session.flush()


def _wanted(account_id: int) -> list[int]:
    """Stubs with an address that is a customer's by now, and is not remembered as nobody's."""
    not_nobodys = StubAddress.address_key.not_in(left_out.nobodys(account_id))
    return directory.claimed(StubAddress, StubAddress.stub_id, account_id, not_nobodys)


def _uids(stub_ids: Sequence[int], folder_id: int, uidvalidity: int) -> list[int]:
    found: list[int] = []
    for some in portions(stub_ids):
        found += db.session.scalars(
            sa.select(Stub.uid).where(
                Stub.id.in_(some),
                Stub.folder_id == folder_id,
                Stub.uidvalidity == uidvalidity,
            )
        )
    db.session.rollback()
    return sorted(found)


def _forget(folder: Folder, uids: Sequence[int], tally: Tally) -> None:
    """The stub has become a message, or the message is gone from the server."""
    ids = sa.select(Stub.id).where(
        Stub.folder_id == folder.id, Stub.uidvalidity == folder.uidvalidity, Stub.uid.in_(list(uids))
    )
    db.session.execute(sa.delete(StubAddress).where(StubAddress.stub_id.in_(ids)))
    db.session.execute(sa.delete(Stub).where(Stub.id.in_(ids)))
