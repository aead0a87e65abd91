"""Switching plugins on and off, what they tell the host of their state, and telling them what happened."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from app import audit, clock
from app.accounts.models import Account
from app.db import db
from app.errors import NotFound
from app.events import Event
from app.installations.models import Installation, InstallationState
from app.memo import once_a_page
from app.plugin import Plugin, State, registry
from app.work import job_name, ring_after_commit


@dataclass(frozen=True, slots=True)
class Block:
    """One plugin as Marketplace and Systems show it; `installation` is None until it was first switched on."""

    plugin: Plugin
    installation: Installation | None
    state: State

    @property
    def is_on(self) -> bool:
        return self.installation is not None and self.installation.is_on


def blocks(account: Account) -> list[Block]:
    """Every plugin of this process with its state in `account`."""
    rows = {row.plugin: row for row in _installations(account.id)}
    return [_block(plugin, rows.get(plugin.name)) for plugin in registry()]


def block(account: Account, name: str) -> Block:
    """One of `blocks`, or `NotFound`."""
    plugin = _plugin(name)
    return _block(plugin, installation_of(account.id, name))


def installation_of(account_id: int, name: str) -> Installation | None:
    """The row of one plugin in one account, or None when it was never switched on."""
    return db.session.scalar(
        sa.select(Installation).where(Installation.account_id == account_id, Installation.plugin == name)
    )


def active_installations(account_id: int) -> list[tuple[Plugin, Installation]]:
    """Plugins switched on in an account, in the order of the settings."""
    rows = {row.plugin: row for row in _installations(account_id) if row.is_on}
    return [(plugin, rows[plugin.name]) for plugin in registry() if plugin.name in rows]


def switch(account: Account, name: str, *, on: bool) -> Installation:
    """Store the toggle of a plugin. Switching off stops its work, forgets its sign-in and ends its billing."""
    plugin = _plugin(name)
    installation = installation_of(account.id, name)
    if installation is None:
        installation = Installation(account_id=account.id, plugin=name, state=InstallationState.OFF)
        db.session.add(installation)
        db.session.flush()
    if on and not installation.is_on:
        installation.state = InstallationState.ON
        installation.switched_on_at = clock.now()
        audit.record("plugin_on", installation, plugin=name)
    elif not on and installation.is_on:
        if plugin.switched_off is not None:
            plugin.switched_off(installation)
        installation.state = InstallationState.OFF
        installation.problem = ""
        installation.cutover_at = None
        audit.record("plugin_off", installation, plugin=name)
    return installation


def connected(installation: Installation, cutover_at: datetime | None = None) -> None:
    """The plugin has its connection, or has it again. `cutover_at` sets from when on a billing plugin takes over."""
    installation.state = InstallationState.CONNECTED
    installation.problem = ""
    if cutover_at is not None:
        installation.cutover_at = cutover_at


def needs_attention(installation: Installation, problem: str) -> None:
    """A person must do something before the plugin can go on; `problem` is one sentence."""
    if installation.is_on:
        installation.state = InstallationState.ATTENTION
        installation.problem = problem


def disconnected(installation: Installation) -> None:
    """The plugin gave up its connection and stays switched on."""
    installation.state = InstallationState.ON
    installation.problem = ""
    installation.cutover_at = None


def announce(event: Event) -> None:
    """Ring, after the commit, each connected plugin of the event's account that hears such an event."""
    for plugin, installation in active_installations(event.account_id):
        job = plugin.hears.get(type(event))
        if job is not None and installation.works:
            ring_after_commit(job_name(plugin.name, job), installation.id, event.about)


def _plugin(name: str) -> Plugin:
    plugin = registry().get(name)
    if plugin is None:
        raise NotFound("There is no such plugin.")
    return plugin


def _block(plugin: Plugin, installation: Installation | None) -> Block:
    if installation is None or not installation.is_on:
        return Block(plugin, installation, State("off", "Switched off."))
    return Block(plugin, installation, plugin.state(installation))


@once_a_page
def _installations(account_id: int) -> Sequence[Installation]:
    return db.session.scalars(sa.select(Installation).where(Installation.account_id == account_id)).all()
