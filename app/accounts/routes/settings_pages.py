"""Business settings > General: name, contact, look, logo, and the sender of mails with a test."""

from datetime import timedelta

from flask import Response, flash, g, render_template, request, url_for
from flask_login import current_user

from app import audit, clock
from app.access import OFFICE, OPERATORS, Role, allow
from app.accounts import logos, settings, signing_in
from app.accounts.looks import checked_accent, look_of
from app.accounts.routes.blueprint import pages
from app.accounts.services import COUNTRIES
from app.accounts.settings_forms import GeneralForm, LogoForm
from app.asked import asked
from app.billing import numbering
from app.db import end_reading, unit_of_work
from app.errors import Conflict, InvalidInput
from app.htmx import asks_for_partial, go_to, page_or_partial
from app.mailing import services as mailing
from app.mailing.models import MailState, OutgoingMail

TESTS = 10  # mails in a quarter of an hour
SHOWN_FOR = timedelta(hours=1)

pages.add_app_template_global(look_of)


@pages.get("/<account_slug>/settings", endpoint="settings")
@allow(OFFICE)
def general() -> str:
    return _draw(GeneralForm(g.account), LogoForm())


@pages.post("/<account_slug>/settings")
@allow(OPERATORS)
def save_settings() -> tuple[str, int] | Response:
    form = GeneralForm(g.account)
    if form.validate_on_submit():
        try:
            with unit_of_work():
                numbering.hold(g.account)
                form.refuse_if_changed(GeneralForm.shown(g.account), g.account, "account_changed")
                changed = settings.edit(g.account, form.general())
        except (InvalidInput, Conflict) as error:
            form.blame(error)
        else:
            flash("Saved." if changed else "Nothing was changed.", "done")
            return go_to(url_for(".settings"))
    return _draw(form, LogoForm()), 422


@pages.get("/<account_slug>/settings/accent")
@allow(OPERATORS)
def show_accent() -> str | Response:
    """How a colour would look, asked for while it is typed."""
    if not asks_for_partial():
        return go_to(url_for(".settings"))
    return render_template("accounts/_accent.html", typed=asked("accent"), **_look(asked("accent")))


@pages.post("/<account_slug>/settings/logo")
@allow(OPERATORS)
def upload_logo() -> tuple[str, int] | Response:
    form = LogoForm()
    file = request.files.get("logo")
    uploaded = file.read(logos.LARGEST_FILE + 1) if file else b""
    end_reading()
    try:
        drawn = logos.draw(uploaded)
    except InvalidInput as error:
        form.logo.errors = [error.sentence]
        return _draw(GeneralForm(g.account), form), 422
    with unit_of_work():
        logos.put(g.account, drawn)
    flash("The logo is in place.", "done")
    return go_to(url_for(".settings", _anchor="logo-form"))


@pages.post("/<account_slug>/settings/logo/remove")
@allow(OPERATORS)
def remove_logo() -> Response:
    with unit_of_work():
        logos.remove(g.account)
    flash("The logo is removed.", "done")
    return go_to(url_for(".settings", _anchor="logo-form"))


@pages.get("/<account_slug>/settings/test-mail")
@allow(OPERATORS)
def show_test() -> str | Response:
    """What became of the last test; asked for again while it is on its way."""
    if not asks_for_partial():
        return go_to(url_for(".settings", _anchor="test-mail"))
    return render_template("accounts/_test_mail.html", **_test())


@pages.post("/<account_slug>/settings/test-mail")
@allow(OPERATORS)
def send_test() -> str | Response:
    """Send a test to whoever asks."""
    signing_in.count_try("test_mail", str(g.account.id), TESTS)
    with unit_of_work():
        name = current_user.shown_name
        mail = mailing.post(g.account, to=current_user.email, template="test", context={"name": name})
        audit.record("test_mail_asked", mail)
    return show_test()


def _draw(form: GeneralForm, logo_form: LogoForm) -> str:
    may_change = g.membership.role == Role.OPERATOR
    return page_or_partial(
        "accounts/general.html",
        "accounts/_general_form.html",
        form=form,
        logo_form=logo_form,
        may_change=may_change,
        countries=COUNTRIES,
        typed=form.accent.data or "",
        **_look(form.accent.data or ""),
        **(_test() if may_change else {}),
    )


def _look(typed: str) -> dict[str, object]:
    """The look of a typed colour; None while it is no colour."""
    try:
        return {"look": look_of(checked_accent(typed))}
    except InvalidInput:
        return {"look": None}


def _test() -> dict[str, OutgoingMail | bool | str | None]:
    mail = mailing.latest_for(g.account, "test", current_user.email, clock.now() - SHOWN_FOR)
    sender_name, sender_address = mailing.sender_of(g.account)
    return {
        "test": mail,
        "test_moves": mail is not None and mail.state == MailState.WAITING,
        "test_sentence": mailing.sentence_of(mail) if mail else "",
        "sender_name": sender_name,
        "sender_address": sender_address,
    }
