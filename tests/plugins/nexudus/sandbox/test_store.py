import threading
from decimal import Decimal
from pathlib import Path

import pytest

from plugins.nexudus.sandbox import create_sandbox
from plugins.nexudus.sandbox.adapter import SandboxAdapter
from plugins.nexudus.sandbox.store import Store
from tests.plugins.nexudus.sandbox.conftest import MEMBERS, Program


def test_a_change_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.db")
    store.put("thing", 1, {"a": 1})

    def fail() -> None:
        with store.change():
            store.put("thing", 1, {"a": 2})
            store.put("thing", 2, {"a": 3})
            store.drop("thing", 1)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert store.all("thing") == Store(tmp_path / "store.db").all("thing") == [{"a": 1}]


def test_what_was_kept_in_a_change_survives_its_failure(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.db")

    def fail() -> None:
        with store.change():
            store.put("thing", 1, {"a": 1})
            store.keep()
            store.put("thing", 2, {"a": 2})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert store.all("thing") == Store(tmp_path / "store.db").all("thing") == [{"a": 1}]


def test_a_record_that_was_handed_out_is_a_copy() -> None:
    store = Store(None)
    store.put("thing", 1, {"a": 1})
    (store.get("thing", 1) or {})["a"] = 2
    assert store.get("thing", 1) == {"a": 1}


def test_amounts_and_keys_come_back_as_they_went(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.db")
    store.put("thing", 7, {"amount": Decimal("12345678901.17")})
    store.put("thing", "word", {"amount": Decimal("0.10")})
    store.close()
    again = Store(tmp_path / "store.db")
    assert again.get("thing", 7) == {"amount": Decimal("12345678901.17")}
    assert again.get("thing", "word") == {"amount": Decimal("0.1")}


def test_ids_are_given_once_by_any_number_of_threads() -> None:
    store = Store(None)
    given: list[int] = []

    def take() -> None:
        given.extend(store.next_id() for _ in range(50))

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(given)) == 400


def test_records_tokens_and_ids_survive_a_restart(tmp_path: Path) -> None:
    def started() -> Program:
        return Program(SandboxAdapter(create_sandbox(tmp_path / "nexudus.db", limits="off")))

    first = started()
    first.sign_in()
    member = first.member()
    first.space.store.close()

    second = started()
    second.session.headers["Authorization"] = first.session.headers["Authorization"]
    assert [one["Id"] for one in second.rows(MEMBERS)] == [member]
    assert second.member() > member
