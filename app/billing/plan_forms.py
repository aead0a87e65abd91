"""The form of a plan. Prices are typed in major units; what can be taken is decided by the service."""

from typing import Any

from wtforms import SelectField, StringField
from wtforms.validators import Optional

from app.accounts.models import Account
from app.billing.forms import OfficeForm
from app.billing.plans import PlanDetails
from app.billing.subscription_models import Cycle, Plan
from app.formats import number
from app.meanwhile import SharedForm
from app.money import Money

# Any: the types of WTForms know choices as tuples only, which WTForms 3.3 warns about.
KINDS: dict[str, Any] = {"business": "Businesses", "personal": "Private persons"}
LONG_CYCLES: dict[str, Any] = {"": "None", **{one.value: one.label for one in (Cycle.HALF_YEARLY, Cycle.YEARLY)}}


class PlanForm(SharedForm, OfficeForm):
    title = StringField("Title")
    subtitle = StringField("Subtitle", [Optional()])
    kind = SelectField("For", choices=KINDS)
    currency = SelectField("Currency")
    monthly = StringField("Price a month")
    long_cycle = SelectField("Longer cycle", [Optional()], choices=LONG_CYCLES)
    long = StringField("Price of it", [Optional()])
    setup = StringField("Setup fee", [Optional()])
    recipient = StringField("Extra recipient, a month", [Optional()])
    tax_rate = StringField("Tax %", [Optional()])

    def __init__(self, account: Account, plan: Plan | None = None) -> None:
        super().__init__(data=self.shown(plan) if plan else {"currency": account.currency})
        self.currency.choices = [(code, code) for code in currencies(account, plan)]

    @classmethod
    def shown(cls, plan: Plan) -> dict[str, Any]:
        """What stands in the form of a plan, as somebody would type it; zero is empty where a price is optional."""

        def amount(minor: int | None) -> str:
            return str(Money(minor, plan.currency).major) if minor else ""

        return {
            "title": plan.title,
            "subtitle": plan.subtitle,
            "kind": plan.kind.value,
            "currency": plan.currency,
            "monthly": str(plan.price(Cycle.MONTHLY).major),
            "long_cycle": plan.long_cycle.value if plan.long_cycle else "",
            "long": amount(plan.long_minor),
            "setup": amount(plan.setup_minor),
            "recipient": amount(plan.recipient_minor),
            "tax_rate": "" if plan.tax_rate is None else number(plan.tax_rate),
        }

    def details(self) -> PlanDetails:
        """What was typed."""
        return PlanDetails(**{name: self[name].data or "" for name in PlanDetails.__slots__})


def currencies(account: Account, plan: Plan | None) -> list[str]:
    """What a plan may be priced in: what the locations bill in, and what it is priced in already."""
    return sorted({one.currency for one in account.locations} | ({plan.currency} if plan else set()))
