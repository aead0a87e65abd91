"""Pages for signing in and out, and where a user lands."""

from urllib.parse import urlsplit

from flask import g, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug import Response

from app.access import OFFICE, PUBLIC, SIGNED_IN, STAFF, allow
from app.accounts import signing_in
from app.accounts.forms import CodeForm, SignInForm
from app.accounts.models import User
from app.accounts.routes.blueprint import pages
from app.errors import InvalidInput, TooManyTries
from app.htmx import asks_for_partial, go_to


@pages.get("/")
@allow(PUBLIC)
def start() -> Response:
    """The bare address: to the sign-in, or to the user's first account."""
    if not current_user.is_authenticated:
        return redirect(url_for(".sign_in"))
    return redirect(_landing(current_user))


@pages.route("/login", methods=["GET", "POST"])
@allow(PUBLIC)
def sign_in() -> Response | str | tuple[str, int]:
    form = SignInForm()
    if not form.is_submitted() and current_user.is_authenticated:
        return redirect(_landing(current_user))
    if not form.validate_on_submit():
        return (_draw(form), 422) if form.is_submitted() else _draw(form)
    try:
        user = signing_in.sign_in(form.email.data or "", form.password.data or "")
    except InvalidInput as error:
        form.password.errors = [error.sentence]
        return _draw(form), error.status
    except TooManyTries as error:
        form.form_errors.append(error.sentence)
        return _draw(form), error.status
    if user is None:
        return go_to(url_for(".sign_in_code", next=request.args.get("next")))
    return go_to(_inside(request.args.get("next")) or _landing(user))


@pages.route("/login/code", methods=["GET", "POST"])
@allow(PUBLIC)
def sign_in_code() -> Response | str | tuple[str, int]:
    """The second step of signing in, for those who have a second factor."""
    form = CodeForm()
    if not signing_in.awaits_code():
        return redirect(url_for(".sign_in", next=request.args.get("next")))
    status = 422 if form.is_submitted() else 200
    if form.validate_on_submit():
        try:
            user = signing_in.sign_in_with_code(form.code.data or "")
        except InvalidInput as error:
            form.code.errors = [error.sentence]
        except TooManyTries as error:
            form.form_errors.append(error.sentence)
            status = error.status
        else:
            return go_to(_inside(request.args.get("next")) or _landing(user))
    return render_template("accounts/sign_in_code.html", form=form), status


@pages.post("/logout")
@allow(SIGNED_IN)
def sign_out() -> Response:
    signing_in.sign_out()
    return go_to(url_for(".sign_in"))


@pages.get("/accounts")
@allow(SIGNED_IN)
def choose() -> str:
    """The accounts of somebody who has several, or none."""
    return render_template("accounts/choose.html", memberships=current_user.memberships)


@pages.get("/<account_slug>/")
@allow(STAFF)
def home() -> Response | str:
    if g.membership.role in OFFICE:
        return redirect(url_for("dashboard.today"))
    return render_template("accounts/home.html")


def _draw(form: SignInForm) -> str:
    return render_template("accounts/_sign_in_form.html" if asks_for_partial() else "accounts/sign_in.html", form=form)


def _landing(user: User) -> str:
    if len(user.memberships) == 1:
        return url_for(".home", account_slug=user.memberships[0].account.slug)
    return url_for(".choose")


def _inside(address: str | None) -> str | None:
    """`address` when it is a path of this host; never a way to send a fresh sign-in elsewhere."""
    if not address or not address.startswith("/") or address.startswith(("//", "/\\")):
        return None
    parts = urlsplit(address)
    return address if not parts.scheme and not parts.netloc else None
