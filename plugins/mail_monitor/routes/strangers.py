"""Unknown senders: who wrote and is no customer, and saying that one of them is."""

from flask import Response, current_app, flash, g, render_template, request, url_for
from flask_login import current_user

from app.access import OFFICE, allow
from app.db import db, unit_of_work
from app.errors import InvalidInput, NotFound
from app.htmx import asks_for_partial, go_to, page_or_partial
from plugins.mail_monitor import customer_addresses, left_out, picking
from plugins.mail_monitor import strangers as service
from plugins.mail_monitor.address_lists import address_key
from plugins.mail_monitor.asked import chosen_customer, page_number
from plugins.mail_monitor.pages import pages

PER_PAGE = 25


@pages.get("/unknown-senders", endpoint="strangers")
@allow(OFFICE)
def list_strangers() -> str:
    """Who wrote lately and is no customer, the newest first."""
    found = db.paginate(service.listed(g.account.id), page=page_number(), per_page=PER_PAGE, error_out=False)
    keys = {stub.id: address_key(stub.address) for stub in found.items}
    decided = left_out.of(g.account.id)
    return page_or_partial(
        "mail_monitor/strangers.html",
        "mail_monitor/_strangers.html",
        found=found,
        keys=keys,
        counts=service.counts(g.account.id, keys.values()),
        days=current_app.config["SETTINGS"].keep_strangers_days,
        decided=decided,
        offered=left_out.offered(decided),
        shown=left_out.shown,
    )


@pages.route("/unknown-senders/customer", methods=["GET", "POST"])
@allow(OFFICE)
def is_customer() -> str | Response:
    """This is customer ...: the address is added to the customer chosen, and what was kept of it is fetched."""
    key = request.values.get("address", "")
    count = service.counts(g.account.id, [key]).get(key, 0)
    if not count:
        raise NotFound("Nothing of this sender is kept any more.")
    if request.method == "POST":
        with unit_of_work():
            customer = chosen_customer()
            name = customer.full_name
            customer_addresses.add(customer, key, by=current_user.shown_name)
        kept = "1 message is" if count == 1 else f"{count} messages are"
        flash(f"{key} is {name} from now on. {kept} fetched and filed.", "done")
        return go_to(url_for(".strangers"))
    text = request.args.get("q", "")
    messages = "The 1 message kept of it is" if count == 1 else f"The {count} messages kept of it are"
    context = {
        "title": "Whose address is it?",
        "lead": f"{key} becomes an address of the customer you choose. {messages} fetched and filed there.",
        "address": url_for(".is_customer"),
        "search_address": url_for(".is_customer", address=key),
        "back": url_for(".strangers"),
        "deed": "Add the address",
        "values": {"address": key},
        "text": text,
        "candidates": picking.candidates(g.account, text),
    }
    if asks_for_partial() and "q" in request.args:
        return render_template("mail_monitor/_candidates.html", **context)
    return page_or_partial("mail_monitor/pick.html", "mail_monitor/_pick.html", **context)


@pages.route("/unknown-senders/ignore", methods=["GET", "POST"])
@allow(OFFICE)
def ignore_stranger() -> str | tuple[str, int] | Response:
    """Do not list this sender any more, and why."""
    key, error = request.values.get("address", ""), ""
    if not service.counts(g.account.id, [key]):
        raise NotFound("Nothing of this sender is kept any more.")
    if request.method == "POST":
        try:
            with unit_of_work():
                left_out.ignore(g.account.id, key, current_user.shown_name, request.form.get("why", ""))
        except InvalidInput as problem:
            error = problem.sentence
        else:
            flash(f"{key} is not listed any more.", "done")
            return go_to(url_for(".strangers"))
    html = page_or_partial(
        "mail_monitor/leave_out.html",
        "mail_monitor/_leave_out.html",
        key=key,
        error=error,
        why=request.values.get("why"),
    )
    return (html, 422) if error else html


@pages.post("/unknown-senders/ignore-kind")
@allow(OFFICE)
def ignore_kind() -> Response:
    """Leave a whole kind of senders out of the list."""
    key = request.form.get("kind", "")
    with unit_of_work():
        left_out.ignore_kind(g.account.id, key, current_user.shown_name)
    flash(f"{left_out.shown(key)} are not listed any more.", "done")
    return go_to(url_for(".strangers"))


@pages.post("/unknown-senders/remembered/<int:row_id>/forget")
@allow(OFFICE)
def forget_address(row_id: int) -> Response:
    """Take back what was decided for an address."""
    with unit_of_work():
        name = left_out.take_back(g.account.id, row_id, current_user.shown_name)
    flash(f"{name}: nothing is remembered any more.", "done")
    return go_to(url_for(".strangers"))
