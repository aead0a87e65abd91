"""Two processes or two tabs at once: whoever lost the lease undoes nothing, and what a person said holds."""

from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from app import effects
from app.billing.models import Customer, Invoice, InvoiceStatus
from app.db import db, unit_of_work
from app.effects import Effect, EffectState, Subject
from app.errors import NotSent, Refused
from app.work import Lease, LeaseLost
from plugins.nexudus import export_acts
from plugins.nexudus import session as session_module
from plugins.nexudus.client import Nexudus
from plugins.nexudus.models import Connection, ExportState, InvoiceExport, LinkRun, LinkState
from tests import make
from tests.cast import Cast
from tests.plugins.nexudus.conftest import There, export_of, fresh, link_of, newer_invoice, work_again
from tests.plugins.nexudus.test_people_and_workers import beside, export_now, once_before, state_of
from tests.visitors import HeardBell, Visitor


def test_billed_here_and_back_does_not_forget_a_member_whose_creation_got_no_answer(
    cast: Cast, ana: Visitor, there: There, connect: Callable[[], Connection], bell: HeardBell
) -> None:
    customer = make.customer(cast.acme, email="lost@quill.example")
    connect()
    there.faults(only="/api/spaces/coworkers", lost_answer_next=1)
    bell.answer()
    there.faults(only="", hidden_s=0)
    # Lists lag behind: what was made just now is found by its reference only a little later.
    ana.post(f"/acme/nexudus/customers/{customer.id}/unlink", data={"reason": ""})
    there.faults(hidden_s=3600)
    ana.post(f"/acme/nexudus/customers/{customer.id}/connect-again")
    bell.rings.clear()
    assert db.session.scalars(sa.select(Effect).where(Effect.state == EffectState.BEGUN)).all() != []


