"""What is read from Nexudus. Filters it does not know are ignored there, so every row is compared here again."""

import unicodedata
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from babel.core import get_global

from app.errors import Refused
from plugins.nexudus import answers
from plugins.nexudus.answers import Call
from plugins.nexudus.envelopes import Page
from plugins.nexudus.payloads import (
    Business,
    Country,
    Currency,
    InvoiceRow,
    InvoiceThere,
    LineThere,
    Me,
    Member,
    Owned,
    Product,
    Record,
    Sale,
    TaxRate,
    TimeZone,
)
from plugins.nexudus.wire import ME, Wire

R = TypeVar("R", bound=Record)
B = TypeVar("B", TaxRate, Product)
M = TypeVar("M", Sale, InvoiceThere)

PAGE_SIZE = 200
MINUTE = timedelta(minutes=1)  # filters are written to the minute before
MOST_PAGES = 500  # far above any real list that is read whole

BUSINESSES = "/api/sys/businesses"
TAX_RATES = "/api/sys/taxrates"
COUNTRIES = "/api/sys/countries"
CURRENCIES = "/api/sys/currencies"
ZONES = "/api/sys/simpletimezones"
MEMBERS = "/api/spaces/coworkers"
PRODUCTS = "/api/billing/products"
SALES = "/api/billing/coworkerproducts"
INVOICES = "/api/billing/coworkerinvoices"
LINES = "/api/billing/coworkerinvoicelines"

THINGS = {
    BUSINESSES: "locations",
    TAX_RATES: "tax rates",
    COUNTRIES: "countries",
    CURRENCIES: "currencies",
    ZONES: "time zones",
    MEMBERS: "members",
    PRODUCTS: "products",
    SALES: "product sales",
    INVOICES: "invoices",
    LINES: "invoice lines",
}


