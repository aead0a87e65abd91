"""Typed shapes of what Nexudus says and of what it wants to hear; its field names stop here.

Field names and types: https://developers.nexudus.com/rest-api (per entity). Whatever is read here was checked:
ids are positive, amounts are exact decimals within reason, moments are aware and in UTC.
"""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_pascal

LARGEST_ID = 2**63 - 1  # what a 64-bit column holds
LARGEST_AMOUNT = Decimal(10) ** 13


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


Id = Annotated[int, Field(strict=True, gt=0, le=LARGEST_ID)]
Amount = Annotated[Decimal, Field(gt=-LARGEST_AMOUNT, lt=LARGEST_AMOUNT)]
Text = Annotated[str, BeforeValidator(lambda value: "" if value is None else value)]
Ids = Annotated[tuple[Id, ...], BeforeValidator(lambda value: () if value is None else value)]
Flag = Annotated[bool, BeforeValidator(lambda value: False if value is None else value)]
Moment = Annotated[datetime, AfterValidator(_utc)]


class Shape(BaseModel):
    """Names in our spelling here, in pascal case over there; what is not named here is passed over."""

    model_config = ConfigDict(frozen=True, alias_generator=to_pascal, populate_by_name=True)


class Record(Shape):
    """Any record of Nexudus."""

    id: Id


class Me(Record):
    """The user who is signed in, and the defaults of the space."""

    full_name: Text = ""
    email: Text = ""
    is_admin: Flag = False
    api_access: Flag = Field(default=False, alias="APIAccess")  # seen false on users whose calls worked
    businesses: Ids = ()
    default_business_id: Id | None = None


class Business(Record):
    """A location of the network, or its head."""

    name: Text = ""
    web_address: Text = ""
    head_id: Id | None = Field(default=None, alias="RootLocationId")
    country_id: Id | None = None
    zone_id: Id | None = Field(default=None, alias="SimpleTimeZoneId")
    currency_id: Id | None = None
    currency: Text = Field(default="", alias="CurrencyCode")


class TaxRate(Record):
    """A tax of one business; `rate` in percent."""

    business_id: Id
    name: Text = ""
    rate: Amount


class Product(Record):
    business_id: Id
    name: Text = ""
    sku: Text = ""
    price: Amount = Decimal(0)
    currency: Text = Field(default="", alias="CurrencyCode")
    tax_rate_id: Id | None = None
    financial_account_id: Id | None = None
    archived: Flag = False


class FinancialAccount(Record):
    business_id: Id
    name: Text = ""
    code: Text = ""


class Country(Record):
    name: Text = ""
    code: Text = Field(default="", alias="TwoDigitsCode")


class Currency(Record):
    name: Text = ""
    code: Text = ""


class TimeZone(Record):
    """`name` is Windows' name of it; `iana` is in no documented list of fields, but other records show it."""

    name: Text = ""
    iana: Text = Field(default="", alias="NameIana")


class Member(Record):
    """A person as Nexudus knows it. In rows of a list `businesses` is always empty."""

    full_name: Text = ""
    email: Text = ""
    company: Text = Field(default="", alias="CompanyName")
    active: Flag = True
    archived: Flag = False
    registered_at: Moment | None = Field(default=None, alias="RegistrationDate")
    updated_at: Moment | None = Field(default=None, alias="UpdatedOn")
    businesses: Ids = ()
    invoicing_business_id: Id | None = None
    location: Text = Field(default="", alias="InvoicingBusinessName")
    reference: Text = Field(default="", alias="ReferenceNumber")
    is_mailed_invoices: Flag = Field(default=False, alias="NotifyOnNewInvoice")
    is_not_charged: Flag = Field(default=False, alias="DoNotProcessInvoicesAutomatically")


class Owned(Record):
    """A row of a list of things that belong to members; such rows leave fields out, so only this much is relied on."""

    member_id: Id = Field(alias="CoworkerId")


class Sale(Owned):
    """A product sold to a member; `invoice_id` leads to the invoice that billed it."""

    unique_id: Text = ""
    description: Text = Field(default="", alias="Notes")
    reference: Text = Field(default="", alias="PurchaseOrder")
    invoiced: Flag = False
    invoice_id: Id | None = Field(default=None, alias="CoworkerInvoiceId")

    @property
    def is_billed(self) -> bool:
        return self.invoiced or self.invoice_id is not None


class InvoiceThere(Owned):
    """An invoice's head as it stands in Nexudus; `total` and `tax` in major units, `total` with tax."""

    business_id: Id | None = None
    number: Text = Field(default="", alias="InvoiceNumber")
    reference: Text = Field(default="", alias="PurchaseOrder")
    draft: Flag = False
    void: Flag = False
    total: Amount = Field(alias="TotalAmount")
    tax: Amount = Field(alias="TaxAmount")
    currency_id: Id | None = None


class InvoiceRow(Owned):
    """An invoice in a list. `total` is None, and `says_reference` false, when such rows leave them out."""

    number: Text = Field(default="", alias="InvoiceNumber")
    reference: Text = Field(default="", alias="PurchaseOrder")
    void: Flag = False
    is_credit_note: Flag = Field(default=False, alias="CreditNote")
    total: Amount | None = Field(default=None, alias="TotalAmount")
    credited: Amount | None = Field(default=None, alias="CreditedAmount")
    created_at: Moment | None = Field(default=None, alias="CreatedOn")

    @property
    def says_reference(self) -> bool:
        return "reference" in self.model_fields_set


class LineThere(Record):
    """A line of an invoice in Nexudus; `net` and `tax` in major units, `origin` the sale's unique id."""

    invoice_id: Id = Field(alias="CoworkerInvoiceId")
    description: Text = ""
    net: Amount = Field(alias="SubTotal")
    tax: Amount = Field(alias="TaxAmount")
    origin: Text = Field(default="", alias="CoworkerProductUniqueId")


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


class MemberChanges(Sent):
    """Fields of a member to overwrite; what is None stays as it is there."""

    full_name: str | None = None
    email: str | None = None
    billing_email: str | None = None
    company: str | None = Field(default=None, alias="CompanyName")
    phone: str | None = Field(default=None, alias="MobilePhone")
    address: str | None = None
    city: str | None = Field(default=None, alias="CityName")
    postcode: str | None = Field(default=None, alias="PostCode")
    country_id: int | None = None


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
    financial_account_id: int | None = None
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
