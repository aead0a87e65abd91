"""Where Nexudus posts its webhooks. The address is unguessable, the body is signed, and nothing else is believed."""

import structlog
from flask import Blueprint, request

from app.access import PUBLIC, allow
from app.db import unit_of_work
from app.errors import NotFound
from plugins.nexudus import hooks

log = structlog.get_logger()

addresses = Blueprint("nexudus_hooks", __name__)
LARGEST = 256 * 1024


@addresses.post("/<key>")
@allow(PUBLIC)
def heard(key: str) -> tuple[str, int]:
    """204 for what was signed, 404 for an address that is none, 401 without the right signature."""
    connection = hooks.connection_called(key)
    if connection is None:
        raise NotFound
    if (request.content_length or 0) > LARGEST or len(body := request.get_data()) > LARGEST:
        return "", 413
    if not hooks.is_signed(connection, body, request.headers.get("X-Nexudus-Hook-Signature", "")):
        log.warning("webhook_refused", connection_id=connection.id)
        return "", 401
    with unit_of_work():
        still = hooks.connection_called(key)
        if still is not None:
            hooks.take(still)
    return "", 204
