"""Runs of "Connect members": beginning one, how far it is, and how it ended; `linking` does the work."""

from dataclasses import dataclass

import sqlalchemy as sa

from app import audit, clock
from app.billing.models import Customer
from app.db import db
from plugins.nexudus import runs
from plugins.nexudus.models import Connection, How, LinkPhase, LinkRun, LinkState, MemberLink

SECONDS_PER_CREATION = 1.0  # before there is anything to measure: the documented 60 writes a minute


def start(connection: Connection, by: str = "", *, only_new: bool = False) -> LinkRun:
    """Begin a run, or answer the one under way: pressing twice starts one.

    `only_new` lists only members changed since the last listing, for customers who signed up since.
    """
    run = open_run(connection.id)
    if run is None:
        run = LinkRun(
            account_id=connection.account_id,
            connection_id=connection.id,
            begun_by=by,
            only_new=only_new and connection.members_listed_at is not None,
        )
        db.session.add(run)
        db.session.flush()
        audit.record("connect_members", run, actor=by or None, only_new=run.only_new)
    elif by:
        audit.record("connect_members", run, actor=by, under_way=True)
    runs.hurry(connection)
    return run


def open_run(connection_id: int) -> LinkRun | None:
    """The run under way, if any."""
    return db.session.scalar(
        sa.select(LinkRun).where(LinkRun.connection_id == connection_id, LinkRun.ended_at.is_(None))
    )


def last_run(connection_id: int) -> LinkRun | None:
    """The newest run, under way or ended."""
    return db.session.scalar(
        sa.select(LinkRun).where(LinkRun.connection_id == connection_id).order_by(LinkRun.id.desc()).limit(1)
    )


def counts(run: LinkRun) -> dict[str, int]:
    """How many customers of a run were linked, created, left to a person, skipped, put off, or still wait."""
    found = {"linked": 0, "created": 0, "choice": 0, "skipped": 0, "tomorrow": 0, "creating": 0}
    rows = db.session.execute(
        sa.select(MemberLink.state, MemberLink.how, sa.func.count())
        .where(MemberLink.run_id == run.id)
        .group_by(MemberLink.state, MemberLink.how)
    )
    for state, how, count in rows:
        word = "created" if state == LinkState.LINKED and how == How.CREATED else state.value
        if word in found:
            found[word] += count
    return found


@dataclass(frozen=True, slots=True)
class Progress:
    """What the page shows of a run: how far, how long still (None: not known yet), what it is doing."""

    done: int
    all: int
    seconds_left: int | None
    now: str
    counts: dict[str, int]


def progress(run: LinkRun) -> Progress:
    """How far a run is; numbers never run backwards within a phase."""
    so_far = counts(run)
    if run.phase == LinkPhase.LISTING:
        return Progress(run.listed, run.members or 0, None, "Reading the members of Nexudus", so_far)
    total, waiting = run.customers or 0, so_far["creating"]
    if run.phase == LinkPhase.MATCHING:
        return Progress(sum(so_far.values()) - waiting, total, None, "Comparing emails", so_far)
    per_creation = SECONDS_PER_CREATION
    if so_far["created"] and run.creating_since:
        per_creation = (clock.now() - run.creating_since).total_seconds() / so_far["created"]
    return Progress(total - waiting, total, round(waiting * per_creation), _name_of_next(run), so_far)


def _name_of_next(run: LinkRun) -> str:
    name = db.session.scalar(
        sa.select(Customer.full_name)
        .join(MemberLink, MemberLink.customer_id == Customer.id)
        .where(MemberLink.run_id == run.id, MemberLink.state == LinkState.CREATING)
        .order_by(MemberLink.id)
        .limit(1)
    )
    return f"Creating a member for {name}" if name else "Finishing"
