"""Figures for Prometheus: from stored rows, without names, and only for this machine or whoever shows the token."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families

from app import audit, work
from app.db import db, unit_of_work
from app.mailing.services import post
from tests.cast import Cast, assemble
from tests.visitors import Visitor

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
    asked -= {"sum", "by", "job", "time", "increase", "absent", "or", "and", "part", "state"}
    source = "".join(
        (ROOT / name).read_text()
        for name in ("app/upkeep/metrics.py", "plugins/nexudus/figures.py", "plugins/mail_monitor/figures.py")
    )

    assert asked
    assert {name for name in asked if f'"{name}"' not in source} == set()
