"""What goes every night, what stays, and that the night's work is asked for once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
import sqlalchemy as sa
import time_machine
from flask import Flask

from app import audit, clock, work
from app.accounts.models import Attempt, SignIn
from app.audit import AuditEntry
from app.db import db, unit_of_work
from app.mailing.letters import Attached
from app.mailing.models import MailState, OutgoingAttachment, OutgoingMail
from app.mailing.services import post
from app.upkeep import pruning
from tests.cast import Cast
from tests.visitors import HeardBell

NIGHT = datetime(2026, 11, 28, 2, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def night() -> Iterator[None]:
    with time_machine.travel(NIGHT, tick=False):
        yield


def test_old_tries_and_sign_ins_go_and_the_audit_stays(cast: Cast) -> None:
    with unit_of_work() as session:
        for age in (timedelta(hours=1), timedelta(days=3)):
            session.add(Attempt(kind="sign_in", subject="x", at=clock.now() - age))
        for name, begun, ended in (("new", 1, None), ("ended", 40, 39), ("forgotten", 40, None), ("ended-now", 20, 2)):
            session.add(
                SignIn(
                    user_id=cast.ana.id,
                    token_hash=name,
                    begun_at=clock.now() - timedelta(days=begun),
                    ended_at=clock.now() - timedelta(days=ended) if ended else None,
                )
            )
        audit.record("sign_in", actor="ana@acme.example")

    pruning.prune()

    assert db.session.scalar(sa.select(sa.func.count()).select_from(Attempt)) == 1
    assert set(db.session.scalars(sa.select(SignIn.token_hash))) == {"new", "ended-now"}
    assert db.session.scalar(sa.select(sa.func.count()).select_from(AuditEntry).where(AuditEntry.action == "sign_in"))
    [entry] = db.session.scalars(sa.select(AuditEntry).where(AuditEntry.action == "pruned"))
    assert entry.details == {"rows": {"attempts": 1, "sign_ins": 2}}


def test_how_long_things_are_kept_is_a_setting(app: Flask, cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    longer = app.config["SETTINGS"].model_copy(update={"keep_tries_days": 10})
    monkeypatch.setitem(app.config, "SETTINGS", longer)
    with unit_of_work() as session:
        for days in (9, 11):
            session.add(Attempt(kind="sign_in", subject="x", at=clock.now() - timedelta(days=days)))

    pruning.prune()

    assert db.session.scalar(sa.select(sa.func.count()).select_from(Attempt)) == 1


def test_old_letters_lose_their_text_and_keep_that_they_were_sent(cast: Cast) -> None:
    with unit_of_work():
        for state in (MailState.SENT, MailState.REFUSED):
            mail = post(cast.acme, to="tamsin@quill.example", template="test", context={"name": "Tamsin"})
            mail.state, mail.due_at, mail.created_at = state, None, clock.now() - timedelta(days=100)

    pruning.prune()

    sent, refused = db.session.scalars(sa.select(OutgoingMail).order_by(OutgoingMail.id))
    assert (sent.text, sent.html, sent.recipient) == ("", "", "tamsin@quill.example")
    assert refused.text


def test_files_of_sent_mail_are_let_go_after_a_week(cast: Cast) -> None:
    with unit_of_work():
        for state, days in ((MailState.SENT, 7), (MailState.SENT, 9), (MailState.REFUSED, 9)):
            pdf = Attached("A-7.pdf", "application/pdf", b"%PDF")
            mail = post(cast.acme, to="t@quill.example", template="test", context={"name": "T"}, attachments=[pdf])
            mail.state, mail.due_at, mail.created_at = state, None, clock.now() - timedelta(days=days)

    pruning.prune()

    files = db.session.scalars(sa.select(OutgoingAttachment).order_by(OutgoingAttachment.id)).all()
    assert [one.content for one in files] == [b"%PDF", None, b"%PDF"]
    assert [(one.file_name, one.size) for one in files] == [("A-7.pdf", 4)] * 3


def test_however_many_rows_there_are_all_go(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "AT_ONCE", 3)
    with unit_of_work() as session:
        session.add_all(
            Attempt(kind="sign_in", subject=str(number), at=clock.now() - timedelta(days=9)) for number in range(10)
        )

    pruning.prune()

    assert db.session.scalar(sa.select(sa.func.count()).select_from(Attempt)) == 0


def test_each_night_it_is_asked_for_once_and_a_missed_night_is_made_up(app: Flask, bell: HeardBell) -> None:
    assert pruning.ring_once_a_night()
    assert not pruning.ring_once_a_night()
    assert bell.rings == [("host.prune",)]

    with time_machine.travel(NIGHT + timedelta(hours=23), tick=False):
        assert not pruning.ring_once_a_night()
    with time_machine.travel(NIGHT + timedelta(days=3), tick=False):
        assert pruning.ring_once_a_night()
    bell.answer()


def test_sweeps_that_find_the_first_night_together_ask_once_and_none_stumbles(
    app: Flask, bell: HeardBell, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_due, together = pruning.is_due, Barrier(4)

    def all_are_due() -> bool:
        due = is_due()
        db.session.rollback()
        together.wait(10)
        return due

    monkeypatch.setattr(pruning, "is_due", all_are_due)

    def sweep(_: int) -> bool:
        with app.app_context():
            work.beat()
            return pruning.ring_once_a_night()

    with ThreadPoolExecutor(4) as sweeps:
        asked = list(sweeps.map(sweep, range(4)))

    assert (asked.count(True), bell.rings) == (1, [("host.prune",)])
