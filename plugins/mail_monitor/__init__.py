"""Watches mailboxes and files customers' messages into their records."""

from app.plugin import Plugin, State
from plugins.mail_monitor import models, records, waiting  # noqa: F401  # tables must be known to migrations
from plugins.mail_monitor.pages import pages

plugin = Plugin(
    name="mail_monitor",
    path="mail",
    title="Mail monitor",
    summary="Watches mailboxes and files customers' messages into their records.",
    pages=pages,
    state=lambda installation: State("not_set_up", "On, but no email account is watched yet."),
)
