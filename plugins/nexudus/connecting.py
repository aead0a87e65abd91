"""Connecting an account to a Nexudus business, keeping the sign-in alive, and letting go of it."""

import secrets
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from app import audit, clock
from app.billing.customers import set_billed_by_for_all
from app.billing.models import Invoice, InvoiceStatus
from app.db import db
from app.errors import Conflict, Refused, SignInNeeded
from app.http import Door
from app.installations import services as installations
from app.installations.models import Installation
from app.memo import once_a_page
from app.money import Money
from app.plugin import State
from plugins.nexudus import link_runs, runs
from plugins.nexudus.client import Nexudus
from plugins.nexudus.links import PLUGIN
from plugins.nexudus.models import BILLED_THERE, Connection, Issue, LinkState, MemberLink, Writer
from plugins.nexudus.session import REFRESH_AFTER, Turn, keep_tokens, pause
from plugins.nexudus.signing_in import Tokens


@dataclass(frozen=True, slots=True)
class Discovery:
    """What a fresh sign-in may reach, found out without writing anything there."""

    business_id: int
    business_name: str
    web_address: str
    currency: str
    currency_id: int
    documents_routed: bool
    probe_note: str


@dataclass(frozen=True, slots=True)
class SignIn:
    """A password exchanged for tokens: whose, and under which client id."""

    email: str
    client_id: str
    tokens: Tokens


