"""Member matching: decisions over a long list of members, and a whole run of linking against the sandbox."""

import time
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from app.billing.models import Customer
from app.db import db, unit_of_work, write_access
from benchmarks.stage import MeteredSandbox, Sizes, Stages, customer_rows, email_of, insert, settle
from benchmarks.table import Measured
from plugins.nexudus import link_runs, linking, matching
from plugins.nexudus.models import Connection, How, LinkRun, LinkState, MemberLink, SeenMember
from plugins.nexudus.session import turn

MISSING = 10  # every tenth customer is no member yet


def measure(sizes: Sizes, stages: Stages) -> Iterator[Measured]:
    yield _deciding(sizes.customers, stages)
    yield _whole_run(sizes.members, stages)


def _deciding(count: int, stages: Stages) -> Measured:
    with stages() as stage:
        connection = stage.connect(MeteredSandbox())
        insert(Customer, customer_rows(stage.cast, count))
        insert(SeenMember, _member_rows(connection, count))
        settle()

        begun = time.perf_counter()
        found = _decide_all(connection)
        product = time.perf_counter() - begun

        customers = db.session.execute(sa.select(Customer.id, Customer.email_key)).all()
        members = db.session.execute(sa.select(SeenMember.email_key, SeenMember.member_id)).all()
        begun = time.perf_counter()
        plain = Counter(member is not None for member in _by_dict(customers, members).values())
        yardstick = time.perf_counter() - begun
        assert found[LinkState.LINKED] == plain[True]
        assert found[LinkState.CREATING] == plain[False]
        del customers, members

        db.session.remove()
        tracemalloc.start()
        _decide_all(db.session.scalars(sa.select(Connection)).one())
        peak = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
    what = f"matching: decide {count:,} customers x {count:,} members"
    return Measured(what, product, "a dict of emails in memory", yardstick, count, f"peak {peak:.1f} MiB")


def _decide_all(connection: Connection) -> Counter[LinkState]:
    """Every decision of a run, in the batches that linking takes; nothing is written."""
    found: Counter[LinkState] = Counter()
    last = 0
    while True:
        waiting = matching.unmatched(connection).where(Customer.id > last).limit(linking.BATCH)
        customers = db.session.scalars(waiting).all()
        if not customers:
            return found
        found.update(one.state for one in matching.decide(connection, customers).values())
        last = customers[-1].id
        db.session.rollback()


def _whole_run(count: int, stages: Stages) -> Measured:
    """Listing, matching and creating, the sandbox's own time left out."""
    with stages() as stage:
        sandbox = MeteredSandbox()
        connection = stage.connect(sandbox)
        insert(Customer, customer_rows(stage.cast, count))
        sandbox.add_members(email_of(number) for number in range(count) if number % MISSING)
        yardstick = _bare_run(connection, count)

        with unit_of_work():
            link_runs.start(connection)
        sandbox.reset()
        begun = time.perf_counter()
        with turn(connection.id, 3600) as mine:
            assert mine is not None
            linking.work(mine)
        product = time.perf_counter() - begun - sandbox.wall_s
        run = db.session.scalars(sa.select(LinkRun).order_by(LinkRun.id.desc()).limit(1)).one()
        created = len(range(0, count, MISSING))
        assert run.counts == {**dict.fromkeys(run.counts, 0), "linked": count - created, "created": created}
    what = f"matching: whole run, {count:,} customers, {created:,} created"
    note = f"{len(sandbox.asked):,} requests; the sandbox took {sandbox.wall_s:.1f} s more"
    return Measured(what, product, "the dict, and two bulk inserts", yardstick, count, note)


def _bare_run(connection: Connection, count: int) -> float:
    """What must happen at least: members and links stored, decided by a dict."""
    begun = time.perf_counter()
    insert(SeenMember, _member_rows(connection, count))
    customers = db.session.execute(sa.select(Customer.id, Customer.email_key)).all()
    members = db.session.execute(sa.select(SeenMember.email_key, SeenMember.member_id)).all()
    insert(MemberLink, _link_rows(connection, _by_dict(customers, members)))
    spent = time.perf_counter() - begun
    db.session.rollback()
    with write_access(), db.engine.begin() as rows:
        for model in (MemberLink, SeenMember):
            rows.execute(sa.delete(model))
    return spent


def _by_dict(customers: Any, members: Any) -> dict[int, int | None]:
    by_email = dict(list(members))
    return {customer_id: by_email.get(email) for customer_id, email in customers}


def _member_rows(connection: Connection, count: int) -> Iterator[dict[str, Any]]:
    for number in range(count):
        email = email_of(number if number % MISSING else count + number)
        yield {"connection_id": connection.id, "member_id": 10**6 + number, "email": email, "email_key": email}


def _link_rows(connection: Connection, members: dict[int, int | None]) -> Iterator[dict[str, Any]]:
    for customer_id, member_id in members.items():
        yield {
            "account_id": connection.account_id,
            "connection_id": connection.id,
            "customer_id": customer_id,
            "state": LinkState.LINKED if member_id else LinkState.SKIPPED,
            "member_id": member_id,
            "how": How.BY_EMAIL,
        }
