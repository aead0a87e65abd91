"""What people decided about addresses for good: whose they are, or that they are nobody's and not to be listed.

Kinds of senders whom nobody can answer are offered by name; they are left out of the list alone. Whoever becomes a
customer is filed all the same.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

from app import audit, clock
from app.db import db
from app.errors import InvalidInput, NotFound
from app.typed import line
from plugins.mail_monitor.waiting import RememberedAddress, StubAddress

# By the key they are remembered under, which no address can have: what they are called, and what stands before the @.
KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "no-reply@*": (
        "Addresses that take no answer",
        (
            *("no-reply", "noreply", "no_reply", "do-not-reply", "donotreply", "do_not_reply", "nicht-antworten"),
            *("nao-responder", "nao.responder", "naoresponder", "no-responder", "noresponder", "ne-pas-repondre"),
        ),
    ),
    "mailer-daemon@*": ("Mail that came back", ("mailer-daemon", "postmaster", "bounce", "bounces")),
    "newsletter@*": ("Newsletters", ("newsletter", "newsletters", "news", "marketing", "mailing")),
    "notifications@*": ("Notifications of other services", ("notification", "notifications", "notify", "alerts")),
}
LONGEST_REASON = 200
SHOWN = 200


def of(account_id: int) -> Sequence[RememberedAddress]:
    """What was decided, the newest first."""
    return db.session.scalars(
        sa.select(RememberedAddress)
        .where(RememberedAddress.account_id == account_id)
        .options(joinedload(RememberedAddress.customer))
        .order_by(RememberedAddress.decided_at.desc(), RememberedAddress.id.desc())
        .limit(SHOWN)
    ).all()


def ignore(account_id: int, key: str, by: str, why: str = "") -> RememberedAddress:
    """Remember that an address is nobody's: it is not listed any more, and nothing of it is fetched."""
    why = line(why, LONGEST_REASON, "why")
    row = db.session.scalar(
        sa.select(RememberedAddress).where(
            RememberedAddress.account_id == account_id, RememberedAddress.address_key == key
        )
    )
    if row is None:
        row = RememberedAddress(account_id=account_id, address_key=key)
        db.session.add(row)
    row.customer_id, row.decided_at, row.decided_by, row.why = None, clock.now(), by, why
    db.session.flush()
    audit.record("stranger_ignored", row, actor=by, address=key, why=why)
    return row


def ignore_kind(account_id: int, key: str, by: str) -> None:
    """Leave a whole kind of senders out of the list."""
    if key not in KINDS:
        raise InvalidInput("Choose one of the kinds that are offered.", field="kind")
    ignore(account_id, key, by, "Nobody can answer them.")


def take_back(account_id: int, row_id: int, by: str) -> str:
    """Forget what was decided for an address; answers which one that was."""
    row = db.session.scalar(
        sa.select(RememberedAddress).where(RememberedAddress.account_id == account_id, RememberedAddress.id == row_id)
    )
    if row is None:
        raise NotFound("Nothing is remembered for this address any more.")
    audit.record("address_forgotten", row, actor=by, address=row.address_key, customer_id=row.customer_id)
    db.session.delete(row)
    return shown(row.address_key)


def shown(key: str) -> str:
    """An address, or a kind of senders, in words."""
    return KINDS[key][0] if key in KINDS else key


def offered(rows: Sequence[RememberedAddress]) -> list[tuple[str, str, str]]:
    """The kinds that are still listed: key, name, and what stands before their @."""
    chosen = {row.address_key for row in rows}
    return [
        (key, name, ", ".join(f"{one}@" for one in parts[:3]))
        for key, (name, parts) in KINDS.items()
        if key not in chosen
    ]


def nobodys(account_id: int) -> sa.Select[str]:
    """Addresses that a person said are nobody's."""
    return sa.select(RememberedAddress.address_key).where(
        RememberedAddress.account_id == account_id, RememberedAddress.customer_id.is_(None)
    )


def is_listed(account_id: int) -> sa.ColumnElement[bool]:
    """Whether the sender of a stub stands in the list."""
    chosen = db.session.scalars(nobodys(account_id).where(RememberedAddress.address_key.in_(list(KINDS)))).all()
    parts = [part for key in chosen for part in KINDS[key][1]]
    of_a_kind = sa.or_(sa.false(), *(StubAddress.address_key.startswith(f"{part}@", autoescape=True) for part in parts))
    return sa.and_(StubAddress.address_key.not_in(nobodys(account_id)), sa.not_(of_a_kind))