class FreshTokens:
    """The tokens of a sign-in that is not stored yet; too young to be renewed."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def access(self) -> str:
        return self._tokens.access

    def renew(self, refused: str) -> str:
        raise SignInNeeded(
            "This user may not use the API. Switch on “API access” for it in Nexudus, then try again.",
            code="no_api_access",
        )


class NoBudget:
    """Connecting asks a few dozen questions at most; the budget on the row begins with the connection."""

    def before(self, kind: str) -> None:
        pause()


def discover(door: Door, tokens: Tokens) -> Discovery:
    """Ask what this user may do and how invoices can be written; raises the `Outside` error that stands in the way."""
    remote = Nexudus(door, FreshTokens(tokens), NoBudget())
    me = remote.me()
    remote.check_rights()
    if me.default_business_id is None and not me.businesses:
        raise Refused("This user belongs to no location in Nexudus. Give it one there, then try again.")
    business = remote.business(me.default_business_id or me.businesses[0])
    remote.check_look_ups()
    probe = remote.accepts_documents()
    return Discovery(
        business_id=business.id,
        business_name=business.name,
        web_address=business.web_address,
        currency=business.currency,
        currency_id=business.currency_id or remote.currency_id(business.currency),
        documents_routed=probe.routed,
        probe_note=probe.note,
    )


def connect(
    installation: Installation,
    found: Discovery,
    sign_in: SignIn,
    *,
    writer: Writer = Writer.AUTO,
    issue: Issue = Issue.DRAFT,
    may_add_products: bool = True,
    by: str = "",
) -> Connection:
    """Store a sign-in and start linking, inside the unit of work around the caller.

    Signing in again at the same business keeps links and cut-over; another business, or the first connect after
    the plugin was switched on, sets a new cut-over and starts without links.
    """
    old = current(installation)
    connection = db.session.scalar(
        sa.select(Connection).where(
            Connection.installation_id == installation.id, Connection.business_id == found.business_id
        )
    )
    is_new_start = installation.cutover_at is None or old is None or old.business_id != found.business_id
    if old is not None and old is not connection:
        _end(old)
        db.session.flush()
    if connection is None:
        connection = Connection(
            account_id=installation.account_id,
            installation_id=installation.id,
            business_id=found.business_id,
            writer=writer,
            issue=issue,
        )
        db.session.add(connection)
    connection.business_name, connection.web_address = found.business_name, found.web_address
    connection.currency, connection.currency_id = found.currency, found.currency_id
    connection.documents_routed, connection.probe_note = found.documents_routed, found.probe_note
    connection.probed_at = clock.now()
    connection.email, connection.client_id = sign_in.email, sign_in.client_id
    connection.ended_at, connection.failing_since, connection.problem, connection.attempts = None, None, "", 0
    if is_new_start:
        connection.connected_at = clock.now()
        connection.writer, connection.issue, connection.may_add_products = writer, issue, may_add_products
    connection.due_at, connection.nudged_at = clock.now(), None
    _interrupt(connection)
    db.session.flush()
    keep_tokens(connection, sign_in.tokens)
    installations.connected(installation, clock.now() if is_new_start else None)
    if is_new_start:
        _bill_the_linked(connection)
    audit.record("connected", connection, actor=by or None, business=found.business_name, new_start=is_new_start)
    link_runs.start(connection, by)
    return connection


def new_client_id() -> str:
    """Ours alone, so that no other tool of the same Nexudus user ends our refresh token."""
    return f"spheremail-{secrets.token_hex(12)}"


def current(installation: Installation) -> Connection | None:
    """The connection in use; ended ones are history."""
    return connection_of_installation(installation.id)


class NotConnected(Conflict):
    """A page that needs the connection was asked for before there is one."""

    title = "Not connected"


def needed(installation: Installation) -> Connection:
    """The connection in use, or `NotConnected`."""
    connection = current(installation)
    if connection is None:
        raise NotConnected("Nexudus is switched on, but not connected.")
    return connection


@once_a_page
def connection_of_installation(installation_id: int) -> Connection | None:
    """The connection in use of an installation."""
    return db.session.scalar(
        sa.select(Connection).where(Connection.installation_id == installation_id, Connection.ended_at.is_(None))
    )


def in_use(connection_id: int) -> Connection | None:
    """The connection while it is in use and its installation can work, else None."""
    connection = db.session.get(Connection, connection_id)
    if connection is None or connection.ended_at is not None or not connection.installation.works:
        return None
    return connection


def switched_off(installation: Installation) -> None:
    """The Operator switched the plugin off: work stops, the sign-in is forgotten, links and history stay."""
    connection = current(installation)
    if connection is not None:
        _end(connection)
    set_billed_by_for_all(installation.account, PLUGIN, sa.select(MemberLink.customer_id).where(sa.false()))


def let_go(installation: Installation) -> None:
    """Give the connection up and leave the plugin on: as switching off, but Connect stays."""
    switched_off(installation)
    installations.disconnected(installation)


def _interrupt(connection: Connection) -> None:
    """A worker in the middle of a slice loses its lease here: it sends nothing more and undoes nothing of this."""
    connection.lease_token = connection.lease_until = None


def _end(connection: Connection) -> None:
    connection.ended_at, connection.due_at = clock.now(), None
    _interrupt(connection)
    connection.access_token = connection.refresh_token = connection.hook_secret = None
    run = link_runs.open_run(connection.id)
    if run is not None:
        run.ended_at, run.counts = clock.now(), link_runs.counts(run)
    runs.let_go(connection)
    audit.record("disconnected", connection, business=connection.business_name)


def _bill_the_linked(connection: Connection) -> None:
    """Links kept from before count again from now on; nobody else is billed by the plugin."""
    linked = sa.select(MemberLink.customer_id).where(
        MemberLink.connection_id == connection.id, MemberLink.state.in_(BILLED_THERE)
    )
    set_billed_by_for_all(connection.installation.account, PLUGIN, linked)


def keep_alive(turn: Turn) -> datetime | None:
    """Exchange tokens that grow old, so that a quiet connection does not die; answers when that is next."""
    connection = db.session.get_one(Connection, turn.connection_id)
    if connection.tokens_at is None:
        return None
    due = connection.tokens_at + REFRESH_AFTER
    if clock.now() < due:
        return due
    db.session.rollback()
    turn.tokens.renew(turn.tokens.access())
    return None


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """Pending invoices that a cut-over leaves to the host's own billing."""

    count: int
    total: Money


def left_behind(account_id: int, currency: str, cutover_at: datetime) -> LeftBehind:
    """Number and sum of the pending invoices created up to `cutover_at`, in the account's currency."""
    count, total = db.session.execute(
        sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(Invoice.total_minor), 0)).where(
            Invoice.account_id == account_id,
            Invoice.status == InvoiceStatus.PENDING,
            Invoice.currency == currency,
            Invoice.created_at <= cutover_at,
        )
    ).one()
    return LeftBehind(int(count), Money(int(total), currency))


def state_of(installation: Installation) -> State:
    """What Marketplace and Systems show: a word and one line of facts."""
    connection = current(installation)
    if connection is None:
        return State("not_set_up", "On, but not connected: nothing is linked or handed over yet.")
    if not installation.works:
        return State("attention", installation.problem)
    linked = db.session.scalar(
        sa.select(sa.func.count()).where(
            MemberLink.connection_id == connection.id, MemberLink.state == LinkState.LINKED
        )
    )
    customers = "1 customer is" if linked == 1 else f"{linked} customers are"
    return State("connected", f"{connection.business_name}. {customers} linked.")
