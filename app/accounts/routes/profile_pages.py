"""One's own profile: name, password, second factor, and the browsers one is signed in with."""

from flask import Response, flash, render_template, url_for
from flask_login import current_user
from markupsafe import Markup

from app.access import STAFF, allow
from app.accounts import profile as service
from app.accounts import second_factor, signing_in
from app.accounts.forms import ChangePasswordForm, CodeForm, NameForm, OwnPasswordForm
from app.accounts.models import User
from app.accounts.routes.blueprint import pages
from app.accounts.services import set_password
from app.browsers import browser_words
from app.db import end_reading, unit_of_work
from app.errors import InvalidInput, TooManyTries
from app.htmx import go_to
from app.mailing.services import post

Answer = Response | str | tuple[str, int]


@pages.route("/<account_slug>/profile", methods=["GET", "POST"])
@allow(STAFF)
def profile() -> Answer:
    form = NameForm(data={"full_name": current_user.full_name})
    if form.validate_on_submit():
        try:
            with unit_of_work() as session:
                service.rename(session.get_one(User, current_user.id), form.full_name.data or "")
        except InvalidInput as error:
            form.full_name.errors = [error.sentence]
        else:
            flash("Saved.", "done")
            return go_to(url_for(".profile"))
    html = render_template(
        "accounts/profile.html",
        form=form,
        sign_ins=service.open_sign_ins(current_user),
        this=signing_in.this_sign_in(),
        browser_words=browser_words,
        codes_left=second_factor.codes_left(current_user) if current_user.second_factor_since else 0,
    )
    return (html, 422) if form.is_submitted() else html


@pages.route("/<account_slug>/profile/password", methods=["GET", "POST"])
@allow(STAFF)
def change_password() -> Answer:
    form = ChangePasswordForm()
    if not (form.validate_on_submit() and _knows_password(form)):
        html = render_template("accounts/change_password.html", form=form)
        return (html, 422) if form.is_submitted() else html
    hashed = signing_in.hash_password(form.password.data or "")
    with unit_of_work() as session:
        user = session.get_one(User, current_user.id)
        set_password(user, hashed, keep=signing_in.this_sign_in())
        post(None, to=user.email, template="password_changed", context={"user": user})
    flash("Your password is changed. Every other browser is signed out.", "done")
    return go_to(url_for(".profile"))


@pages.post("/<account_slug>/profile/sign-ins/<int:sign_in_id>/end")
@allow(STAFF)
def end_sign_in(sign_in_id: int) -> Response:
    with unit_of_work() as session:
        service.end(session.get_one(User, current_user.id), sign_in_id)
    flash("That browser is signed out.", "done")
    return go_to(url_for(".profile"))


@pages.post("/<account_slug>/profile/sign-ins/end-others")
@allow(STAFF)
def end_other_sign_ins() -> Response:
    with unit_of_work() as session:
        count = service.end_others(session.get_one(User, current_user.id), signing_in.this_sign_in())
    flash("1 other browser is signed out." if count == 1 else f"{count} other browsers are signed out.", "done")
    return go_to(url_for(".profile"))


@pages.post("/<account_slug>/profile/second-factor/begin")
@allow(STAFF)
def begin_second_factor() -> Response:
    """Make a secret, and show it."""
    with unit_of_work() as session:
        second_factor.begin(session.get_one(User, current_user.id))
    return go_to(url_for(".add_second_factor"))


@pages.route("/<account_slug>/profile/second-factor", methods=["GET", "POST"])
@allow(STAFF)
def add_second_factor() -> Answer:
    """The secret as a picture and as text; a first code from the authenticator confirms it."""
    form, row = CodeForm(), second_factor.of(current_user)
    if row is None or row.confirmed_at is not None:
        return go_to(url_for(".profile"))
    if form.validate_on_submit():
        try:
            with unit_of_work() as session:
                user = session.get_one(User, current_user.id)
                codes = second_factor.confirm(user, form.code.data or "")
                _tell(user, "is on")
        except InvalidInput as error:
            form.code.errors = [error.sentence]
        else:
            return render_template("accounts/recovery_codes.html", codes=codes)
    html = render_template(
        "accounts/second_factor.html",
        form=form,
        picture=Markup(second_factor.picture_of(row, current_user.email)),  # noqa: S704  # drawn by segno
        secret=second_factor.secret_of(row),
    )
    return (html, 422) if form.is_submitted() else html


@pages.route("/<account_slug>/profile/second-factor/change/<deed>", methods=["GET", "POST"])
@allow(STAFF)
def change_second_factor(deed: str) -> Answer:
    """Take it away, or get new recovery codes; both ask for the password once more."""
    if deed not in {"off", "codes"} or current_user.second_factor_since is None:
        return go_to(url_for(".profile"))
    form = OwnPasswordForm()
    if not (form.validate_on_submit() and _knows_password(form)):
        html = render_template("accounts/second_factor_change.html", form=form, deed=deed)
        return (html, 422) if form.is_submitted() else html
    if deed == "codes":
        with unit_of_work() as session:
            codes = second_factor.renew_codes(session.get_one(User, current_user.id))
        return render_template("accounts/recovery_codes.html", codes=codes)
    with unit_of_work() as session:
        user = session.get_one(User, current_user.id)
        second_factor.take_away(user)
        _tell(user, "is off")
    flash("The second factor is off. Your password alone signs you in.", "done")
    return go_to(url_for(".profile"))


def _knows_password(form: OwnPasswordForm) -> bool:
    email = current_user.email
    end_reading()
    try:
        signing_in.prove_password(email, form.current.data or "")
    except (InvalidInput, TooManyTries) as error:
        form.current.errors = [error.sentence.replace("email and password do not match", "is not your password")]
        return False
    return True


def _tell(user: User, what: str) -> None:
    post(None, to=user.email, template="second_factor", context={"user": user, "what": what})
