"""The page of the day, where everybody in the office lands."""

from flask import Blueprint, g

from app import clock
from app.access import OFFICE, allow
from app.dashboard import services
from app.htmx import page_or_partial
from app.problems.services import shown_here

pages = Blueprint("dashboard", __name__)


@pages.get("/<account_slug>/today")
@allow(OFFICE)
def today() -> str:
    """What needs you, what happens next, and how it stands; from stored rows alone."""
    role = g.membership.role
    return page_or_partial(
        "dashboard/today.html",
        "dashboard/_today.html",
        day=clock.today(g.account.timezone),
        found=shown_here(),
        coming=services.coming(g.account, role),
        charts=services.charts(g.account),
        steps=services.first_steps(g.account, role),
    )
