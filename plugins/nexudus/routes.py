"""Pages for the connection and its members."""

from typing import cast

from flask import Response, flash, g, render_template, request, url_for
from flask_login import current_user
from flask_wtf import FlaskForm

from app.access import OFFICE, OPERATORS, allow
from app.accounts.signing_in import count_try
from app.asked import page_number
from app.billing import customers
from app.billing.models import Customer
from app.db import end_reading, unit_of_work
from app.errors import Conflict, InvalidInput, NotFound, Outside, SignInNeeded, TooManyTries
from app.htmx import asks_for_partial, go_to, page_or_partial, partial_elsewhere, partial_with_event
from app.installations.models import Installation
from plugins.nexudus import by_hand, connecting, hooks, link_runs, links, listing_pages, panels
from plugins.nexudus.forms import ConnectForm, HookForm, LinkForm, UnlinkForm
from plugins.nexudus.models import Issue
from plugins.nexudus.pages import Answer, pages, the_connection
from plugins.nexudus.session import door
from plugins.nexudus.signing_in import exchange_password

CONNECT_S = 15
CONNECT_TRIES = 5


@pages.get("/connect")
@allow(OPERATORS)
def connect() -> str:
    """The popup, empty or with the email of the connection that needs a new sign-in."""
    connection = connecting.current(g.installation)
    form = ConnectForm(email=connection.email if connection else "")
    return _connect_page(form)


@pages.post("/connect")
@allow(OPERATORS)
def do_connect() -> Answer:
    """Exchange the password, find out what it may do, store the tokens; the password ends with this function."""
    form = ConnectForm()
    if not form.validate_on_submit():
        return _connect_page(form), 422
    try:
        left = count_try("nexudus_connect", str(g.account.id), CONNECT_TRIES)
    except TooManyTries as error:
        form.form_errors.append(error.sentence)
        return _connect_page(form), error.status
    client_id, email, by = connecting.new_client_id(), (form.email.data or "").strip(), current_user.shown_name
    installation_id = g.installation.id
    end_reading()
    way = door(CONNECT_S)
    try:
        tokens = exchange_password(way, email, form.password.data or "", client_id, form.totp.data or None, CONNECT_S)
        found = connecting.discover(way, tokens)
    except SignInNeeded as error:
        return _refused(form, error, left)
    except Outside as error:
        form.form_errors.append(error.sentence)
        return _connect_page(form, stopped=True), 422
    with unit_of_work() as session:
        installation = session.get_one(Installation, installation_id)
        if not installation.is_on:
            raise Conflict("Nexudus was switched off meanwhile. Nothing was connected.")
        connection = connecting.connect(
            installation,
            found,
            connecting.SignIn(email, client_id, tokens),
            issue=Issue(form.issue.data),
            may_add_products=bool(form.may_add_products.data),
            by=by,
        )
    if not asks_for_partial():
        flash(f"Connected to {found.business_name}.", "done")
        return go_to(url_for("installations.systems", _anchor="system-nexudus"))
    html = render_template("nexudus/_connected.html", **panels.connected_facts(g.installation, connection))
    return partial_with_event(html, "installation-changed")


@pages.route("/disconnect", methods=["GET", "POST"])
@allow(OPERATORS)
def disconnect() -> Answer:
    """Give the connection up and keep the plugin on; says first what becomes of links and invoices."""
    connection = the_connection()
    form = FlaskForm()
    if not form.validate_on_submit():
        return page_or_partial(
            "nexudus/disconnect.html",
            "nexudus/_disconnect.html",
            form=form,
            connection=connection,
            will=panels.what_ends(g.installation),
        )
    with unit_of_work():
        connecting.let_go(g.installation)
    flash(f"Disconnected from {connection.business_name}. Links and history stay.", "done")
    return go_to(url_for("installations.systems", _anchor="system-nexudus"))


@pages.post("/webhooks")
@allow(OPERATORS)
def keep_webhook_secret() -> Response:
    """Keep what Nexudus signs its webhooks with; from then on they have an address here."""
    form = HookForm()
    if not form.validate_on_submit():
        raise InvalidInput("Type the shared secret, as it stands in Nexudus.")
    with unit_of_work():
        hooks.keep_secret(the_connection(), form.secret.data or "", current_user.shown_name)
    flash("Kept. Add a webhook for members in Nexudus with the address below.", "done")
    return go_to(url_for("installations.systems", _anchor="system-nexudus"))


@pages.get("/members")
@allow(OFFICE)
def members() -> str:
    """Who is linked, who is not, and how the last run went or goes."""
    context = listing_pages.members_page(the_connection(), request.args.get("show", "linked"), page_number())
    return page_or_partial("nexudus/members.html", "nexudus/_members.html", **context)


@pages.get("/members/run")
@allow(OFFICE)
def run_progress() -> Answer:
    """The run alone: asked for again while it moves; when it has ended the whole page comes anew."""
    connection = the_connection()
    run = link_runs.last_run(connection.id)
    if run is None:
        raise NotFound
    if run.ended_at is not None or not asks_for_partial():
        return go_to(url_for(".members"))
    return render_template("nexudus/_run_progress.html", run=run, progress=link_runs.progress(run))


