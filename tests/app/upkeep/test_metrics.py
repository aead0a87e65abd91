"""Figures for Prometheus: from stored rows, without names, and only for this machine or whoever shows the token."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families

from app import audit, remote_calls, work
from app.db import db, unit_of_work
from app.errors import OutcomeUnknown
from app.mailing.services import post
from app.remote_calls import What
from tests.cast import Cast, assemble
from tests.visitors import Visitor, apart

ROOT = Path(__file__).parents[3]
TOKEN = "a-token-for-scraping"


@pytest.fixture
def host(
    app_on: Callable[..., Flask], database_url: str, app_settings: dict[str, Any], redis_url: str
) -> Iterator[Flask]:
    app = app_on(database_url, **app_settings, redis_url=redis_url, metrics_token=TOKEN)
    with app.app_context():
        yield app
        db.session.remove()
        with unit_of_work() as session:
            for table in reversed(db.metadata.sorted_tables):
                session.execute(table.delete())


@pytest.fixture
def browser(host: Flask) -> Visitor:
    visitor = host.test_client()
    assert isinstance(visitor, Visitor)
    return visitor


@pytest.fixture
def acme(host: Flask) -> Cast:
    return assemble()


def figures(browser: Visitor) -> dict[str, dict[tuple[str, ...], float]]:
    """Every figure by its name and the values of its labels."""
    answer = browser.get("/metrics")
    assert answer.status_code == 200
    return {
        family.name: {tuple(sample.labels.values()): sample.value for sample in family.samples}
        for family in text_string_to_metric_families(answer.text)
    }


def test_work_and_refusals_are_counted(browser: Visitor, acme: Cast) -> None:
    with unit_of_work():
        audit.record("sign_in", outcome="refused", actor="nobody")
        audit.record("refused", acme.acme, outcome="refused")
        post(acme.acme, to="tamsin@quill.example", template="test", context={"name": "Tamsin"})
    work.beat()

    found = figures(browser)

    assert found["login_failures_total"] == {(): 1}
    assert found["authz_denied_total"] == {(): 1}
    assert found["overdue_rows"][("host.send_mail",)] == 1
    assert found["redis_up"] == {(): 1}
    assert found["queue_depth"][("default", "failed")] == 0
    assert found["heartbeat_timestamp_seconds"][("sweep",)] > 0


def test_calls_to_other_systems_are_counted_by_how_long_they_took_and_how_they_ended(
    host: Flask, browser: Visitor
) -> None:
    work.bell().connection.delete(remote_calls.KEY)
    apart(calls_of_a_job, host)

    samples = samples_of(browser, "remote_request_seconds")

    assert samples["count", "nexudus", "GET", "done"] == 2
    assert samples["count", "nexudus", "POST", "refused"] == 1
    assert samples["count", "nexudus", "POST", "failed"] == 1
    assert samples["count", "imap", "FETCH", "unknown"] == 1
    assert samples["bucket", "nexudus", "GET", "done", "0.05"] == 2
    assert samples["bucket", "nexudus", "GET", "done", "+Inf"] == 2
    assert 0 < samples["sum", "nexudus", "GET", "done"] < 1


def calls_of_a_job(host: Flask) -> None:
    """Noted while it runs, kept when it ends."""
    with host.app_context():
        for op, status in (("GET", 200), ("GET", 200), ("POST", 404), ("POST", 502)):
            with remote_calls.timed("nexudus", op) as call:
                call.answered(status)
        with pytest.raises(OutcomeUnknown), remote_calls.timed("imap", "FETCH"):
            raise OutcomeUnknown("Silence.")


def test_without_redis_a_call_is_not_counted_and_nothing_else_comes_of_it(app: Flask, client: Visitor) -> None:
    apart(calls_of_a_job, app)

    assert samples_of(client, "remote_request_seconds") == {}


def samples_of(browser: Visitor, name: str) -> dict[tuple[str, ...], float]:
    """Each sample of a histogram: which of its figures, and the values of its labels."""
    order = (*What._fields, "le")
    families = text_string_to_metric_families(browser.get("/metrics").text)
    return {
        (
            sample.name.rpartition("_")[2],
            *(value for label in order if (value := sample.labels.get(label))),
        ): sample.value
        for family in families
        if family.name == name
        for sample in family.samples
    }


def test_no_figure_names_an_account_or_a_person(browser: Visitor, acme: Cast) -> None:
    with unit_of_work():
        post(acme.acme, to="tamsin@quill.example", template="test", context={"name": "Tamsin"})

    text = browser.get("/metrics").text

    for name in ("acme", "ana", "quill", "@"):
        assert not re.search(rf'"[^"]*{name}[^"]*"', text.replace("nexudus", ""), re.IGNORECASE), name


def test_without_redis_the_rest_is_still_said(app: Flask, client: Visitor) -> None:
    found = figures(client)

    assert found["redis_up"] == {(): 0}
    assert "queue_depth" not in found


@pytest.mark.parametrize(
    ("headers", "address", "status"),
    [
        ({}, "127.0.0.1", 200),
        ({}, "203.0.113.7", 404),
        ({"X-Forwarded-For": "203.0.113.7"}, "127.0.0.1", 404),
        ({"Authorization": f"Bearer {TOKEN}"}, "203.0.113.7", 200),
        ({"Authorization": "Bearer wrong"}, "203.0.113.7", 404),
        ({"Authorization": "Bearer "}, "203.0.113.7", 404),
    ],
)
def test_only_this_machine_or_the_token_may_ask(
    browser: Visitor, headers: dict[str, str], address: str, status: int
) -> None:
    answer = browser.get("/metrics", headers=headers, environ_base={"REMOTE_ADDR": address})

    assert answer.status_code == status


def test_every_figure_that_an_alert_asks_for_exists() -> None:

    asked = set(re.findall(r"\b([a-z][a-z_]+)(?=\{| [><=]|\[| offset|\) )", (ROOT / "docs/alerts.yml").read_text()))
    asked -= {"sum", "by", "time", "increase", "rate", "histogram_quantile", "absent", "or", "and"}
    asked -= {"job", "part", "state", "service", "le"}  # labels
    asked = {re.sub("_(count|bucket|sum)$", "", name) for name in asked}  # a histogram's own figures
    source = "".join(
        (ROOT / name).read_text()
        for name in ("app/upkeep/metrics.py", "plugins/nexudus/figures.py", "plugins/mail_monitor/figures.py")
    )

    assert asked
    assert {name for name in asked if f'"{name}"' not in source} == set()
