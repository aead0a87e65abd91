"""Units of work: one writes at a time, readers cannot write, and many processes get along."""

import multiprocessing
from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.exc import DBAPIError

from app.accounts.models import Account
from app.config import Settings
from app.db import after_commit, changed_one, db, end_reading, in_transaction, unit_of_work
from tests.cast import Cast

PROCESSES, UNITS = 5, 200


def test_writing_outside_a_unit_of_work_is_refused_by_the_database(cast: Cast) -> None:
    cast.acme.name = "Changed"
    with pytest.raises(DBAPIError):
        db.session.flush()


def test_a_unit_of_work_commits_at_its_end(cast: Cast) -> None:
    with unit_of_work() as session:
        session.get_one(Account, cast.acme.id).name = "Changed"
    assert not in_transaction()
    assert db.session.get_one(Account, cast.acme.id).name == "Changed"


def test_a_unit_of_work_that_fails_leaves_nothing_and_rings_nothing(cast: Cast) -> None:
    name, rung = cast.acme.name, []
    with pytest.raises(ZeroDivisionError), unit_of_work():
        cast.acme.name = "Changed"
        db.session.flush()
        after_commit(lambda: rung.append("rung"))
        _ = 1 / 0
    assert db.session.get_one(Account, cast.acme.id).name == name
    assert rung == []


def test_what_waits_for_the_commit_runs_after_it(cast: Cast) -> None:
    seen: list[bool] = []
    with unit_of_work():
        after_commit(lambda: seen.append(in_transaction()))
        assert seen == []
    assert seen == [False]


def test_units_of_work_do_not_nest(app: Flask) -> None:
    with unit_of_work(), pytest.raises(RuntimeError, match="do not nest"), unit_of_work():
        pass


def test_slow_work_inside_a_unit_of_work_is_refused(app: Flask) -> None:
    with unit_of_work(), pytest.raises(RuntimeError):
        end_reading()


def test_a_guarded_update_says_whether_it_won(cast: Cast) -> None:
    take = sa.update(Account).where(Account.id == cast.acme.id, Account.name == "Acme").values(name="Taken")
    with unit_of_work() as session:
        session.get_one(Account, cast.acme.id).name = "Acme"
        session.flush()
        assert changed_one(take)
        assert not changed_one(take)


def test_moments_come_back_in_utc_whatever_zone_they_were_written_in(cast: Cast) -> None:
    there = datetime(2026, 3, 29, 12, 0, tzinfo=timezone(timedelta(hours=9)))
    with unit_of_work() as session:
        session.get_one(Account, cast.acme.id).created_at = there
    stored = db.session.get_one(Account, cast.acme.id).created_at
    assert stored == there
    assert stored.tzinfo == UTC


def test_a_moment_without_a_zone_is_refused(cast: Cast) -> None:
    with pytest.raises(Exception, match="without a zone"), unit_of_work():
        cast.acme.created_at = datetime(2026, 1, 1)  # noqa: DTZ001  # the very mistake
        db.session.flush()


def count_up(settings: Settings, account_id: int, start: "multiprocessing.synchronize.Barrier") -> None:
    from app import create_app  # in a process of its own, after the fork

    with create_app(settings).app_context():
        start.wait()
        for _ in range(UNITS):
            with unit_of_work() as session:
                account = session.get_one(Account, account_id, with_for_update=True)
                account.next_invoice_number += 1


@pytest.mark.processes
def test_five_processes_read_and_then_write_a_thousand_times_without_an_error(app: Flask, cast: Cast) -> None:
    before, account_id = cast.acme.next_invoice_number, cast.acme.id
    end_reading()
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(PROCESSES)
    settings = app.config["SETTINGS"].model_copy(update={"plugins": ()})
    processes = [context.Process(target=count_up, args=(settings, account_id, start)) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * PROCESSES
    assert db.session.get_one(Account, account_id).next_invoice_number == before + PROCESSES * UNITS
