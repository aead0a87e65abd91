"""Reading: pages to their end, and no trust in what a filter let through."""

from datetime import UTC, datetime
from typing import Any

import pytest

from app.errors import NotSent, Refused
from tests.plugins.nexudus.scripted import ME, Said, Wired, rows

SINCE = datetime(2026, 1, 30, 6, 0, 59, tzinfo=UTC)


def sale(record_id: int, **more: Any) -> dict[str, Any]:
    return {"Id": record_id, "UniqueId": f"u-{record_id}", "CoworkerId": 4711, "Invoiced": False, **more}


def invoice(record_id: int, **more: Any) -> dict[str, Any]:
    return {"Id": record_id, "CoworkerId": 4711, "TotalAmount": 1, "TaxAmount": 0, **more}


def test_who_is_signed_in() -> None:
    me = Wired(ME).remote.me()
    assert (me.full_name, me.email, me.is_admin) == ("Hanna Velde", "hanna@quayside.example", True)


def test_a_page_of_members_asks_for_its_number_and_size() -> None:
    wired = Wired(rows({"Id": 1, "Email": " Ada@Quill.example "}, {"Id": 2, "Email": None, "Archived": True}, pages=3))
    page = wired.remote.members_page(2, size=50)
    assert [member.id for member in page] == [1, 2]
    assert (page.records[1].email, page.records[1].archived) == ("", True)
    assert (page.number, page.pages, page.is_last) == (2, 3, False)
    assert wired.heard[0].params == {"page": "2", "size": "50", "orderby": "Id"}


def test_members_changed_since_a_moment_are_asked_for_in_utc_to_the_minute() -> None:
    wired = Wired(rows())
    wired.remote.members_page(1, updated_since=SINCE)
    assert wired.heard[0].params["from_Coworker_UpdatedOn"] == "2026-01-30T06:00"


def test_an_empty_page_is_the_last_whatever_the_count_says() -> None:
    assert Wired(rows(pages=9)).remote.members_page(4).is_last


def test_a_list_is_read_page_by_page_to_its_end_and_shifted_rows_come_once() -> None:
    wired = Wired(
        rows({"Id": 1, "Name": "North"}, {"Id": 2, "Name": "South"}, pages=2),
        rows({"Id": 2, "Name": "South"}, {"Id": 3, "Name": "West"}, pages=2),
    )
    assert [one.name for one in wired.remote.businesses()] == ["North", "South", "West"]
    assert [one.params["page"] for one in wired.heard] == ["1", "2"]


def test_without_a_page_count_a_list_ends_at_the_empty_page() -> None:
    wired = Wired(Said({"Records": [{"Id": 1}]}), Said({"Records": [{"Id": 2}]}), Said({"Records": []}))
    assert [one.id for one in wired.remote.businesses()] == [1, 2]


def test_a_server_that_gives_the_same_page_for_ever_is_not_asked_for_ever() -> None:
    wired = Wired(*[rows({"Id": 1}, pages=1000)] * 2)
    assert [one.id for one in wired.remote.businesses()] == [1]


def test_what_belongs_to_another_business_is_left_out() -> None:
    wired = Wired(rows({"Id": 31, "BusinessId": 900, "Rate": 20}, {"Id": 32, "BusinessId": 901, "Rate": 5}))
    assert [one.id for one in wired.remote.tax_rates(900)] == [31]
    assert wired.heard[0].params["TaxRate_Business"] == "900"


def test_b21_a_country_is_found_by_its_code_even_when_the_filter_is_ignored() -> None:
    all_countries = rows({"Id": 1, "TwoDigitsCode": "FR"}, {"Id": 1220, "TwoDigitsCode": "GB"})
    assert Wired(all_countries).remote.country_id("gb") == 1220
    with pytest.raises(Refused) as caught:
        Wired(rows({"Id": 1, "TwoDigitsCode": "FR"})).remote.country_id("GB")
    assert caught.value.code == "unknown_there"


def test_a_currency_is_found_by_its_code() -> None:
    assert Wired(rows({"Id": 3003, "Code": "EUR"}, {"Id": 3005, "Code": "GBP"})).remote.currency_id("GBP") == 3005


