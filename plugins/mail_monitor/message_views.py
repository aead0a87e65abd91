"""How one message is shown, as the address says: formatted or plain, with or without pictures from elsewhere."""

from typing import Any

from flask import request, url_for

from plugins.mail_monitor import messages, outgoing_panels


def message_view(account_id: int, message_id: int, customer_id: int | None = None) -> dict[str, Any]:
    """What the templates need to draw a message: in one customer's record, or by itself."""
    opened = messages.open_message(account_id, message_id)
    customer_id = customer_id or request.values.get("customer", type=int)
    mine = [one for one in opened.filings if customer_id is None or one.customer_id == customer_id]
    as_text = request.values.get("view") == "text"
    once = request.values.get("pictures") == "once"
    shows_frame = opened.copy is not None and not opened.copy.refusal and opened.has_formatting and not as_text
    return {
        "opened": opened,
        "message": opened.message,
        "filings": mine,
        "customer_id": customer_id if mine else None,
        "through": mine[0].email_account_id if mine else opened.choice.email_account_id if opened.choice else None,
        "as_text": as_text,
        "shows_frame": shows_frame,
        "shows_pictures": shows_frame and opened.shows_pictures(once=once),
        "once": once,
        "reply_address": _reply_address(message_id, mine[0].customer_id if mine else None),
        "delivery": outgoing_panels.by_message(account_id, [message_id]).get(message_id),
    }


def _reply_address(message_id: int, customer_id: int | None) -> str:
    """Where an answer to it is written; "" as long as it is in nobody's record."""
    return url_for("mail_monitor.reply", message_id=message_id, customer=customer_id) if customer_id else ""
