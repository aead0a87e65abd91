"""Changing links: by a run, by a person, and back. Every change tells the host who bills the customer."""

import sqlalchemy as sa

from app import audit, clock
from app.billing import deciding
from app.billing.customers import set_billed_by
from app.billing.models import Customer
from app.db import db
from app.effects import Subject, forget, open_step
from app.errors import Conflict, InvalidInput
from plugins.nexudus.matching import holders_of
from plugins.nexudus.models import BILLED_THERE, Connection, How, LinkState, MemberLink, SeenMember

PLUGIN = "nexudus"


def subject_of(row: MemberLink) -> Subject:
    """What the step of creating this customer's member is about."""
    return Subject(row.account_id, "nexudus.member", row.id)


def _forget_what_is_known(row: MemberLink) -> None:
    """Who was made is made anew if it is gone by then; a creation that got no answer is still looked up first."""
    if open_step(subject_of(row)) is None:
        forget(subject_of(row))


def link_of(connection: Connection, customer_id: int) -> MemberLink | None:
    """The row that says which member a customer is, or why none; None when nobody looked yet."""
    return db.session.scalar(
        sa.select(MemberLink).where(MemberLink.connection_id == connection.id, MemberLink.customer_id == customer_id)
    )


def put_link(connection: Connection, customer: Customer, state: LinkState, reason: str = "") -> MemberLink:
    """The customer's row in a state without a member."""
    row = _emptied(connection, customer)
    row.state, row.reason = state, reason[:300]
    db.session.flush()
    tell_host(row)
    return row


def tell_host(row: MemberLink) -> None:
    """Where looking has ended without a member, the host bills from now on and need not wait for us."""
    if row.state in {LinkState.SKIPPED, LinkState.BILLED_HERE, LinkState.GONE}:
        deciding.decided(row.customer)


def _emptied(connection: Connection, customer: Customer) -> MemberLink:
    """The customer's row, new or cleared of what it said before; the caller says what it is from now on."""
    with db.session.no_autoflush:
        row = link_of(connection, customer.id)
    if row is None:
        row = MemberLink(account_id=connection.account_id, connection_id=connection.id, customer_id=customer.id)
        db.session.add(row)
    row.member_id, row.member_name, row.member_email, row.how, row.by = None, "", "", None, ""
    row.reason, row.retry_at, row.since = "", None, clock.now()
    return row


def link(connection: Connection, customer: Customer, member: SeenMember, how: How, by: str = "") -> MemberLink:
    """Connect a customer to a member, who from now on is billed there.

    `Conflict` when the member belongs to another customer, whom the sentence names.
    """
    holder = holders_of(connection, [member.member_id]).get(member.member_id)
    if holder is not None and holder.id != customer.id:
        raise Conflict(f"Taken: linked to {holder.full_name}.")
    row = _emptied(connection, customer)
    if row.id is not None:
        _forget_what_is_known(row)
    row.state = LinkState.LINKED
    row.member_id, row.member_name, row.member_email = member.member_id, member.full_name, member.email
    row.how, row.by = how, by
    db.session.flush()
    set_billed_by(customer, PLUGIN)
    audit.record("member_linked", customer, member_id=member.member_id, how=how.value, by=by)
    return row


def unlink(connection: Connection, customer: Customer, by: str, reason: str) -> MemberLink:
    """A person says "billed here, not connected"; only a person takes that back. Can be said beforehand."""
    reason = reason.strip()
    if len(reason) > 300:
        raise InvalidInput("A reason has at most 300 characters.", field="reason")
    old = link_of(connection, customer.id)
    was = old.member_name if old and old.state in BILLED_THERE else ""
    row = put_link(connection, customer, LinkState.BILLED_HERE, reason)
    _forget_what_is_known(row)
    row.member_name, row.by = was, by
    set_billed_by(customer, "")
    audit.record("member_unlinked", customer, by=by, reason=reason, was=was)
    return row


def look_again(connection: Connection, customer: Customer) -> None:
    """Forget a person's "billed here": the next look decides anew."""
    row = link_of(connection, customer.id)
    if row is not None and row.state == LinkState.BILLED_HERE:
        put_link(connection, customer, LinkState.SKIPPED)  # the row stays: a creation without an answer hangs on its id
        audit.record("member_look_again", customer)


def member_gone(row: MemberLink, reason: str) -> None:
    """The member was archived or deleted there: nothing is sent to it, and nobody else is guessed."""
    row.state, row.reason = LinkState.GONE, reason
    audit.record("member_gone", row.customer, member_id=row.member_id, reason=reason)


def seen_member(connection: Connection, member_id: int) -> SeenMember | None:
    """A member as the last listing showed it."""
    return db.session.scalar(
        sa.select(SeenMember).where(SeenMember.connection_id == connection.id, SeenMember.member_id == member_id)
    )


def remember(connection: Connection, member: SeenMember) -> SeenMember:
    """Store a member as it was just seen; answers the stored row."""
    stored = seen_member(connection, member.member_id)
    if stored is None:
        db.session.add(member)
        db.session.flush()
        return member
    for field in ("email", "email_key", "full_name", "location", "invoicing_business_id", "active", "archived"):
        setattr(stored, field, getattr(member, field))
    return stored