@pages.route("/members/connect", methods=["GET", "POST"])
@allow(OPERATORS)
def connect_members() -> Answer:
    """Ask, then start a run; a second press finds the same run."""
    connection = the_connection()
    form = FlaskForm()
    if not form.validate_on_submit():
        return page_or_partial(
            "nexudus/connect_members.html",
            "nexudus/_connect_members.html",
            form=form,
            **listing_pages.plan(connection),
        )
    with unit_of_work():
        link_runs.start(the_connection(), current_user.shown_name)
    return go_to(url_for(".members"))


@pages.get("/customers/<int:customer_id>/panel")
@allow(OFFICE)
def customer_panel(customer_id: int) -> str:
    """The plugin's panel of one customer, alone or as a page."""
    customer = customers.get(g.account, customer_id)
    return _panel_page(customer, panels.member_panel(g.installation, customer))


@pages.get("/customers/<int:customer_id>/members")
@allow(OFFICE)
def search_members(customer_id: int) -> str:
    """Candidates for a customer: what is typed, or the customer's own email."""
    customer, connection = customers.get(g.account, customer_id), the_connection()
    text = request.args.get("q", customer.email)
    ids = connection.id, customer.id
    end_reading()
    found = by_hand.search(*ids, text)
    customer = customers.get(g.account, customer_id)
    if asks_for_partial():
        return render_template("nexudus/_candidates.html", found=found, customer=customer, text=text)
    return _panel_page(customer, panels.member_panel(g.installation, customer, found=found, text=text))


@pages.post("/customers/<int:customer_id>/link")
@allow(OFFICE)
def link_customer(customer_id: int) -> Answer:
    """Connect by hand; another email is asked about first."""
    customer, form = customers.get(g.account, customer_id), LinkForm()
    if not form.validate_on_submit():
        return _panel_page(customer, panels.member_panel(g.installation, customer, problem="Choose a member.")), 422
    try:
        with unit_of_work():
            by_hand.choose(
                the_connection(),
                customers.get(g.account, customer_id),
                cast("int", form.member_id.data),
                current_user.shown_name,
                sure=form.sure.data == "yes",
            )
    except by_hand.AnotherEmail as error:
        customer = customers.get(g.account, customer_id)
        html = panels.member_panel(g.installation, customer, question=error.sentence, member_id=form.member_id.data)
        return _panel_page(customer, html), error.status
    except Conflict as error:
        customer = customers.get(g.account, customer_id)
        return _panel_page(
            customer, panels.member_panel(g.installation, customer, problem=error.sentence)
        ), error.status
    return _back_to(customer_id, "Linked. New invoices go to Nexudus from now on.")


@pages.route("/customers/<int:customer_id>/unlink", methods=["GET", "POST"])
@allow(OFFICE)
def unlink_customer(customer_id: int) -> Answer:
    """Say "billed here, not connected", beforehand or to end a link."""
    customer, connection, form = customers.get(g.account, customer_id), the_connection(), UnlinkForm()
    if not form.validate_on_submit():
        html = page_or_partial(
            "nexudus/unlink.html",
            "nexudus/_unlink.html",
            form=form,
            customer=customer,
            link=links.link_of(connection, customer.id),
        )
        return (html, 422) if form.is_submitted() else html
    with unit_of_work():
        links.unlink(
            the_connection(), customers.get(g.account, customer_id), current_user.shown_name, form.reason.data or ""
        )
    return _back_to(customer_id, f"{customer.full_name} is billed here from now on, not through Nexudus.")


@pages.post("/customers/<int:customer_id>/connect-again")
@allow(OFFICE)
def connect_again(customer_id: int) -> Answer:
    """Take a "billed here" back and look for the member anew."""
    with unit_of_work():
        connection = the_connection()
        links.look_again(connection, customers.get(g.account, customer_id))
        link_runs.start(connection, current_user.shown_name, only_new=True)
    return _back_to(customer_id, "Looking for the member in Nexudus.")


@pages.errorhandler(connecting.NotConnected)
def not_connected(error: connecting.NotConnected) -> Answer:
    """Pages of the plugin before there is a connection: what they are for, and how to get one."""
    return page_or_partial("nexudus/not_connected.html", "nexudus/_not_connected.html"), error.status


def _connect_page(
    form: ConnectForm, *, needs_code: bool = False, stopped: bool = False, left: int | None = None
) -> str:
    return page_or_partial(
        "nexudus/connect.html",
        "nexudus/_connect.html",
        form=form,
        needs_code=needs_code,
        stopped=stopped,
        left=left,
        behind=panels.left_behind_now(g.installation),
        is_again=g.installation.cutover_at is not None,
    )


def _refused(form: ConnectForm, error: SignInNeeded, left: int) -> Answer:
    """What Nexudus said no to, at the field to blame. A missing code swaps in the code field alone."""
    if error.code in {"code_needed", "code_wrong"}:
        form.totp.errors = [*form.totp.errors, error.sentence]
        if asks_for_partial():
            return partial_elsewhere(render_template("nexudus/_connect_code.html", form=form), "#connect-code", 422)
        return _connect_page(form, needs_code=True), 422
    if error.code == "wrong_password":
        form.password.errors = [*form.password.errors, error.sentence]
    else:
        form.form_errors.append(error.sentence)
    return _connect_page(form, stopped=True, left=left), 422


def _panel_page(customer: Customer, html: str) -> str:
    if asks_for_partial():
        return html
    return render_template("nexudus/customer.html", customer=customer, panel=html)


def _back_to(customer_id: int, sentence: str) -> Response:
    flash(sentence, "done")
    return go_to(url_for("billing.customer", customer_id=customer_id))
