"""Forms of Business settings > General. What can be taken is decided by the services."""

from dataclasses import asdict

from flask_wtf import FlaskForm
from flask_wtf.file import FileField
from wtforms import StringField
from wtforms.validators import Optional

from app.accounts.models import Account
from app.accounts.settings import General
from app.billing.forms import OfficeForm


class GeneralForm(OfficeForm):
    name = StringField("Name")
    contact_email = StringField("Email", [Optional()])
    contact_phone = StringField("Telephone", [Optional()])
    website = StringField("Website", [Optional()])
    accent = StringField("Accent colour", [Optional()])
    mail_name = StringField("Sender's name", [Optional()])
    invoice_prefix = StringField("Invoice numbers begin with")

    def __init__(self, account: Account) -> None:
        super().__init__(data=asdict(General.of(account)))

    def general(self) -> General:
        """What was typed."""
        return General(**{name: self[name].data or "" for name in General.__slots__})


class LogoForm(FlaskForm):
    logo = FileField("Logo", description="PNG or JPEG, at most 2 MB. It is made to fit 800 by 320 pixels.")
