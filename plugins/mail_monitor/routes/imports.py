"""Importing older messages of an email account: the question, the progress, and stopping it."""

from flask import Response, flash, g, render_template, request, url_for
from flask_login import current_user

from app.access import OPERATORS, allow
from app.db import unit_of_work
from app.errors import InvalidInput
from app.htmx import asks_for_partial, go_to
from plugins.mail_monitor import account_pages, accounts, importing
from plugins.mail_monitor.pages import pages


@pages.post("/accounts/<int:email_account_id>/import")
@allow(OPERATORS)
def start_import(email_account_id: int) -> str | Response:
    """Begin to import the days that were asked for."""
    days = request.form.get("days", type=int)
    with unit_of_work():
        row = accounts.get(g.account.id, email_account_id)
        if days is None:
            raise InvalidInput("Say how many days.", field="days")
        importing.start(row, days, current_user.shown_name)
    return go_to(url_for(".account", email_account_id=email_account_id, _anchor="import"))


@pages.get("/accounts/<int:email_account_id>/import")
@allow(OPERATORS)
def show_import(email_account_id: int) -> str | Response:
    """The progress alone: asked for again while it moves."""
    row = accounts.get(g.account.id, email_account_id)
    if not asks_for_partial():
        return go_to(url_for(".account", email_account_id=email_account_id, _anchor="import"))
    return render_template("mail_monitor/_import.html", row=row, **account_pages.about_account(row))


@pages.post("/accounts/<int:email_account_id>/import/stop")
@allow(OPERATORS)
def stop_import(email_account_id: int) -> str | Response:
    """End it before it is through; what it filed stays."""
    row = accounts.get(g.account.id, email_account_id)
    with unit_of_work():
        run = importing.under_way(row.id)
        if run is not None:
            importing.stop(run, current_user.shown_name)
    flash("The import is stopped. What it filed stays.", "done")
    return go_to(url_for(".account", email_account_id=email_account_id, _anchor="import"))
