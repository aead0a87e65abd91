"""The watched folders of an email account: what is read, and choosing the folder of sent mail."""

from flask import Response, flash, g, render_template, request, url_for
from flask_login import current_user

from app.access import OPERATORS, allow
from app.db import unit_of_work
from app.errors import InvalidInput
from app.htmx import asks_for_partial, go_to
from plugins.mail_monitor import account_pages, accounts, watched_folders
from plugins.mail_monitor.pages import pages

Answer = str | Response | tuple[str, int]


@pages.get("/accounts/<int:email_account_id>/folders")
@allow(OPERATORS)
def show_folders(email_account_id: int) -> Answer:
    """The part alone: asked for again while a worker looks."""
    return _answer(email_account_id)


@pages.post("/accounts/<int:email_account_id>/folders")
@allow(OPERATORS)
def choose_sent_folder(email_account_id: int) -> Answer:
    """Note which folder of sent mail is read from now on."""
    try:
        with unit_of_work():
            row = accounts.get(g.account.id, email_account_id)
            watched_folders.choose_sent(row, request.form.get("sent", ""), current_user.shown_name)
    except InvalidInput as error:
        return _part(email_account_id, error.sentence), error.status
    if not asks_for_partial():
        flash("Saved. The next scan opens that folder.", "done")
    return _answer(email_account_id)


@pages.post("/accounts/<int:email_account_id>/folders/list")
@allow(OPERATORS)
def list_folders(email_account_id: int) -> Answer:
    """Ask a worker what folders there are."""
    with unit_of_work():
        watched_folders.ask_for_list(accounts.get(g.account.id, email_account_id), current_user.shown_name)
    return _answer(email_account_id)


def _answer(email_account_id: int) -> Answer:
    accounts.get(g.account.id, email_account_id)
    if not asks_for_partial():
        return go_to(url_for(".account", email_account_id=email_account_id, _anchor="folders"))
    return _part(email_account_id)


def _part(email_account_id: int, error: str = "") -> str:
    row = accounts.get(g.account.id, email_account_id)
    return render_template(
        "mail_monitor/_folders.html", row=row, folder_error=error, **account_pages.about_folders(row)
    )
