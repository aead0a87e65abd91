"""Business settings > Plans: the list, adding and changing, showing on the sign-up page, archiving."""

from flask import Response, flash, g, render_template, request, url_for

from app.access import OFFICE, OPERATORS, Role, allow
from app.asked import page_number
from app.billing import plans as service
from app.billing.plan_forms import PlanForm
from app.billing.routes.blueprint import pages
from app.billing.subscription_models import Plan
from app.db import unit_of_work
from app.errors import Conflict, InvalidInput
from app.htmx import go_to, page_or_partial

ARCHIVED = "archived"


@pages.get("/<account_slug>/settings/plans", endpoint="plans")
@allow(OFFICE)
def list_plans() -> str:
    """What can be taken, or with `?show=archived` what no longer can."""
    archived = request.args.get("show") == ARCHIVED
    found = service.find(g.account, archived=archived, page=page_number())
    in_use, put_away = service.count(g.account)
    return render_template(
        "billing/plans.html",
        found=found,
        archived=archived,
        in_use=in_use,
        put_away=put_away,
        customers=service.customers_of(found.items),
        may_change=g.membership.role == Role.OPERATOR,
    )


@pages.route("/<account_slug>/settings/plans/new", methods=["GET", "POST"])
@allow(OPERATORS)
def new_plan() -> str | tuple[str, int] | Response:
    form = PlanForm(g.account)
    if form.validate_on_submit():
        try:
            with unit_of_work():
                title = service.add(g.account, form.details()).title
        except (InvalidInput, Conflict) as error:
            form.blame(error)
        else:
            flash(f"{title} is added and hidden.", "done")
            return go_to(url_for(".plans"))
    return _draw_form(form, None)


@pages.route("/<account_slug>/settings/plans/<int:plan_id>", methods=["GET", "POST"])
@allow(OPERATORS)
def edit_plan(plan_id: int) -> str | tuple[str, int] | Response:
    form = PlanForm(g.account, service.get(g.account, plan_id))
    if form.validate_on_submit():
        try:
            with unit_of_work():
                plan = service.locked(g.account, plan_id)
                form.refuse_if_changed(PlanForm.shown(plan), plan, "plan_changed")
                changed = service.edit(g.account, plan, form.details())
        except (InvalidInput, Conflict) as error:
            form.blame(error)
        else:
            flash("Saved." if changed else "Nothing was changed.", "done")
            return go_to(url_for(".plans"))
    return _draw_form(form, service.get(g.account, plan_id))


@pages.post("/<account_slug>/settings/plans/<int:plan_id>/show")
@allow(OPERATORS)
def show_plan(plan_id: int) -> Response:
    """`on=1` puts the plan on the sign-up page, `on=0` takes it away."""
    shown = request.form.get("on") == "1"
    with unit_of_work():
        plan = service.locked(g.account, plan_id)
        service.show(plan, shown=shown)
        sentence = f"{plan.title} is {'on' if shown else 'no longer on'} the sign-up page."
    flash(sentence, "done")
    return go_to(url_for(".plans"))


@pages.post("/<account_slug>/settings/plans/<int:plan_id>/archive")
@allow(OPERATORS)
def archive_plan(plan_id: int) -> Response:
    """Undone by "Bring back", so it is not asked twice."""
    with unit_of_work():
        plan = service.locked(g.account, plan_id)
        service.archive(plan)
        sentence = f"{plan.title} is archived. Who has it keeps it."
    flash(sentence, "done")
    return go_to(url_for(".plans"))


@pages.post("/<account_slug>/settings/plans/<int:plan_id>/bring-back")
@allow(OPERATORS)
def bring_plan_back(plan_id: int) -> Response:
    with unit_of_work():
        plan = service.locked(g.account, plan_id)
        service.bring_back(plan)
        sentence = f"{plan.title} is back, and hidden."
    flash(sentence, "done")
    return go_to(url_for(".plans"))


def _draw_form(form: PlanForm, plan: Plan | None) -> str | tuple[str, int]:
    html = page_or_partial(
        "billing/edit_plan.html",
        "billing/_plan_form.html",
        form=form,
        plan=plan,
        customers=service.customers_of([plan]).get(plan.id, 0) if plan else 0,
    )
    return (html, 422) if form.is_submitted() else html
