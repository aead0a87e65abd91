from decimal import Decimal

import pytest
import time_machine

from tests.plugins.nexudus.sandbox.conftest import CHARGES, INVOICES, LINES, MEMBERS, SALES, Program, Record, Start

LEDGER = "/api/billing/coworkerledgerentries"
HISTORY = "/api/billing/coworkerinvoicehistories"


def amounts(record: Record, *names: str) -> list[Decimal]:
    return [Decimal(str(record[name])) for name in names]


def test_sales_of_one_member_become_one_invoice_of_exactly_these(program: Program) -> None:
    member = program.member()
    first, second, left = (program.sale(member, price=price) for price in ("20", "10.10", "5"))
    invoice = program.invoice_sales(first, second)

    assert amounts(invoice, "TotalAmount", "TaxAmount", "DueAmount") == [
        Decimal("37.02"),
        Decimal("6.92"),
        Decimal("37.02"),
    ]
    assert invoice["InvoiceNumber"] == invoice["PaymentReference"] == "INV-0001"
    assert (invoice["Draft"], invoice["Paid"], invoice["InvoiceLines"]) == (False, False, None)
    for sale in (first, second):
        record = program.read(SALES, sale)
        assert (record["Invoiced"], record["CoworkerInvoiceId"]) == (True, invoice["Id"])
        assert record["CoworkerInvoiceNumber"] == "INV-0001"
        assert record["InvoicedOn"]
    assert program.read(SALES, left)["Invoiced"] is False


def test_lines_point_back_to_their_sales_and_carry_tax_and_account(program: Program) -> None:
    sale = program.sale(program.member(), price="12.50", rate=6, Notes="Parcel fee", Quantity=2, PurchaseOrder="a:1")
    invoice = program.invoice_sales(sale)
    (line,) = program.lines(invoice["Id"])
    assert line["CoworkerProductUniqueId"] == program.read(SALES, sale)["UniqueId"]
    assert (line["Description"], line["Quantity"], line["PurchaseOrder"]) == ("Parcel fee", 2, "a:1")
    assert (line["TaxCategoryName"], line["TaxRate"], line["FinancialAccountName"]) == ("VAT 6%", 6, "Sales")
    assert amounts(line, "SubTotal", "TaxAmount") == [Decimal(25), Decimal("1.5")]


def test_tax_is_rounded_per_line_with_halves_up(program: Program) -> None:
    member = program.member()
    sales = [program.sale(member, price=price) for price in ("0.50", "0.50")]  # 0.115 each
    assert amounts(program.invoice_sales(*sales), "TaxAmount", "TotalAmount") == [Decimal("0.24"), Decimal("1.24")]


def test_the_catalogue_names_the_price_that_the_sale_leaves_open(program: Program) -> None:
    product = program.product(23)
    invoice = program.invoice_sales(program.sale(program.member(), Price=None, Quantity=2, Notes=None))
    (line,) = program.lines(invoice["Id"])
    assert line["Description"] == product["Name"]
    assert line["SubTotal"] == 2 * product["Price"]


def test_a_member_exempt_from_tax_pays_the_exempt_rate(program: Program) -> None:
    product = program.read("/api/billing/products", program.product(23)["Id"])
    exempt = program.rows("/api/sys/taxrates", TaxRate_Name="No VAT")[0]["Id"]
    program.put("/api/billing/products", product | {"ExemptTaxRateId": exempt})
    invoice = program.invoice_sales(program.sale(program.member(TaxRateType=3)))
    assert invoice["TaxAmount"] == 0


def test_a_sale_is_invoiced_once(program: Program) -> None:
    sale = program.sale(program.member())
    program.invoice_sales(sale)
    assert program.run(SALES, "COWORKER_PRODUCT_INVOICE", sale)["WasSuccessful"] is False
    assert len(program.rows(INVOICES)) == 1


def test_sales_of_two_members_are_not_put_on_one_invoice(program: Program) -> None:
    ada, bea = program.sale(program.member()), program.sale(program.member())
    assert program.run(SALES, "COWORKER_PRODUCT_INVOICE", ada, bea)["WasSuccessful"] is False
    assert program.rows(INVOICES) == []
    assert program.read(SALES, ada)["Invoiced"] is False


def test_a_switch_makes_one_invoice_of_each_sale(program: Program) -> None:
    program.control("/switches", one_invoice_per_sale=True)
    member = program.member()
    sales = [program.sale(member), program.sale(member)]
    program.invoice_sales(*sales)
    assert len({program.read(SALES, one)["CoworkerInvoiceId"] for one in sales}) == 2


