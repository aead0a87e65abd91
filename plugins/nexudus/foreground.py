"""Working slice by slice in the foreground, for commands: the same work that jobs do, on the same rows."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from flask import current_app

from app import clock
from app.command import Busy
from app.db import db
from app.errors import Capped, NotSent, OutcomeUnknown
from plugins.nexudus.session import Turn, turn

SLICE_S = 120
LONGEST_WAIT = timedelta(minutes=2)
MOST_FAILURES, PAUSE = 8, timedelta(seconds=1)


def to_the_end(connection_id: int, work: Callable[[Turn], datetime | None], is_done: Callable[[], bool]) -> None:
    """Take one slice after the other until `is_done`; waits where the connection has to wait, up to two minutes.

    What has to wait longer is left to the workers. `Busy` while another process holds the connection.
    """
    failures = 0
    while not is_done():
        try:
            wish = _one_slice(connection_id, work)
            failures = 0
        except NotSent:
            failures += 1
            if failures > MOST_FAILURES:
                raise
            wish = clock.now() + failures * PAUSE
        db.session.rollback()
        if is_done():
            return
        pause = wish - clock.now() if wish else timedelta(seconds=current_app.config["SETTINGS"].settle_s)
        if pause > LONGEST_WAIT:
            return
        # A command has nothing else to do meanwhile.
        threading.Event().wait(max(0.05, pause.total_seconds()))


def _one_slice(connection_id: int, work: Callable[[Turn], datetime | None]) -> datetime | None:
    with turn(connection_id, SLICE_S) as mine:
        if mine is None:
            raise Busy("Another run holds the connection. Try again when it is done.")
        try:
            return work(mine)
        except Capped as error:
            return error.until
        except OutcomeUnknown:
            return None
