"""Mails that were sent from here: how each stands, and what a person decides about one that stands still."""

from collections.abc import Callable

from flask import Response, flash, g, render_template, url_for
from flask_login import current_user

from app.access import OFFICE, allow
from app.db import unit_of_work
from app.htmx import asks_for_partial, go_to
from plugins.mail_monitor import drafts, outbox, outgoing_panels
from plugins.mail_monitor.pages import pages
from plugins.mail_monitor.sending_models import Outgoing


@pages.get("/outgoing/<int:outgoing_id>")
@allow(OFFICE)
def outgoing(outgoing_id: int) -> str | Response:
    """How a mail stands, alone: asked for again while that changes by itself."""
    row = drafts.get(g.account.id, outgoing_id)
    if not asks_for_partial():
        return go_to(_place_of(row))
    return render_template("mail_monitor/_outgoing.html", delivery=outgoing_panels.shown(row))


@pages.post("/outgoing/<int:outgoing_id>/again")
@allow(OFFICE)
def send_again(outgoing_id: int) -> str | Response:
    """Send one that failed, or that may have been sent, once more: the same mail to the last byte."""
    return _change(outgoing_id, outbox.retry, "It is sent again.")


@pages.post("/outgoing/<int:outgoing_id>/arrived")
@allow(OFFICE)
def was_sent(outgoing_id: int) -> str | Response:
    """Say of one that may have been sent that it was."""
    return _change(outgoing_id, outbox.settle, "Noted as sent.")


def _change(outgoing_id: int, deed: Callable[[Outgoing, str], None], sentence: str) -> str | Response:
    with unit_of_work():
        row = drafts.get(g.account.id, outgoing_id)
        deed(row, current_user.shown_name)
        address = _place_of(row)
    if asks_for_partial():
        return outgoing(outgoing_id)
    flash(sentence, "done")
    return go_to(address)


def _place_of(row: Outgoing) -> str:
    if row.record_id:
        return url_for(".message", message_id=row.record_id)
    return url_for(".draft", outgoing_id=row.id)