def test_an_update_of_a_sale_does_not_lose_its_invoice(program: Program) -> None:
    sale = program.sale(program.member())
    invoice = program.invoice_sales(sale)
    record = program.read(SALES, sale)
    program.put(SALES, {name: value for name, value in record.items() if "Invoice" not in name} | {"Invoiced": True})
    assert program.read(SALES, sale)["CoworkerInvoiceId"] == invoice["Id"]


def test_raising_sweeps_in_charges_and_sales_of_that_location(program: Program) -> None:
    member = program.member()
    charge, sale = program.charge(member, "30", TaxRateId=None), program.sale(member)
    path = f"{INVOICES}/{program.business['Id']}/create/{member}"
    invoice = program.post(path).json()
    assert amounts(invoice, "TotalAmount") == [Decimal("54.6")]
    origins = {line["CoworkerChargeUniqueId"] for line in program.lines(invoice["Id"])}
    assert program.read(CHARGES, charge)["UniqueId"] in origins
    assert program.read(CHARGES, charge)["Invoiced"] is True
    assert program.read(SALES, sale)["CoworkerInvoiceId"] == invoice["Id"]
    assert program.post(path).json()["WasSuccessful"] is False


def test_raising_for_nobody_is_not_found(program: Program) -> None:
    assert program.post(f"{INVOICES}/{program.business['Id']}/create/7").status_code == 404


def test_a_bill_run_invoices_whoever_has_something_pending(program: Program) -> None:
    ada, bea = program.member(), program.member()
    program.charge(ada)
    assert program.run(MEMBERS, "COWORKER_BILL_RUN", ada, bea)["Value"] is None
    assert [one["CoworkerId"] for one in program.rows(INVOICES)] == [ada]


def test_a_renewal_swallows_what_is_pending_before_the_command_comes(program: Program) -> None:
    program.control("/switches", renewal_next=1)
    sale = program.sale(program.member())
    assert program.run(SALES, "COWORKER_PRODUCT_INVOICE", sale)["WasSuccessful"] is False
    lines = program.lines(program.read(SALES, sale)["CoworkerInvoiceId"])
    assert [line["CoworkerProductUniqueId"] is None for line in lines] == [True, False]


def test_a_renewal_can_be_had_at_once(program: Program) -> None:
    member = program.member()
    sale = program.sale(member)
    invoice = program.control("/renew", coworker_id=member).json()["invoice_id"]
    assert program.read(SALES, sale)["CoworkerInvoiceId"] == invoice
    assert len(program.lines(invoice)) == 2
    assert program.run(SALES, "COWORKER_PRODUCT_INVOICE", sale)["WasSuccessful"] is False


def test_numbers_run_per_location_and_never_back(program: Program) -> None:
    member = program.member()
    first = program.invoice_sales(program.sale(member))
    program.run(INVOICES, "COWORKER_INVOICE_DELETE", first["Id"])
    assert program.invoice_sales(program.sale(member))["InvoiceNumber"] == "INV-0002"

    other = program.rows("/api/sys/businesses")[1]["Id"]
    product = program.product(23, other)
    sale = program.sale(member, BusinessId=other, ProductId=product["Id"])
    assert program.invoice_sales(sale)["InvoiceNumber"] == "INV-0001"


def test_an_invoice_is_due_after_the_days_of_the_location_or_of_the_member(program: Program) -> None:
    with time_machine.travel("2026-02-01T12:00Z", tick=False):
        program.sign_in()
        usual = program.invoice_sales(program.sale(program.member()))
        own = program.invoice_sales(program.sale(program.member(InvoiceDueDatePeriod=14)))
    assert usual["DueDate"] == "2026-02-04T12:00:00Z"
    assert own["DueDate"] == "2026-02-15T12:00:00Z"


def test_blank_billing_details_are_not_available(program: Program) -> None:
    invoice = program.invoice_sales(program.sale(program.member(CompanyName="Example Ltd", CityName=" ")))
    assert (invoice["BillToName"], invoice["BillToCity"]) == ("Example Ltd", "Not Available")
    assert invoice["BillToCountryTwoDigitsCode"] == "PT"


def test_a_reference_and_a_number_are_set_afterwards(program: Program) -> None:
    sale = program.sale(program.member())
    invoice = program.invoice_sales(sale)
    program.put(INVOICES, invoice | {"PurchaseOrder": "acme:1", "InvoiceNumber": "A-7", "TotalAmount": 1})
    changed = program.read(INVOICES, invoice["Id"])
    assert (changed["PurchaseOrder"], changed["InvoiceNumber"]) == ("acme:1", "A-7")
    assert changed["TotalAmount"] == invoice["TotalAmount"]
    assert program.rows(INVOICES, CoworkerInvoice_PurchaseOrder="acme:1")[0]["Id"] == invoice["Id"]
    assert program.read(SALES, sale)["CoworkerInvoiceNumber"] == "A-7"


