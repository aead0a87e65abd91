"""Where a provider sends its news. The address is unguessable, the body is signed, and nothing else is believed."""

import structlog
from flask import Blueprint, request

from app.access import PUBLIC, allow
from app.db import unit_of_work
from app.errors import NotFound
from app.payments import events, gateways
from app.payments.models import ProviderName

log = structlog.get_logger()

hooks = Blueprint("webhooks", __name__)
LARGEST = 256 * 1024


@hooks.post("/webhooks/payments/<key>")
@allow(PUBLIC)
def payments(key: str) -> tuple[str, int]:
    """204 for what is kept or known, 404 for an address that is none, 401 without the right signature."""
    gateway = events.by_webhook_key(key)
    if gateway is None or gateway.provider != ProviderName.STRIPE:
        raise NotFound
    if (request.content_length or 0) > LARGEST or len(body := request.get_data()) > LARGEST:
        return "", 413
    secret = gateways.webhook_secret_of(gateway)
    if secret is None:
        log.warning("webhook_refused", why="no_secret", gateway_id=gateway.id)
        return "", 401
    from app.payments.stripe_client import signed_event  # loads Stripe's library, for those who use it

    event = signed_event(body, request.headers.get("Stripe-Signature", ""), secret)
    if event is None:
        log.warning("webhook_refused", why="signature", gateway_id=gateway.id)
        return "", 401
    with unit_of_work():
        still = events.by_webhook_key(key)
        if still is not None:
            events.take(still, event)
    return "", 204
