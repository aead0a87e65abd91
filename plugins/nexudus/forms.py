"""The plugin's forms."""

from collections.abc import Iterable, Mapping
from typing import Any

from flask_wtf import FlaskForm
from wtforms import (
    BooleanField,
    EmailField,
    HiddenField,
    IntegerField,
    PasswordField,
    RadioField,
    SelectField,
    StringField,
)
from wtforms.validators import InputRequired, Length, NumberRange, Optional, ValidationError

from app.typed import problem_of
from plugins.nexudus.models import Issue, Writer

# Any: the types of WTForms know choices as tuples only, which WTForms 3.3 warns about.
WRITERS: Any = {
    Writer.AUTO.value: "Automatic: as this Nexudus allows",
    Writer.PRODUCT_SALE.value: "Product sales, then one invoice",
    Writer.DOCUMENT.value: "Whole invoices",
}
ISSUES: Any = {Issue.DRAFT.value: "Drafts, where Nexudus allows them", Issue.ISSUED.value: "Issued"}


def can_be_typed(form: FlaskForm, field: StringField) -> None:
    """Refuse what nobody types, such as control characters, and what is longer than the column."""
    problem = problem_of(field.data or "", 300)
    if problem:
        raise ValidationError(problem)


class ConnectForm(FlaskForm):
    """The popup. The password is used once and never drawn again."""

    email = EmailField("Nexudus email", [InputRequired("Type the email of your Nexudus user."), Length(max=254)])
    password = PasswordField("Nexudus password", [InputRequired("Type the password."), Length(max=256)])
    totp = StringField("One-time code", [Optional(), Length(max=12)])
    issue = RadioField("Invoices arrive as", choices=ISSUES, default=Issue.DRAFT.value)
    may_add_products = BooleanField("One product per tax rate may be added to your Nexudus price list", default=True)


class LinkForm(FlaskForm):
    """One customer, one member, by hand."""

    member_id = IntegerField("Member", [InputRequired("Choose a member.")])
    sure = HiddenField()


class UnlinkForm(FlaskForm):
    reason = StringField("Why", [Optional(), can_be_typed])


class ArrivalForm(FlaskForm):
    """How invoices are written and arrive."""

    writer = SelectField("Way of writing", choices=WRITERS)
    issue = SelectField("They arrive as", choices=ISSUES)
    window_hour = IntegerField("Windows open at", [InputRequired(), NumberRange(0, 23)])
    uses_own_numbers = BooleanField("Use our invoice numbers in Nexudus")
    may_add_products = BooleanField("One product per tax rate may be added to the price list")


class HookForm(FlaskForm):
    """The secret that Nexudus signs its webhooks with; kept sealed and never drawn again."""

    secret = PasswordField("Shared secret", [InputRequired("Type the shared secret."), Length(max=200)])


class HoldForm(FlaskForm):
    reason = StringField("Why", [Optional(), can_be_typed])


class PeriodForm(FlaskForm):
    period = SelectField("Period", [InputRequired("Choose a month or a window.")])

    def offer(self, periods: Iterable[tuple[str, str]]) -> None:
        """Offer these periods, each a name and its words."""
        choices: Any = dict(periods)
        self.period.choices = choices


class ProductForm(FlaskForm):
    product = SelectField("Product", [InputRequired("Choose a product.")])

    def offer(self, products: Mapping[int, str]) -> None:
        """Offer these products, by id."""
        choices: Any = {str(number): name for number, name in products.items()}
        self.product.choices = choices