def test_billed_here_said_while_nexudus_refuses_the_member_holds(
    cast: Cast,
    ana: Visitor,
    there: There,
    connect: Callable[[], Connection],
    bell: HeardBell,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    customer = make.customer(cast.acme)
    customer_id = customer.id
    connect()
    unlink = beside(lambda: ana.post(f"/acme/nexudus/customers/{customer_id}/unlink", data={"reason": "Own"}))

    def refuse(self: Nexudus, *args: Any) -> int:
        unlink()
        raise Refused("Nexudus refuses this.")

    monkeypatch.setattr(Nexudus, "create_member", refuse)
    bell.answer()
    assert state_of(customer) == LinkState.BILLED_HERE


def test_billed_here_said_while_the_member_is_asked_for_holds(
    cast: Cast, ana: Visitor, there: There, connected: Connection, bell: HeardBell, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer = make.customer(cast.acme)
    work_again(bell)
    link = link_of(customer)
    assert link is not None
    assert link.member_id
    there.forget("Coworker", link.member_id)
    customer_id = customer.id
    ana.post("/acme/nexudus/members/connect")
    once_before(
        monkeypatch,
        Nexudus,
        "member",
        lambda: ana.post(f"/acme/nexudus/customers/{customer_id}/unlink", data={"reason": "Own"}),
    )
    bell.answer()
    assert state_of(customer) == LinkState.BILLED_HERE


def test_a_run_for_the_new_asks_only_for_members_it_did_not_list(
    cast: Cast, there: There, connected: Connection, bell: HeardBell
) -> None:
    for number in range(30):
        there.member(f"new-{number}@quill.example")
        make.customer(cast.acme, email=f"new-{number}@quill.example")
    there.space.calls.reset()
    work_again(bell)
    assert there.calls("GET /api/spaces/coworkers/") == 0


def test_a_run_for_many_new_customers_ends_although_only_few_calls_are_allowed(
    app: Any,
    cast: Cast,
    ana: Visitor,
    there: There,
    connected: Connection,
    bell: HeardBell,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from datetime import timedelta

    import time_machine

    from app import clock

    for number in range(40):
        there.member(f"many-{number}@quill.example")
    ana.post("/acme/nexudus/members/connect")
    bell.answer()
    with time_machine.travel(clock.now() + timedelta(hours=1), tick=False) as now:
        for number in range(40):
            make.customer(cast.acme, email=f"many-{number}@quill.example")
        settings = app.config["SETTINGS"].model_copy(update={"nexudus_calls_per_minute": 20})
        monkeypatch.setitem(app.config, "SETTINGS", settings)
        for _ in range(8):
            work_again(bell)
            now.shift(timedelta(seconds=61))
        runs = db.session.scalars(sa.select(LinkRun).where(LinkRun.ended_at.is_(None))).all()
        assert runs == []


def test_connect_members_links_nobody_to_a_member_that_was_deleted_there(
    cast: Cast, there: There, connected: Connection, ana: Visitor, bell: HeardBell
) -> None:
    member_id = there.member("late@quill.example")
    ana.post("/acme/nexudus/members/connect")
    bell.answer()
    there.forget("Coworker", member_id)
    late = make.customer(cast.acme, email="late@quill.example")
    ana.post("/acme/nexudus/members/connect")
    bell.answer()
    link = link_of(late)
    assert link is not None
    assert link.member_id != member_id


def test_who_lost_the_lease_does_not_say_that_a_step_was_not_executed(cast: Cast, connected: Connection) -> None:
    subject = Subject(connected.account_id, "nexudus.invoice", 1)
    lease = Lease.take(Connection, connected.id)
    assert lease is not None

    class Step:
        key = "invoice"

        def call(self, remote: object, intent: object) -> dict[str, Any]:
            with unit_of_work() as session:  # the lease ran out meanwhile, and another worker has it
                session.get_one(Connection, connected_id).lease_token = "another"
            raise NotSent("No connection.")

        def look_up(self, remote: object, intent: object) -> None:
            return None

    connected_id = connected.id
    with pytest.raises((LeaseLost, NotSent)):
        effects.carry_out(subject, lambda done: None if done else Step(), None, lease)
    assert db.session.scalars(sa.select(Effect.state)).all() == [EffectState.BEGUN]


def test_released_only_while_nobody_sent_it_since_the_look(
    ana: Visitor, there: There, customer: Customer, bell: HeardBell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two tabs: release has looked and found nothing; retry sends it, and it is held again with a difference."""
    invoice = newer_invoice(customer)
    invoice_id = invoice.id
    there.faults(only="/api/billing/coworkerproducts", missing_roles="")
    real_sell = Nexudus.sell

    def refused(*args: Any) -> int:
        raise Refused("Nexudus refuses this.")

    monkeypatch.setattr(Nexudus, "sell", refused)
    export_now(ana, bell)
    export = export_of(invoice)
    assert export is not None
    assert (export.state, bool(export.frozen)) == (ExportState.HELD, True)
    export_id = export.id
    monkeypatch.setattr(Nexudus, "sell", real_sell)

    def retry_and_differ() -> None:
        ana.post(f"/acme/nexudus/exports/{export_id}/retry")
        bell.answer()
        with unit_of_work() as session:  # sent, and held for a difference
            row = session.get_one(InvoiceExport, export_id)
            row.state, row.reason_code = ExportState.HELD, "total_differs"
            session.get_one(Invoice, invoice_id).status = InvoiceStatus.PENDING

    once_before(monkeypatch, export_acts, "forget", lambda: None)
    real_look = Nexudus.invoices_with_reference
    elsewhere = beside(retry_and_differ)
    seen: list[int] = []

    real_turn = session_module.turn

    @contextmanager
    def turn_and_then(*args: Any) -> Any:
        with real_turn(*args) as mine:
            yield mine
        if not seen:
            seen.append(1)
            elsewhere()

    monkeypatch.setattr(export_acts, "turn", turn_and_then)
    monkeypatch.setattr(Nexudus, "invoices_with_reference", real_look)
    ana.post(f"/acme/nexudus/exports/{export_id}/release")
    assert not (there.invoices() and fresh(invoice).collector is None)