@pytest.mark.parametrize(
    "zone", [{"NameIana": "Europe/London"}, {"Name": "Europe/London"}, {"Name": "GMT Standard Time"}]
)
def test_a_time_zone_is_found_under_either_of_its_names(zone: dict[str, str]) -> None:
    wired = Wired(rows(), rows({"Id": 1, "Name": "Romance Standard Time"}, {"Id": 2023, **zone}))
    assert wired.remote.zone_id("Europe/London") == 2023


def test_a_time_zone_found_by_its_name_costs_one_call() -> None:
    wired = Wired(rows({"Id": 2023, "Name": "Europe/London"}))
    assert wired.remote.zone_id("Europe/London") == 2023
    assert wired.heard[0].params["SimpleTimeZone_Name"] == "Europe/London"


def test_members_are_compared_by_email_without_case_and_blanks() -> None:
    found = rows(
        {"Id": 1, "Email": " ADA@quill.example"}, {"Id": 2, "Email": "other@quill.example"}, {"Id": 3, "Email": None}
    )
    wired = Wired(found, found)
    assert [one.id for one in wired.remote.members_with_email("Ada@Quill.example")] == [1]
    assert [one.params["Coworker_Email"] for one in wired.heard] == ["Ada@Quill.example", "ada@quill.example"]


def test_a_plus_sign_in_an_email_survives_the_address() -> None:
    wired = Wired(rows())
    wired.remote.members_with_email("ada+box@quill.example")
    assert wired.heard[0].params["Coworker_Email"] == "ada+box@quill.example"


def test_b21_members_are_compared_by_reference_exactly() -> None:
    found = rows({"Id": 1, "ReferenceNumber": "acme:1"}, {"Id": 2, "ReferenceNumber": "acme:12"}, {"Id": 3})
    assert [one.id for one in Wired(found).remote.members_with_reference("acme:1")] == [1]


def test_a_record_that_is_not_the_one_asked_for_is_no_answer() -> None:
    with pytest.raises(NotSent):
        Wired(Said({"Id": 4712})).remote.member(4711)


def test_sales_found_by_reference_are_read_by_id_because_rows_leave_fields_out() -> None:
    wired = Wired(
        rows({"Id": 1, "CoworkerId": 4711}, {"Id": 2, "CoworkerId": 9999}, {"Id": 3, "CoworkerId": 4711}),
        Said(sale(1, PurchaseOrder="acme:INV-7", Notes="Plan (acme:INV-7 #1)")),
        Said(sale(3, PurchaseOrder="acme:INV-8")),
    )
    assert [one.id for one in wired.remote.sales_with_reference(4711, "acme:INV-7")] == [1]
    assert wired.heard[0].params["CoworkerProduct_Coworker"] == "4711"
    assert wired.heard[0].params["CoworkerProduct_PurchaseOrder"] == "acme:INV-7"


def test_a_second_sweep_finds_a_sale_whose_reference_was_not_kept() -> None:
    wired = Wired(
        rows(),
        rows({"Id": 1, "CoworkerId": 4711}),
        Said(sale(1, PurchaseOrder=None, Notes="Plan (acme:INV-7 #1)")),
    )
    assert [one.id for one in wired.remote.sales_with_reference(4711, "acme:INV-7", since=SINCE)] == [1]
    assert wired.heard[1].params["from_CoworkerProduct_CreatedOn"] == "2026-01-30T06:00"


def test_invoices_are_known_by_their_order_or_their_number() -> None:
    wired = Wired(
        rows({"Id": 1, "CoworkerId": 4711}, {"Id": 2, "CoworkerId": 4711}, {"Id": 3, "CoworkerId": 4711}),
        Said(invoice(1, PurchaseOrder="acme:INV-7")),
        Said(invoice(2, InvoiceNumber="acme:INV-7")),
        Said(invoice(3, PurchaseOrder="acme:INV-70")),
    )
    assert [one.id for one in wired.remote.invoices_with_reference(4711, "acme:INV-7")] == [1, 2]


def test_b21_lines_of_other_invoices_are_left_out() -> None:
    line = {"Description": "Plan", "SubTotal": 20, "TaxAmount": 4}
    wired = Wired(rows({"Id": 1, "CoworkerInvoiceId": 55001, **line}, {"Id": 2, "CoworkerInvoiceId": 55002, **line}))
    assert [one.id for one in wired.remote.invoice_lines(55001)] == [1]
    assert wired.heard[0].params["CoworkerInvoiceLine_CoworkerInvoice"] == "55001"
