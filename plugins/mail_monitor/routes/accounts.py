"""Email accounts: the list with their health, the page to add or change one, and the connection test beside it."""

from typing import Any

from flask import Response, flash, g, render_template, request, url_for
from flask_login import current_user

from app.access import OPERATORS, allow
from app.db import unit_of_work
from app.errors import Conflict, InvalidInput, TooManyTries
from app.htmx import asks_for_partial, go_to, page_or_partial
from plugins.mail_monitor import account_pages, accounts, credentials, presets, testing
from plugins.mail_monitor.forms import EmailAccountForm
from plugins.mail_monitor.models import ConnectionTest, EmailAccount
from plugins.mail_monitor.pages import pages
from plugins.mail_monitor.settings import AccountSettings

Answer = str | Response | tuple[str, int]


@pages.get("/accounts", endpoint="accounts")
@allow(OPERATORS)
def list_accounts() -> str:
    """Every email account and how it stands; asks again by itself while one is being scanned."""
    return page_or_partial(
        "mail_monitor/accounts.html", "mail_monitor/_accounts.html", **account_pages.overview(g.account.id)
    )


@pages.post("/accounts/check")
@allow(OPERATORS)
def check_all() -> Answer:
    """Ask for a scan of every account now."""
    with unit_of_work():
        count = accounts.check_now(accounts.all_of(g.account.id), current_user.shown_name)
    return _checked(count)


@pages.post("/accounts/<int:email_account_id>/check")
@allow(OPERATORS)
def check(email_account_id: int) -> Answer:
    """Ask for a scan of one account now."""
    with unit_of_work():
        count = accounts.check_now([accounts.get(g.account.id, email_account_id)], current_user.shown_name)
    return _checked(count)


@pages.get("/accounts/new")
@allow(OPERATORS)
def new_account() -> Answer:
    """The empty form, or what was typed for a test that the address names."""
    test = _test_of_request()
    settings = testing.settings_of(test) if test else None
    form = EmailAccountForm.filled(g.account, settings) if settings else EmailAccountForm(g.account)
    return _form_page(form, None, test)


@pages.post("/accounts/new")
@allow(OPERATORS)
def add_account() -> Answer:
    return _save(None)


@pages.get("/accounts/<int:email_account_id>")
@allow(OPERATORS)
def account(email_account_id: int) -> Answer:
    """One account: how it stands, and everything that can be changed about it."""
    row = accounts.get(g.account.id, email_account_id)
    test = _test_of_request()
    settings = testing.settings_of(test) if test else accounts.settings_of(row)
    return _form_page(EmailAccountForm.filled(g.account, settings), row, test)


@pages.post("/accounts/<int:email_account_id>")
@allow(OPERATORS)
def change_account(email_account_id: int) -> Answer:
    return _save(email_account_id)


@pages.get("/accounts/servers")
@allow(OPERATORS)
def servers() -> Answer:
    """The server fields for the provider that was chosen, or that the address typed so far belongs to."""
    account_id = request.args.get("account", type=int)
    row = accounts.get(g.account.id, account_id) if account_id else None
    form = EmailAccountForm(g.account, formdata=request.args)
    address, before = form.email_address.data or "", form.brought_by.data or ""
    if request.args.get("by") == "address":
        known = presets.preset_for(address)
        if known is None and not before:
            return Response(status=204)  # nothing came along with an address, or a person chose it from the list
        form.provider.data = known.key if known else presets.OTHER
        form.brought_by.data = address if known else ""
    else:
        form.brought_by.data = ""
    user = form.incoming.form.user
    if not user.data or user.data == before:
        user.data = address
    return render_template(
        "mail_monitor/_servers.html",
        form=form,
        row=row,
        beside=True,
        **account_pages.about_servers(form),
        **account_pages.about_deletion(form, row),
    )


@pages.get("/accounts/new/deletion")
@allow(OPERATORS)
def deletion_by_new() -> str:
    """What the chosen option of deleting on the server would do."""
    return _deletion(None)


@pages.get("/accounts/<int:email_account_id>/deletion")
@allow(OPERATORS)
def deletion(email_account_id: int) -> str:
    """The same, and which messages it would take."""
    return _deletion(accounts.get(g.account.id, email_account_id))


def _deletion(row: EmailAccount | None) -> str:
    form = EmailAccountForm(g.account, formdata=request.args)
    return render_template("mail_monitor/_deletion.html", form=form, **account_pages.about_deletion(form, row))


@pages.get("/accounts/providers")
@allow(OPERATORS)
def providers() -> str:
    """The table of all known providers, with what was corrected in it."""
    return page_or_partial("mail_monitor/providers.html", "mail_monitor/_providers.html", presets=presets.PRESETS)


@pages.post("/accounts/test")
@allow(OPERATORS)
def test_new() -> Answer:
    return _begin_test(None)


