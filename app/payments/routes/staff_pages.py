"""What staff does with a customer's cards and charges: add, remove, charge now, give back."""

from flask import Response, flash, g, render_template, url_for

from app.access import OFFICE, allow
from app.billing import customers, invoices, outlook
from app.db import end_reading, unit_of_work
from app.errors import Conflict, InvalidInput, NotFound
from app.htmx import go_to, leave_to, page_or_partial
from app.money import Money
from app.payments import asking, cards, refunds, standing
from app.payments.forms import ChargeForm, RefundForm, SureForm, WhichForm
from app.payments.routes.blueprint import pages
from app.typed import dotted

Answer = str | tuple[str, int] | Response


@pages.post("/<account_slug>/customers/<int:customer_id>/cards/new")
@allow(OFFICE)
def new_card(customer_id: int) -> Answer:
    """Off to the gateway's page, on which the card is typed."""
    customers.get(g.account, customer_id)
    _refuse_unless_sure()
    back = url_for(".which", customer_id=customer_id)
    end_reading()
    return leave_to(cards.start_card_entry(customer_id, back))


@pages.post("/<account_slug>/customers/<int:customer_id>/cards/<int:card_id>/default")
@allow(OFFICE)
def default_card(customer_id: int, card_id: int) -> Answer:
    _refuse_unless_sure()
    with unit_of_work():
        card = cards.get(customers.locked(g.account, customer_id), card_id)
        cards.make_default(card)
        sentence = f"{card.name} is charged from now on."
    flash(sentence, "done")
    return go_to(url_for("billing.customer_details", customer_id=customer_id))


@pages.route("/<account_slug>/customers/<int:customer_id>/cards/<int:card_id>/remove", methods=["GET", "POST"])
@allow(OFFICE)
def remove_card(customer_id: int, card_id: int) -> Answer:
    customer = customers.get(g.account, customer_id)
    card = cards.get(customer, card_id)
    if not SureForm().validate_on_submit():
        others = [one for one in cards.cards_of(customer) if one.id != card.id]
        return page_or_partial(
            "payments/remove_card.html", "payments/_remove_card.html", customer=customer, card=card, others=others
        )
    name = card.name
    with unit_of_work():
        cards.remove_card(cards.get(customers.locked(g.account, customer_id), card_id))
    flash(f"{name} is removed.", "done")
    return go_to(url_for("billing.customer_details", customer_id=customer_id))


@pages.route("/<account_slug>/customers/<int:customer_id>/charge", methods=["GET", "POST"])
@allow(OFFICE)
def which(customer_id: int) -> Answer:
    """Which open invoices are charged now: asked after a card was added, and by "Charge now" of a customer."""
    customer = customers.get(g.account, customer_id)
    found = standing.open_here(customer)
    card = cards.default_card(customer.id)
    back = url_for("billing.customer", customer_id=customer_id)
    if not found or card is None:
        return go_to(back)
    form = WhichForm(found)
    if not form.validate_on_submit():
        html = render_template("payments/which.html", customer=customer, found=found, card=card, form=form, back=back)
        return (html, 422) if form.is_submitted() else html
    with unit_of_work():
        count = asking.charge_chosen(customers.locked(g.account, customer_id), form.invoices.data or [])
    flash(_charged(count), "done")
    return go_to(back)


@pages.route("/<account_slug>/invoices/<int:invoice_id>/charge", methods=["GET", "POST"])
@allow(OFFICE)
def charge(invoice_id: int) -> Answer:
    row = invoices.get(g.account, invoice_id)
    saved = cards.cards_of(row.customer)
    form = ChargeForm(saved)
    if form.validate_on_submit():
        try:
            with unit_of_work():
                row = invoices.locked(g.account, invoice_id)
                asking.charge_now(row, cards.get(row.customer, form.card.data))
        except Conflict as error:
            form.blame(error)
        else:
            flash("It is being charged. This page tells how it went.", "running")
            return go_to(url_for("billing.invoice", invoice_id=invoice_id))
    row = invoices.get(g.account, invoice_id)
    html = page_or_partial(
        "payments/invoice_dialog.html",
        "payments/_charge.html",
        inside="payments/_charge.html",
        invoice=row,
        form=form,
        cards=cards.cards_of(row.customer),
        why_not=standing.why_not_chargeable(row),
    )
    return (html, 422) if form.is_submitted() else html


@pages.route("/<account_slug>/invoices/<int:invoice_id>/refund", methods=["GET", "POST"])
@allow(OFFICE)
def refund(invoice_id: int) -> Answer:
    row = invoices.get(g.account, invoice_id)
    paid = standing.refundable_charge(row)
    if paid is None:
        raise NotFound("Nothing of this invoice can be given back.")
    form = RefundForm(data={"amount": str(paid.refundable.major)})
    if form.validate_on_submit():
        try:
            with unit_of_work():
                charge = refunds.locked_charge(paid.id)
                amount = _read_amount(form.amount.data or "", charge.currency)
                refunds.ask(charge, amount, form.reason.data or "")
        except (InvalidInput, Conflict) as error:
            form.blame(error)
        else:
            flash(f"{amount} is on its way back.", "done")
            return go_to(url_for("billing.invoice", invoice_id=invoice_id))
    row = invoices.get(g.account, invoice_id)
    html = page_or_partial(
        "payments/invoice_dialog.html",
        "payments/_refund.html",
        inside="payments/_refund.html",
        invoice=row,
        form=form,
        charge=standing.refundable_charge(row),
    )
    return (html, 422) if form.is_submitted() else html


@pages.get("/<account_slug>/invoices/<int:invoice_id>/collecting")
@allow(OFFICE)
def collecting_line(invoice_id: int) -> str | Response:
    """How charging an invoice stands: asked again while it moves; the whole page once it has ended."""
    row = invoices.get(g.account, invoice_id)
    if not standing.is_moving(row):
        return go_to(url_for("billing.invoice", invoice_id=invoice_id))
    return render_template("payments/_collecting_line.html", invoice=row, outlook=outlook.of_invoice(row), moving=True)


def _read_amount(typed: str, currency: str) -> Money:
    try:
        return Money.read(dotted(typed), currency)
    except InvalidInput as error:
        error.field = "amount"
        raise


def _refuse_unless_sure() -> None:
    if not SureForm().validate_on_submit():
        raise InvalidInput("Try again: the page was open for too long.")


def _charged(count: int) -> str:
    if count == 0:
        return "Nothing is charged."
    return "1 invoice is being charged." if count == 1 else f"{count} invoices are being charged."
