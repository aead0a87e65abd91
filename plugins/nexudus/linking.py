"""Connecting members, slice by slice: list them once, match by email, create who is missing.

How far a run is stands in its row and in the links themselves, so that a closed browser, a killed worker or an
emptied Redis costs nothing: the next slice goes on where the last one stopped.
"""

from datetime import datetime, timedelta
from functools import partial
from typing import cast

import sqlalchemy as sa

from app import audit, clock
from app.billing.models import Customer
from app.db import db, unit_of_work
from app.effects import carry_out
from app.errors import Capped, Conflict, OutcomeUnknown, Refused
from plugins.nexudus import link_runs, links, matching, members
from plugins.nexudus.models import Connection, How, LinkPhase, LinkRun, LinkState, MemberLink, SeenMember
from plugins.nexudus.session import Turn

BATCH = 500
PAGE = 200
LISTS_AGAIN = timedelta(seconds=60)
OVERLAP = timedelta(minutes=10)  # clocks differ; a member changed just before the last listing is read again


def work(turn: Turn) -> datetime | None:
    """A slice of linking. Answers when it wants the next one: now while a run is under way, else None.

    Raises what concerns the whole connection (`Capped`, `SignInNeeded`, `NotSent`, `LeaseLost`).
    """
    run = link_runs.open_run(turn.connection_id) or _run_for_the_new(turn)
    if run is None:
        return None
    run_id, again = run.id, clock.now()
    while not turn.is_over:
        phase = db.session.get_one(LinkRun, run_id).phase
        if phase == LinkPhase.LISTING:
            _list_a_page(turn, run_id)
        elif phase == LinkPhase.MATCHING:
            _match_a_batch(turn, run_id)
        elif phase == LinkPhase.CREATING:
            settled = _create_the_missing(turn, run_id)
            if settled is not None:
                return settled
        else:
            return None
    return again


def _run_for_the_new(turn: Turn) -> LinkRun | None:
    """A run of its own accord when somebody became active, a day's limit is over, or Nexudus told of a change."""
    connection = db.session.get_one(Connection, turn.connection_id)
    waits = sa.select(MemberLink.id).where(
        MemberLink.connection_id == connection.id,
        MemberLink.state == LinkState.TOMORROW,
        MemberLink.retry_at <= clock.now(),
    )
    new = matching.never_looked_at(connection).limit(1)
    is_quiet = db.session.scalar(waits.limit(1)) is None and db.session.scalar(new) is None
    if is_quiet and not _was_told(connection):
        return None
    with unit_of_work():
        turn.lease.renew()
        return link_runs.start(db.session.get_one(Connection, turn.connection_id), only_new=True)


def _was_told(connection: Connection) -> bool:
    """Whether a webhook came since the last listing, and that was a while ago: many come in a row."""
    listed_at, heard_at = connection.members_listed_at, connection.heard_at
    if heard_at is None or listed_at is None:
        return False
    return heard_at > listed_at and clock.now() >= listed_at + LISTS_AGAIN


def _list_a_page(turn: Turn, run_id: int) -> None:
    run = db.session.get_one(LinkRun, run_id)
    connection = run.connection
    since = connection.members_listed_at - OVERLAP if run.only_new and connection.members_listed_at else None
    number, expected, begun = run.next_page, run.members, run.begun_at
    db.session.rollback()
    page = turn.remote.members_page(number, size=PAGE, updated_since=since)
    with unit_of_work() as session:
        turn.lease.renew()
        run = session.get_one(LinkRun, run_id)
        run.members = page.total
        if expected is not None and page.total < expected:
            # Somebody was deleted there meanwhile and the pages shifted: read again, so that nobody is missed.
            run.next_page, run.listed = 1, 0
            return
        for member in page.records:
            seen = links.remember(run.connection, members.seen(run.connection_id, member))
            seen.run_id = run_id
        run.next_page, run.listed = number + 1, run.listed + len(page.records)
        if number >= page.pages or not page.records:
            run.connection.members_listed_at = begun
            run.phase = LinkPhase.MATCHING
            run.customers = session.scalar(
                sa.select(sa.func.count()).select_from(matching.unmatched(run.connection).order_by(None).subquery())
            )


def _match_a_batch(turn: Turn, run_id: int) -> None:
    run = db.session.get_one(LinkRun, run_id)
    if run.last_customer_id == 0:
        _look_for_the_gone(turn, run_id)
    _ask_for_the_unlisted(turn, run_id)
    with unit_of_work() as session:
        turn.lease.renew()
        run = session.get_one(LinkRun, run_id)
        customers = session.scalars(_batch(run)).all()
        decisions = matching.decide(run.connection, customers)
        for customer in customers:
            decision = decisions[customer.id]
            if decision.member is not None:
                row = links.link(run.connection, customer, decision.member, How.BY_EMAIL)
            else:
                row = links.put_link(run.connection, customer, decision.state, decision.reason)
            row.run_id = run_id
        if customers:
            run.last_customer_id = customers[-1].id
        else:
            run.phase, run.creating_since = LinkPhase.CREATING, clock.now()


