"""`/metrics`: figures of the whole server as Prometheus text, computed from the database and Redis when asked for.

A worker forks for every job, so counters inside it die with it; what is stored outlives it. No label holds the name
of an account or a person. Only this machine may ask, or whoever shows the token.
"""

import hmac
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import sqlalchemy as sa
from flask import Blueprint, Response, current_app, request
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from redis.exceptions import RedisError

from app import clock, remote_calls, work
from app.access import PUBLIC, allow
from app.audit import AuditEntry
from app.db import db
from app.effects import Effect
from app.errors import NotFound
from app.jobs import board
from app.plugin import Gauge, registry
from app.remote_calls import What
from app.work import Heartbeat

pages = Blueprint("metrics", __name__)

LOOPBACK = ("127.", "::1")


@pages.get("/metrics")
@allow(PUBLIC)
def metrics() -> Response:
    """Prometheus text format 0.0.4."""
    if not (_asked_from_here() or _shows_token()):
        raise NotFound
    figures = CollectorRegistry(auto_describe=False)
    figures.register(_Figures())
    return Response(generate_latest(figures), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def _asked_from_here() -> bool:
    """A proxy on this machine asks for strangers: then it says so, or is believed and has named them."""
    return (request.remote_addr or "").startswith(LOOPBACK) and "X-Forwarded-For" not in request.headers


def _shows_token() -> bool:
    token = current_app.config["SETTINGS"].metrics_token.get_secret_value()
    shown = request.headers.get("Authorization", "").removeprefix("Bearer ")
    return bool(token) and hmac.compare_digest(shown.encode(), token.encode())


class _Figures:
    """Reads everything anew for each scrape."""

    def collect(self) -> Iterator[Metric]:
        for gauge in (*_of_host(), *(gauge for plugin in registry() if plugin.gauges for gauge in plugin.gauges())):
            family = GaugeMetricFamily(gauge.name, gauge.help, labels=gauge.labels)
            for values, figure in gauge.samples:
                family.add_metric(values, figure)
            yield family
        yield _remote_calls()


def _of_host() -> Iterator[Gauge]:
    yield _heartbeats()
    yield from _queues()
    yield Gauge(
        "outside_writes",
        "Steps of writes to other systems, by what they are about and how they stand.",
        ("kind", "state"),
        [
            ((kind, state.value), count)
            for kind, state, count in db.session.execute(
                sa.select(Effect.kind, Effect.state, sa.func.count()).group_by(Effect.kind, Effect.state)
            )
        ],
    )
    yield Gauge("login_failures_total", "Sign-ins that were refused.", (), [((), _audited("sign_in"))])
    yield Gauge("authz_denied_total", "Requests that a role did not allow.", (), [((), _audited("refused"))])


def _heartbeats() -> Gauge:
    rows = db.session.execute(sa.select(Heartbeat.name, Heartbeat.seen_at).where(~Heartbeat.name.startswith("trial:")))
    return Gauge(
        "heartbeat_timestamp_seconds",
        "When a part of the background machinery was last seen.",
        ("part",),
        [((name,), seen_at.timestamp()) for name, seen_at in rows],
    )


def _queues() -> Iterator[Gauge]:
    """Of Redis; without it nothing is said, and `redis_up` is 0."""
    try:
        queues = board.queues()
    except RedisError:
        yield Gauge("redis_up", "Whether Redis answers.", (), [((), 0)])
        return
    yield Gauge("redis_up", "Whether Redis answers.", (), [((), 1)])
    yield Gauge(
        "queue_depth",
        "Jobs by queue and state.",
        ("queue", "state"),
        [((queue.name, state.value), count) for queue in queues for state, count in queue.counts.items()],
    )
    yield Gauge(
        "queue_oldest_seconds",
        "How long the oldest waiting job has waited.",
        ("queue",),
        [
            ((queue.name,), max(0.0, (clock.now() - queue.oldest_at).total_seconds()) if queue.oldest_at else 0)
            for queue in queues
        ],
    )
    yield Gauge(
        "overdue_rows",
        "Rows that ask for work and are due, by kind of work.",
        ("job",),
        [((name,), _due(model)) for model, name in work.bell().kinds],
    )


def _remote_calls() -> Metric:
    """How long other systems take to answer workers and pages, since Redis was last empty."""
    family = HistogramMetricFamily(
        "remote_request_seconds",
        "Calls to other systems, by how long they took and how they ended.",
        labels=What._fields,
    )
    with suppress(RedisError):
        for what, (buckets, seconds) in remote_calls.kept(work.bell().connection).items():
            family.add_metric(what, buckets, seconds)
    return family


def _due(model: Any) -> int:
    return int(db.session.scalar(sa.select(sa.func.count()).where(model.due_at <= clock.now())) or 0)


def _audited(action: str) -> int:
    query = sa.select(sa.func.count()).where(AuditEntry.action == action, AuditEntry.outcome == "refused")
    return int(db.session.scalar(query) or 0)
