"""Business settings > Staff, and the page behind the link of an invitation."""

from flask import Response, current_app, flash, g, render_template, request, url_for
from flask_login import current_user

from app.access import OFFICE, PUBLIC, Role, allow
from app.accounts import links, services, signing_in, staff
from app.accounts.forms import InviteForm, JoinForm, RoleForm, ToldForm
from app.accounts.models import Invitation, User
from app.accounts.routes.blueprint import pages
from app.db import db, end_reading, unit_of_work
from app.errors import Conflict, Forbidden, InvalidInput, TooManyTries
from app.htmx import go_to, page_or_partial
from app.mailing.services import post

INVITATIONS = 30  # in a quarter of an hour: nobody makes us send mail to the whole world


@pages.get("/<account_slug>/settings/staff", endpoint="staff")
@allow(OFFICE)
def list_staff() -> str:
    return _draw(InviteForm(g.membership.role))


@pages.post("/<account_slug>/settings/staff/invite")
@allow(OFFICE)
def invite() -> str | tuple[str, int] | Response:
    form = InviteForm(g.membership.role)
    if form.validate_on_submit():
        try:
            signing_in.count_try("invite", str(g.account.id), INVITATIONS)
            with unit_of_work():
                invitation, token = staff.invite(g.account, form.email.data or "", Role(form.role.data), g.membership)
                link = current_app.config["SETTINGS"].public_base + url_for(".join", token=token)
                post(
                    g.account,
                    to=invitation.email,
                    template="invitation",
                    context={"invitation": invitation, "link": link},
                )
                email = invitation.email
        except (InvalidInput, TooManyTries) as error:
            form.email.errors = [error.sentence]
        else:
            flash(f"An invitation is on its way to {email}. Its link holds for 24 hours.", "done")
            return go_to(url_for(".staff"))
    return _draw(form), 422


@pages.post("/<account_slug>/settings/staff/invitations/<int:invitation_id>/withdraw")
@allow(OFFICE)
def withdraw(invitation_id: int) -> Response:
    with unit_of_work():
        email = staff.withdraw(g.account, invitation_id, g.membership).email
    flash(f"The invitation to {email} is withdrawn; its link opens nothing any more.", "done")
    return go_to(url_for(".staff"))


@pages.route("/<account_slug>/settings/staff/<int:membership_id>/role", methods=["GET", "POST"])
@allow(OFFICE)
def change_role(membership_id: int) -> str | tuple[str, int] | Response:
    membership = staff.get(g.account, membership_id)
    _refuse_others(membership.role)
    form = RoleForm(g.membership.role, membership.role)
    if form.validate_on_submit():
        try:
            with unit_of_work():
                changed = staff.change_role(g.account, membership_id, Role(form.role.data), g.membership)
                sentence = f"{changed.user.shown_name} is {changed.role.label} now and signs in again."
        except Conflict as error:
            form.role.errors = [error.sentence]
        else:
            flash(sentence, "done")
            return go_to(url_for(".staff"))
    html = page_or_partial(
        "accounts/staff_dialog.html",
        "accounts/_role_dialog.html",
        form=form,
        person=staff.get(g.account, membership_id),
    )
    return (html, 422) if form.is_submitted() else html


@pages.route("/<account_slug>/settings/staff/<int:membership_id>/told", methods=["GET", "POST"])
@allow(OFFICE)
def tell_about(membership_id: int) -> str | tuple[str, int] | Response:
    """Of which location's mail an Operator is told."""
    membership = staff.get(g.account, membership_id)
    _refuse_others(membership.role)
    form = ToldForm(g.account.locations, membership.location_id)
    if form.validate_on_submit():
        try:
            with unit_of_work():
                told = staff.tell_about(g.account, membership_id, form.location.data or None, g.membership)
                where = told.location.name if told.location is not None else "all locations"
                sentence = f"{told.user.shown_name} is told about mail of {where}."
        except (Conflict, InvalidInput) as error:
            form.location.errors = [error.sentence]
        else:
            flash(sentence, "done")
            return go_to(url_for(".staff"))
    html = page_or_partial(
        "accounts/told_dialog.html",
        "accounts/_told_dialog.html",
        form=form,
        person=staff.get(g.account, membership_id),
    )
    return (html, 422) if form.is_submitted() else html


@pages.route("/<account_slug>/settings/staff/<int:membership_id>/remove", methods=["GET", "POST"])
@allow(OFFICE)
def remove(membership_id: int) -> str | Response:
    """What removing means; by POST, it is done."""
    membership = staff.get(g.account, membership_id)
    _refuse_others(membership.role)
    if request.method == "POST":
        with unit_of_work():
            name = staff.remove(g.account, membership_id, g.membership).shown_name
        flash(f"{name} works here no more and is signed out.", "done")
        return go_to(url_for(".staff"))
    return page_or_partial("accounts/remove_dialog.html", "accounts/_remove_dialog.html", person=membership)


@pages.route("/invitation/<token>", methods=["GET", "POST"])
@allow(PUBLIC)
def join(token: str) -> str | tuple[str, int] | Response:
    """Join an account: as whoever is signed in, after signing in, or as a new user with a password."""
    invitation = links.find(Invitation, token)
    form = JoinForm()
    is_me = current_user.is_authenticated and current_user.email_key == invitation.email_key
    if is_me and form.is_submitted():
        return _join_as_me(token)
    known = services.has_user(invitation.email)
    if not known and not current_user.is_authenticated and form.validate_on_submit():
        return _join_as_new(token, form)
    html = render_template(
        "accounts/join.html", invitation=invitation, form=form, token=token, known=known, is_me=is_me
    )
    return (html, 422) if form.is_submitted() else html


def _join_as_me(token: str) -> Response:
    with unit_of_work() as rows:
        invitation = links.find(Invitation, token, lock=True)
        staff.join(invitation, rows.get_one(User, current_user.id))
        slug = invitation.account.slug
    return go_to(url_for(".home", account_slug=slug))


def _join_as_new(token: str, form: JoinForm) -> Response:
    end_reading()
    password = form.password.data or ""
    hashed = signing_in.hash_password(password)  # before the transaction: it takes a tenth of a second
    with unit_of_work():
        invitation = links.find(Invitation, token, lock=True)
        user = services.create_user(invitation.email, hashed, form.full_name.data or "")
        staff.join(invitation, user)
        email, slug = user.email, invitation.account.slug
    signing_in.sign_in(email, password)
    return go_to(url_for(".home", account_slug=slug))


def _refuse_others(role: Role) -> None:
    if not staff.may_manage(g.membership.role, role):
        raise Forbidden("Only an Operator changes this person's role.")


def _draw(form: InviteForm) -> str:
    db.session.rollback()
    return render_template(
        "accounts/staff.html",
        form=form,
        members=staff.members(g.account),
        invited=staff.invited(g.account),
        may_manage=staff.may_manage,
        mine=g.membership,
        has_locations=len(g.account.locations) > 1,
    )
