"""Drawing what plugins add to host pages; a plugin that fails leaves a line, not a broken page."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import structlog
from flask import g
from markupsafe import Markup

from app import clock
from app.db import end_reading
from app.errors import NotFound
from app.installations.models import Installation
from app.installations.services import Block, active_installations
from app.plugin import ListPlace, Moment, Panel, Place, Plugin, Tab, TimelinePart

log = structlog.get_logger()


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
        (plugin, tab, tab.count(installation, customer) if tab.count else None)
        for plugin, installation in active_installations(g.account.id)
        for tab in plugin.tabs
    ]


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
    try:
        return part.moments(installation, customer, until, most)
    except Exception:
        log.exception("timeline_failed", plugin=plugin.name, part=part.name)
        end_reading()
        return [
            Moment(
                min(until, clock.now()), f"What {plugin.title} knows could not be shown here.", icon="mark", tone="stop"
            )
        ]


def draw_columns(place: ListPlace, ids: Sequence[int]) -> list[DrawnColumn]:
    """The columns that plugins add to a list, for all its rows in one go each."""
    return [
        DrawnColumn(column.title, dict(column.cells(installation, ids)))
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
    try:
        return Markup(panel.draw(installation, row))  # noqa: S704  # plugins answer rendered templates
    except Exception:
        # A plugin's fault must not take the host's page down; the log has the whole story.
        log.exception("panel_failed", plugin=plugin.name, place=panel.place)
        end_reading()
        return Markup('<p class="sm-panel-failed">{} could not be shown here.</p>').format(plugin.title)
