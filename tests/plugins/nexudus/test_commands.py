"""What the plugin's commands answer to scripts: the keys that are written down, and that somebody else is at work."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result

from app.billing.models import Customer
from app.work import Lease
from plugins.nexudus.models import Connection
from plugins.nexudus.sandbox.seed import EMAIL, PASSWORD
from tests.cast import Cast
from tests.plugins.nexudus.conftest import There, newer_invoice
from tests.visitors import Visitor

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

Run = Callable[..., Result]


def said(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


@pytest.mark.parametrize("words", [["link"], ["export"]])
def test_while_another_run_holds_the_connection_they_say_busy(
    connected: Connection, run_command: Run, words: list[str]
) -> None:
    lease = Lease.take(Connection, connected.id)
    assert lease is not None
    result = run_command("nexudus", *words, "--account", "acme", "--json")
    assert result.exit_code == 3
    assert json.loads(result.stdout)["error"]["code"] == "busy"
    lease.give_back()


def test_connecting_answers_its_keys_and_switches_the_plugin_on(cast: Cast, there: There, run_command: Run) -> None:
    words = ["nexudus", "connect", "--account", "acme", "--email", EMAIL, "--json"]
    answer = said(run_command(*words, typed=PASSWORD + "\n"))
    assert set(answer) == {"connected", "business", "writer", "cutover"}
    assert (answer["connected"], answer["writer"]) == (True, "product_sale")


def test_the_others_answer_their_keys(ana: Visitor, there: There, customer: Customer, run_command: Run) -> None:
    newer_invoice(customer)
    keys = {
        "link": {"matched", "created", "ambiguous", "skipped", "waiting"},
        "export": {"exported", "held", "unknown", "waiting", "excluded"},
        "links": {"links"},
        "status": {"state", "links", "exports", "next_window", "last_run"},
    }
    answers = {name: said(run_command("nexudus", name, "--account", "acme", "--json")) for name in keys}
    assert {name: set(answer) for name, answer in answers.items()} == keys
    assert answers["export"]["exported"] == 1
    assert set(answers["links"]["links"][0]) == {"email", "member", "how", "since"}
    assert answers["status"]["exports"]["exported"] == 1
    for name in ("link", "export"):
        plan = said(run_command("nexudus", name, "--account", "acme", "--dry-run", "--json"))
        assert set(plan) == keys[name]
