"""The loop that writes to the outside: what is written down when, and what is looked up before it is repeated."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from flask import Flask

from app import clock, effects
from app.db import unit_of_work
from app.effects import CRASH_POINTS, Done, Intent, Result, Subject, carry_out, finished_steps, open_step
from app.errors import NotSent, OutcomeUnknown, Refused
from app.work import Lease, LeaseLost
from plugins.nexudus.models import Connection
from tests import make
from tests.cast import Cast


@dataclass
class World:
    """Another system that remembers what it was told, and answers as it is told to."""

    made: list[str] = field(default_factory=list)
    look_ups: int = 0
    answers: list[Exception | None] = field(default_factory=list)
    keeps_what_it_does_not_answer: bool = True

    def make(self, name: str) -> Result:
        answer = self.answers.pop(0) if self.answers else None
        if answer is None or (isinstance(answer, OutcomeUnknown) and self.keeps_what_it_does_not_answer):
            self.made.append(name)
        if answer is not None:
            raise answer
        return {"name": name}


@dataclass(frozen=True)
class Make:
    key: str

    def call(self, remote: World, intent: Intent) -> Result:
        return remote.make(self.key)

    def look_up(self, remote: World, intent: Intent) -> Result | None:
        remote.look_ups += 1
        return {"name": self.key, "found": True} if self.key in remote.made else None


def two_steps(done: Done) -> Make | None:
    return next((Make(key) for key in ("first", "second") if key not in done), None)


class Crash(BaseException):
    """Stands for kill -9: nothing after it runs."""


@pytest.fixture
def lease(app: Flask, cast: Cast) -> Lease:
    account_id, installation_id = cast.acme.id, make.installation(cast.acme, "nexudus").id
    with unit_of_work() as session:
        connection = Connection(
            account_id=account_id,
            installation_id=installation_id,
            business_id=1,
            business_name="Acme there",
            currency="EUR",
            currency_id=1,
            email="a@acme.example",
            client_id="c",
        )
        session.add(connection)
        session.flush()
        connection_id = connection.id
    taken = Lease.take(Connection, connection_id)
    assert taken is not None
    return taken


@pytest.fixture
def subject(cast: Cast) -> Subject:
    return Subject(cast.acme.id, "test.thing", 1)


def test_a_first_attempt_makes_each_thing_once_and_looks_nothing_up(lease: Lease, subject: Subject) -> None:
    world = World()
    assert carry_out(subject, two_steps, world, lease) == {"first": {"name": "first"}, "second": {"name": "second"}}
    assert world.made == ["first", "second"]
    assert world.look_ups == 0


def test_a_finished_subject_is_not_touched_again(lease: Lease, subject: Subject) -> None:
    carry_out(subject, two_steps, World(), lease)
    world = World()
    assert set(carry_out(subject, two_steps, world, lease)) == {"first", "second"}
    assert world.made == []


def test_a_lost_answer_is_looked_up_and_adopted(lease: Lease, subject: Subject) -> None:
    world = World(answers=[OutcomeUnknown("no answer")])
    with pytest.raises(OutcomeUnknown):
        carry_out(subject, two_steps, world, lease)
    assert open_step(subject) == "first"
    done = carry_out(subject, two_steps, world, lease)
    assert done["first"] == {"name": "first", "found": True}
    assert world.made == ["first", "second"]


def test_a_lost_request_is_sent_again_after_the_look_up_said_not_there(lease: Lease, subject: Subject) -> None:
    world = World(answers=[OutcomeUnknown("no answer")], keeps_what_it_does_not_answer=False)
    with pytest.raises(OutcomeUnknown):
        carry_out(subject, two_steps, world, lease)
    carry_out(subject, two_steps, world, lease)
    assert world.made == ["first", "second"]
    assert world.look_ups == 1


@pytest.mark.parametrize("error", [NotSent("away"), Refused("no")])
def test_what_was_not_executed_is_tried_again_without_a_look_up(
    lease: Lease, subject: Subject, error: Exception
) -> None:
    world = World(answers=[error])
    with pytest.raises(type(error)):
        carry_out(subject, two_steps, world, lease)
    assert open_step(subject) is None
    carry_out(subject, two_steps, world, lease)
    assert world.made == ["first", "second"]
    assert world.look_ups == 0


def test_an_unknown_outcome_is_left_to_settle_before_it_is_looked_up(
    app: Flask, lease: Lease, subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = app.config["SETTINGS"].model_copy(update={"settle_s": 10})
    monkeypatch.setitem(app.config, "SETTINGS", settings)
    world = World(answers=[OutcomeUnknown("no answer")])
    with pytest.raises(OutcomeUnknown):
        carry_out(subject, two_steps, world, lease)
    with pytest.raises(OutcomeUnknown) as raised:
        carry_out(subject, two_steps, world, lease)
    assert raised.value.details["until"] > clock.now()
    assert world.look_ups == 0


@pytest.mark.parametrize("point", CRASH_POINTS)
@pytest.mark.parametrize("step", [0, 1])
def test_a_crash_at_any_point_leaves_each_thing_made_once(
    lease: Lease, subject: Subject, point: str, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def crash(at: str) -> None:
        seen.append(at)
        if at == point and seen.count(point) == step + 1:
            raise Crash

    world = World()
    with monkeypatch.context() as patch, pytest.raises(Crash):
        patch.setattr(effects, "crash_point", crash)
        carry_out(subject, two_steps, world, lease)
    carry_out(subject, two_steps, world, lease)
    assert world.made == ["first", "second"]
    assert set(finished_steps(subject)) == {"first", "second"}


def test_nothing_is_sent_once_the_lease_belongs_to_somebody_else(lease: Lease, subject: Subject) -> None:
    with unit_of_work() as session:
        session.get_one(Connection, lease.row_id).lease_token = "another"
    world = World()
    with pytest.raises(LeaseLost):
        carry_out(subject, two_steps, world, lease)
    assert world.made == []


def test_the_outcome_of_a_call_that_outlived_its_lease_stays_unknown(lease: Lease, subject: Subject) -> None:
    class Slow(World):
        def make(self, name: str) -> Result:
            with unit_of_work() as session:
                session.get_one(Connection, lease.row_id).lease_token = "another"
            return super().make(name)

    world: Any = Slow()
    with pytest.raises(LeaseLost):
        carry_out(subject, two_steps, world, lease)
    assert open_step(subject) == "first"


def test_one_person_is_not_taken_for_another(lease: Lease, subject: Subject, cast: Cast) -> None:
    carry_out(subject, two_steps, World(), lease)
    other = World()
    carry_out(Subject(cast.acme.id, "test.thing", 2), two_steps, other, lease)
    assert other.made == ["first", "second"]
