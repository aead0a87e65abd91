"""What customers keep in order themselves: contact data, password, and where they are signed in."""

from flask import flash, g, render_template, url_for
from werkzeug import Response

from app.access import CUSTOMERS, allow
from app.accounts.services import COUNTRIES
from app.accounts.signing_in import TRIES, check_password, count_try, hash_password
from app.billing import customers, subscriptions
from app.db import end_reading, unit_of_work
from app.errors import InvalidInput
from app.htmx import go_to
from app.portal import entering, own
from app.portal.forms import ChangePasswordForm, OwnContactForm
from app.portal.routes.blueprint import Answer, pages, take


@pages.get("/portal/<account_slug>/details")
@allow(CUSTOMERS)
def details() -> str:
    return render_template(
        "portal/details.html",
        customer=g.customer,
        subscription=subscriptions.of(g.customer),
        countries=COUNTRIES,
        sign_ins=entering.open_sign_ins(g.customer),
        this=g.portal_sign_in,
    )


@pages.route("/portal/<account_slug>/details/edit", methods=["GET", "POST"])
@allow(CUSTOMERS)
def edit_details() -> Answer:
    def deed(form: OwnContactForm) -> Response:
        with unit_of_work():
            row = customers.locked(g.account, g.customer.id)
            form.refuse_if_changed(OwnContactForm.shown(row), row)
            changed = own.change_contact(g.account, row, form.details_of(row))
        flash("Saved." if changed else "Nothing was changed.", "done")
        return go_to(url_for(".details"))

    return take(OwnContactForm(obj=g.customer), deed, "portal/edit_details.html", "portal/_details_form.html")


@pages.route("/portal/<account_slug>/details/password", methods=["GET", "POST"])
@allow(CUSTOMERS)
def change_password() -> Answer:
    def deed(form: ChangePasswordForm) -> Response:
        count_try("portal_password", str(g.customer.id), TRIES)
        login = entering.login_of(g.customer)
        stored = login.password_hash if login else None
        end_reading()
        if not check_password(stored, form.present.data or "")[0]:
            raise InvalidInput("That is not your present password.", "present")
        password_hash = hash_password(form.password.data or "")
        with unit_of_work():
            entering.set_password(g.customer, password_hash, but=g.portal_sign_in)
        flash("The new password holds. Everywhere else you are signed out.", "done")
        return go_to(url_for(".details"))

    return take(ChangePasswordForm(), deed, "portal/change_password.html", "portal/_change_password_form.html")


@pages.post("/portal/<account_slug>/details/sign-ins/<int:sign_in_id>/end")
@allow(CUSTOMERS)
def end_sign_in(sign_in_id: int) -> Response:
    with unit_of_work():
        entering.end_one(g.customer, sign_in_id)
    flash("Signed out there.", "done")
    return go_to(url_for(".details"))
