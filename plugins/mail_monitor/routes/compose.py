"""Writing a mail: to a customer or as an answer, saved while it is typed, with files, and then sent."""

from collections.abc import Sequence
from typing import Any

from flask import Response, flash, g, render_template, request, url_for
from flask_login import current_user

from app.access import OFFICE, allow
from app.db import db, unit_of_work
from app.errors import AppError, Conflict, InvalidInput, NotFound
from app.htmx import asks_for_partial, go_to
from plugins.mail_monitor import conversations, drafts, outbox
from plugins.mail_monitor.compose_form import ComposeForm
from plugins.mail_monitor.downloads import download
from plugins.mail_monitor.drafts import Around, Typed
from plugins.mail_monitor.letters import File
from plugins.mail_monitor.models import EmailAccount
from plugins.mail_monitor.pages import pages
from plugins.mail_monitor.sending_models import Outgoing, OutgoingState
from plugins.mail_monitor.turns import store

Answer = str | Response | tuple[str, int]


@pages.get("/customers/<int:customer_id>/compose")
@allow(OFFICE)
def compose(customer_id: int) -> Answer:
    """An empty mail to a customer."""
    typed, around = drafts.new(g.account, customer_id)
    return _page(typed, around)


@pages.get("/messages/<int:message_id>/reply")
@allow(OFFICE)
def reply(message_id: int) -> Answer:
    """An answer to a message, from the record of the customer that `?customer=` names; `?all=1` goes to everybody."""
    customer_id, to_all = request.args.get("customer", type=int), request.args.get("all") == "1"
    typed, around = drafts.answer(g.account, message_id, customer_id, to_all=to_all)
    return _page(typed, around)


@pages.get("/drafts/<int:outgoing_id>")
@allow(OFFICE)
def draft(outgoing_id: int) -> Answer:
    """Go on writing a draft; one that was sent meanwhile is shown as the message that it is."""
    row = drafts.get(g.account.id, outgoing_id)
    if row.state is not OutgoingState.DRAFT:
        return go_to(_after(row))
    typed = drafts.typed_of(row)
    return _page(typed, drafts.around(g.account, typed))


@pages.post("/drafts")
@allow(OFFICE)
def save_draft() -> Answer:
    """Keep what was typed so far; asked for by itself while somebody types."""
    typed, files = _typed(), _came()
    try:
        row = _keep(typed, files)
    except InvalidInput as error:
        return _refused(typed, error)
    except Conflict:
        sent = drafts.by_token(g.account.id, typed.token)
        if sent is None or sent.state is OutgoingState.DRAFT or not asks_for_partial():
            raise
        # What saves by itself can come in after "Send": nobody did anything wrong.
        return render_template("mail_monitor/_draft_state.html", sent=_after(sent), sender=None)
    if not asks_for_partial():
        flash("Saved as a draft.", "done")
        return go_to(url_for(".draft", outgoing_id=row.id))
    around = drafts.around(g.account, typed)
    return render_template("mail_monitor/_draft_state.html", around=around, sender=_sender(around, typed))


@pages.post("/drafts/files")
@allow(OFFICE)
def attach() -> Answer:
    """Add files to the draft, as soon as they are chosen."""
    typed, files = _typed(), _came()
    try:
        _keep(typed, files)
    except InvalidInput as error:
        if not asks_for_partial():
            return _refused(typed, error)
        return _files(typed, error.sentence), 422
    return _files(typed) if asks_for_partial() else go_to(_draft_address(typed))


@pages.post("/drafts/<int:outgoing_id>/files/<int:file_id>/remove")
@allow(OFFICE)
def detach(outgoing_id: int, file_id: int) -> Answer:
    """Take a file away again."""
    with unit_of_work():
        row = drafts.get(g.account.id, outgoing_id)
        drafts.detach(row, file_id, current_user.shown_name)
        typed = drafts.typed_of(row)
    return _files(typed) if asks_for_partial() else go_to(url_for(".draft", outgoing_id=outgoing_id))


@pages.get("/drafts/<int:outgoing_id>/files/<int:file_id>")
@allow(OFFICE)
def draft_file(outgoing_id: int, file_id: int) -> Response:
    """A file of a draft, to be saved."""
    row = drafts.get(g.account.id, outgoing_id)
    found = next((one for one in row.files if one.id == file_id), None)
    if found is None:
        raise NotFound("There is no such file.")
    return download(store().read(g.account.id, found.blob_hash), found.name)


