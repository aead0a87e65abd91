"""Background work of the plugin: a slice for one connection, and what the host's events ring."""

import random
from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog

from app import clock
from app.db import db, unit_of_work
from app.errors import Capped, NotSent, OutcomeUnknown, Outside, SignInNeeded
from app.installations.models import Installation, InstallationState
from app.installations.services import connected, needs_attention
from app.work import LeaseLost
from plugins.nexudus import connecting, exporting, linking, links, reconciling, troubles
from plugins.nexudus.models import Connection
from plugins.nexudus.session import Turn, turn

log = structlog.get_logger()

SLICE_S = 45
LOOK_AGAIN = timedelta(seconds=60)  # makes up for events whose ring was lost
LONGEST_PAUSE_S = 300


def work_on_connection(connection_id: int) -> None:
    """One slice of everything a connection has to do; says in its row when it wants the next one."""
    due_at = db.session.scalar(sa.select(Connection.due_at).where(Connection.id == connection_id))
    connection = connecting.in_use(connection_id)
    if connection is None:
        _wait_for_a_sign_in(connection_id, due_at)
        return
    with turn(connection_id, SLICE_S) as mine:
        if mine is None:
            log.info("connection_busy", connection_id=connection_id)
            return
        asked_for = db.session.get_one(Connection, connection_id, populate_existing=True).due_at
        try:
            _slice(mine, asked_for)
        except LeaseLost:
            log.info("lease_lost", connection_id=connection_id)


def _slice(mine: Turn, asked_for: datetime | None) -> None:
    """Linking, handing over, keeping the sign-in alive, reconciling; what fails in one does not hold the others up."""
    wishes: list[datetime] = []
    trouble: Outside | None = None
    for work in (linking.work, exporting.work, connecting.keep_alive, reconciling.work):
        try:
            wish = work(mine)
        except (Capped, SignInNeeded) as error:
            # Both concern every call of this connection.
            _park(mine, error)
            return
        except Outside as error:
            trouble = trouble or error
        else:
            wishes += [wish] if wish is not None else []
    if trouble is not None:
        _park(mine, trouble)
    else:
        _rest(mine, min(wishes, default=None), asked_for)


def _wait_for_a_sign_in(connection_id: int, due_at: datetime | None) -> None:
    """Nothing can be done, so nothing is due; signing in, or switching on, makes it due again, maybe right now."""
    with unit_of_work() as session:
        session.execute(
            sa.update(Connection)
            .where(Connection.id == connection_id, Connection.due_at == due_at)
            .values(due_at=None, nudged_at=None)
            .execution_options(synchronize_session=False)
        )


def link_customer(installation_id: int, customer_id: int) -> None:
    """A customer became active: look now instead of at the next round."""
    connection = connecting.connection_of_installation(installation_id)
    if connection is None:
        return
    connection_id = connection.id
    work_on_connection(connection_id)
    with unit_of_work() as session:  # a link from an earlier time of activity is not looked at again
        known = links.link_of(session.get_one(Connection, connection_id), customer_id)
        if known is not None:
            links.tell_host(known)


def _rest(mine: Turn, wish: datetime | None, asked_for: datetime | None) -> None:
    """All that could be done is done: trouble is over, and the next slice comes when it is wanted.

    A person who asked for work meanwhile found the connection busy: then it comes at once.
    """
    with unit_of_work() as session:
        connection = session.get_one(Connection, mine.connection_id)
        if connection.due_at != asked_for:
            wish = clock.now()
        latest = clock.now() + LOOK_AGAIN
        mine.lease.renew(due_at=min(wish or latest, latest), nudged_at=None, attempts=0, problem="", failing_since=None)
        if connection.problem or connection.failing_since:
            connected(session.get_one(Installation, connection.installation_id))


def _park(mine: Turn, error: Outside) -> None:
    """Something stands in the way of the whole connection: say so in its row and come back in time."""
    log.warning("connection_parked", connection_id=mine.connection_id, error=type(error).__name__, **error.details)
    db.session.rollback()
    with unit_of_work() as session:
        connection = session.get_one(Connection, mine.connection_id)
        attempts = connection.attempts
        due: datetime | None = clock.now() + LOOK_AGAIN
        if isinstance(error, Capped):
            due = error.until
        elif isinstance(error, SignInNeeded):
            due = None  # until somebody has signed in
            installation = session.get_one(Installation, connection.installation_id)
            is_news = installation.state != InstallationState.ATTENTION
            needs_attention(installation, error.sentence)
            if is_news:
                troubles.tell_of_sign_in(installation)
        elif isinstance(error, NotSent | OutcomeUnknown):
            attempts += 1
            # Half of the pause is chance, so that many connections do not come back in one moment.
            pause = min(2.0**attempts, LONGEST_PAUSE_S) * random.uniform(0.5, 1)  # noqa: S311  # no secret
            due = clock.now() + timedelta(seconds=pause)
        mine.lease.renew(
            due_at=due,
            nudged_at=None,
            attempts=attempts,
            problem=error.sentence[:500],
            failing_since=connection.failing_since or clock.now(),
        )
