"""The plugin's blueprint, on which the route modules hang their views, and what all of these need."""

from flask import Blueprint, Response, g

from plugins.nexudus import connecting
from plugins.nexudus.models import Connection

Answer = str | Response | tuple[str, int]

pages = Blueprint("nexudus", __name__, template_folder="templates")


def the_connection() -> Connection:
    """The connection that the pages are about, read anew; `NotConnected` before there is one."""
    return connecting.needed(g.installation)