@pages.post("/accounts/<int:email_account_id>/test")
@allow(OPERATORS)
def test_change(email_account_id: int) -> Answer:
    return _begin_test(email_account_id)


@pages.get("/tests/<int:test_id>")
@allow(OPERATORS)
def show_test(test_id: int) -> Answer:
    """A test alone: asked for again while it runs."""
    test = testing.get(g.account.id, test_id)
    if not asks_for_partial():
        return go_to(_address_of(test))
    return render_template("mail_monitor/_test.html", row=_row_of(test), **account_pages.about_test(test))


def _begin_test(email_account_id: int | None) -> Answer:
    """Store what was typed and ring a worker; the page shows its steps and keeps every field as it is."""
    row = accounts.get(g.account.id, email_account_id) if email_account_id else None
    form = EmailAccountForm(g.account)
    settings = _read(form, row)
    if settings is None:
        return _refused(form, row)
    try:
        left = testing.count(g.account.id)
    except TooManyTries as error:
        form.form_errors.append(error.sentence)
        return _refused(form, row, error.status)
    with unit_of_work():
        row = accounts.get(g.account.id, email_account_id) if email_account_id else None
        test = testing.begin(g.installation, settings, row, current_user.shown_name)
    if not asks_for_partial():
        return go_to(_address_of(test))
    return render_template(
        "mail_monitor/_test_begun.html", left=left, beside=True, **_context(form, row), **account_pages.about_test(test)
    )


def _save(email_account_id: int | None) -> Answer:
    row = accounts.get(g.account.id, email_account_id) if email_account_id else None
    form = EmailAccountForm(g.account)
    settings = _read(form, row)
    if settings is None:
        return _refused(form, row)
    try:
        with unit_of_work():
            row = accounts.get(g.account.id, email_account_id) if email_account_id else None
            row = accounts.save(
                g.account,
                g.installation,
                settings,
                row,
                _test_of_request(),
                current_user.shown_name,
                agrees=bool(form.incoming.form.agreed.data),
            )
            sentence = f"{row.display_name} is watched." if row.active else f"{row.display_name} is saved as inactive."
    except (InvalidInput, Conflict) as error:
        form.blame_error(error)
        row = accounts.get(g.account.id, email_account_id) if email_account_id else None
        return _refused(form, row)
    flash(sentence, "done")
    return go_to(url_for(".accounts"))


def _read(form: EmailAccountForm, row: EmailAccount | None) -> AccountSettings | None:
    """What was typed, with the passwords of the test it belongs to; None when the form says what is wrong."""
    valid = form.validate_on_submit()
    if "save" in request.form:
        # The buttons beside the test say what the box would.
        form.active.data = request.form["save"] == "watch"
    settings = form.read()
    test = _test_of_request()
    if test is not None and testing.settings_of(test).connection == settings.connection:
        settings = credentials.kept(test).fill(settings)
    for name, sentence in accounts.check(g.account, settings, row):
        form.blame(name, sentence)
        valid = False
    return settings if valid else None


def _refused(form: EmailAccountForm, row: EmailAccount | None, status: int = 422) -> Answer:
    """The form again, with what is wrong in its cells, wherever the answer was going to be shown."""
    if not asks_for_partial():
        return _form_page(form, row, _test_of_request()), status
    html = render_template("mail_monitor/_account_form.html", **_context(form, row))
    response = Response(html, status)
    response.headers["HX-Retarget"], response.headers["HX-Reswap"] = "#account-form", "outerHTML"
    return response


def _form_page(form: EmailAccountForm, row: EmailAccount | None, test: ConnectionTest | None) -> str:
    return render_template("mail_monitor/account.html", **_context(form, row), **account_pages.about_test(test))


def _context(form: EmailAccountForm, row: EmailAccount | None) -> dict[str, Any]:
    return {
        "form": form,
        "row": row,
        **account_pages.about_servers(form),
        **account_pages.about_deletion(form, row),
        **account_pages.about_account(row),
    }


def _test_of_request() -> ConnectionTest | None:
    test_id = request.values.get("test", type=int)
    return testing.get(g.account.id, test_id) if test_id else None


def _row_of(test: ConnectionTest) -> EmailAccount | None:
    return accounts.get(g.account.id, test.email_account_id) if test.email_account_id else None


def _address_of(test: ConnectionTest) -> str:
    if test.email_account_id:
        return url_for(".account", email_account_id=test.email_account_id, test=test.id, _anchor="test")
    return url_for(".new_account", test=test.id, _anchor="test")


def _checked(count: int) -> Answer:
    if asks_for_partial():
        return list_accounts()
    flash("Scanning." if count else "No account is active, so none is scanned.", "done" if count else "failed")
    return go_to(url_for(".accounts"))
