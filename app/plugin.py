"""The plugin contract on one page: what a plugin declares and what the host keeps of it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from typing import Any, Literal

from click import Group
from flask import Blueprint, Flask, current_app
from markupsafe import Markup

from app.access import OFFICE, OPERATORS, Allowed
from app.charts import Chart
from app.events import Event
from app.work import Describe

Place = Literal["customer", "invoice", "systems"]
ListPlace = Literal["customers", "invoices"]
HOST = "SphereMail"
Tone = Literal["", "there", "good", "stop", "ink"]


@dataclass(frozen=True, slots=True)
class State:
    """What Marketplace and Systems show of an installation: a state word and one line of facts."""

    word: Literal["off", "not_set_up", "connected", "attention", "paused"]
    sentence: str


@dataclass(frozen=True, slots=True)
class Panel:
    """A plugin's place on a host page. `draw(installation, row)` answers HTML from stored rows, or "" for none.

    `systems` panels get the installation as their row.
    """

    place: Place
    draw: Callable[[Any, Any], str]


@dataclass(frozen=True, slots=True)
class Tab:
    """A plugin's tab on a customer's record, with an address of its own there (its `name` ends it).

    `draw(installation, customer)` answers its HTML; `count(installation, customer)` how much is in it.
    """

    name: str
    label: str
    draw: Callable[[Any, Any], str]
    count: Callable[[Any, Any], int] | None = None


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of a customer's timeline: when, what (a link where `url` is said), why, and how it is dressed."""

    at: datetime
    what: str
    why: str = ""
    icon: str = "info"
    tone: Tone = ""
    amount: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class TimelinePart:
    """What a plugin knows of a customer's past; `name` and `label` are its filter there.

    `moments(installation, customer, until, most)` answers at most `most`, none after `until`, newest first and in an
    order that is the same each time, by one query of stored rows.
    """

    name: str
    label: str
    moments: Callable[[Any, Any, datetime, int], Sequence[Moment]]


@dataclass(frozen=True, slots=True)
class Column:
    """A plugin's column in a host list. `cells(installation, ids)` answers the HTML of every id in one go."""

    place: ListPlace
    title: str
    cells: Callable[[Any, Sequence[int]], Mapping[int, Markup]]


@dataclass(frozen=True, slots=True)
class MenuEntry:
    """An entry of the plugin's group of the menu; shown to `roles` while the installation is on.

    `count(installation)` answers (how many wait, "" or "ask" or "stop"); None shows no count.
    """

    label: str
    endpoint: str
    roles: Allowed
    count: Callable[[Any], tuple[int, str]] | None = None


@dataclass(frozen=True, slots=True)
class DueRows:
    """Rows that ask for background work: the model (with `Due` columns) and the job that works on one row.

    For whoever looks at the jobs, `describe(row)` puts a row in words, and `deed` says what the job does with it; a
    job whose name says that needs none.
    """

    model: type
    job: Callable[[int], None]
    describe: Describe | None = None
    deed: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """What waits for a person, one cause at a time: how many, what it means, and the page on which it is mended.

    `kind` is "stop" where work stands still and "ask" where somebody has to choose. Only `roles` are shown it.
    """

    cause: str  # names it among its owner's
    kind: Literal["stop", "ask"]
    count: int
    title: str
    meaning: str
    label: str  # on the button
    endpoint: str
    values: Mapping[str, Any] = field(default_factory=dict)
    roles: Allowed = OFFICE
    since: datetime | None = None
    amount: str = ""


@dataclass(frozen=True, slots=True)
class Coming:
    """What happens next by itself: when, how much, and where a person sees more. Only `roles` are shown it."""

    at: datetime
    title: str
    figure: str
    sentence: str
    label: str
    endpoint: str
    values: Mapping[str, Any] = field(default_factory=dict)
    roles: Allowed = OFFICE


@dataclass(frozen=True, slots=True)
class Gauge:
    """A figure of the whole server for `/metrics`: samples are (values of the labels, figure).

    Labels never hold the name of an account or a person.
    """

    name: str
    help: str
    labels: tuple[str, ...]
    samples: Sequence[tuple[Sequence[str], float]]