def test_issuing_mails_the_customer_unless_that_is_off(program: Program) -> None:
    told = program.invoice_sales(program.sale(program.member()))
    quiet = program.invoice_sales(program.sale(program.member(NotifyOnNewInvoice=False)))
    assert (told["Sent"], quiet["Sent"]) == (True, False)
    assert (
        "ada@example.example"
        in program.rows(HISTORY, CoworkerInvoiceHistory_CoworkerInvoice=told["Id"])[0]["Description"]
    )


def test_a_payment_by_hand_pays_the_whole_invoice_once(program: Program) -> None:
    sale = program.sale(program.member())
    invoice = program.invoice_sales(sale)
    assert program.run(INVOICES, "PAY_COWORKER_INVOICE_MANUAL", invoice["Id"], Payment_Method=996)["WasSuccessful"]
    paid = program.read(INVOICES, invoice["Id"])
    assert (paid["Paid"], paid["DueAmount"], paid["PaidAmount"]) == (True, 0, invoice["TotalAmount"])
    (entry,) = program.rows(LEDGER, CoworkerLedgerEntry_CoworkerInvoice_InvoiceNumber=invoice["InvoiceNumber"])
    assert (entry["Credit"], entry["PaymentGatewayName"]) == (invoice["TotalAmount"], 996)
    assert program.read(SALES, sale)["CoworkerInvoicePaid"] is True
    assert not program.run(INVOICES, "PAY_COWORKER_INVOICE_MANUAL", invoice["Id"])["WasSuccessful"]
    assert not program.run(INVOICES, "VOID_INVOICE", invoice["Id"])["WasSuccessful"]


def test_a_ledger_entry_of_the_whole_total_marks_an_invoice_paid(program: Program) -> None:
    invoice = program.invoice_sales(program.sale(program.member()))
    entry = {name: invoice[name] for name in ("BusinessId", "CoworkerId")}
    texts = {"Description": "Transfer", "Code": "T", "Debit": 0, "Balance": 0, "PaymentGatewayName": 996}
    values = {**entry, **texts, "CoworkerInvoiceId": invoice["Id"], "Credit": invoice["TotalAmount"]}
    program.created(program.post(LEDGER, **values))
    assert program.read(INVOICES, invoice["Id"])["Paid"] is True


def test_an_unpaid_invoice_is_voided_and_stays(program: Program) -> None:
    sale = program.sale(program.member())
    invoice = program.invoice_sales(sale)
    assert program.run(INVOICES, "VOID_INVOICE", invoice["Id"])["WasSuccessful"]
    voided = program.read(INVOICES, invoice["Id"])
    assert (voided["Void"], voided["DueAmount"]) == (True, 0)
    assert program.read(SALES, sale)["Invoiced"] is True
    assert program.put(INVOICES, voided).status_code == 400


def test_a_deleted_invoice_is_gone_and_its_sales_are_pending_again(program: Program) -> None:
    sale = program.sale(program.member())
    invoice = program.invoice_sales(sale)
    assert program.run(INVOICES, "COWORKER_INVOICE_DELETE", invoice["Id"])["WasSuccessful"]
    assert program.get(f"{INVOICES}/{invoice['Id']}").status_code == 404
    assert program.lines(invoice["Id"]) == []
    record = program.read(SALES, sale)
    assert (record["Invoiced"], record["CoworkerInvoiceId"]) == (False, None)


def test_cancelling_makes_a_credit_note_of_the_same_lines(program: Program) -> None:
    invoice = program.invoice_sales(program.sale(program.member()))
    assert program.run(INVOICES, "COWORKER_INVOICE_CANCEL", invoice["Id"], Preview="true")["Value"] == []
    said = program.run(INVOICES, "COWORKER_INVOICE_CANCEL", invoice["Id"], Preview="false")
    credit = program.read(INVOICES, said["Value"][0]["Id"])
    assert credit["CreditNote"] is True
    assert credit["OriginalInvoiceGuid"] == invoice["UniqueId"]
    assert credit["TotalAmount"] == -invoice["TotalAmount"]
    assert not program.run(INVOICES, "COWORKER_INVOICE_CANCEL", invoice["Id"])["WasSuccessful"]


def test_only_a_paid_invoice_is_refunded(program: Program) -> None:
    invoice = program.invoice_sales(program.sale(program.member()))
    assert not program.run(INVOICES, "COWORKER_INVOICE_REFUND", invoice["Id"])["WasSuccessful"]
    program.run(INVOICES, "PAY_COWORKER_INVOICE_MANUAL", invoice["Id"])
    assert program.run(INVOICES, "COWORKER_INVOICE_REFUND", invoice["Id"])["WasSuccessful"]
    assert program.read(INVOICES, invoice["Id"])["Refunded"] is True


