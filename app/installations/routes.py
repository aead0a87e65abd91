"""Marketplace, Business settings, and Systems with its toggle."""

from flask import Blueprint, g, redirect, render_template, url_for
from flask_wtf import FlaskForm
from werkzeug import Response
from wtforms import BooleanField

from app.access import OFFICE, OPERATORS, STAFF, Role, allow
from app.accounts.services import operators_of
from app.db import unit_of_work
from app.errors import InvalidInput
from app.htmx import asks_for_partial, go_to, page_or_partial
from app.installations import services
from app.installations.panels import draw_systems_panels

pages = Blueprint("installations", __name__)


class ToggleForm(FlaskForm):
    on = BooleanField("On", false_values=("", "0", "false", "off"))
    sure = BooleanField("I know what is lost")


@pages.get("/<account_slug>/marketplace")
@allow(STAFF)
def marketplace() -> str:
    """The shelf of plugins: a dialog over the page, or a page of its own."""
    return page_or_partial(
        "installations/marketplace.html",
        "installations/_marketplace.html",
        blocks=services.blocks(g.account),
        **_who_can(),
    )


@pages.get("/<account_slug>/marketplace/<name>")
@allow(OPERATORS)
def choose(name: str) -> str:
    """One plugin's block, the very one that Systems shows."""
    block = services.block(g.account, name)
    return page_or_partial("installations/plugin.html", "installations/_plugin_dialog.html", **_context(block))


@pages.get("/<account_slug>/settings/integrations")
@allow(OFFICE)
def integrations() -> str:
    return render_template("installations/integrations.html", **_who_can())


@pages.get("/<account_slug>/settings/integrations/systems")
@allow(OPERATORS)
def systems() -> str:
    drawn = [_context(block) for block in services.blocks(g.account)]
    return render_template("installations/systems.html", drawn=drawn)


@pages.get("/<account_slug>/settings/integrations/systems/<name>")
@allow(OPERATORS)
def system(name: str) -> str | Response:
    """One block by itself: what a page asks for again while something moves."""
    block = services.block(g.account, name)
    if not asks_for_partial():
        return redirect(url_for(".systems", _anchor=f"system-{name}"))
    return render_template("installations/_block.html", **_context(block))


@pages.post("/<account_slug>/settings/integrations/systems/<name>/toggle")
@allow(OPERATORS)
def toggle(name: str) -> str | Response:
    """Store the toggle at once and draw the block anew; where something would be lost, ask first."""
    form = ToggleForm()
    if not form.validate_on_submit():
        raise InvalidInput("Say whether the plugin is to be on or off.")
    context = _context(services.block(g.account, name))
    if context["warning"] and not form.on.data and not form.sure.data:
        return page_or_partial("installations/switch_off.html", "installations/_switch_off.html", **context)
    with unit_of_work():
        services.switch(g.account, name, on=bool(form.on.data))
    if form.sure.data or not asks_for_partial():
        return go_to(url_for(".systems"))
    return render_template("installations/_toggled.html", **_context(services.block(g.account, name)))


def _who_can() -> dict[str, object]:
    """Whether this user may set plugins up, and who can else."""
    names = " and ".join(user.shown_name for user in operators_of(g.account.id))
    return {
        "may_set_up": g.membership.role == Role.OPERATOR,
        "who_can": f"At {g.account.name} that is {names}.",
    }


def _context(block: services.Block) -> dict[str, object]:
    plugin, installation = block.plugin, block.installation
    return {
        "block": block,
        "panels": draw_systems_panels(block),
        "warning": plugin.before_switching_off(installation)
        if block.is_on and plugin.before_switching_off is not None
        else "",
    }
