"""A customer's life on pages: activating now or later, changing the plan, locking, cancelling, and taking it back.

Every question has an address of its own and is a dialog where JavaScript runs.
"""

from collections.abc import Callable
from typing import Any

from flask import Response, flash, g, url_for

from app import clock
from app.access import OFFICE, allow
from app.billing import collecting, customers, invoices, life, outlook, subscriptions
from app.billing.forms import OfficeForm
from app.billing.life_forms import ActivateForm, CancelForm, ChangePlanForm, ReasonForm
from app.billing.models import Customer
from app.billing.routes.blueprint import pages
from app.db import unit_of_work
from app.errors import InvalidInput
from app.formats import on_day
from app.htmx import go_to, page_or_partial

Answer = str | tuple[str, int] | Response


@pages.route("/<account_slug>/customers/<int:customer_id>/activate", methods=["GET", "POST"])
@allow(OFFICE)
def activate_customer(customer_id: int) -> Answer:
    """Activate today or on a later day, with a plan or without; a planned activation is changed the same way."""
    customer = customers.get(g.account, customer_id)
    form = ActivateForm(g.account, customer, life.planned(customer), subscriptions.of(customer))
    if not form.validate_on_submit():
        return _ask("activate", customer, form)
    try:
        with unit_of_work():
            customer = customers.locked(g.account, customer_id)
            sentence = _activate(customer, form)
    except InvalidInput as error:
        form.blame(error)
        return _ask("activate", customers.get(g.account, customer_id), form)
    return _done(customer_id, sentence)


def _activate(customer: Customer, form: ActivateForm) -> str:
    today = clock.today(customer.location.timezone)
    day = form.activates_on.data or today
    if day < today:
        raise InvalidInput("Choose today or a later day.", "activates_on")
    terms, welcome = form.terms(day), bool(form.welcome.data)
    if day > today:
        life.schedule(customer, day, terms, welcome=welcome)
        return f"{customer.full_name} becomes active {on_day(day)}."
    life.activate(customer, terms, welcome=welcome)
    return f"{customer.full_name} is active, with mailbox number {customer.mailbox_number}."


@pages.route("/<account_slug>/customers/<int:customer_id>/plan", methods=["GET", "POST"])
@allow(OFFICE)
def change_plan(customer_id: int) -> Answer:
    """Give a customer whose service runs a plan, or another one."""
    customer = customers.get(g.account, customer_id)
    has = subscriptions.of(customer)
    begins_on = subscriptions.period_ends_on(has) if has else clock.today(customer.location.timezone)
    form = ChangePlanForm(g.account, customer, data={"billing_starts_on": begins_on, "waive_setup_fee": bool(has)})
    if not form.validate_on_submit():
        return _ask("change_plan", customer, form)
    try:
        with unit_of_work():
            customer = customers.locked(g.account, customer_id)
            title = life.change_plan(customer, form.chosen(begins_on)).title
            sentence = f"{customer.full_name} has the plan {title}."
    except InvalidInput as error:
        form.blame(error)
        return _ask("change_plan", customers.get(g.account, customer_id), form)
    return _done(customer_id, sentence)


@pages.route("/<account_slug>/customers/<int:customer_id>/cancel", methods=["GET", "POST"])
@allow(OFFICE)
def cancel_customer(customer_id: int) -> Answer:
    """End a service now, when the paid period ends, or on a day."""
    customer = customers.get(g.account, customer_id)
    has = subscriptions.of(customer)
    ends_on = subscriptions.period_ends_on(has) if has else None
    form = CancelForm(ends_on)
    if not form.validate_on_submit():
        return _ask("cancel", customer, form)
    try:
        with unit_of_work():
            customer = customers.locked(g.account, customer_id)
            move = life.cancel(customer, form.first_day_without(ends_on), why=form.why.data or "")
            name = customer.full_name
            sentence = f"The service of {name} ends {on_day(move.day)}." if move else f"{name} is cancelled."
    except InvalidInput as error:
        form.blame(error)
        return _ask("cancel", customers.get(g.account, customer_id), form)
    return _done(customer_id, sentence)


@pages.route("/<account_slug>/customers/<int:customer_id>/lock", methods=["GET", "POST"])
@allow(OFFICE)
def lock_customer(customer_id: int) -> Answer:
    return _with_reason("lock", customer_id, life.lock, "is locked.")


@pages.route("/<account_slug>/customers/<int:customer_id>/unlock", methods=["GET", "POST"])
@allow(OFFICE)
def unlock_customer(customer_id: int) -> Answer:
    return _with_reason("unlock", customer_id, lambda one, why: life.unlock(one, why=why), "is active again.")


@pages.route("/<account_slug>/customers/<int:customer_id>/deactivate", methods=["GET", "POST"])
@allow(OFFICE)
def deactivate_customer(customer_id: int) -> Answer:
    return _with_reason("deactivate", customer_id, lambda one, why: life.deactivate(one, why=why), "is inactive.")


@pages.post("/<account_slug>/customers/<int:customer_id>/unschedule")
@allow(OFFICE)
def unschedule_customer(customer_id: int) -> Response:
    """Undone by planning it again, so it is not asked twice."""
    with unit_of_work():
        customer = customers.locked(g.account, customer_id)
        life.unschedule(customer)
        sentence = f"{customer.full_name} is inactive, and no activation is planned."
    return _done(customer_id, sentence)


@pages.post("/<account_slug>/customers/<int:customer_id>/keep")
@allow(OFFICE)
def keep_customer(customer_id: int) -> Response:
    """Take a planned cancellation back."""
    with unit_of_work():
        customer = customers.locked(g.account, customer_id)
        life.keep(customer)
        sentence = f"The service of {customer.full_name} goes on."
    return _done(customer_id, sentence)


def _with_reason(deed: str, customer_id: int, move: Callable[[Customer, str], object], became: str) -> Answer:
    form = ReasonForm()
    if not form.validate_on_submit():
        return _ask(deed, customers.get(g.account, customer_id), form)
    try:
        with unit_of_work():
            customer = customers.locked(g.account, customer_id)
            move(customer, form.why.data or "")
            sentence = f"{customer.full_name} {became}"
    except InvalidInput as error:
        form.blame(error)
        return _ask(deed, customers.get(g.account, customer_id), form)
    return _done(customer_id, sentence)


def _done(customer_id: int, sentence: str) -> Response:
    flash(sentence, "done")
    return go_to(url_for(".customer", customer_id=customer_id))


def _ask(deed: str, customer: Customer, form: OfficeForm) -> Answer:
    has = subscriptions.of(customer)
    facts: dict[str, Any] = {
        "has": has,
        "move": life.planned(customer),
        "open": invoices.open_of([customer.id]).get(customer.id, []),
        "biller": collecting.taken_over_by(customer),
        "title_of": outlook.title_of,
        "period_ends_on": subscriptions.period_ends_on(has) if has else None,
    }
    inside = {"activate": "_activate_dialog", "change_plan": "_plan_dialog", "cancel": "_cancel_dialog"}
    template = f"billing/{inside.get(deed, '_reason_dialog')}.html"
    html = page_or_partial(
        "billing/customer_dialog.html", template, inside=template, deed=deed, customer=customer, form=form, **facts
    )
    return (html, 422) if form.is_submitted() else html