def _look_for_the_gone(turn: Turn, run_id: int) -> None:
    """Linked members that the whole listing did not show, or showed as archived; the missing are asked for by id.

    A listing of what changed shows who was archived since, and says nothing of all others.
    """
    run = db.session.get_one(LinkRun, run_id)
    archived_now = sa.and_(SeenMember.run_id == run_id, SeenMember.archived)
    not_seen = sa.or_(SeenMember.run_id.is_distinct_from(run_id), SeenMember.archived)
    rows = db.session.execute(
        sa.select(MemberLink.id, MemberLink.member_id, SeenMember.archived, SeenMember.run_id)
        .outerjoin(
            SeenMember,
            sa.and_(SeenMember.connection_id == MemberLink.connection_id, SeenMember.member_id == MemberLink.member_id),
        )
        .where(MemberLink.connection_id == run.connection_id, MemberLink.state == LinkState.LINKED)
        .where(MemberLink.member_id.is_not(None))
        .where(archived_now if run.only_new else not_seen)
    ).all()
    db.session.rollback()
    for link_id, member_id, archived, seen_in in rows:
        reason = "The member was archived in Nexudus." if archived and seen_in == run_id else None
        if reason is None:
            reason = _why_gone(turn, cast("int", member_id))
        if reason is None:
            continue
        with unit_of_work() as session:
            turn.lease.renew()
            row = session.get(MemberLink, link_id)
            if row is not None and (row.state, row.member_id) == (LinkState.LINKED, member_id):
                links.member_gone(row, reason)


def _ask_for_the_unlisted(turn: Turn, run_id: int) -> None:
    """Ask by id for members about to be linked whom this run's listing did not show: they may be deleted by now.

    Who is there is noted as seen in this run, so that a slice that is cut short goes on where it stopped.
    """
    run = db.session.get_one(LinkRun, run_id)
    decisions = matching.decide(run.connection, db.session.scalars(_batch(run)).all()).values()
    found = [one.member for one in decisions if one.member is not None and one.member.run_id != run_id]
    ids = [(seen.id, seen.member_id) for seen in found]
    db.session.rollback()
    for seen_id, member_id in ids:
        try:
            member = turn.remote.member(member_id)
        except Refused as error:
            if error.code != "not_found":
                raise
            member = None
        with unit_of_work() as session:
            turn.lease.renew()
            seen = session.get_one(SeenMember, seen_id)
            if member is None:
                session.delete(seen)
            else:
                seen.run_id, seen.archived = run_id, member.archived  # an archived one is never made a second time


def _batch(run: LinkRun) -> sa.Select[Customer]:
    return matching.unmatched(run.connection).where(Customer.id > run.last_customer_id).limit(BATCH)


def _why_gone(turn: Turn, member_id: int) -> str | None:
    """Asked of Nexudus itself, since pages of a list shift while somebody edits there; None: it is still there."""
    try:
        member = turn.remote.member(member_id)
    except Refused as error:
        if error.code != "not_found":
            raise
        return "The member was deleted in Nexudus."
    return "The member was archived in Nexudus." if member.archived else None


def _create_the_missing(turn: Turn, run_id: int) -> datetime | None:
    """Create members one by one; answers when to come back for one whose outcome is unknown, None when done."""
    settled: datetime | None = None
    over_there = members.Ids(turn.remote)
    ids = db.session.scalars(
        sa.select(MemberLink.id)
        .where(MemberLink.run_id == run_id, MemberLink.state == LinkState.CREATING)
        .order_by(MemberLink.id)
    ).all()
    for link_id in ids:
        if turn.is_over:
            return clock.now()
        try:
            _create(turn, over_there, link_id)
        except OutcomeUnknown as error:
            settled = error.details.get("until") or clock.now()
        except Capped as error:
            if error.details.get("code") != "daily_members":
                raise
            _leave_for_tomorrow(turn, run_id, error)
            break
    if settled is None:
        _end(turn, run_id)
    return settled


def _create(turn: Turn, over_there: members.Ids, link_id: int) -> None:
    row = db.session.get_one(MemberLink, link_id, populate_existing=True)
    if row.state != LinkState.CREATING:
        return  # a person decided meanwhile
    subject = links.subject_of(row)
    try:
        wanted = members.wanted(row.connection, row.customer)
        db.session.rollback()
        new = members.resolve(over_there, wanted)
        done = carry_out(subject, partial(members.next_step, new), turn.remote, turn.lease)
    except Refused as error:
        _skip(turn, link_id, error.sentence)
        return
    with unit_of_work() as session:
        turn.lease.renew()
        row = session.get_one(MemberLink, link_id)
        run_id = row.run_id
        seen = links.remember(row.connection, members.seen_after_creating(row.connection_id, wanted, done))
        if row.state != LinkState.CREATING:
            return
        try:
            links.link(row.connection, row.customer, seen, How.CREATED).run_id = run_id
        except Conflict as error:
            links.put_link(row.connection, row.customer, LinkState.CHOICE, error.sentence).run_id = run_id


def _skip(turn: Turn, link_id: int, reason: str) -> None:
    with unit_of_work() as session:
        turn.lease.renew()
        row = session.get_one(MemberLink, link_id)
        if row.state == LinkState.CREATING:  # else a person decided meanwhile
            row.state, row.reason, row.since = LinkState.SKIPPED, reason[:300], clock.now()
            links.tell_host(row)


def _leave_for_tomorrow(turn: Turn, run_id: int, cap: Capped) -> None:
    with unit_of_work() as session:
        turn.lease.renew()
        session.execute(
            sa.update(MemberLink)
            .where(MemberLink.run_id == run_id, MemberLink.state == LinkState.CREATING)
            .values(state=LinkState.TOMORROW, reason=cap.sentence, retry_at=cap.until)
        )


def _end(turn: Turn, run_id: int) -> None:
    with unit_of_work() as session:
        turn.lease.renew()
        run = session.get_one(LinkRun, run_id)
        run.phase, run.ended_at, run.counts = LinkPhase.DONE, clock.now(), link_runs.counts(run)
        audit.record("members_connected", run, counts=run.counts)