# `delete(model, old)` deletes the rows of a model that are old, in pieces, and answers how many.
Delete = Callable[[Any, Any], int]


@dataclass(frozen=True, slots=True)
class Plugin:
    """One plugin's declaration."""

    name: str  # also folder, blueprint and table prefix
    path: str  # mounted at /<account>/<path>/
    title: str
    summary: str
    pages: Blueprint
    state: Callable[[Any], State]
    hooks: Blueprint | None = (
        None  # for other systems, at /webhooks/<path>/; their callers prove who they are themselves
    )
    connect: str | None = None  # the endpoint behind the Connect button
    connect_roles: Allowed = OPERATORS
    menu: tuple[MenuEntry, ...] = ()
    menu_title: str = ""  # what its group of the menu is called, when not like the plugin
    panels: tuple[Panel, ...] = ()
    columns: tuple[Column, ...] = ()
    tabs: tuple[Tab, ...] = ()
    timeline: tuple[TimelinePart, ...] = ()
    # What waits for a person in an installation, from stored rows; asked on every page, so a few indexed queries.
    problems: Callable[[Any], Sequence[Problem]] | None = None
    # For the page of the day: what comes next, and how things stand; both from stored rows.
    coming: Callable[[Any], Sequence[Coming]] | None = None
    charts: Callable[[Any], Sequence[Chart]] | None = None
    # Of the whole server, over all accounts: figures for `/metrics`, and what may go every night.
    gauges: Callable[[], Sequence[Gauge]] | None = None
    prune: Callable[[Delete], Mapping[str, int]] | None = None
    hears: Mapping[type[Event], Callable[..., None]] = field(default_factory=dict)
    due: tuple[DueRows, ...] = ()
    jobs: tuple[Callable[..., None], ...] = ()
    queue: str = "default"
    commands: Group | None = None
    # Told inside the unit of work in which an Operator switches the plugin off.
    switched_off: Callable[[Any], None] | None = None
    # A sentence said before switching off: what will happen.
    before_switching_off: Callable[[Any], str] | None = None


class Registry:
    """The plugins of this process, by name, in the order of the settings."""

    def __init__(self, plugins: Iterable[Plugin] = ()) -> None:
        self.plugins = {plugin.name: plugin for plugin in plugins}

    @classmethod
    def load(cls, names: Iterable[str]) -> "Registry":
        """Import `plugins.<name>` for each name and take its `plugin`; a bad declaration stops the start."""
        found = []
        for name in names:
            plugin = import_module(f"plugins.{name}").plugin
            if not isinstance(plugin, Plugin) or plugin.name != name or plugin.pages.name != name:
                raise SystemExit(f"plugins/{name} does not declare a plugin of that name")
            found.append(plugin)
        return cls(found)

    def mount(self, app: Flask) -> None:
        """Give every plugin its address, its commands and its place in the app."""
        app.extensions["plugins"] = self
        for plugin in self.plugins.values():
            app.register_blueprint(plugin.pages, url_prefix=f"/<account_slug>/{plugin.path}")
            if plugin.hooks is not None:
                app.register_blueprint(plugin.hooks, url_prefix=f"/webhooks/{plugin.path}")
                app.extensions["csrf"].exempt(plugin.hooks)
            if plugin.commands is not None:
                app.cli.add_command(plugin.commands)

    def __iter__(self) -> Any:
        return iter(self.plugins.values())

    def get(self, name: str) -> Plugin | None:
        return self.plugins.get(name)


def registry() -> Registry:
    """The plugins of the running app."""
    return current_app.extensions["plugins"]  # type: ignore[no-any-return]


def owner_of(job: str) -> str:
    """Who asks for a job of this name, as people call it: a plugin by its title, or the host."""
    name = job.partition(".")[0]
    plugin = registry().get(name)
    return plugin.title if plugin else HOST if name == "host" else name
