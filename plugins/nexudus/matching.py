"""Who is which member: decided from stored rows alone, and never by guessing."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from app.billing.models import Customer, CustomerStatus
from app.db import db
from app.typed import email_key
from plugins.nexudus.models import Connection, LinkState, MemberLink, SeenMember

# A link in one of these states is decided anew by each run; the others stand until a person changes them.
OPEN_STATES = (LinkState.CREATING, LinkState.CHOICE, LinkState.SKIPPED, LinkState.TOMORROW)


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of one customer: linked to `member`, to be created, or left to a person for `reason`."""

    state: LinkState
    member: SeenMember | None = None
    reason: str = ""


def unmatched(connection: Connection) -> sa.Select[Customer]:
    """Active customers without a link that stands, in the order of their ids."""
    return (
        sa.select(Customer)
        .outerjoin(
            MemberLink, sa.and_(MemberLink.customer_id == Customer.id, MemberLink.connection_id == connection.id)
        )
        .where(
            Customer.account_id == connection.account_id,
            Customer.status == CustomerStatus.ACTIVE,
            sa.or_(MemberLink.id.is_(None), MemberLink.state.in_(OPEN_STATES)),
        )
        .order_by(Customer.id)
    )


def never_looked_at(connection: Connection) -> sa.Select[Customer]:
    """Active customers of whom no run has decided anything yet: who signed up since, or became active."""
    return unmatched(connection).where(MemberLink.id.is_(None))


def decide(connection: Connection, customers: Sequence[Customer]) -> dict[int, Decision]:
    """A decision for each customer, by id; two queries however many there are."""
    keys = {customer.email_key for customer in customers}
    members: dict[str, list[SeenMember]] = {}
    for member in db.session.scalars(
        sa.select(SeenMember)
        .where(SeenMember.connection_id == connection.id, SeenMember.email_key.in_(keys))
        .order_by(SeenMember.member_id)
    ):
        members.setdefault(member.email_key, []).append(member)
    holders = holders_of(connection, [one.member_id for found in members.values() for one in found])
    return {customer.id: _decide(customer, members.get(customer.email_key, []), holders) for customer in customers}


def holders_of(connection: Connection, member_ids: Sequence[int]) -> dict[int, Customer]:
    """Which customer each of these members belongs to already."""
    rows = db.session.execute(
        sa.select(MemberLink.member_id, Customer)
        .join(Customer, Customer.id == MemberLink.customer_id)
        .where(MemberLink.connection_id == connection.id, MemberLink.member_id.in_(member_ids))
    )
    return {member_id: customer for member_id, customer in rows if member_id is not None}


def same_email(member_email: str, customer: Customer) -> bool:
    """Whether a member's email is the customer's, whatever its case, outer blanks and Unicode form."""
    return email_key(member_email) == customer.email_key


def _decide(customer: Customer, found: Sequence[SeenMember], holders: dict[int, Customer]) -> Decision:
    if not found:
        return Decision(LinkState.CREATING)
    if len(found) > 1:
        return Decision(LinkState.CHOICE, reason=f"{len(found)} members have this email.")
    (member,) = found
    holder = holders.get(member.member_id)
    if holder is not None and holder.id != customer.id:
        return Decision(LinkState.CHOICE, reason=f"The member with this email is linked to {holder.full_name}.")
    if member.archived:
        return Decision(LinkState.CHOICE, reason="The only member with this email is archived in Nexudus.")
    return Decision(LinkState.LINKED, member)
