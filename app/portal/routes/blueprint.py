"""The blueprint of the portal, and what stands above each of its pages."""

from collections.abc import Callable
from typing import Any, TypeVar

from flask import Blueprint, g, request, url_for
from werkzeug import Response

from app.billing.forms import OfficeForm
from app.billing.outlook import title_of
from app.browsers import browser_words
from app.errors import Conflict, InvalidInput, TooManyTries
from app.htmx import page_or_partial
from app.portal import billing_info

pages = Blueprint("portal", __name__)
Answer = str | tuple[str, int] | Response
AnyForm = TypeVar("AnyForm", bound=OfficeForm)
MENU = (
    ("Invoices", "invoices", ("invoices", "invoice")),
    ("Billing", "billing", ("billing", "remove_card")),
    ("My details", "details", ("details", "edit_details", "signing_in", "change_password")),
)


pages.add_app_template_filter(browser_words)


@pages.context_processor
def _above() -> dict[str, Any]:
    """The menu of whoever is signed in; nothing for visitors, nor where nobody can be looked up."""
    if not g.get("customer") or "database_gone" in g:
        return {"portal_menu": [], "portal_wish": "", "title_of": title_of}
    here = (request.endpoint or "").removeprefix("portal.")
    return {
        "portal_menu": [
            {"label": label, "url": url_for(f"portal.{endpoint}"), "current": here in belonging}
            for label, endpoint, belonging in MENU
        ],
        "portal_wish": billing_info.wish_of(g.customer),
        "title_of": title_of,
    }


def take(form: AnyForm, deed: Callable[[AnyForm], Response], page: str, partial: str, **context: Any) -> Answer:
    """Do the deed when the form was sent and is in order; else draw it, with what cannot be taken beside its field."""
    status = 422
    if form.validate_on_submit():
        try:
            return deed(form)
        except (InvalidInput, Conflict, TooManyTries) as error:
            form.blame(error)
            status = error.status
    html = page_or_partial(page, partial, form=form, **context)
    return (html, status) if form.is_submitted() else html
