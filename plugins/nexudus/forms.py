"""The plugin's forms."""

from flask_wtf import FlaskForm
from wtforms import BooleanField, EmailField, HiddenField, IntegerField, PasswordField, RadioField, StringField
from wtforms.validators import InputRequired, Length, Optional

from plugins.nexudus.models import Issue


class ConnectForm(FlaskForm):
    """The popup. The password is used once and never drawn again."""

    email = EmailField("Nexudus email", [InputRequired("Type the email of your Nexudus user."), Length(max=254)])
    password = PasswordField("Nexudus password", [InputRequired("Type the password."), Length(max=256)])
    totp = StringField("One-time code", [Optional(), Length(max=12)])
    issue = RadioField(
        "Invoices arrive as",
        choices=[(Issue.DRAFT.value, "drafts, where Nexudus allows it"), (Issue.ISSUED.value, "issued")],
        default=Issue.DRAFT.value,
    )
    may_add_products = BooleanField("One product per tax rate may be added to your Nexudus price list", default=True)


class LinkForm(FlaskForm):
    """One customer, one member, by hand."""

    member_id = IntegerField("Member", [InputRequired("Choose a member.")])
    sure = HiddenField()


class UnlinkForm(FlaskForm):
    reason = StringField("Why", [Optional(), Length(max=300, message="A reason has at most 300 characters.")])
