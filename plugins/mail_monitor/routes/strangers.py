"""Unknown senders: who wrote and is no customer, and saying that one of them is."""

from flask import Response, current_app, flash, g, render_template, request, url_for
from flask_login import current_user

from app.access import OFFICE, allow
from app.db import db, unit_of_work
from app.errors import NotFound
from app.htmx import asks_for_partial, go_to, page_or_partial
from plugins.mail_monitor import customer_addresses, picking
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
    return page_or_partial(
        "mail_monitor/strangers.html",
        "mail_monitor/_strangers.html",
        found=found,
        keys=keys,
        counts=service.counts(g.account.id, keys.values()),
        days=current_app.config["SETTINGS"].keep_strangers_days,
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


@pages.post("/unknown-senders/ignore")
@allow(OFFICE)
def ignore_stranger() -> str | Response:
    """Do not list this sender any more."""
    key = request.form.get("address", "")
    if not service.counts(g.account.id, [key]):
        raise NotFound("Nothing of this sender is kept any more.")
    with unit_of_work():
        service.ignore(g.account.id, key, current_user.shown_name)
    flash(f"{key} is not listed any more.", "done")
    return go_to(url_for(".strangers"))
