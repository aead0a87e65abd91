"""One message: reading it, its formatted text in a frame of its own, its original and its attachments to save."""

from typing import Any

from flask import Response, flash, g, render_template, request, url_for
from flask_login import current_user

from app.access import OFFICE, allow
from app.db import unit_of_work
from app.errors import NotFound
from app.htmx import asks_for_partial, go_to
from plugins.mail_monitor import messages
from plugins.mail_monitor.downloads import download, frame
from plugins.mail_monitor.message_views import message_view
from plugins.mail_monitor.pages import pages
from plugins.mail_monitor.turns import store


@pages.get("/messages/<int:message_id>")
@allow(OFFICE)
def message(message_id: int) -> str:
    """A message by itself, with why it is where it is."""
    return render_template("mail_monitor/message.html", **message_view(g.account.id, message_id))


@pages.get("/messages/<int:message_id>/body")
@allow(OFFICE)
def message_body(message_id: int) -> str | Response:
    """What stands below a message's head, for a page that shows it already: asked for until it can be shown."""
    view = message_view(g.account.id, message_id)
    if not asks_for_partial():
        return go_to(url_for(".message", message_id=message_id, **_shown_how()))
    return render_template("mail_monitor/_letter_body.html", **view, is_asked_for="again" in request.args)


@pages.post("/messages/<int:message_id>/opened")
@allow(OFFICE)
def message_opened(message_id: int) -> str | Response:
    """Somebody reads it: note that, and ask for a copy that is safe to show."""
    with unit_of_work():
        opened = messages.open_message(g.account.id, message_id)
        waits = opened.waits_for_copy
        messages.note_opened(opened)
    if not asks_for_partial():
        return go_to(url_for(".message", message_id=message_id, **_shown_how()))
    if not waits:
        return Response(status=204)
    view = message_view(g.account.id, message_id)
    return render_template("mail_monitor/_letter_body.html", **view, is_asked_for=True)


@pages.post("/messages/<int:message_id>/pictures")
@allow(OFFICE)
def message_pictures(message_id: int) -> str | Response:
    """Always show the pictures of this sender, or block them again."""
    always = request.form.get("show") == "always"
    with unit_of_work():
        opened = messages.open_message(g.account.id, message_id)
        messages.show_pictures(opened, current_user.shown_name, always=always)
        sender = opened.message.sender_address
    if asks_for_partial():
        return render_template("mail_monitor/_letter_body.html", **message_view(g.account.id, message_id))
    flash(f"Pictures of {sender} are {'shown' if always else 'blocked'} from now on.", "done")
    return go_to(url_for(".message", message_id=message_id, **_shown_how()))


@pages.get("/messages/<int:message_id>/formatted")
@allow(OFFICE)
def message_formatted(message_id: int) -> Response:
    """The formatted text alone, for the frame; as safe when it is opened directly."""
    view = message_view(g.account.id, message_id)
    if not view["shows_frame"]:
        raise NotFound("There is no formatted text to show yet. Read it as plain text.")
    copy, remote = view["opened"].copy, view["shows_pictures"]
    html = render_template("mail_monitor/formatted.html", body=copy.html_with_pictures if remote else copy.html)
    return frame(html, remote_pictures=remote)


@pages.get("/messages/<int:message_id>/original")
@allow(OFFICE)
def message_original(message_id: int) -> Response:
    """The message as it came."""
    row = messages.open_message(g.account.id, message_id).message
    if not row.raw_hash:
        raise NotFound("The original is not kept. Open it in the mailbox.")
    return download(store().read(g.account.id, row.raw_hash), f"message-{row.id}.eml")


@pages.get("/messages/<int:message_id>/attachments/<int:attachment_id>")
@allow(OFFICE)
def attachment(message_id: int, attachment_id: int) -> Response:
    """One attachment, to be saved."""
    opened = messages.open_message(g.account.id, message_id)
    found = next((one for one in opened.message.attachments if one.id == attachment_id), None)
    if found is None:
        raise NotFound("There is no such attachment.")
    return download(store().read(g.account.id, found.blob_hash), found.name)


def _shown_how() -> dict[str, Any]:
    """The parameters of an address that say how a message is shown, to be kept on the way."""
    return {name: request.values[name] for name in ("view", "pictures", "customer") if request.values.get(name)}