def test_printing_leads_to_a_pdf_for_some_minutes(program: Program) -> None:
    invoice = program.invoice_sales(program.sale(program.member(), Notes="Parcel (large)"))
    with time_machine.travel("2026-02-01T12:00Z", tick=False) as clock:
        program.sign_in()
        address = program.run(INVOICES, "COWORKER_INVOICE_PRINT", invoice["Id"])["RedirectURL"]
        pdf = program.session.get(address)
        assert pdf.headers["Content-Type"] == "application/pdf"
        assert pdf.content.startswith(b"%PDF-")
        assert b"Parcel \\(large\\)" in pdf.content
        clock.shift(600)
        assert program.session.get(address).status_code == 404


def document(program: Program, **values: object) -> Record:
    business = program.business
    return {
        "CoworkerId": program.member(),
        "BusinessId": business["Id"],
        "InvoiceNumber": "A-1",
        "BillToName": "Example Ltd",
        "BillToAddress": "1 Test Street",
        "BillToCity": "Lisboa",
        "BillToPostCode": "1000-001",
        "BillToCountryId": business["CountryId"],
        "CurrencyId": business["CurrencyId"],
        "Draft": True,
        "PurchaseOrder": "acme:1",
    } | values


LINE = {"Description": "Plan", "Quantity": 1, "SubTotal": 20.15, "TaxAmount": 4.63, "TaxRate": 23}


def test_the_current_profile_takes_no_invoice_documents(program: Program) -> None:
    assert program.post(INVOICES).status_code == 405
    assert program.post(LINES).status_code == 405


@pytest.fixture
def classic(start: Start) -> Program:
    program = start(profile="classic-2020")
    program.sign_in()
    return program


def test_the_classic_profile_complains_about_an_empty_document(classic: Program) -> None:
    for path in (INVOICES, LINES):
        answer = classic.post(path)
        assert answer.status_code == 400
        assert answer.json()["Errors"]


def test_a_document_is_written_line_by_line_and_then_issued(classic: Program) -> None:
    invoice_id = classic.created(classic.post(INVOICES, **document(classic)))
    classic.created(classic.post(LINES, CoworkerInvoiceId=invoice_id, **LINE))
    classic.created(classic.post(LINES, CoworkerInvoiceId=invoice_id, **LINE))
    draft = classic.read(INVOICES, invoice_id)
    assert amounts(draft, "TotalAmount", "TaxAmount") == [Decimal("49.56"), Decimal("9.26")]
    assert draft["Draft"] is True
    assert not classic.run(INVOICES, "PAY_COWORKER_INVOICE_MANUAL", invoice_id)["WasSuccessful"]

    assert classic.put(INVOICES, draft | {"Draft": False}).json()["WasSuccessful"]
    issued = classic.read(INVOICES, invoice_id)
    assert (issued["Draft"], issued["InvoiceNumber"], issued["PurchaseOrder"]) == (False, "A-1", "acme:1")
    assert classic.put(INVOICES, issued | {"Draft": True}).status_code == 400


def test_a_draft_with_a_number_of_the_drafts_gets_another_when_issued(classic: Program) -> None:
    invoice_id = classic.created(classic.post(INVOICES, **document(classic, InvoiceNumber="DRAFT-0009")))
    classic.put(INVOICES, classic.read(INVOICES, invoice_id) | {"Draft": False})
    issued = classic.read(INVOICES, invoice_id)
    assert issued["InvoiceNumber"] == issued["PaymentReference"] == "INV-0001"


def test_a_document_in_another_currency_is_refused(classic: Program) -> None:
    answer = classic.post(INVOICES, **document(classic, CurrencyId=3005))
    assert answer.json()["Errors"][0]["PropertyName"] == "Currency"


def test_lines_of_a_paid_invoice_cannot_be_changed(classic: Program) -> None:
    invoice_id = classic.created(classic.post(INVOICES, **document(classic, Draft=False)))
    line_id = classic.created(classic.post(LINES, CoworkerInvoiceId=invoice_id, **LINE))
    line = classic.read(LINES, line_id) | {"SubTotal": 10, "TaxAmount": 2.3}
    assert classic.put(LINES, line).json()["WasSuccessful"]
    assert amounts(classic.read(INVOICES, invoice_id), "TotalAmount") == [Decimal("12.3")]
    classic.run(INVOICES, "PAY_COWORKER_INVOICE_MANUAL", invoice_id)
    assert classic.put(LINES, line).status_code == 400
    assert classic.post(LINES, CoworkerInvoiceId=invoice_id, **LINE).status_code == 400
