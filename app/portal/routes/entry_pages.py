"""The way into the portal: signing in and out, a forgotten password, and the links that set one."""

from urllib.parse import urlsplit

from flask import flash, g, redirect, render_template, request, url_for
from werkzeug import Response

from app.access import CUSTOMERS, VISITORS, allow
from app.accounts.signing_in import hash_password
from app.db import end_reading, unit_of_work
from app.htmx import go_to
from app.portal import entering, links
from app.portal.forms import EmailForm, PasswordForm, SignInForm
from app.portal.models import Purpose
from app.portal.routes.blueprint import Answer, pages, take


@pages.get("/portal/<account_slug>/")
@allow(VISITORS)
def start() -> Response:
    """The bare address: to the invoices, or to the sign-in."""
    signed_in = entering.current(g.account) is not None
    return redirect(url_for(".invoices" if signed_in else ".sign_in"))


@pages.route("/portal/<account_slug>/login", methods=["GET", "POST"])
@allow(VISITORS)
def sign_in() -> Answer:
    if request.method == "GET" and entering.current(g.account) is not None:
        return redirect(_landing())

    def deed(form: SignInForm) -> Response:
        entering.sign_in(g.account, form.email.data or "", form.password.data or "")
        return go_to(_landing())

    return take(SignInForm(), deed, "portal/sign_in.html", "portal/_sign_in_form.html")


@pages.post("/portal/<account_slug>/logout")
@allow(CUSTOMERS)
def sign_out() -> Response:
    with unit_of_work():
        entering.sign_out(g.portal_sign_in)
    return go_to(url_for(".sign_in"))


@pages.route("/portal/<account_slug>/forgotten", methods=["GET", "POST"])
@allow(VISITORS)
def forgotten() -> Answer:
    """Everybody gets the same answer, whether or not somebody has that email."""

    def deed(form: EmailForm) -> Response:
        links.forgotten(g.account, form.email.data or "", request.remote_addr or "")
        return go_to(url_for(".look_in_your_mail", what=Purpose.RESET.value))

    return take(EmailForm(), deed, "portal/forgotten.html", "portal/_forgotten_form.html")


@pages.get("/portal/<account_slug>/look-in-your-mail")
@allow(VISITORS)
def look_in_your_mail() -> str:
    """What to do after asking for a link."""
    return render_template("portal/look_in_your_mail.html", what=request.args.get("what", ""))


@pages.route("/portal/<account_slug>/password", methods=["GET", "POST"])
@allow(VISITORS)
def choose_password() -> Answer:
    """Where the links in mails lead. Only sending the form uses the link up: mail programs look at links beforehand."""
    token = request.args.get("token", "")
    link = links.read(g.account, token)

    def deed(form: PasswordForm) -> Response:
        end_reading()
        password_hash = hash_password(form.password.data or "")
        with unit_of_work():
            used = links.use(g.account, token, password_hash)
            new, signed_up = used.purpose != Purpose.RESET, used.purpose == Purpose.CONFIRMATION
        flash("Welcome. You are signed in." if new else "The new password holds. You are signed in.", "done")
        return go_to(url_for(".billing" if signed_up else ".invoices"))

    return take(
        PasswordForm(),
        deed,
        "portal/choose_password.html",
        "portal/_choose_password_form.html",
        token=token,
        purpose=link.purpose.value,
        email=link.customer.email,
    )


def _landing() -> str:
    """Where somebody wanted to go, as long as it is inside this portal; else the invoices."""
    asked = request.args.get("next", "")
    parts = urlsplit(asked)
    inside = not parts.scheme and not parts.netloc and parts.path.startswith(f"/portal/{g.account.slug}/")
    return asked if inside and "\\" not in asked else url_for(".invoices")
