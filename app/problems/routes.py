"""The page of what needs a person, and each person's choice of mails about it."""

from flask import Blueprint, Response, flash, g, request, url_for

from app.access import OFFICE, OPERATORS, STAFF, allow
from app.accounts.models import Membership
from app.db import unit_of_work
from app.htmx import go_to, page_or_partial
from app.problems import services
from app.problems.models import Notice

pages = Blueprint("problems", __name__)


@pages.get("/<account_slug>/problems")
@allow(STAFF)
def list_problems() -> str:
    """One list over billing and all plugins, by cause; what stands still comes first."""
    role = g.membership.role
    return page_or_partial(
        "problems/problems.html",
        "problems/_problems.html",
        found=services.shown_here(),
        in_office=role in OFFICE,
        notices=list(Notice) if role in OPERATORS else [],
        unwanted=services.unwanted_by(g.membership),
    )


@pages.post("/<account_slug>/problems/notices")
@allow(OPERATORS)
def choose_notices() -> Response:
    """Store which mails whoever is signed in wants of this account."""
    wanted = {notice for notice in Notice if notice.value in request.form.getlist("notice")}
    with unit_of_work() as session:
        services.choose(session.get_one(Membership, g.membership.id), wanted)
    flash("Saved.", "done")
    return go_to(url_for(".list_problems"))
