"""The strategies fed with histories, and each step against the odd things that may stand over there."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from app.effects import Done, Intent
from app.errors import NotSent, OutcomeUnknown, Refused
from plugins.nexudus.frozen import FrozenInvoice
from plugins.nexudus.verifying import Verify
from plugins.nexudus.writers import (
    InvoiceSales,
    IssueInvoice,
    NumberInvoice,
    ReferenceSales,
    SellLine,
    WriteHead,
    WriteLine,
    next_step,
)
from tests.plugins.nexudus.invoices import TWO_LINES, frozen
from tests.plugins.nexudus.scripted import INTENT, Said, Wired, done, refused, rows

NOW = datetime(2026, 1, 31, 6, 0, tzinfo=UTC)
SOLD = {"begun_at": NOW.isoformat()}
MARKER = "acme:INV-7"


def history(frozen_invoice: FrozenInvoice, results: dict[str, Any]) -> list[str]:
    """The keys of all steps in their order, each answered with what `results` says."""
    keys, so_far = [], Done()
    while step := next_step(frozen_invoice, so_far):
        keys.append(step.key)
        so_far[step.key] = results.get(step.key.split(":", maxsplit=1)[0], {})
    return keys


def a_sale(record_id: int = 99001, **more: Any) -> Said:
    position = record_id - 99000
    return Said(
        {
            "Id": record_id,
            "UniqueId": f"U-{record_id}",
            "CoworkerId": 4711,
            "PurchaseOrder": MARKER,
            "Notes": f"Mailbox plan, February ({MARKER} #{position})",
            "Invoiced": False,
            **more,
        }
    )


def billed(record_id: int = 99001, invoice_id: int | None = 55001) -> Said:
    return a_sale(record_id, Invoiced=True, CoworkerInvoiceId=invoice_id)


def an_invoice(**more: Any) -> Said:
    return Said(
        {
            "Id": 55001,
            "CoworkerId": 4711,
            "InvoiceNumber": "INV-0042",
            "PurchaseOrder": MARKER,
            "TotalAmount": 24.0,
            "TaxAmount": 4,
            "CurrencyId": 3005,
            "Draft": False,
            **more,
        }
    )


def a_line(record_id: int = 77001, **more: Any) -> dict[str, Any]:
    return {
        "Id": record_id,
        "CoworkerInvoiceId": 55001,
        "Description": f"Mailbox plan, February ({MARKER} #1)",
        "SubTotal": 20.00,
        "TaxAmount": 4.00,
        "CoworkerProductUniqueId": "u-99001",
        **more,
    }


# Histories


def test_a_product_sale_is_sold_line_by_line_then_invoiced_referenced_and_verified() -> None:
    results = {"sale": {"sale_id": 99001, **SOLD}, "reference": {"invoice_id": 55001, "origins": ["u-99001"]}}
    keys = ["sale:1", "sale:2", "invoice", "reference", "verify"]
    assert history(frozen(TWO_LINES), results) == keys


def test_a_draft_document_is_a_head_its_lines_and_a_look_at_it() -> None:
    invoice = frozen(TWO_LINES, way="document")
    assert history(invoice, {"invoice": {"invoice_id": 55001}}) == ["invoice", "line:1", "line:2", "verify"]


def test_a_document_is_checked_before_it_is_issued() -> None:
    invoice = frozen(way="document", issue="issued")
    assert history(invoice, {"invoice": {"invoice_id": 55001}}) == ["invoice", "line:1", "check", "issue", "verify"]


def test_an_issued_document_gets_our_number_again_because_issuing_numbers_it_anew() -> None:
    invoice = frozen(way="document", issue="issued", use_own_number=True)
    keys = ["invoice", "line:1", "check", "issue", "reference", "verify"]
    assert history(invoice, {"invoice": {"invoice_id": 55001}}) == keys


def test_what_is_done_is_never_asked_for_again() -> None:
    invoice = frozen(TWO_LINES)
    step = next_step(invoice, {"sale:1": {"sale_id": 99001, **SOLD}})
    assert step is not None
    assert step.key == "sale:2"


# Selling a line


def look_up_a_sale(*answers: Said) -> Any:
    invoice = frozen()
    return SellLine(invoice, invoice.lines[0]).look_up(Wired(*answers).remote, INTENT)


def test_a_sale_is_found_again_by_its_tag() -> None:
    row = {"Id": 99001, "CoworkerId": 4711}
    found = look_up_a_sale(rows(row), rows(), a_sale())
    assert found == {"sale_id": 99001, "begun_at": INTENT.first_begun_at.isoformat()}


@pytest.mark.parametrize("notes", [f"Plan ({MARKER} #11)", f"Plan ({MARKER} #2)", f"Plan ({MARKER}0 #1)", None])
def test_the_sale_of_another_line_is_not_taken_for_it(notes: str | None) -> None:
    row = {"Id": 99001, "CoworkerId": 4711}
    assert look_up_a_sale(rows(row), rows(), a_sale(Notes=notes)) is None


def test_b19_two_sales_with_the_same_tag_are_left_to_a_person() -> None:
    found = rows({"Id": 99001, "CoworkerId": 4711}, {"Id": 99002, "CoworkerId": 4711})
    copy = a_sale(99002, Notes=f"Mailbox plan, February ({MARKER} #1)")
    with pytest.raises(Refused) as caught:
        look_up_a_sale(found, rows(), a_sale(), copy)
    assert (caught.value.code, caught.value.details["ids"]) == ("duplicate", [99001, 99002])


# Invoicing sales


@pytest.fixture
def stopped_clock() -> Any:
    with time_machine.travel(NOW, tick=False):
        yield


def invoice_sales(*answers: Said, ids: tuple[int, ...] = (99001,), sold: datetime = NOW) -> tuple[Any, Wired]:
    wired = Wired(*answers)
    return InvoiceSales(ids, sold).call(wired.remote, INTENT), wired


@pytest.mark.usefixtures("stopped_clock")
def test_fresh_sales_are_invoiced_without_a_look_at_them() -> None:
    result, wired = invoice_sales(done())
    assert result == {"raised": True}
    assert len(wired.heard) == 1


@pytest.mark.usefixtures("stopped_clock")
def test_b22_older_sales_are_looked_at_first_and_not_invoiced_twice() -> None:
    result, wired = invoice_sales(billed(), sold=NOW - timedelta(minutes=5))
    assert result == {"raised": False}
    assert [one.method for one in wired.heard] == ["GET"]


@pytest.mark.usefixtures("stopped_clock")
def test_older_sales_that_still_wait_are_invoiced() -> None:
    assert invoice_sales(a_sale(), done(), sold=NOW - timedelta(minutes=5))[0] == {"raised": True}


@pytest.mark.usefixtures("stopped_clock")
def test_b22_a_refusal_because_they_are_invoiced_already_is_no_trouble() -> None:
    assert invoice_sales(refused("Already invoiced", status=200), billed())[0] == {"raised": False}


@pytest.mark.usefixtures("stopped_clock")
def test_b6_any_other_refusal_stands() -> None:
    with pytest.raises(Refused) as caught:
        invoice_sales(refused("The month is closed", status=200), a_sale())
    assert "The month is closed" in caught.value.sentence


def test_a_lost_answer_to_invoicing_is_settled_by_the_sales() -> None:
    step = InvoiceSales((99001,), NOW)
    assert step.look_up(Wired(billed()).remote, INTENT) == {"raised": False}
    assert step.look_up(Wired(a_sale()).remote, INTENT) is None


def test_b22_sales_of_which_only_some_are_invoiced_are_left_to_a_person() -> None:
    with pytest.raises(Refused) as caught:
        InvoiceSales((99001, 99002), NOW).look_up(Wired(billed(), a_sale(99002)).remote, INTENT)
    assert caught.value.code == "partly_invoiced"


# The reference


def test_the_invoice_is_found_through_its_sales_and_gets_the_marker() -> None:
    wired = Wired(billed(), an_invoice(PurchaseOrder=None), done(55001))
    result = ReferenceSales(frozen(), (99001,)).call(wired.remote, INTENT)
    assert result == {"invoice_id": 55001, "origins": ["U-99001"], "taken": False}


def test_an_invoice_that_carries_another_marker_is_adopted_as_it_is() -> None:
    wired = Wired(billed(), an_invoice(PurchaseOrder="acme:INV-6"))
    assert ReferenceSales(frozen(), (99001,)).call(wired.remote, INTENT)["taken"] is True


def test_sales_on_several_invoices_are_left_to_a_person() -> None:
    with pytest.raises(Refused) as caught:
        ReferenceSales(frozen(), (99001, 99002)).call(Wired(billed(), billed(99002, 55002)).remote, INTENT)
    assert (caught.value.code, caught.value.details["invoice_ids"]) == ("several_invoices", [55001, 55002])


@pytest.mark.parametrize("sale", [a_sale(), billed(invoice_id=None)])
def test_b14_an_invoice_that_does_not_show_yet_is_asked_for_again_without_invoicing_again(sale: Said) -> None:
    wired = Wired(sale)
    with pytest.raises(NotSent):
        ReferenceSales(frozen(), (99001,)).call(wired.remote, INTENT)
    assert [one.method for one in wired.heard] == ["GET"]


@pytest.mark.parametrize(("reference", "taken"), [(MARKER, False), ("acme:INV-6", True)])
def test_a_lost_answer_to_the_reference_is_settled_by_the_invoice(reference: str, taken: bool) -> None:
    wired = Wired(billed(), an_invoice(PurchaseOrder=reference))
    found = ReferenceSales(frozen(), (99001,)).look_up(wired.remote, INTENT)
    assert found == {"invoice_id": 55001, "origins": ["U-99001"], "taken": taken}


def test_a_reference_that_did_not_arrive_is_written_again() -> None:
    wired = Wired(billed(), an_invoice(PurchaseOrder=None))
    assert ReferenceSales(frozen(), (99001,)).look_up(wired.remote, INTENT) is None


@pytest.mark.parametrize(("line", "number"), [(a_line(), "INV-7"), (a_line(CoworkerProductUniqueId=None), "INV-0042")])
def test_our_number_goes_only_on_an_invoice_that_is_ours_alone(line: dict[str, Any], number: str) -> None:
    wired = Wired(billed(), rows(line), an_invoice(PurchaseOrder=None), done(55001))
    ReferenceSales(frozen(use_own_number=True), (99001,)).call(wired.remote, INTENT)
    assert wired.heard[-1].json["InvoiceNumber"] == number


# Documents


def test_a_head_is_found_again_by_its_reference() -> None:
    row = {"Id": 55001, "CoworkerId": 4711}
    step = WriteHead(frozen(way="document"))
    assert step.look_up(Wired(rows(row), rows(), an_invoice()).remote, INTENT) == {"invoice_id": 55001}
    assert step.look_up(Wired(rows(), rows()).remote, INTENT) is None


def test_b19_an_invoice_copied_over_there_is_left_to_a_person() -> None:
    found = rows({"Id": 55001, "CoworkerId": 4711}, {"Id": 55002, "CoworkerId": 4711})
    with pytest.raises(Refused) as caught:
        WriteHead(frozen(way="document")).look_up(
            Wired(found, rows(), an_invoice(), an_invoice(Id=55002)).remote, INTENT
        )
    assert caught.value.code == "duplicate"


def look_up_a_line(*answers: Said) -> Any:
    invoice = frozen(way="document")
    return WriteLine(invoice, invoice.lines[0], 55001).look_up(Wired(*answers).remote, INTENT)


def test_a_line_is_found_again_by_its_tag() -> None:
    assert look_up_a_line(rows(a_line(), a_line(77002, Description=f"Other ({MARKER} #2)"))) == {"line_id": 77001}
    assert look_up_a_line(rows(), an_invoice(Draft=True)) is None


def test_no_line_is_added_to_an_invoice_that_somebody_issued() -> None:
    with pytest.raises(Refused) as caught:
        look_up_a_line(rows(), an_invoice(Draft=False))
    assert caught.value.code == "issued_there"


def test_a_lost_answer_to_issuing_is_settled_by_the_draft_flag() -> None:
    step = IssueInvoice(55001)
    assert step.look_up(Wired(an_invoice(Draft=False)).remote, INTENT) == {"invoice_id": 55001}
    assert step.look_up(Wired(an_invoice(Draft=True)).remote, INTENT) is None


def test_a_lost_answer_to_numbering_is_settled_by_the_number() -> None:
    step = NumberInvoice(frozen(), 55001)
    assert step.look_up(Wired(an_invoice(InvoiceNumber="INV-7")).remote, INTENT) == {"invoice_id": 55001}
    assert step.look_up(Wired(an_invoice()).remote, INTENT) is None


# Verifying


def verify(head: Said, *lines: dict[str, Any], invoice: FrozenInvoice | None = None, document: bool = False) -> Any:
    invoice = invoice or frozen(way="document" if document else "product_sale")
    step = Verify(invoice, 55001, () if document else tuple(f"U-{99000 + line.position}" for line in invoice.lines))
    return step.call(Wired(head, rows(*lines)).remote, INTENT)


def held(head: Said, *lines: dict[str, Any], **options: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        verify(head, *lines, **options)
    return caught.value


@pytest.mark.parametrize("document", [True, False])
def test_an_invoice_that_stands_there_as_frozen_is_handed_over(document: bool) -> None:
    assert verify(an_invoice(), a_line(), document=document) == {
        "invoice_id": 55001,
        "number": "INV-0042",
        "net_minor": 2000,
        "tax_minor": 400,
        "total_minor": 2400,
        "draft": False,
        "shared": False,
    }


def test_b22_lines_of_others_on_the_same_invoice_are_not_ours_to_judge() -> None:
    foreign = a_line(77002, Description="Hot desk", SubTotal=100, TaxAmount=20, CoworkerProductUniqueId=None)
    result = verify(an_invoice(TotalAmount=144, TaxAmount=24), foreign, a_line())
    assert (result["shared"], result["total_minor"], result["tax_minor"]) == (True, 2400, 400)


def test_a_line_that_somebody_added_to_a_document_is_a_difference() -> None:
    foreign = a_line(77002, Description="Hot desk", SubTotal=100, TaxAmount=20)
    error = held(an_invoice(TotalAmount=144, TaxAmount=24), a_line(), foreign, document=True)
    assert (error.code, error.sentence) == ("total_differs", "The total there is £120.00 higher than here.")


@pytest.mark.parametrize(
    ("head", "line", "sentence"),
    [
        ({"TotalAmount": 12}, {}, "The total there is £12.00 lower than here."),
        ({"TaxAmount": 4.01}, {}, "The tax there is £0.01 higher than here."),
        ({}, {"SubTotal": 19.99}, "Line 1 there is £0.01 lower than here."),
    ],
)
def test_a_difference_is_told_with_their_amounts(head: dict[str, Any], line: dict[str, Any], sentence: str) -> None:
    error = held(an_invoice(**head), a_line(**line))
    assert (error.code, error.sentence) == ("total_differs", sentence)
    assert error.details["total_minor"] == round(head.get("TotalAmount", 24) * 100)
    assert (error.details["invoice_id"], error.details["number"], error.details["draft"]) == (55001, "INV-0042", False)


@pytest.mark.parametrize(
    ("head", "code"),
    [
        ({"Void": True}, "void_there"),
        ({"CoworkerId": 4712}, "other_customer"),
        ({"CurrencyId": 3003}, "other_currency"),
    ],
)
def test_an_invoice_that_is_not_what_was_sent_is_left_to_a_person(head: dict[str, Any], code: str) -> None:
    error = held(an_invoice(**head), a_line())
    assert (error.code, error.details["invoice_id"]) == (code, 55001)


def test_a_document_whose_reference_was_not_kept_cannot_be_looked_up_later() -> None:
    assert held(an_invoice(PurchaseOrder=None), a_line(), document=True).code == "reference_lost"
    assert verify(an_invoice(PurchaseOrder=None), a_line())["invoice_id"] == 55001


def test_our_lines_are_known_by_their_tag_where_their_origin_is_missing() -> None:
    assert verify(an_invoice(), a_line(CoworkerProductUniqueId=None))["total_minor"] == 2400


def test_a_missing_or_doubled_line_is_told() -> None:
    assert held(an_invoice(), a_line(), invoice=frozen(TWO_LINES)).code == "line_missing"
    assert held(an_invoice(), a_line(), a_line(77002)).code == "duplicate"


def test_fractions_of_a_penny_over_there_are_rounded_as_money_is() -> None:
    invoice = replace(frozen(), tax_minor=333, total_minor=2333)
    result = verify(an_invoice(TotalAmount=23.3333, TaxAmount=3.3333), a_line(TaxAmount=3.3333), invoice=invoice)
    assert (result["tax_minor"], result["total_minor"]) == (333, 2333)


def test_a_read_without_an_answer_is_only_read_again() -> None:
    intent = Intent(INTENT.subject, "verify", NOW)
    with pytest.raises(NotSent):
        Verify(frozen(), 55001).call(Wired(Said("", 500)).remote, intent)


def test_a_lost_answer_to_a_sale_is_unknown() -> None:
    invoice = frozen()
    with pytest.raises(OutcomeUnknown):
        SellLine(invoice, invoice.lines[0]).call(Wired(Said("", 502)).remote, INTENT)