@pages.post("/drafts/send")
@allow(OFFICE)
def send_draft() -> Answer:
    """Send it: it stands in the record at once, and a worker hands it in."""
    typed, files = _typed(), _came()
    try:
        if files:
            _keep(typed, files)
        frozen = outbox.freeze(g.account, typed)
        with unit_of_work():
            address = _after(outbox.send(g.account, frozen, current_user.shown_name))
    except InvalidInput as error:
        return _refused(typed, error)
    except Conflict:
        row = drafts.by_token(g.account.id, typed.token)
        if row is None or row.state is OutgoingState.DRAFT:
            raise
        address = _after(row)  # pressed twice: it is on its way already
    return go_to(address)


@pages.post("/drafts/<int:outgoing_id>/discard")
@allow(OFFICE)
def discard_draft(outgoing_id: int) -> Answer:
    """Throw a draft away."""
    with unit_of_work():
        row = drafts.get(g.account.id, outgoing_id)
        customer_id = row.customer_id
        drafts.discard(row, current_user.shown_name)
    flash("The draft is gone.", "done")
    return go_to(_record(customer_id))


def _keep(typed: Typed, came: Sequence[tuple[str, str, bytes]]) -> Outgoing:
    """Save the draft with the files that came along; these are in the store before a row names them."""
    there = drafts.by_token(g.account.id, typed.token)
    files: list[File] = drafts.checked_files(there.files if there else (), came)
    db.session.rollback()
    hashes = store().put_all(g.account.id, [one.data for one in files])
    with unit_of_work():
        row = drafts.save(g.account, typed, current_user.shown_name)
        drafts.attach(row, files, hashes)
    return row


def _typed() -> Typed:
    """What the form holds, as it was typed; what names nothing of this account is found out later."""
    form = request.form
    return Typed(
        token=form.get("token", ""),
        customer_id=form.get("customer_id", 0, type=int),
        email_account_id=form.get("email_account_id", 0, type=int),
        answers_id=form.get("answers_id", type=int),
        quotes="quotes" in form,
        **{name: form.get(name, "").replace("\r\n", "\n") for name in ("to", "cc", "bcc", "subject", "text")},
    )


def _came() -> list[tuple[str, str, bytes]]:
    return [(one.filename or "", one.mimetype, one.read()) for one in request.files.getlist("files") if one.filename]


def _page(typed: Typed, around: Around) -> str:
    form = ComposeForm(around.senders, typed)
    return render_template("mail_monitor/compose.html", form=form, **_context(typed, around))


def _refused(typed: Typed, error: AppError) -> Answer:
    """The form again with everything in it, and the sentence at its place."""
    around = drafts.around(g.account, typed)
    form = ComposeForm(around.senders, typed)
    form.blame(error)
    file_error = error.sentence if getattr(error, "field", None) == "files" else ""
    if file_error:
        form.form_errors.clear()
    page = render_template("mail_monitor/compose.html", form=form, file_error=file_error, **_context(typed, around))
    return page, 422


def _files(typed: Typed, file_error: str = "") -> str:
    return render_template(
        "mail_monitor/_draft_files.html", around=drafts.around(g.account, typed), file_error=file_error, swapped=True
    )


def _context(typed: Typed, around: Around) -> dict[str, Any]:
    sender = _sender(around, typed)
    zone = sender.location.timezone if sender else g.account.timezone
    return {
        "around": around,
        "sender": sender,
        "back": _record(around.customer.id),
        "quote": outbox.quote_of(around.answers, zone) if around.answers else "",
    }


def _sender(around: Around, typed: Typed) -> EmailAccount | None:
    return next((row for row in around.senders if row.id == typed.email_account_id), None)


def _draft_address(typed: Typed) -> str:
    row = drafts.by_token(g.account.id, typed.token)
    return url_for(".draft", outgoing_id=row.id) if row else _record(typed.customer_id)


def _after(row: Outgoing) -> str:
    """Where the mail stands among the customer's messages."""
    thread_id = conversations.thread_of(row.customer_id, row.record_id)
    return _record(row.customer_id, thread=thread_id, message=row.record_id) if thread_id else _record(row.customer_id)


def _record(customer_id: int, **values: Any) -> str:
    return url_for("billing.customer_tab", customer_id=customer_id, plugin_path="mail", name="crm", **values)
