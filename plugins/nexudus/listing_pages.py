"""What the members page and the question before a run show, from stored rows."""

from dataclasses import dataclass

import sqlalchemy as sa
from flask import url_for
from flask_sqlalchemy.pagination import Pagination
from sqlalchemy.orm import contains_eager, joinedload

from app.billing.models import Customer, CustomerStatus
from app.db import db
from app.errors import NotFound
from app.memo import once_a_page
from plugins.nexudus import link_runs, matching
from plugins.nexudus.addresses import remote_member_url
from plugins.nexudus.models import Connection, LinkRun, LinkState, MemberLink

PER_PAGE = 50
CHIPS = {
    LinkState.LINKED: "linked",
    LinkState.CHOICE: "needs_choice",
    LinkState.CREATING: "looking",
    LinkState.TOMORROW: "tomorrow",
    LinkState.SKIPPED: "not_linked",
    LinkState.BILLED_HERE: "billed_here",
    LinkState.GONE: "member_gone",
}
TABS = (
    ("linked", "Linked", (LinkState.LINKED,)),
    ("choice", "Need a choice", (LinkState.CHOICE,)),
    ("tomorrow", "Created later", (LinkState.TOMORROW, LinkState.CREATING)),
    ("skipped", "Skipped", (LinkState.SKIPPED,)),
    ("gone", "Member gone", (LinkState.GONE,)),
    ("billed_here", "Billed here", (LinkState.BILLED_HERE,)),
    ("not_linked", "Not connected", ()),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One customer on the members page; `link` is None when nobody looked yet."""

    customer: Customer
    link: MemberLink | None


def members_page(connection: Connection, show: str, page: int) -> dict[str, object]:
    """Counts per state, one page of customers in one of them, and the newest run."""
    states = next((states for key, _, states in TABS if key == show), None)
    if states is None:
        raise NotFound
    run = link_runs.last_run(connection.id)
    counts = state_counts(connection)
    tabs = [(key, label, sum(counts.get(state, 0) for state in of)) for key, label, of in TABS[:-1]]
    tabs.append(("not_linked", TABS[-1][1], not_connected(connection)))
    listed = _linked_rows(connection, states, page) if states else _not_connected_rows(connection, page)
    return {
        "connection": connection,
        "chips": CHIPS,
        "member_url": remote_member_url,
        "show": show,
        "tabs": [
            {"label": label, "count": count, "url": url_for(".members", show=key), "current": key == show}
            for key, label, count in tabs
            if count or key in {"linked", show}
        ],
        "listed": listed,
        "run": run,
        "progress": link_runs.progress(run) if run and run.ended_at is None else None,
        "new_members": _created_in(run) if run and run.ended_at else [],
    }


def plan(connection: Connection) -> dict[str, object]:
    """What pressing "Connect members" will look at: how many are linked, open, and decided by a person."""
    counts = state_counts(connection)
    return {
        "connection": connection,
        "open": db.session.scalar(
            sa.select(sa.func.count()).select_from(matching.unmatched(connection).order_by(None).subquery())
        ),
        "linked": counts.get(LinkState.LINKED, 0),
        "billed_here": counts.get(LinkState.BILLED_HERE, 0),
        "run": link_runs.open_run(connection.id),
    }


@once_a_page
def state_counts(connection: Connection) -> dict[LinkState, int]:
    """How many customers are in each state of linking."""
    rows = db.session.execute(
        sa.select(MemberLink.state, sa.func.count())
        .where(MemberLink.connection_id == connection.id)
        .group_by(MemberLink.state)
    )
    return {row[0]: row[1] for row in rows}


def not_connected(connection: Connection) -> int:
    """Active customers who are billed here because no member is linked to them."""
    linked = sa.select(MemberLink.customer_id).where(
        MemberLink.connection_id == connection.id, MemberLink.state == LinkState.LINKED
    )
    return int(
        db.session.scalar(
            sa.select(sa.func.count()).where(
                Customer.account_id == connection.account_id,
                Customer.status == CustomerStatus.ACTIVE,
                Customer.id.not_in(linked),
            )
        )
        or 0
    )


def _linked_rows(connection: Connection, states: tuple[LinkState, ...], page: int) -> Pagination:
    query = (
        sa.select(MemberLink)
        .join(Customer, Customer.id == MemberLink.customer_id)
        .where(MemberLink.connection_id == connection.id, MemberLink.state.in_(states))
        .options(contains_eager(MemberLink.customer))
        .order_by(Customer.name_key, Customer.id)
    )
    found = db.paginate(query, page=page, per_page=PER_PAGE, error_out=False)
    found.items = [Row(link.customer, link) for link in found.items]
    return found


def _not_connected_rows(connection: Connection, page: int) -> Pagination:
    links = sa.and_(MemberLink.customer_id == Customer.id, MemberLink.connection_id == connection.id)
    query = (
        sa.select(Customer)
        .outerjoin(MemberLink, links)
        .where(
            Customer.account_id == connection.account_id,
            Customer.status == CustomerStatus.ACTIVE,
            sa.or_(MemberLink.id.is_(None), MemberLink.state != LinkState.LINKED),
        )
        .order_by(Customer.name_key, Customer.id)
    )
    found = db.paginate(query, page=page, per_page=PER_PAGE, error_out=False)
    ids = [customer.id for customer in found.items]
    rows = db.session.scalars(
        sa.select(MemberLink).where(MemberLink.connection_id == connection.id, MemberLink.customer_id.in_(ids))
    )
    by_customer = {row.customer_id: row for row in rows}
    found.items = [Row(customer, by_customer.get(customer.id)) for customer in found.items]
    return found


def _created_in(run: LinkRun) -> list[MemberLink]:
    """Members that a run made, newest first, as many as a page holds."""
    return list(
        db.session.scalars(
            sa.select(MemberLink)
            .where(MemberLink.run_id == run.id, MemberLink.how == "created")
            .options(joinedload(MemberLink.customer))
            .order_by(MemberLink.id.desc())
            .limit(PER_PAGE)
        )
    )
