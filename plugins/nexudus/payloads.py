"""Typed shapes of what Nexudus says; its field names stop here, and in `sent` for what it wants to hear.

Field names and types: https://developers.nexudus.com/rest-api (per entity). Whatever is read here was checked:
ids are positive, amounts are exact decimals within reason, moments are aware and in UTC.
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated

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
    archived: Flag = False


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
