"""Forms of the gateway: keys, the webhook's secret, which card, how much goes back."""

from collections.abc import Iterable, Sequence

from flask_wtf import FlaskForm
from wtforms import PasswordField, RadioField, SelectMultipleField, StringField
from wtforms.validators import Optional
from wtforms.widgets import CheckboxInput, ListWidget

from app.billing.forms import OfficeForm
from app.billing.models import Invoice
from app.payments.models import SavedCard
from app.payments.test_gateway import CARDS


class SureForm(FlaskForm):
    """Nothing but the token: a button."""


class StripeForm(OfficeForm):
    secret_key = PasswordField(
        "Restricted key", description="Begins with rk_live_ or rk_test_. It is tried at once, and never shown again."
    )


class WebhookForm(OfficeForm):
    webhook_secret = PasswordField("Signing secret", description="Begins with whsec_. Never shown again.")


class ChargeForm(OfficeForm):
    card = RadioField("Card", coerce=int)

    def __init__(self, cards: Sequence[SavedCard]) -> None:
        super().__init__(data={"card": cards[0].id if cards else None})
        self.card.choices = [(one.id, f"{one.name}, good until {one.expires}") for one in cards]


class RefundForm(OfficeForm):
    amount = StringField("Amount")
    reason = StringField("Reason", [Optional()], description="For you; the customer does not see it.")


class WhichForm(OfficeForm):
    invoices = SelectMultipleField(
        "Open invoices", coerce=int, option_widget=CheckboxInput(), widget=ListWidget(prefix_label=False)
    )

    def __init__(self, found: Iterable[Invoice]) -> None:
        super().__init__()
        self.invoices.choices = [(one.id, one.number) for one in found]


class TestCardForm(FlaskForm):
    """Which of the made-up cards is left."""

    card = RadioField("Card", default="good")

    def __init__(self) -> None:
        super().__init__()
        self.card.choices = [(kind, kind) for kind in CARDS]


class DecisionForm(FlaskForm):
    """What the customer tells the made-up bank."""

    decision = RadioField("Decision")

    def __init__(self) -> None:
        super().__init__()
        self.decision.choices = [("approve", "Approve"), ("refuse", "Refuse")]
