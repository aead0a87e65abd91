"""Business settings > Payments: choosing the gateway, its keys, its webhook, letting it go. Operators only."""

from flask import Response, current_app, flash, g, render_template, url_for

from app.access import OPERATORS, allow
from app.db import end_reading, unit_of_work
from app.errors import Capped, Conflict, InvalidInput, NotFound, NotSent, SignInNeeded
from app.htmx import go_to, page_or_partial
from app.payments import gateways
from app.payments.forms import StripeForm, SureForm, WebhookForm
from app.payments.gateways import Access
from app.payments.models import ProviderName
from app.payments.routes.blueprint import pages

Answer = str | tuple[str, int] | Response


@pages.get("/<account_slug>/settings/payments")
@allow(OPERATORS)
def settings() -> str:
    return _draw(StripeForm(), WebhookForm())


@pages.get("/<account_slug>/settings/payments/key")
@allow(OPERATORS)
def new_key() -> str:
    """The same page with the form for a key open, whatever is connected."""
    return _draw(StripeForm(), WebhookForm(), changing=True)


@pages.post("/<account_slug>/settings/payments/stripe")
@allow(OPERATORS)
def connect_stripe() -> Answer:
    """Try the key at Stripe, then keep it; a refused one is neither kept nor shown again."""
    form = StripeForm()
    if not form.validate_on_submit():
        return _draw(form, WebhookForm(), changing=True), 422
    try:
        key = gateways.read_key(form.secret_key.data or "")
        end_reading()
        found = Access(0, ProviderName.STRIPE, key, "").open().check()
        with unit_of_work():
            gateways.connect(g.account, ProviderName.STRIPE, key, found)
    except (InvalidInput, Conflict) as error:
        form.blame(error)
    except (NotSent, Capped) as error:
        form.form_errors.append(f"{error.sentence} Nothing was changed; try again in a moment.")
    except SignInNeeded as error:
        sentence = "Stripe does not know this key." if error.code == "key" else error.sentence
        form.blame(InvalidInput(sentence, "secret_key"))
    else:
        flash("Stripe is connected. Tell it where to send its news: the address is below.", "done")
        return go_to(url_for(".settings"))
    return _draw(form, WebhookForm(), changing=True), 422


@pages.post("/<account_slug>/settings/payments/test")
@allow(OPERATORS)
def connect_test() -> Answer:
    """The test gateway needs no key, and no production has it."""
    if not current_app.config["SETTINGS"].is_demo:
        raise NotFound
    if not SureForm().validate_on_submit():
        raise InvalidInput("Try again: the page was open for too long.")
    account = g.account
    end_reading()
    found = Access(0, ProviderName.TEST, "", "").open().check()
    with unit_of_work():
        gateways.connect(account, ProviderName.TEST, "", found)
    flash("The test gateway is connected. It moves no money.", "done")
    return go_to(url_for(".settings"))


@pages.post("/<account_slug>/settings/payments/webhook")
@allow(OPERATORS)
def webhook_secret() -> Answer:
    form = WebhookForm()
    if form.validate_on_submit():
        try:
            with unit_of_work():
                gateways.set_webhook_secret(gateways.needed(g.account.id), form.webhook_secret.data or "")
        except InvalidInput as error:
            form.blame(error)
        else:
            flash("The secret is kept. What Stripe sends is believed from now on.", "done")
            return go_to(url_for(".settings"))
    return _draw(StripeForm(), form), 422


@pages.route("/<account_slug>/settings/payments/disconnect", methods=["GET", "POST"])
@allow(OPERATORS)
def disconnect() -> Answer:
    gateway = gateways.gateway_of(g.account.id)
    if gateway is None:
        return go_to(url_for(".settings"))
    if not SureForm().validate_on_submit():
        return page_or_partial(
            "payments/disconnect.html",
            "payments/_disconnect.html",
            gateway=gateway,
            cards=gateways.cards_at(gateway),
            pending=gateways.pending_sums(g.account),
            why_it_stays=gateways.why_it_stays(gateway),
        )
    title = gateway.title
    with unit_of_work():
        gateways.end(gateways.needed(g.account.id))
    flash(f"{title} is disconnected, and its keys are forgotten.", "done")
    return go_to(url_for(".settings"))


def _draw(stripe_form: StripeForm, webhook_form: WebhookForm, *, changing: bool = False) -> str:
    gateway = gateways.gateway_of(g.account.id)
    count, sums = gateways.pending_sums(g.account)
    return render_template(
        "payments/settings.html",
        gateway=gateway,
        changing=changing,
        stripe_form=stripe_form,
        webhook_form=webhook_form,
        webhook_url=gateways.webhook_url(gateway) if gateway else "",
        events=gateways.EVENTS,
        cards=gateways.cards_at(gateway) if gateway else 0,
        pending_count=count,
        pending_sums=sums,
        offers_test=current_app.config["SETTINGS"].is_demo,
    )
