"""Pages of the plugin: each module hangs its views on the one blueprint."""

from plugins.mail_monitor.routes import (
    accounts,
    addresses,
    choices,
    compose,
    finding,
    folders,
    imports,
    messages,
    outgoing,
    quarantine,
    refiling,
    strangers,
)

__all__ = [
    "accounts",
    "addresses",
    "choices",
    "compose",
    "finding",
    "folders",
    "imports",
    "messages",
    "outgoing",
    "quarantine",
    "refiling",
    "strangers",
]
