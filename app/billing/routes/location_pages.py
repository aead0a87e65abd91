"""Locations: the list, adding, changing and deleting; a tab of Business settings."""

from flask import Response, flash, g, render_template, request, url_for

from app.access import OFFICE, OPERATORS, Role, allow
from app.accounts.models import Location
from app.accounts.services import COUNTRIES
from app.asked import page_number
from app.billing import places as service
from app.billing.place_forms import LocationForm
from app.billing.routes.blueprint import pages
from app.db import unit_of_work
from app.errors import Conflict, InvalidInput
from app.htmx import go_to, page_or_partial


@pages.get("/<account_slug>/settings/locations", endpoint="locations")
@allow(OFFICE)
def list_locations() -> str:
    found = service.find(g.account, page_number())
    return render_template(
        "billing/locations.html",
        found=found,
        customers=service.customers_at(found.items),
        countries=COUNTRIES,
        may_change=g.membership.role == Role.OPERATOR,
    )


@pages.route("/<account_slug>/settings/locations/new", methods=["GET", "POST"])
@allow(OPERATORS)
def new_location() -> str | tuple[str, int] | Response:
    form = LocationForm(g.account)
    if form.validate_on_submit():
        try:
            with unit_of_work():
                name = service.add(g.account, form.place()).name
        except (InvalidInput, Conflict) as error:
            form.blame(error)
        else:
            flash(f"{name} is added.", "done")
            return go_to(url_for(".locations"))
    return _draw_form(form, None)


@pages.route("/<account_slug>/settings/locations/<int:location_id>", methods=["GET", "POST"])
@allow(OPERATORS)
def edit_location(location_id: int) -> str | tuple[str, int] | Response:
    form = LocationForm(g.account, service.get(g.account, location_id))
    if form.validate_on_submit():
        try:
            with unit_of_work():
                row = service.get(g.account, location_id)
                form.refuse_if_changed(LocationForm.shown(row), row, "location_changed")
                changed = service.edit(g.account, location_id, form.place())
        except (InvalidInput, Conflict) as error:
            form.blame(error)
        else:
            flash("Saved." if changed else "Nothing was changed.", "done")
            return go_to(url_for(".locations"))
    return _draw_form(form, service.get(g.account, location_id))


@pages.route("/<account_slug>/settings/locations/<int:location_id>/delete", methods=["GET", "POST"])
@allow(OPERATORS)
def delete_location(location_id: int) -> str | tuple[str, int] | Response:
    """Whether it can be deleted, and what that means; by POST, it is done."""
    location = service.get(g.account, location_id)
    why = service.why_it_stays(g.account, location)
    if request.method == "POST":
        try:
            with unit_of_work():
                name = service.delete(g.account, location_id)
        except Conflict as error:
            why = error.sentence
        else:
            flash(f"{name} is deleted.", "done")
            return go_to(url_for(".locations"))
    html = page_or_partial(
        "billing/location_dialog.html",
        "billing/_delete_location.html",
        location=service.get(g.account, location_id),
        why=why,
    )
    return (html, 409) if request.method == "POST" else html


def _draw_form(form: LocationForm, location: Location | None) -> str | tuple[str, int]:
    html = page_or_partial(
        "billing/edit_location.html",
        "billing/_location_form.html",
        form=form,
        location=location,
        customers=service.customers_at([location]).get(location.id, 0) if location else 0,
    )
    return (html, 422) if form.is_submitted() else html
