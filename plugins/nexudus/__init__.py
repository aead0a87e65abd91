"""Links customers to Nexudus members and hands their invoices over."""

from app.plugin import Plugin, State
from plugins.nexudus import models  # noqa: F401  # tables must be known to migrations
from plugins.nexudus.pages import pages

plugin = Plugin(
    name="nexudus",
    path="nexudus",
    title="Nexudus",
    summary="Links customers to Nexudus members and hands their invoices over.",
    pages=pages,
    state=lambda installation: State("not_set_up", ""),
)
