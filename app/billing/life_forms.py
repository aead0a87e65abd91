"""Forms that move a customer: activating with a plan, changing the plan, cancelling, and a reason alone."""

from datetime import date
from typing import Any

from wtforms import BooleanField, DateField, RadioField, SelectField, StringField
from wtforms.validators import Optional

from app import clock
from app.accounts.models import Account
from app.billing import plans
from app.billing.forms import OfficeForm
from app.billing.life import Terms
from app.billing.life_models import PlannedMove
from app.billing.models import Customer, CustomerStatus
from app.billing.subscription_models import Cycle, Plan, Subscription
from app.errors import InvalidInput

NOW, PERIOD_END, DAY = "now", "period_end", "day"
KEEP = "keep"  # the plan that was chosen when the activation was planned


class OfferForm(OfficeForm):
    """A plan and how it is paid, chosen in one; the price stands beside it."""

    offer = SelectField("Plan", [Optional()])
    waive_setup_fee = BooleanField("Waive the setup fee")
    billing_starts_on = DateField("Billing starts", [Optional()])

    def __init__(self, account: Account, customer: Customer, **values: Any) -> None:
        super().__init__(**values)
        self._offers = {
            f"{plan.id}:{cycle.value}": (plan, cycle)
            for plan in plans.offered(account, currency=customer.location.currency)
            for cycle in plan.cycles
        }
        # Any: the types of WTForms know choices as tuples of anything.
        offered: list[Any] = [(value, _label(*offer)) for value, offer in self._offers.items()]
        self.offer.choices = [*self.without(customer), *offered]

    def without(self, customer: Customer) -> list[Any]:
        """What else can be chosen: no plan at all."""
        return [("", "No plan: nothing is billed by itself")]

    def terms(self, begins_on: date) -> Terms | None:
        """What was chosen; None for no plan. Billing starts with the service unless another day was typed."""
        if not self.offer.data:
            return None
        plan, cycle = self._offers[self.offer.data]
        return Terms(plan, cycle, self.billing_starts_on.data or begins_on, setup_fee=not self.waive_setup_fee.data)


class ChangePlanForm(OfferForm):
    """Another plan for a running service; one must be chosen."""

    def without(self, customer: Customer) -> list[Any]:
        return []

    def chosen(self, begins_on: date) -> Terms:
        terms = self.terms(begins_on)
        if terms is None:
            raise InvalidInput("Choose a plan.", "offer")
        return terms


class ActivateForm(OfferForm):
    """Activating today or on a later day. An empty day is today."""

    activates_on = DateField("Active from", [Optional()])
    welcome = BooleanField("Welcome mail")

    def __init__(
        self, account: Account, customer: Customer, move: PlannedMove | None, has: Subscription | None
    ) -> None:
        self._has = has if customer.status == CustomerStatus.SCHEDULED else None
        super().__init__(account, customer, data=_as_typed(customer, move, self._has))

    def without(self, customer: Customer) -> list[Any]:
        chosen = [(KEEP, f"As chosen: {_label_of(self._has)}")] if self._has else []
        return [*chosen, *super().without(customer)]

    def terms(self, begins_on: date) -> Terms | None:
        return None if self.offer.data == KEEP else super().terms(begins_on)


class CancelForm(OfficeForm):
    """When a service ends, and why."""

    when = RadioField("When")
    day = DateField("First day without service", [Optional()])
    why = StringField("Reason", [Optional()], description="The customer does not see it.")

    def __init__(self, period_ends_on: date | None) -> None:
        super().__init__(data={"when": PERIOD_END if period_ends_on else NOW})
        words: list[Any] = [NOW, *([PERIOD_END] if period_ends_on else []), DAY]
        self.when.choices = words

    def first_day_without(self, period_ends_on: date | None) -> date | None:
        """The day that was chosen; None for now. Raises `InvalidInput` for a day that is missing."""
        if self.when.data == NOW:
            return None
        if self.when.data == PERIOD_END:
            return period_ends_on
        if self.day.data is None:
            raise InvalidInput("Choose the first day without service.", "day")
        return self.day.data


class ReasonForm(OfficeForm):
    why = StringField("Reason", [Optional()], description="The customer does not see it.")


def _label(plan: Plan, cycle: Cycle) -> str:
    setup = f", setup fee {plan.setup_fee}" if plan.setup_minor else ""
    return f"{plan.title}: {plan.price(cycle)} {cycle.per}{setup}"


def _label_of(has: Subscription) -> str:
    return f"{has.title}, {has.price} {has.cycle.per}"


def _as_typed(customer: Customer, move: PlannedMove | None, has: Subscription | None) -> dict[str, Any]:
    return {
        "activates_on": move.day if move else clock.today(customer.location.timezone),
        "welcome": move.welcome if move else customer.activated_at is None,
        "offer": KEEP if has is not None else "",
    }
