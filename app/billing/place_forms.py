"""The form of a location. What can be taken is decided by the service."""

from dataclasses import asdict
from typing import Any

from babel.numbers import get_currency_name
from wtforms import SelectField, StringField
from wtforms.validators import Optional

from app.accounts.models import Account, Location
from app.accounts.services import COUNTRIES
from app.billing.forms import OfficeForm
from app.billing.places import TENDER, ZONES, Place
from app.meanwhile import SharedForm

# Any: the types of WTForms know choices as tuples only, which WTForms 3.3 warns about.
_COUNTRIES: dict[str, Any] = dict(sorted(COUNTRIES.items(), key=lambda country: country[1]))
_CURRENCIES: dict[str, Any] = {code: f"{code}, {get_currency_name(code, locale='en')}" for code in TENDER}


class LocationForm(SharedForm, OfficeForm):
    name = StringField("Name")
    address = StringField("Street and number", [Optional()])
    postcode = StringField("Postcode", [Optional()])
    city = StringField("City", [Optional()])
    country = SelectField("Country", choices=_COUNTRIES)
    timezone = SelectField("Time zone")
    currency = SelectField("Currency")
    tax_rate = StringField("Tax %")

    def __init__(self, account: Account, location: Location | None = None) -> None:
        like = location or account
        super().__init__(
            data=self.shown(location)
            if location
            else {"country": account.country, "timezone": account.timezone, "currency": account.currency}
        )
        # What is set already can be kept, also where it is no longer offered.
        self.timezone.choices = [(zone, zone) for zone in sorted({*ZONES, like.timezone})]
        self.currency.choices = list(({like.currency: like.currency} | _CURRENCIES).items())

    @classmethod
    def shown(cls, location: Location) -> dict[str, Any]:
        """What stands in the form of a location."""
        return asdict(Place.of(location))

    def place(self) -> Place:
        """What was typed."""
        return Place(**{name: self[name].data or "" for name in Place.__slots__})