class Reading(Wire):
    """The questions. Each raises one of the five `Outside` errors; no row of Nexudus is `Refused` "not_found"."""

    def me(self) -> Me:
        """Who is signed in."""
        return self.one(ME, Me)

    def businesses(self) -> list[Business]:
        """The locations this user sees."""
        return list(self._all(BUSINESSES, Business))

    def business(self, business_id: int) -> Business:
        return self._by_id(BUSINESSES, business_id, Business)

    def tax_rates(self, business_id: int) -> list[TaxRate]:
        return self._of_business(TAX_RATES, "TaxRate_Business", business_id, TaxRate)

    def products(self, business_id: int) -> list[Product]:
        """All products of a business, archived ones too."""
        return self._of_business(PRODUCTS, "Product_Business", business_id, Product)

    def country_id(self, code: str) -> int:
        """Id of a country by its ISO 3166 code of two letters."""
        found = self._all(COUNTRIES, Country, Country_TwoDigitsCode=code)
        return self._one_of((one.id for one in found if one.code.upper() == code.upper()), f"country “{code}”")

    def currency_id(self, code: str) -> int:
        """Id of a currency by its ISO 4217 code."""
        found = self._all(CURRENCIES, Currency, Currency_Code=code)
        return self._one_of((one.id for one in found if one.code.upper() == code.upper()), f"currency “{code}”")

    def zone_id(self, iana: str) -> int:
        """Id of a time zone by its IANA name; Nexudus may know it by Windows' name only."""
        windows = get_global("windows_zone_mapping")
        found = (
            one
            for filters in ({"SimpleTimeZone_Name": iana}, {})
            for one in self._all(ZONES, TimeZone, **filters)
            if iana in (one.iana, one.name, windows.get(one.name))
        )
        return self._one_of((one.id for one in found), f"time zone “{iana}”")

    def members_page(self, page: int, size: int = PAGE_SIZE, updated_since: datetime | None = None) -> Page[Member]:
        """One page of all members, archived and inactive ones too, from page 1 on."""
        filters = {"from_Coworker_UpdatedOn": _written(updated_since)} if updated_since else {}
        return self._page(MEMBERS, Member, page, size, filters)

    def members_with_email(self, email: str) -> list[Member]:
        """Members whose email is this one, whatever the case and outer blanks, as far as Nexudus finds them."""
        found: dict[int, Member] = {}
        for spelling in dict.fromkeys((email, email.strip().lower())):
            for member in self._all(MEMBERS, Member, Coworker_Email=spelling):
                if _folded(member.email) == _folded(email):
                    found[member.id] = member
        return list(found.values())

    def members_with_reference(self, reference: str) -> list[Member]:
        """Members that carry this reference of ours."""
        found = self._all(MEMBERS, Member, Coworker_ReferenceNumber=reference)
        return [member for member in found if member.reference == reference]

    def member(self, member_id: int) -> Member:
        return self._by_id(MEMBERS, member_id, Member)

    def sale(self, sale_id: int) -> Sale:
        return self._by_id(SALES, sale_id, Sale)

    def sales_with_reference(self, member_id: int, reference: str, since: datetime | None = None) -> list[Sale]:
        """Sales to a member that carry `reference`, each read by id.

        With `since`, also those made since then that mention it in their description only.
        """
        filters = [{"CoworkerProduct_PurchaseOrder": reference}]
        if since:
            filters.append({"from_CoworkerProduct_CreatedOn": _written(since)})
        found = self._of_member(SALES, Sale, "CoworkerProduct_Coworker", member_id, filters)
        return [sale for sale in found if sale.reference == reference or reference in sale.description]

    def invoice(self, invoice_id: int) -> InvoiceThere:
        return self._by_id(INVOICES, invoice_id, InvoiceThere)

    def invoices_with_reference(
        self, member_id: int, reference: str, since: datetime | None = None
    ) -> list[InvoiceThere]:
        """Invoices of a member that carry `reference` as their order, each read by id.

        With `since`, also those made since then that carry it as their number only.
        """
        filters = [{"CoworkerInvoice_PurchaseOrder": reference}]
        if since:
            filters.append({"from_CoworkerInvoice_CreatedOn": _written(since)})
        found = self._of_member(INVOICES, InvoiceThere, "CoworkerInvoice_Coworker", member_id, filters)
        return [invoice for invoice in found if reference in (invoice.reference, invoice.number)]

    def invoices_page(self, page: int, size: int, since: datetime, until: datetime) -> Page[InvoiceRow]:
        """One page, from page 1 on, of all invoices made from `since` until `until`, and some around these moments."""
        filters = {
            "from_CoworkerInvoice_CreatedOn": _written(since),
            "to_CoworkerInvoice_CreatedOn": _written(until + MINUTE),
        }
        return self._page(INVOICES, InvoiceRow, page, size, filters)

    def invoice_lines(self, invoice_id: int) -> list[LineThere]:
        found = self._all(LINES, LineThere, CoworkerInvoiceLine_CoworkerInvoice=invoice_id)
        return [line for line in found if line.invoice_id == invoice_id]

    def _by_id(self, path: str, record_id: int, shape: type[R]) -> R:
        call = Call("GET", f"{path}/{record_id}", "read", THINGS[path])
        record = self.one(call, shape)
        if record.id != record_id:
            raise answers.no_answer(call, reason="another record came back")
        return record

    def _page(self, path: str, shape: type[R], number: int, size: int, filters: Mapping[str, str | int]) -> Page[R]:
        params = {"page": number, "size": size, "orderby": "Id", **filters}
        return self.page(Call("GET", path, "list", THINGS[path], params), shape)

    def _all(self, path: str, shape: type[R], **filters: str | int) -> Iterator[R]:
        """Every row of a list, once, page by page."""
        seen: set[int] = set()
        for number in range(1, MOST_PAGES + 1):
            page = self._page(path, shape, number, PAGE_SIZE, filters)
            fresh = [record for record in page if record.id not in seen]
            seen.update(record.id for record in fresh)
            yield from fresh
            if page.is_last or not fresh:
                return
        raise Refused(f"Nexudus lists more {THINGS[path]} than can be read.", code="too_many")

    def _of_business(self, path: str, filter_name: str, business_id: int, shape: type[B]) -> list[B]:
        found = self._all(path, shape, **{filter_name: business_id})
        return [record for record in found if record.business_id == business_id]

    def _of_member(
        self, path: str, shape: type[M], filter_name: str, member_id: int, filters: list[dict[str, str]]
    ) -> list[M]:
        """What belongs to a member and is found by any of `filters`, read by id: rows of a list leave fields out."""
        rows = [row for one in filters for row in self._all(path, Owned, **{filter_name: member_id}, **one)]
        ids = dict.fromkeys(row.id for row in rows if row.member_id == member_id)
        return [record for record in (self._by_id(path, one, shape) for one in ids) if record.member_id == member_id]

    def _one_of(self, ids: Iterator[int], what: str) -> int:
        found = next(ids, None)
        if found is None:
            raise Refused(f"Nexudus knows no {what}.", code="unknown_there")
        return found


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).strip().casefold()


def _written(moment: datetime) -> str:
    """A moment as filters are documented to take it: in UTC, to the minute before it."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M}"
