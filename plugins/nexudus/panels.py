"""What the plugin draws on host pages: its block in Systems, a customer's panel, the column of the list."""

from collections.abc import Sequence

import sqlalchemy as sa
from flask import g, render_template
from markupsafe import Markup

from app import clock
from app.billing.models import Customer, CustomerStatus
from app.db import db
from app.installations.models import Installation
from app.work import About
from plugins.nexudus import (
    addresses,
    connecting,
    export_panels,
    export_reports,
    hooks,
    link_runs,
    links,
    listing_pages,
    runs,
)
from plugins.nexudus.by_hand import Found
from plugins.nexudus.forms import HookForm
from plugins.nexudus.listing_pages import CHIPS
from plugins.nexudus.models import Connection, LinkState, MemberLink


def systems_panel(installation: Installation, _row: object) -> str:
    """The plugin's part of its block: nothing before it is connected, then the facts and the ways on."""
    connection = connecting.current(installation)
    if connection is None:
        return ""
    return render_template("nexudus/_systems.html", **connected_facts(installation, connection))


def connected_facts(installation: Installation, connection: Connection) -> dict[str, object]:
    """Which business, since when, what the cut-over leaves behind, how invoices go and when."""
    run = link_runs.last_run(connection.id)
    return {
        "installation": installation,
        "connection": connection,
        "behind": connecting.left_behind(installation.account_id, g.account.currency, installation.cutover_at)
        if installation.cutover_at
        else None,
        "next_window": runs.next_opening(connection),
        "linked": listing_pages.state_counts(connection).get(LinkState.LINKED, 0),
        "not_connected": listing_pages.not_connected(connection),
        "run": run,
        "progress": link_runs.progress(run) if run and run.ended_at is None else None,
        "how_invoices_arrive": Markup(export_panels.how_invoices_arrive(connection)),  # noqa: S704  # rendered template
        "hook_form": HookForm(formdata=None),
        "hook_address": hooks.address_of(connection),
        "business_url": addresses.remote_business_url(connection),
    }


def left_behind_now(installation: Installation) -> connecting.LeftBehind:
    """What connecting at this moment would leave to default billing."""
    return connecting.left_behind(installation.account_id, g.account.currency, installation.cutover_at or clock.now())


def what_ends(installation: Installation) -> dict[str, int]:
    """What disconnecting or switching off stops: links in use and invoices on their way."""
    connection = connecting.current(installation)
    if connection is None:
        return {"links": 0, "waiting": 0}
    return {
        "links": listing_pages.state_counts(connection).get(LinkState.LINKED, 0),
        "waiting": export_reports.counts(connection)["waiting"],
    }


def before_switching_off(installation: Installation) -> str:
    """What the question says before the toggle goes off; "" when there is nothing to lose."""
    will = what_ends(installation)
    if connecting.current(installation) is None:
        return ""
    links = "1 link stays" if will["links"] == 1 else f"{will['links']} links stay"
    waiting = {0: "No invoice waits", 1: "1 waiting invoice is collected here from now on"}.get(
        will["waiting"], f"{will['waiting']} waiting invoices are collected here from now on"
    )
    return f"Nexudus is signed out. {links} as history without effect until you connect again. {waiting}."


def member_panel(
    installation: Installation,
    customer: Customer,
    *,
    found: Found | None = None,
    text: str | None = None,
    problem: str = "",
    question: str = "",
    member_id: int | None = None,
) -> str:
    """Which member the customer is, or the search for one."""
    connection = connecting.current(installation)
    if connection is None:
        return ""
    link = links.link_of(connection, customer.id)
    member = None
    if link is not None and link.member_id is not None:
        member = links.seen_member(connection, link.member_id)
    return render_template(
        "nexudus/_member_panel.html",
        customer=customer,
        connection=connection,
        link=link,
        chip_state=CHIPS[link.state] if link else ("not_linked"),
        member=member,
        member_url=addresses.remote_member_url(connection, link.member_id) if link and link.member_id else None,
        searches=link is None
        or link.state in {LinkState.CHOICE, LinkState.SKIPPED, LinkState.GONE, LinkState.TOMORROW},
        is_active=customer.status == CustomerStatus.ACTIVE,
        found=found,
        text=customer.email if text is None else text,
        problem=problem,
        question=question,
        member_id=member_id,
    )


def customer_cells(installation: Installation, ids: Sequence[int]) -> dict[int, Markup]:
    """The state of linking of every customer of a list page."""
    connection = connecting.current(installation)
    if connection is None:
        return {}
    states = dict(
        db.session.execute(
            sa.select(MemberLink.customer_id, MemberLink.state).where(
                MemberLink.connection_id == connection.id, MemberLink.customer_id.in_(ids)
            )
        ).all()
    )
    drawn = {state: export_panels.drawn_chip("member_link", word) for state, word in CHIPS.items()}
    none = export_panels.drawn_chip("member_link", "not_linked")
    return {customer_id: drawn[states[customer_id]] if customer_id in states else none for customer_id in ids}


def choices_waiting(installation: Installation) -> tuple[int, str]:
    """How many customers wait for a person's choice, for the menu."""
    connection = connecting.current(installation)
    if connection is None:
        return 0, ""
    count = listing_pages.state_counts(connection).get(LinkState.CHOICE, 0)
    return count, "ask" if count else ""


def describe_connection(connection: Connection) -> About:
    """A connection in the words of the job list."""
    return About(f"Connection to {connection.business_name}", "installations.systems")
