"""The style guide of a demo: every component in every state, made for looking at; it reads and writes no data."""

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_sqlalchemy.pagination import Pagination
from flask_wtf import FlaskForm
from werkzeug import Response
from werkzeug.exceptions import NotFound
from wtforms.fields import (
    BooleanField,
    EmailField,
    IntegerField,
    PasswordField,
    RadioField,
    SelectField,
    StringField,
    TextAreaField,
)
from wtforms.validators import Email, InputRequired, NumberRange, Optional

from app.access import PUBLIC, allow
from app.htmx import page_or_partial

styleguide_pages = Blueprint("styleguide", __name__, url_prefix="/styleguide")

STATES = {
    "invoice": ("draft", "pending", "closed", "paid", "void"),
    "invoice_export": ("waiting", "sending", "exported", "unknown", "held"),
    "member_link": (
        *("linked", "billed_here", "needs_choice", "not_linked"),
        *("looking", "tomorrow", "member_gone"),
    ),
    "customer": ("active", "scheduled", "locked", "inactive", "lead", "cancelled"),
    "installation": ("off", "not_set_up", "on", "connected", "needs_attention", "paused"),
    "email_account": ("fine", "scanning", "resting", "needs_sign_in", "off"),
    "message": ("verified", "not_verified", "failed", "automatic", "not_delivered"),
    "work": ("running", "waiting", "failing"),
    "outgoing_mail": ("waiting", "sent", "unknown", "refused"),
    "outgoing": (
        *("draft", "waiting", "sending", "sent"),
        *("unknown", "failed_to_send", "not_delivered"),
    ),
    "outcome": ("done", "sent", "unknown", "failed", "refused"),
}
"""What has states, and every state of it that has a chip."""

COLOURS = (
    *("desk", "sheet", "inset", "hover", "rule", "rule-2", "edge", "heavy", "text", "text-2", "text-3"),
    *("ink", "ink-tint", "there", "there-tint", "there-wash", "good", "good-tint"),
    *("ask", "ask-tint", "stop", "stop-tint"),
)

ERRORS = {
    400: ("That request cannot be read", "Go back, reload the page and try again."),
    403: ("Not for this role", "Only an Operator can open this. At Quayside Works that is Hanna Velde."),
    404: ("Not found", "There is nothing at this address."),
    405: ("Not this way", "This address does not answer that kind of request."),
    409: ("That changed meanwhile", "Marek Stroud linked this customer a moment ago. Reload the page."),
    413: ("Too large", "What was sent is larger than this page takes."),
    422: ("That cannot be taken", "The amount has three decimals, and EUR has two."),
    429: ("Too many tries", "Wait 15 minutes, then try again."),
    500: ("Something broke on our side", "Your last change was not saved. It is safe to go back and try again."),
    503: ("The database does not answer", "Your last change was not saved. Try again in a moment."),
}
"""Code of an error page, its title and its sentence."""


# Any: the types of WTForms know choices as tuples only, which WTForms 3.3 warns about.
WHEN: Any = ["Never", "After filing"]
FATES: Any = ["keep waiting until you connect again", "are collected here from now on"]


class SampleForm(FlaskForm):
    """One field of every kind."""

    street = StringField("Street", [InputRequired("Type a street.")], description="Where the mailboxes are.")
    email = EmailField("Email", [InputRequired("Type an email."), Email("That is not an email address.")])
    phone = StringField("Telephone", [Optional()])
    port = IntegerField("Port", [NumberRange(1, 65535, "A port is a number up to 65535.")])
    delete = SelectField("Delete on the server", choices=WHEN)
    password = PasswordField("App password", [InputRequired("Type the app password: 16 letters.")])
    notify = BooleanField("Send notifications")
    waiting = RadioField(
        "Waiting invoices",
        choices=FATES,
        default=FATES[0],
    )
    answer = TextAreaField("Answer", [Optional()])


class SamplePages(Pagination):
    """A page of a list of 214 that nobody has to store."""

    def _query_items(self) -> list[Any]:
        return list(range(self.per_page))

    def _query_count(self) -> int:
        return 214


