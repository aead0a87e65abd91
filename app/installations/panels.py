"""Drawing what plugins add to host pages; a plugin that fails leaves a line, not a broken page."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from flask import g
from markupsafe import Markup

from app import clock
from app.errors import NotFound
from app.faults import spared
from app.installations.models import Installation
from app.installations.services import Block, active_installations
from app.plugin import ListPlace, Moment, Panel, Place, Plugin, Tab, TimelinePart

_NO_CELLS: Mapping[int, Markup] = {}


@dataclass(frozen=True, slots=True)
class DrawnColumn:
    title: str
    cells: dict[int, Markup]


def draw_panels(place: Place, row: Any) -> list[Markup]:
    """What every plugin that is on says about `row` (a customer, an invoice), from stored rows."""
    drawn = [_draw(plugin, installation, panel, row) for plugin, installation, panel in _panels_at(place)]
    return [panel for panel in drawn if panel]


def draw_systems_panels(block: Block) -> list[Markup]:
    """What the plugin of `block` adds to its block in Systems."""
    if block.installation is None or not block.is_on:
        return []
    panels = [panel for panel in block.plugin.panels if panel.place == "systems"]
    return [_draw(block.plugin, block.installation, panel, block.installation) for panel in panels]


def customer_tabs(customer: Any) -> list[tuple[Plugin, Tab, int | None]]:
    """The tabs that plugins add to a customer's record, each with its count."""
    return [
        (plugin, tab, _count(plugin, tab, installation, customer))
        for plugin, installation in active_installations(g.account.id)
        for tab in plugin.tabs
    ]


def _count(plugin: Plugin, tab: Tab, installation: Installation, customer: Any) -> int | None:
    if tab.count is None:
        return None
    return spared(plugin.name, tab.name, partial(tab.count, installation, customer), 0)


def draw_customer_tab(plugin_path: str, name: str, customer: Any) -> Markup:
    """One of these tabs, or `NotFound`."""
    for plugin, installation in active_installations(g.account.id):
        for tab in plugin.tabs:
            if (plugin.path, tab.name) == (plugin_path, name):
                return Markup(tab.draw(installation, customer))  # noqa: S704  # plugins answer rendered templates
    raise NotFound


@dataclass(frozen=True, slots=True)
class Source:
    """Something that knows moments of a customer's past, as the plugin contract says."""

    name: str
    label: str
    moments: Callable[[Any, datetime, int], Sequence[Moment]]


def timeline_sources(account_id: int) -> list[Source]:
    """What the plugins that are on know of customers' pasts; one that fails leaves a line, not a broken page."""
    return [
        Source(part.name, part.label, partial(_moments, plugin, installation, part))
        for plugin, installation in active_installations(account_id)
        for part in plugin.timeline
    ]


def _moments(
    plugin: Plugin, installation: Installation, part: TimelinePart, customer: Any, until: datetime, most: int
) -> Sequence[Moment]:
    words = f"What {plugin.title} knows could not be shown here."
    failed = Moment(min(until, clock.now()), words, icon="mark", tone="stop")
    return spared(plugin.name, part.name, lambda: part.moments(installation, customer, until, most), [failed])


def draw_columns(place: ListPlace, ids: Sequence[int]) -> list[DrawnColumn]:
    """The columns that plugins add to a list, for all its rows in one go each."""
    return [
        DrawnColumn(
            column.title, dict(spared(plugin.name, column.title, partial(column.cells, installation, ids), _NO_CELLS))
        )
        for plugin, installation in active_installations(g.account.id)
        for column in plugin.columns
        if column.place == place
    ]


def _panels_at(place: Place) -> Iterable[tuple[Plugin, Installation, Panel]]:
    for plugin, installation in active_installations(g.account.id):
        for panel in plugin.panels:
            if panel.place == place:
                yield plugin, installation, panel


def _draw(plugin: Plugin, installation: Installation, panel: Panel, row: Any) -> Markup:
    failed: str = Markup('<p class="sm-panel-failed">{} could not be shown here.</p>').format(plugin.title)
    html = spared(plugin.name, panel.place, partial(panel.draw, installation, row), failed)
    return Markup(html)  # noqa: S704  # plugins answer rendered templates
