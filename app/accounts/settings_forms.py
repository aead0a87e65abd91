"""Forms of Business settings > General. What can be taken is decided by the services."""

import re
from dataclasses import asdict
from typing import Any

from flask_wtf import FlaskForm
from flask_wtf.file import FileField
from wtforms import BooleanField, StringField
from wtforms.validators import Optional

from app.accounts.models import Account
from app.accounts.settings import General
from app.billing.forms import OfficeForm
from app.meanwhile import SharedForm
from app.typed import tidy


class GeneralForm(SharedForm, OfficeForm):
    name = StringField("Name")
    contact_email = StringField("Email", [Optional()])
    contact_phone = StringField("Telephone", [Optional()])
    website = StringField("Website", [Optional()])
    accent = StringField("Accent colour", [Optional()])
    mail_name = StringField("Sender's name", [Optional()])
    invoice_prefix = StringField("Invoice numbers begin with")
    payment_days = StringField("Days to pay")
    mails_invoices = BooleanField("Mailed by itself")

    def __init__(self, account: Account) -> None:
        super().__init__(data=self.shown(account))

    @classmethod
    def shown(cls, account: Account) -> dict[str, Any]:
        """What stands in the form of an account."""
        return asdict(General.of(account))

    def general(self) -> General:
        """What was typed."""
        days = tidy(self.payment_days.data or "")
        typed: dict[str, Any] = {name: self[name].data or "" for name in General.__slots__}
        typed["payment_days"] = int(days) if re.fullmatch(r"[0-9]{1,4}", days) else -1  # what is no number of days
        typed["mails_invoices"] = self.mails_invoices.data
        return General(**typed)


class LogoForm(FlaskForm):
    logo = FileField("Logo", description="PNG or JPEG, at most 2 MB. It is made to fit 800 by 320 pixels.")