@styleguide_pages.get("")
@allow(PUBLIC)
def index() -> str:
    """All components on one page, in the frame of an Operator."""
    filled = SampleForm(None, data={"street": "Harbour Street 4", "email": "desk@quay.example", "port": 993})
    wrong = SampleForm(
        None, prefix="wrong", data={"email": "desk@", "port": 99999, "delete": "Never"}, meta={"csrf": False}
    )
    wrong.validate()
    return render_template(
        "styleguide/index.html",
        frame=sample_frame(),
        states=STATES,
        colours=COLOURS,
        errors=ERRORS,
        form=filled,
        wrong=wrong,
        first_page=SamplePages(page=1, per_page=16, error_out=False),
        middle_page=SamplePages(page=8, per_page=16, error_out=False),
    )


@styleguide_pages.route("/dialog", methods=["GET", "POST"])
@allow(PUBLIC)
def dialog() -> tuple[str, int] | Response:
    """A dialog with a form: what cannot be taken comes back in place with 422."""
    form = SampleForm(prefix="dialog")  # the page behind it has fields of the same names
    if request.method == "POST":
        taken = [field.validate(form) for field in (form.street, form.email, form.password)]
        if all(taken):
            flash("Harbour Street is connected.", "done")
            return redirect(url_for(".index"), 303)
    page = page_or_partial("styleguide/dialog.html", "styleguide/_dialog.html", frame=sample_frame(), form=form)
    return page, 422 if request.method == "POST" else 200


@styleguide_pages.get("/error/<int:code>")
@allow(PUBLIC)
def error(code: int) -> tuple[str, int]:
    """An error page as somebody signed in sees it, or with ?visitor=1 as a visitor does."""
    if code not in ERRORS:
        raise NotFound
    title, sentence = ERRORS[code]
    return render_template(
        "errors/error.html",
        frame=None if "visitor" in request.args else sample_frame(),
        code=code,
        title=title,
        sentence=sentence,
        request_id="7f3a91c20e5d4b18",
    ), code


@styleguide_pages.get("/letter")
@allow(PUBLIC)
def letter() -> Response:
    """What the sandboxed frame of a letter shows; unlike other pages it may stand in a frame of ours."""
    page = Response("<!doctype html><title>Letter</title><p>Hello Hanna,<p>thank you, that is the one.<p>Tamsin")
    page.headers["Content-Security-Policy"] = "default-src 'none'; frame-ancestors 'self'"
    return page


def sample_frame() -> dict[str, Any]:
    """A frame as the layout expects it, for an Operator of an invented account."""
    here = url_for("styleguide.index")

    def entry(label: str, count: int | None = None, kind: str = "", *, current: bool = False) -> dict[str, Any]:
        return {"label": label, "url": here, "count": count, "count_kind": kind, "current": current}

    return {
        "account": {"name": "Quayside Works", "slug": "quayside"},
        "user": {"full_name": "Hanna Velde", "email": "hanna@quayside.example", "initials": "HV"},
        "role_label": "Operator",
        "menu": [
            {"title": None, "entries": [entry("Today")]},
            {"title": "Operations", "entries": [entry("Customers", 214, current=True), entry("Invoices")]},
            {"title": "Nexudus", "entries": [entry("Members"), entry("Exports"), entry("Problems", 5, "ask")]},
            {"title": "CRM", "entries": [entry("Email accounts", 1, "stop"), entry("Needs a choice", 2, "ask")]},
            {"title": "Account", "entries": [entry("Business settings")]},
        ],
        "name_menu": [entry("Business settings")],
        "accounts": [{"name": "Mill Lane Offices", "url": here}],
        "bottom": [entry("Customers", current=True), entry("Invoices"), entry("Email accounts")],
        "heartbeat": {"ok": True, "sentence": "Background work runs"},
        "strips": [],
        "marketplace_url": url_for("styleguide.dialog"),
        "search_url": here,
        "sign_out_url": here,
        "bell": {"count": 4, "url": here},
        "help_url": here,
    }
