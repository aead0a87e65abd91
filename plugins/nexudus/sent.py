"""Typed shapes of what Nexudus wants to hear. Field names and types: https://developers.nexudus.com/rest-api."""

from datetime import date
from decimal import Decimal
from typing import Any

from pydantic import Field

from plugins.nexudus.payloads import Shape


class Sent(Shape):
    """What is sent to Nexudus; left-out fields are left out there, too."""

    def body(self) -> dict[str, Any]:
        """As Nexudus wants to hear it. Amounts stay decimals; `exact_json` writes them digit by digit."""
        return {name: _plain(value) for name, value in self.model_dump(by_alias=True, exclude_none=True).items()}


class NewMember(Sent):
    """A member of one business, known by our `reference`.

    Required are name, email, country and time zone; one source also demands kind, gender, tax and attendance.
    `create_user` makes a portal login and mails a welcome.
    """

    full_name: str
    email: str
    country_id: int
    zone_id: int = Field(alias="SimpleTimeZoneId")
    business_id: int = Field(alias="InvoicingBusinessId")
    reference: str = Field(alias="ReferenceNumber")
    billing_email: str | None = None
    company: str | None = Field(default=None, alias="CompanyName")
    phone: str | None = Field(default=None, alias="MobilePhone")
    address: str | None = None
    city: str | None = Field(default=None, alias="CityName")
    postcode: str | None = Field(default=None, alias="PostCode")
    active: bool = True
    create_user: bool = False
    kind: int = Field(default=1, alias="CoworkerType")  # a person, not a company
    gender: int = 1  # not set
    tax_rate_type: int = 1  # the rate of whatever is sold
    monday_attendance: int = 5  # undefined, as on the other days
    tuesday_attendance: int = 5
    wednesday_attendance: int = 5
    thursday_attendance: int = 5
    friday_attendance: int = 5
    saturday_attendance: int = 5
    sunday_attendance: int = 5

    def body(self) -> dict[str, Any]:
        # Without Businesses, too, the member silently lands in some location of the login.
        return {**super().body(), "Businesses": [self.business_id], "SystemId": self.reference}


class NewSale(Sent):
    """One product sold once; `price` is net, per piece, in major units, and overrides the catalogue's."""

    member_id: int = Field(alias="CoworkerId")
    business_id: int
    product_id: int
    quantity: int
    price: Decimal
    description: str = Field(alias="Notes")
    reference: str = Field(alias="PurchaseOrder")
    system_id: str
    sold_on: date = Field(alias="SaleDate")
    due_on: date | None = Field(default=None, alias="DueDate")
    regular_charge: bool = False
    repeat_cycle: int = 1  # what Nexudus itself stores on a sale that does not repeat
    discount_amount: int = 0
    credit_amount: int = 0
    invoice_this_coworker: bool = True
    activate_now: bool = True


class NewInvoice(Sent):
    """The head of an invoice document; all but `due_on` is required."""

    member_id: int = Field(alias="CoworkerId")
    business_id: int
    number: str = Field(alias="InvoiceNumber")
    bill_to_name: str
    bill_to_address: str
    bill_to_city: str
    bill_to_post_code: str
    bill_to_country_id: int | None
    currency_id: int
    reference: str = Field(alias="PurchaseOrder")
    system_id: str
    draft: bool = True
    due_on: date | None = Field(default=None, alias="DueDate")


class NewLine(Sent):
    """A line of an invoice document; `net` and `tax` in major units, `tax_rate` in percent."""

    invoice_id: int = Field(alias="CoworkerInvoiceId")
    description: str
    quantity: int
    net: Decimal = Field(alias="SubTotal")
    tax: Decimal = Field(alias="TaxAmount")
    tax_rate: Decimal
    tax_name: str | None = Field(default=None, alias="TaxCategoryName")
    account_code: str | None = Field(default=None, alias="FinancialAccountCode")
    account_name: str | None = Field(default=None, alias="FinancialAccountName")


class NewProduct(Sent):
    """A product that invoice lines of one tax rate are sold as: hidden from the members' shop, sold once."""

    business_id: int
    name: str
    description: str
    currency_id: int
    tax_rate_id: int | None = None
    sku: str | None = None
    price: Decimal = Decimal(0)
    display_order: int = 0
    system_product_type: int = 0
    available_as: int = 3  # never by subscription
    visible: bool = False


def _plain(value: Any) -> Any:
    """Days as the midnight that Nexudus writes them as, sequences as lists."""
    if isinstance(value, date):
        return f"{value.isoformat()}T00:00:00Z"
    return list(value) if isinstance(value, tuple) else value
