"""A plugin's fault stays its own: the log has the whole story, and the page goes on without what it would have said."""

from collections.abc import Callable
from typing import TypeVar

import structlog

from app.db import end_reading

log = structlog.get_logger()

T = TypeVar("T")


def spared(plugin: str, what: str, ask: Callable[[], T], instead: T) -> T:
    """What a plugin answers, or `instead` when it fails."""
    try:
        return ask()
    except Exception:
        log.exception("plugin_failed", plugin=plugin, what=what)
        end_reading()  # its transaction may be spoilt
        return instead
