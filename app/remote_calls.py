"""How long calls to other systems take and how they end, for `/metrics`.

A worker forks for every job, so counters inside it die with it: what a job or a request noted goes to Redis when it
ends, in one round trip. Nothing depends on these figures; without Redis they are not kept.
"""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

import structlog
from flask import Flask, g, has_app_context
from redis import Redis
from redis.exceptions import RedisError
from rq.utils import as_text

from app.errors import NotSent, OutcomeUnknown, Outside

log = structlog.get_logger()

KEY = "spheremail:remote_calls"
# Upper bounds in seconds; the time limits of the clients lie between 15 and 60.
BUCKETS = ("0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "5.0", "10.0", "30.0", "60.0", "+Inf")
SUM = "sum"


class What(NamedTuple):
    """Which calls are counted together: the other side, what was asked, and how it ended.

    `outcome` is "done", "refused", "throttled", "failed" (they broke), "not_sent" or "unknown".
    """

    service: str
    op: str
    outcome: str


@dataclass
class Call:
    """One call in the making. Whoever reads the answer says how it ended, where no error says it."""

    outcome: str = "done"

    def answered(self, status: int) -> None:
        """By a status of HTTP."""
        if status == 429:
            self.outcome = "throttled"
        elif status >= 500:
            self.outcome = "failed"
        elif status >= 400:
            self.outcome = "refused"


@contextmanager
def timed(service: str, op: str) -> Iterator[Call]:
    """Count the call to the outside that is made inside the block."""
    call, begun = Call(), time.monotonic()
    try:
        yield call
    except Exception as error:
        call.outcome = _outcome_of(error)
        raise
    finally:
        if has_app_context():
            g.setdefault("remote_calls", []).append((What(service, op, call.outcome), time.monotonic() - begun))


def keep(redis: Redis) -> None:
    """Add what was noted in this context to the figures in Redis."""
    noted: list[tuple[What, float]] = g.pop("remote_calls", [])
    if not noted:
        return
    counts: Counter[str] = Counter()
    spent: dict[str, float] = {}
    for what, seconds in noted:
        name = "|".join(what)
        bucket = next(bound for bound in BUCKETS if seconds <= float(bound))
        counts[f"{name}|{bucket}"] += 1
        spent[f"{name}|{SUM}"] = spent.get(f"{name}|{SUM}", 0) + seconds
    try:
        with redis.pipeline(transaction=False) as pipe:
            for field, count in counts.items():
                pipe.hincrby(KEY, field, count)
            for field, seconds in spent.items():
                pipe.hincrbyfloat(KEY, field, seconds)
            pipe.execute()
    except RedisError as error:
        log.info("remote_calls_not_counted", calls=len(noted), error=type(error).__name__)


def kept(redis: Redis) -> dict[What, tuple[list[tuple[str, float]], float]]:
    """Per kind of call: how many took at most so long, for each of `BUCKETS`, and how long all of them took."""
    found: dict[What, dict[str, float]] = {}
    for field, value in redis.hgetall(KEY).items():
        *what, place = as_text(field).split("|")
        found.setdefault(What(*what), {})[place] = float(value)
    return {
        what: (list(zip(BUCKETS, accumulate(one.get(bound, 0) for bound in BUCKETS), strict=True)), one.get(SUM, 0))
        for what, one in sorted(found.items())
    }


def init_app(app: Flask) -> None:
    """At the end of each request, job and command, keep what it noted."""

    @app.teardown_appcontext
    def keep_what_was_noted(error: BaseException | None) -> None:
        keep(app.extensions["bell"].connection)


def _outcome_of(error: Exception) -> str:
    if isinstance(error, OutcomeUnknown):
        return "unknown"
    if isinstance(error, NotSent):
        return "not_sent"
    return "refused" if isinstance(error, Outside) else "failed"
