"""What a fresh sandbox holds: one account with a sign-in; in a demo, its people, products and a past."""

import csv
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from plugins.nexudus.sandbox import auth, clock, worlds
from plugins.nexudus.sandbox.space import Space
from plugins.nexudus.sandbox.store import Record

EMAIL = "ops@quayside.example"
PASSWORD = "quayside-demo"

PEOPLE = Path(__file__).parent / "people.csv"
RATES = (("No VAT", 0, 2), ("VAT 6%", 6, 1), ("VAT 23%", 23, 1))


def fill(here: Space, *, demo: bool) -> None:
    """Fill an empty store: the lists, two locations of one network, taxes, accounts, products and one sign-in."""
    with here.store.change():
        worlds.fill(here)
        home = _business(here, "Quayside Works Coworking", "quaysideworks", None)
        second = _business(here, "Quayside Mill Lane", "quaysidemilllane", home["Id"])
        for business in (home, second):
            _catalogue(here, business)
        user = here.create(
            "User",
            {
                "FullName": "Hanna Velde",
                "Email": EMAIL,
                "Active": True,
                "IsAdmin": True,
                "APIAccess": True,
                "Validated": True,
                "Businesses": [home["Id"], second["Id"]],
            },
        )
        auth.set_password(here, user, PASSWORD)
        if demo:
            _people(here, {"Harbour Street": home, "Mill Lane": second})
        here.store.put("seeded", "seeded", {"demo": demo})


def _business(here: Space, name: str, web_address: str, root: int | None) -> Record:
    currency = worlds.id_of("Currency", "EUR")
    return here.create(
        "Business",
        {
            "Name": name,
            "WebAddress": web_address,
            "RootLocationId": root,
            "CurrencyId": currency,
            "CountryId": worlds.id_of("Country", "PT"),
            "SimpleTimeZoneId": worlds.id_of("SimpleTimeZone", "Europe/Lisbon"),
            "TownCity": "Lisboa",
            "EmailContact": EMAIL,
        },
    )


def _catalogue(here: Space, business: Record) -> None:
    mine = {"BusinessId": business["Id"]}
    rates = {
        rate: here.create("TaxRate", mine | {"Name": name, "Rate": Decimal(rate), "ExemptionReason": reason})
        for name, rate, reason in RATES
    }
    sales = here.create("FinancialAccount", mine | {"Name": "Sales", "Code": "71", "AccountType": 1})
    here.create("FinancialAccount", mine | {"Name": "Bank", "Code": "12", "AccountType": 2})
    here.create("BusinessSetting", mine | {"Name": "tariffDefaultDueDate", "Value": "3"})
    for order, (name, price, rate) in enumerate(
        (("Day pass", 18, 23), ("Meeting room, one hour", 15, 23), ("Tea", 2, 6))
    ):
        here.create(
            "Product",
            mine
            | {
                "Name": name,
                "Description": name,
                "Price": Decimal(price),
                "CurrencyId": business["CurrencyId"],
                "TaxRateId": rates[rate]["Id"],
                "FinancialAccountId": sales["Id"],
                "DisplayOrder": order,
                "AvailableAs": 1,
                "Visible": True,
            },
        )


def _people(here: Space, locations: dict[str, Record]) -> None:
    """Members as people.csv tells, the longest known first."""
    with PEOPLE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        registered = clock.written(clock.now() - timedelta(days=int(row["days_known"])))
        business = locations[row["location"]]
        values: Record = {
            "FullName": row["full_name"],
            "Email": row["email"],
            "CompanyName": row["company"] or None,
            "BillingEmail": row["email"].strip(),
            "MobilePhone": row["phone"] or None,
            "CityName": row["city"] or None,
            "CountryId": worlds.id_of("Country", row["country"] or "PT"),
            "SimpleTimeZoneId": business["SimpleTimeZoneId"],
            "Businesses": [business["Id"]],
            "InvoicingBusinessId": business["Id"],
            "Active": row["state"] != "suspended",
            "Archived": row["state"] == "archived",
            "RegistrationDate": registered,
            "CreatedOn": registered,
        }
        here.create("Coworker", DEFAULTS | values)


DEFAULTS: Record = {"CoworkerType": 1, "Gender": 1, "TaxRateType": 1, "NotifyOnNewInvoice": True}
