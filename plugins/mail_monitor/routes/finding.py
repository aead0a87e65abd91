"""Find a message on an email account: what is remembered of it, and what became of each that fits."""

from datetime import datetime
from typing import Any

from flask import Response, g, render_template, request, url_for
from flask_login import current_user

from app.access import OPERATORS, allow
from app.db import unit_of_work
from app.errors import InvalidInput, TooManyTries
from app.htmx import asks_for_partial, go_to
from plugins.mail_monitor import accounts, fates
from plugins.mail_monitor import finding as service
from plugins.mail_monitor.forms import FindForm
from plugins.mail_monitor.pages import pages
from plugins.mail_monitor.wishes import MessageSearch, SearchState

Answer = str | Response | tuple[str, int]


@pages.get("/accounts/<int:email_account_id>/find")
@allow(OPERATORS)
def find(email_account_id: int) -> Answer:
    """The form, and below it what a search found."""
    row = accounts.get(g.account.id, email_account_id)
    search_id = request.args.get("search", type=int)
    search = service.get(g.account.id, search_id) if search_id else None
    form = FindForm(data={"sender": search.sender, "subject": search.subject, "day": search.day} if search else None)
    return render_template("mail_monitor/find.html", row=row, form=form, **_about(search))


@pages.post("/accounts/<int:email_account_id>/find")
@allow(OPERATORS)
def begin_finding(email_account_id: int) -> Answer:
    """Ask a worker to look."""
    row = accounts.get(g.account.id, email_account_id)
    form = FindForm()
    if not form.validate_on_submit():
        return render_template("mail_monitor/find.html", row=row, form=form, **_about(None)), 422
    try:
        service.count(g.account.id)
        with unit_of_work():
            row = accounts.get(g.account.id, email_account_id)
            search_id = service.begin(
                row, current_user.shown_name, form.sender.data or "", form.subject.data or "", form.day.data
            ).id
    except (InvalidInput, TooManyTries) as error:
        row = accounts.get(g.account.id, email_account_id)
        form[getattr(error, "field", None) or "sender"].errors = [error.sentence]
        return render_template("mail_monitor/find.html", row=row, form=form, **_about(None)), error.status
    return go_to(url_for(".find", email_account_id=email_account_id, search=search_id))


@pages.get("/searches/<int:search_id>")
@allow(OPERATORS)
def show_search(search_id: int) -> Answer:
    """What a search found so far: asked for again while it runs."""
    search = service.get(g.account.id, search_id)
    if not asks_for_partial():
        return go_to(url_for(".find", email_account_id=search.email_account_id, search=search.id))
    return render_template("mail_monitor/_found.html", **_about(search))


def _about(search: MessageSearch | None) -> dict[str, Any]:
    return {
        "search": search,
        "hits": [{**one, "at": datetime.fromisoformat(one["at"])} for one in search.hits] if search else [],
        "words": fates.WORDS,
        "is_running": search is not None and search.state is SearchState.RUNNING,
        "has_failed": search is not None and search.state is SearchState.FAILED,
    }
