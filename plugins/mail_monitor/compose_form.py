"""The form of one mail."""

from collections.abc import Sequence
from dataclasses import asdict

from flask_wtf import FlaskForm
from wtforms import BooleanField, HiddenField, SelectField, StringField, TextAreaField
from wtforms.validators import Optional

from app.errors import AppError
from plugins.mail_monitor.drafts import Typed
from plugins.mail_monitor.models import EmailAccount


class ComposeForm(FlaskForm):
    """What can be sent is decided on sending; a draft keeps everything that was typed."""

    token = HiddenField()
    customer_id = HiddenField()
    answers_id = HiddenField()
    email_account_id = SelectField("From", coerce=int)
    to = StringField("To")
    cc = StringField("Cc", [Optional()])
    bcc = StringField("Bcc", [Optional()])
    subject = StringField("Subject")
    text = TextAreaField("Message")
    quotes = BooleanField("Quote the message")

    def __init__(self, senders: Sequence[EmailAccount], typed: Typed) -> None:
        super().__init__(data=asdict(typed))
        self.email_account_id.choices = [(row.id, f"{row.display_name} <{row.email_address}>") for row in senders]
        if typed.answers_id:
            self.text.label.text = "Answer"

    def blame(self, error: AppError) -> None:
        """Put a sentence beside the field it is about, or above the form."""
        field = self._fields.get(getattr(error, "field", None) or "")
        if field is None:
            self.form_errors.append(error.sentence)
        else:
            field.errors = [*field.errors, error.sentence]
