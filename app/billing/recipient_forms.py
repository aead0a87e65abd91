"""The form of an extra recipient."""

from typing import Any

from wtforms import RadioField, StringField
from wtforms.validators import Optional

from app.billing.forms import OfficeForm
from app.billing.life_models import Recipient, Standing
from app.billing.recipients import RecipientDetails

# Any: the types of WTForms know choices as tuples only.
STANDINGS: Any = {Standing.FREE.value: "Free", Standing.PAID.value: "Paid", Standing.INACTIVE.value: "Inactive"}


class RecipientForm(OfficeForm):
    name = StringField("Name")
    emails = StringField("Emails", [Optional()], description="Messages from them are filed with this customer.")
    standing = RadioField("Standing", choices=STANDINGS, default=Standing.FREE.value)

    @classmethod
    def of(cls, row: Recipient) -> "RecipientForm":
        """The form as somebody would have filled it in for `row`."""
        emails = ", ".join(one.email for one in row.emails)
        return cls(data={"name": row.name, "emails": emails, "standing": row.standing.value})

    def details(self) -> RecipientDetails:
        """What was typed."""
        return RecipientDetails(self.name.data or "", self.standing.data or "", self.emails.data or "")
