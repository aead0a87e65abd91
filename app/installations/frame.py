"""What the frame around every staff page shows: menus, the heartbeat, and what stops work."""

from dataclasses import dataclass
from functools import partial

import structlog
from flask import Flask, g, has_request_context, request, url_for
from flask_login import current_user

from app.access import OFFICE, OPERATORS, Role
from app.accounts.models import Account, User
from app.clock import local
from app.db import end_reading
from app.faults import spared
from app.htmx import page_path
from app.installations.models import Installation, InstallationState
from app.installations.services import active_installations
from app.payments.gateways import gateway_of
from app.plugin import MenuEntry
from app.problems import services as problems
from app.work import silent_since

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a menu."""

    label: str
    url: str
    current: bool = False
    count: int | None = None
    count_kind: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    title: str | None
    entries: list[Entry]


@dataclass(frozen=True, slots=True)
class Heartbeat:
    ok: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class Strip:
    """A red band on every page: one sentence, one button."""

    sentence: str
    label: str
    url: str


@dataclass(frozen=True, slots=True)
class Bell:
    """How many causes wait for whoever looks, and where they stand."""

    count: int
    url: str


@dataclass(frozen=True, slots=True)
class Frame:
    account: Account | None  # None on pages of the server itself
    user: User
    role_label: str
    menu: list[Group]
    name_menu: list[Entry]
    accounts: list[Entry]
    bottom: list[Entry]
    heartbeat: Heartbeat
    strips: list[Strip]
    marketplace_url: str | None
    search_url: str | None
    sign_out_url: str
    bell: Bell | None = None
    help_url: str | None = None


def init_app(app: Flask) -> None:
    app.context_processor(lambda: {"frame": current_frame()})


def current_frame() -> Frame | None:
    """The frame of this request, or None for visitors; made once per request."""
    if not has_request_context():
        return None
    if "frame" not in g:
        g.frame = _frame_of_failure() if g.get("failing") else _frame_here()
    frame: Frame | None = g.frame
    return frame


def _frame_here() -> Frame | None:
    if g.get("membership"):
        return _frame()
    return _frame_of_server() if g.get("looks_after_server") else None


def _frame_of_failure() -> Frame | None:
    """The frame around an error page: whatever broke the page must not break this one too."""
    if request.path.startswith("/portal/"):
        return None  # a customer's page, also for staff who look at it
    try:
        end_reading()
        if g.get("looks_after_server"):
            return _frame_of_server()
        if g.get("membership") is None and not _enter_some_account():
            return None
        return _frame()
    except Exception:
        log.exception("no_frame", path=request.path)
        return None


def _enter_some_account() -> bool:
    """An address that leads nowhere still belongs to somebody: to the account it names, else to their first."""
    if not current_user.is_authenticated or not current_user.memberships:
        return False
    slug = request.path.split("/")[1]
    mine = current_user.memberships
    g.membership = next((one for one in mine if one.account.slug == slug), mine[0])
    g.account = g.membership.account
    g.account_slug = g.account.slug
    return True


def _frame() -> Frame:
    account, role = g.account, g.membership.role
    menu = [*_host_groups(role), *_plugin_groups(role), Group("Account", _account_entries(role))]
    menu = [group for group in menu if group.entries]
    entries = [entry for group in menu for entry in group.entries]
    return Frame(
        account=account,
        user=current_user,
        role_label=role.label,
        menu=menu,
        name_menu=[_entry("Your profile", "accounts.profile"), *_business_entries(role), *_server_entries()],
        accounts=_other_accounts(),
        bottom=entries[:3],
        heartbeat=_heartbeat(account.timezone),
        strips=_strips(role),
        marketplace_url=url_for("installations.marketplace"),
        search_url=url_for("billing.customers") if role in OFFICE else None,
        sign_out_url=url_for("accounts.sign_out"),
        bell=Bell(len(problems.shown_here()), url_for("problems.list_problems")),
    )


def _frame_of_server() -> Frame:
    """Around the pages of whoever looks after this server: they belong to no account."""
    entries = _server_entries()
    return Frame(
        account=None,
        user=current_user,
        role_label="Instance administrator",
        menu=[Group("Server", entries)],
        name_menu=[],
        accounts=_other_accounts(),
        bottom=entries,
        heartbeat=_heartbeat("UTC"),
        strips=[],
        marketplace_url=None,
        search_url=None,
        sign_out_url=url_for("accounts.sign_out"),
    )


def _entry(label: str, endpoint: str, below: str | None = None) -> Entry:
    """An entry; it is the current one on its own address and on those below it."""
    url, path = url_for(endpoint), page_path()
    return Entry(label, url, current=path == url or path.startswith(below or url + "/"))


def _host_groups(role: Role) -> list[Group]:
    if role not in OFFICE:
        return [Group(None, [_entry("Home", "accounts.home", below="//")])]
    operations = [_entry("Customers", "billing.customers"), _entry("Invoices", "billing.invoices")]
    return [Group(None, [_entry("Today", "dashboard.today")]), Group("Operations", operations)]


def _account_entries(role: Role) -> list[Entry]:
    if role not in OFFICE:
        return []
    return [_entry("Activity", "activity.background"), _entry("Business settings", "accounts.settings")]


def _business_entries(role: Role) -> list[Entry]:
    """What the business's name leads to; the rail holds the places of every day."""
    if role not in OFFICE:
        return []
    return [_entry("Locations", "billing.locations"), _entry("Business settings", "accounts.settings")]


def _server_entries() -> list[Entry]:
    return [_entry("Background jobs", "jobs.overview")] if current_user.is_instance_admin else []


def _plugin_groups(role: Role) -> list[Group]:
    groups = []
    for plugin, installation in active_installations(g.account.id):
        entries = []
        for item in plugin.menu:
            if role in item.roles:
                entry = _entry(item.label, f"{plugin.name}.{item.endpoint.lstrip('.')}")
                count, kind = _counted(plugin.name, item, installation)
                entries.append(Entry(entry.label, entry.url, entry.current, count or None, kind))
        groups.append(Group(plugin.menu_title or plugin.title, entries))
    return groups


def _counted(plugin: str, item: MenuEntry, installation: Installation) -> tuple[int, str]:
    return spared(plugin, item.label, partial(item.count, installation), (0, "")) if item.count else (0, "")


def _other_accounts() -> list[Entry]:
    return [
        Entry(one.account.name, url_for("accounts.home", account_slug=one.account.slug))
        for one in current_user.memberships
        if g.get("account") is None or one.account_id != g.account.id
    ]


def _heartbeat(zone: str) -> Heartbeat:
    since = silent_since()
    if since is None:
        return Heartbeat(True, "Background work runs")
    return Heartbeat(False, f"Waiting for a worker since {local(since, zone):%H:%M}")


def _strips(role: Role) -> list[Strip]:
    gateway = gateway_of(g.account.id)
    broken = []
    if gateway is not None and gateway.needs_attention and role in OPERATORS:
        broken = [Strip(f"{gateway.problem} Nothing is charged.", "Replace the key", url_for("payments.new_key"))]
    return broken + [
        Strip(
            installation.problem,
            "Sign in again…" if role in plugin.connect_roles else "Who can",
            url_for(f"{plugin.name}.{plugin.connect.lstrip('.')}")
            if plugin.connect and role in plugin.connect_roles
            else url_for("installations.marketplace"),
        )
        for plugin, installation in active_installations(g.account.id)
        if installation.state == InstallationState.ATTENTION
    ]
