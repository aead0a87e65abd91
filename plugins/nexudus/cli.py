"""Commands of the plugin; they run the same services on the same rows as the pages and the workers."""

from typing import Any

import click
import sqlalchemy as sa

from app.accounts.services import account_by_slug
from app.billing.models import Customer
from app.command import answers, from_stdin
from app.db import db, end_reading, unit_of_work
from app.errors import InvalidInput, NotFound
from app.installations import services as installations
from app.installations.models import Installation
from plugins.nexudus import connecting, export_cli, foreground, link_runs, linking, listing_pages, matching
from plugins.nexudus.links import PLUGIN
from plugins.nexudus.models import Connection, Issue, LinkRun, LinkState, MemberLink, SeenMember, Writer
from plugins.nexudus.session import door
from plugins.nexudus.signing_in import exchange_password

CONNECT_S = 30
LONGEST_WAIT_S = 120


@click.group("nexudus")
def commands() -> None:
    """Nexudus: members and invoices over there."""


@commands.command("connect")
@click.option("--account", "slug", required=True)
@click.option("--email", required=True, help="Email of the Nexudus user.")
@click.option("--totp", default=None, help="One-time code, when that user has two-factor sign-in.")
@click.option("--writer", type=click.Choice([one.value for one in Writer]), default=Writer.AUTO.value)
@click.option("--issue", type=click.Choice([one.value for one in Issue]), default=None)
@answers
def connect(slug: str, email: str, totp: str | None, writer: str, issue: str | None) -> dict[str, Any]:
    """Switch the plugin on and connect; the Nexudus password is read from standard input."""
    password = from_stdin("Nexudus password")
    if issue == Issue.DRAFT.value and writer == Writer.PRODUCT_SALE.value:
        raise InvalidInput("Product sales cannot be drafts. Use --issue issued, or another --writer.", field="issue")
    with unit_of_work():
        account = account_by_slug(slug)
        installation_id = installations.switch(account, PLUGIN, on=True).id
    end_reading()
    way, client_id = door(CONNECT_S), connecting.new_client_id()
    tokens = exchange_password(way, email, password, client_id, totp, CONNECT_S)
    found = connecting.discover(way, tokens)
    way_of_writing = Writer(writer)
    if way_of_writing == Writer.DOCUMENT and not found.documents_routed:
        raise InvalidInput("This Nexudus does not take whole invoices; product sales work.", field="writer")
    if way_of_writing == Writer.AUTO and issue == Issue.DRAFT.value and not found.documents_routed:
        raise InvalidInput(
            "This Nexudus takes product sales only, and they cannot be drafts. Use --issue issued.", field="issue"
        )
    with unit_of_work() as session:
        installation = session.get_one(Installation, installation_id)
        connection = connecting.connect(
            installation,
            found,
            connecting.SignIn(email, client_id, tokens),
            writer=way_of_writing,
            issue=Issue(issue or Issue.DRAFT.value),
            by="command line",
        )
        return {
            "connected": True,
            "business": connection.business_name,
            "writer": connection.way.value,
            "cutover": installation.cutover_at.isoformat() if installation.cutover_at else None,
        }


@commands.command("link")
@click.option("--account", "slug", required=True)
@click.option("--dry-run", is_flag=True, help="Say what a run would do, from the last listing; change nothing.")
@answers
def link(slug: str, dry_run: bool) -> dict[str, Any]:
    """Connect members, run to its end in the foreground."""
    connection_id = export_cli.connection_of(slug).id
    if dry_run:
        return _planned(db.session.get_one(Connection, connection_id))
    with unit_of_work() as session:
        run_id = link_runs.start(session.get_one(Connection, connection_id), "command line").id
    foreground.to_the_end(connection_id, linking.work, lambda: link_runs.open_run(connection_id) is None)
    run = db.session.get_one(LinkRun, run_id)
    skipped = db.session.execute(
        sa.select(Customer.email, MemberLink.reason)
        .join(MemberLink, MemberLink.customer_id == Customer.id)
        .where(MemberLink.run_id == run_id, MemberLink.state == LinkState.SKIPPED)
    )
    return {
        "matched": run.counts["linked"],
        "created": run.counts["created"],
        "ambiguous": run.counts["choice"],
        "skipped": [{"customer": email, "reason": reason} for email, reason in skipped],
        "waiting": run.counts["tomorrow"],
    }


@commands.command("links")
@click.option("--account", "slug", required=True)
@answers
def links(slug: str) -> dict[str, Any]:
    """Which customer is which member."""
    rows = db.session.execute(
        sa.select(Customer.email, MemberLink.member_id, MemberLink.how, MemberLink.since)
        .join(Customer, Customer.id == MemberLink.customer_id)
        .where(MemberLink.connection_id == export_cli.connection_of(slug).id, MemberLink.state == LinkState.LINKED)
        .order_by(Customer.name_key, Customer.id)
    )
    return {
        "links": [
            {"email": email, "member": member, "how": how.value if how else "", "since": since.isoformat()}
            for email, member, how, since in rows
        ]
    }


@commands.command("status")
@click.option("--account", "slug", required=True)
@answers
def status(slug: str) -> dict[str, Any]:
    """How the connection, its links and its exports stand."""
    account = account_by_slug(slug)
    installation = installations.installation_of(account.id, PLUGIN)
    connection = connecting.current(installation) if installation else None
    if installation is None or connection is None:
        state = installation.state.value if installation else "off"
        return {"state": state, "links": {}, "exports": {}, "next_window": None, "last_run": None}
    return {
        "state": installation.state.value,
        "links": {state.value: count for state, count in listing_pages.state_counts(connection).items()},
        **export_cli.status(connection),
    }


commands.add_command(export_cli.export)


def _planned(connection: Connection) -> dict[str, Any]:
    customers = db.session.scalars(matching.unmatched(connection)).all()
    if db.session.scalar(sa.select(SeenMember.id).where(SeenMember.connection_id == connection.id).limit(1)) is None:
        raise NotFound("The members were never listed, so nothing can be said beforehand. Run it without --dry-run.")
    words = [decision.state for decision in matching.decide(connection, customers).values()]
    return {
        "matched": words.count(LinkState.LINKED),
        "created": words.count(LinkState.CREATING),
        "ambiguous": words.count(LinkState.CHOICE),
        "skipped": [],
        "waiting": 0,
    }
