"""Quarantine: what could not be read, and what to do with each of it."""

from flask import Response, flash, g, render_template, request, url_for
from flask_login import current_user

from app import audit
from app.access import OFFICE, allow
from app.db import db, unit_of_work
from app.htmx import asks_for_partial, go_to, page_or_partial
from plugins.mail_monitor import picking
from plugins.mail_monitor import quarantine as service
from plugins.mail_monitor.asked import chosen_customer, page_number
from plugins.mail_monitor.downloads import download
from plugins.mail_monitor.pages import pages

PER_PAGE = 10


@pages.get("/quarantine", endpoint="quarantine")
@allow(OFFICE)
def list_quarantine() -> str:
    """What lies there, and what was settled before."""
    found = db.paginate(service.waiting(g.account.id), page=page_number(), per_page=PER_PAGE, error_out=False)
    return page_or_partial(
        "mail_monitor/quarantine.html",
        "mail_monitor/_quarantine.html",
        found=found,
        settled=service.settled(g.account.id),
        is_moving=any(row.state == "retry" for row in found.items),
    )


@pages.post("/quarantine/<int:row_id>/retry")
@allow(OFFICE)
def retry(row_id: int) -> str | Response:
    with unit_of_work():
        service.retry(g.account, row_id, current_user.shown_name)
    return _back("It is being read again.")


@pages.post("/quarantine/<int:row_id>/ignore")
@allow(OFFICE)
def ignore(row_id: int) -> str | Response:
    with unit_of_work():
        service.ignore(g.account, row_id, current_user.shown_name)
    return _back("Ignored. The original is kept until its time is over.")


@pages.post("/quarantine/<int:row_id>/original")
@allow(OFFICE)
def original(row_id: int) -> Response:
    """The message as it came, as a download; who took it is noted."""
    with unit_of_work():
        row = service.get(g.account.id, row_id)
        audit.record("quarantine_original_saved", row)
    data = service.original(service.get(g.account.id, row_id))
    return download(data, f"message-{row_id}.eml")


@pages.route("/quarantine/<int:row_id>/file", methods=["GET", "POST"])
@allow(OFFICE)
def file_by_hand(row_id: int) -> str | Response:
    """Put it into a customer's record as it is."""
    if request.method == "POST":
        with unit_of_work():
            customer = chosen_customer()
            name = customer.full_name
            service.file_by_hand(g.account, row_id, customer, current_user.shown_name)
        return _back(f"Filed with {name}: what its header says, and the original.")
    row = service.get(g.account.id, row_id)
    text = request.args.get("q", row.sender)
    context = {
        "title": "File it by hand",
        "lead": f"“{row.subject or 'No subject'}”, from {row.sender or 'nobody'}",
        "address": url_for(".file_by_hand", row_id=row.id),
        "search_address": url_for(".file_by_hand", row_id=row.id),
        "back": url_for(".quarantine"),
        "deed": "File it",
        "text": text,
        "candidates": picking.candidates(g.account, text),
    }
    if asks_for_partial() and "q" in request.args:
        return render_template("mail_monitor/_candidates.html", **context)
    return page_or_partial("mail_monitor/pick.html", "mail_monitor/_pick.html", **context)


def _back(sentence: str) -> str | Response:
    flash(sentence, "done")
    return go_to(url_for(".quarantine"))
