"""Linking one customer by hand: searching, candidates, choosing, and taking it back."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from app.billing.models import Customer
from app.db import db, unit_of_work
from app.errors import Conflict, InvalidInput, NotFound, Outside
from app.typed import email_key
from plugins.nexudus import links, members
from plugins.nexudus.linking import OVERLAP
from plugins.nexudus.matching import holders_of, same_email
from plugins.nexudus.models import Connection, How, MemberLink, SeenMember
from plugins.nexudus.session import turn

SEARCH_S = 12
MOST = 20


@dataclass(frozen=True, slots=True)
class Candidate:
    """A member that a person may choose, and what speaks against it."""

    member: SeenMember
    same_email: bool
    holder: Customer | None

    @property
    def can_be_chosen(self) -> bool:
        return self.holder is None and not self.member.archived


@dataclass(frozen=True, slots=True)
class Found:
    """Candidates, and whether Nexudus itself was asked just now; `problem` says why it was not."""

    candidates: list[Candidate]
    is_live: bool
    problem: str = ""


def search(connection_id: int, customer_id: int, text: str) -> Found:
    """Members by email, name or company: Nexudus is asked for the email, the last listing for the rest."""
    text = text.strip()[:254]
    is_live, problem = False, ""
    if "@" in text:
        is_live, problem = _ask_nexudus(connection_id, text)
    connection = db.session.get_one(Connection, connection_id)
    customer = db.session.get_one(Customer, customer_id)
    return Found(_candidates(connection, customer, text), is_live, problem)


def _ask_nexudus(connection_id: int, email: str) -> tuple[bool, str]:
    with turn(connection_id, SEARCH_S) as mine:
        if mine is None:
            return False, "Nexudus is busy with another run, so this is what the last listing knew."
        since = _listed_at(connection_id)
        try:
            found = mine.remote.members_with_email(email)
            # A search there may mind the case of an email; whoever came or changed since the last listing is read too.
            found += mine.remote.members_page(1, updated_since=since).records if since else ()
        except Outside as error:
            return False, f"{error.sentence} This is what the last listing knew."
        with unit_of_work() as session:
            mine.lease.renew()
            connection = session.get_one(Connection, connection_id)
            for member in found:
                links.remember(connection, members.seen(connection_id, member))
    return True, ""


def _listed_at(connection_id: int) -> datetime | None:
    listed_at = db.session.get_one(Connection, connection_id).members_listed_at
    db.session.rollback()
    return listed_at - OVERLAP if listed_at else None


def _candidates(connection: Connection, customer: Customer, text: str) -> list[Candidate]:
    wanted = sa.or_(
        SeenMember.email_key.contains(email_key(text), autoescape=True),
        sa.func.lower(SeenMember.full_name).contains(text.lower(), autoescape=True),
    )
    rows = db.session.scalars(
        sa.select(SeenMember)
        .where(SeenMember.connection_id == connection.id, wanted)
        .order_by(SeenMember.archived, SeenMember.full_name, SeenMember.member_id)
        .limit(MOST)
    ).all()
    holders = holders_of(connection, [row.member_id for row in rows])
    found = [
        Candidate(row, same_email(row.email, customer), _other(holders.get(row.member_id), customer)) for row in rows
    ]
    return sorted(found, key=lambda one: not one.same_email)


def _other(holder: Customer | None, customer: Customer) -> Customer | None:
    return holder if holder is not None and holder.id != customer.id else None


def choose(connection: Connection, customer: Customer, member_id: int, by: str, *, sure: bool) -> MemberLink:
    """Connect a customer to a member that was seen, inside the unit of work around the caller.

    `Conflict` when it is taken (naming by whom) or archived; `AnotherEmail` until a person is sure.
    """
    member = links.seen_member(connection, member_id)
    if member is None:
        raise NotFound("There is no such member in the last listing. Search again.")
    if member.archived:
        raise Conflict("Archived in Nexudus: bring the member back there first.")
    if not same_email(member.email, customer) and not sure:
        raise AnotherEmail(
            f"{member.full_name} has the email {member.email or '(none)'} in Nexudus, not {customer.email}.",
            field="member_id",
        )
    return links.link(connection, customer, member, How.BY_HAND, by)


class AnotherEmail(InvalidInput):
    """The member has another email; a person says whether it is the same person all the same."""
