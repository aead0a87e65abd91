"""Asking for a new password by mail, and setting it."""

from flask import Response, current_app, flash, render_template, request, url_for

from app.access import PUBLIC, allow
from app.accounts import links, resets, signing_in
from app.accounts.forms import NewPasswordForm, ResetForm
from app.accounts.models import PasswordReset
from app.accounts.routes.blueprint import pages
from app.db import end_reading, unit_of_work
from app.errors import TooManyTries
from app.htmx import go_to
from app.mailing.services import post
from app.typed import email_key

ASKED_PER_ADDRESS = 20


@pages.route("/reset", methods=["GET", "POST"])
@allow(PUBLIC)
def ask_for_reset() -> str | tuple[str, int]:
    """The answer is the same whether or not anybody has that email."""
    form = ResetForm()
    if not form.validate_on_submit():
        html = render_template("accounts/reset.html", form=form, asked="")
        return (html, 422) if form.is_submitted() else html
    email = (form.email.data or "").strip()
    try:
        signing_in.count_try("reset_from", request.remote_addr or "", ASKED_PER_ADDRESS)
        signing_in.count_try("reset", email_key(email), signing_in.TRIES)
    except TooManyTries as error:
        form.form_errors.append(error.sentence)
        return render_template("accounts/reset.html", form=form, asked=""), error.status
    with unit_of_work():
        asked = resets.ask(email)
        if asked is not None:
            user, token = asked
            link = current_app.config["SETTINGS"].public_base + url_for(".reset", token=token)
            post(None, to=user.email, template="password_reset", context={"user": user, "link": link})
    return render_template("accounts/reset.html", form=form, asked=email)


@pages.route("/reset/<token>", methods=["GET", "POST"])
@allow(PUBLIC)
def reset(token: str) -> str | tuple[str, int] | Response:
    links.find(PasswordReset, token)
    form = NewPasswordForm()
    if not form.validate_on_submit():
        html = render_template("accounts/new_password.html", form=form, token=token)
        return (html, 422) if form.is_submitted() else html
    end_reading()
    hashed = signing_in.hash_password(form.password.data or "")
    with unit_of_work():
        user = resets.use(token, hashed)
        post(None, to=user.email, template="password_changed", context={"user": user})
    flash("Your password is changed, and you are signed out everywhere. Sign in with the new one.", "done")
    return go_to(url_for(".sign_in"))
