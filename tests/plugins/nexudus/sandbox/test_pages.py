import re

import pytest
from flask.testing import FlaskClient

from plugins.nexudus.sandbox.inventions import INVENTIONS
from tests.plugins.nexudus.sandbox.conftest import CHARGES, INVOICES, MEMBERS, SALES, Program, Start

ATTACK = "<script>alert(1)</script>"


@pytest.fixture
def browser(program: Program) -> FlaskClient:
    return program.adapter.app.test_client()


def test_new_customers_come_newest_first(program: Program, browser: FlaskClient) -> None:
    program.member(FullName="Early Bird", RegistrationDate="2026-01-01T00:00:00Z")
    program.member(FullName="Late Owl", RegistrationDate="2026-02-01T00:00:00Z")
    for path in ("/", "/new-customers"):
        page = browser.get(path).text
        assert page.index("Late Owl") < page.index("Early Bird")


def test_a_search_narrows_the_list_and_says_when_nothing_is_found(program: Program, browser: FlaskClient) -> None:
    program.member(FullName="Early Bird", ReferenceNumber="quayside-1")
    program.member(FullName="Late Owl")
    found = browser.get("/new-customers?q=quayside-1").text
    assert "Early Bird" in found
    assert "Late Owl" not in found
    assert "No member has" in browser.get("/new-customers?q=nobody").text


def test_a_long_list_has_pages(program: Program, browser: FlaskClient) -> None:
    for _ in range(51):
        program.member()
    assert "Page 1 of 2" in browser.get("/new-customers").text
    assert 'rel="prev"' in browser.get("/new-customers?page=2").text
    assert "Page 2 of 2" in browser.get("/new-customers?page=99").text


def test_a_member_shows_what_was_bought_and_billed(program: Program, browser: FlaskClient) -> None:
    member = program.member(CompanyName="Example Ltd", SystemId="ours:1")
    program.invoice_sales(program.sale(member, Notes="Mailbox plan"))
    program.sale(member, Notes="Parcel fee")
    page = browser.get(f"/new-customers/{member}").text
    for text in ("Example Ltd", "ours:1", "Mailbox plan", "INV-0001", "Parcel fee", "Pending", "Portugal"):
        assert text in page
    assert browser.get("/new-customers/7").status_code == 404


def test_an_invoice_shows_lines_tax_total_and_reference(program: Program, browser: FlaskClient) -> None:
    invoice = program.invoice_sales(program.sale(program.member(), Notes="Mailbox plan", Price=1000))
    program.put(INVOICES, invoice | {"PurchaseOrder": "quayside:A-1"})
    for page in (browser.get("/invoice-log").text, browser.get(f"/invoice-log/{invoice['Id']}").text):
        assert "quayside:A-1" in page
        assert "€230.00" in page
        assert "€1,230.00" in page
    assert "Mailbox plan" in browser.get(f"/invoice-log/{invoice['Id']}").text


def test_an_invoice_is_marked_as_paid(program: Program, browser: FlaskClient) -> None:
    invoice = program.invoice_sales(program.sale(program.member()))
    page = browser.post(f"/invoice-log/{invoice['Id']}/pay", follow_redirects=True).text
    assert "Marked as paid." in page
    assert program.read(INVOICES, invoice["Id"])["Paid"] is True
    assert "Mark as paid" not in page
    assert browser.post(f"/invoice-log/{invoice['Id']}/pay").status_code == 409


def test_the_log_offers_the_next_deed_of_each_invoice(program: Program, browser: FlaskClient) -> None:
    invoice = program.invoice_sales(program.sale(program.member(), Notes="Mailbox plan"))
    page = browser.get("/invoice-log").text
    assert "Mailbox plan" in page
    assert f'action="/invoice-log/{invoice["Id"]}/pay"' in page
    browser.post(f"/invoice-log/{invoice['Id']}/pay")
    assert "/pay" not in browser.get("/invoice-log").text


def test_what_is_not_there_is_said_on_a_page(browser: FlaskClient) -> None:
    for path in ("/invoice-log/7", "/new-customers/7", "/nothing"):
        answer = browser.get(path)
        assert answer.status_code == 404
        assert "There is nothing here" in answer.text
        assert "not Nexudus" in answer.text


def test_the_last_calls_are_shown(program: Program, browser: FlaskClient) -> None:
    program.run(SALES, "COWORKER_PRODUCT_INVOICE", 7)
    program.get(MEMBERS, Coworker_FullName=ATTACK)
    page = browser.get("/sandbox").text
    assert "COWORKER_PRODUCT_INVOICE" in page
    assert "Coworker_FullName=" in page
    assert "<script" not in page


def test_an_invoice_is_cancelled_and_deleted(program: Program, browser: FlaskClient) -> None:
    invoice = program.invoice_sales(program.sale(program.member()))
    assert "Cancelled" in browser.post(f"/invoice-log/{invoice['Id']}/cancel", follow_redirects=True).text
    assert "Credit note" in browser.get("/invoice-log").text
    browser.post(f"/invoice-log/{invoice['Id']}/delete")
    assert browser.get(f"/invoice-log/{invoice['Id']}").status_code == 404
    assert program.get(f"{INVOICES}/{invoice['Id']}").status_code == 404


def test_a_draft_is_issued_and_nothing_else_is(program: Program, browser: FlaskClient) -> None:
    invoice = program.invoice_sales(program.sale(program.member()))
    assert browser.post(f"/invoice-log/{invoice['Id']}/issue").status_code == 409
    program.space.store.put(
        "CoworkerInvoice", invoice["Id"], program.space.need("CoworkerInvoice", invoice["Id"]) | {"Draft": True}
    )
    assert "Issued." in browser.post(f"/invoice-log/{invoice['Id']}/issue", follow_redirects=True).text
    assert program.read(INVOICES, invoice["Id"])["Draft"] is False


def test_what_strangers_typed_is_shown_as_text(program: Program, browser: FlaskClient) -> None:
    member = program.member(FullName=ATTACK, Email=ATTACK, CompanyName=ATTACK, Address=ATTACK, SystemId=ATTACK)
    invoice = program.invoice_sales(program.sale(member, Notes=ATTACK, PurchaseOrder=ATTACK))
    for path in ("/", f"/new-customers/{member}", "/invoice-log", f"/invoice-log/{invoice['Id']}", f"/?q={ATTACK}"):
        answer = browser.get(path)
        assert "<script" not in answer.text
        assert "&lt;script" in answer.text
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_every_page_says_that_it_is_not_nexudus(browser: FlaskClient) -> None:
    for path in ("/", "/invoice-log", "/sandbox"):
        page = browser.get(path).text
        assert "not Nexudus" in page
        assert re.search(r"<title>[^<]+ · Nexudus sandbox</title>", page)


def test_another_site_cannot_press_the_buttons(program: Program, browser: FlaskClient) -> None:
    program.member()
    answer = browser.post("/sandbox/reset", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert len(program.rows(MEMBERS)) == 1


def test_the_switches_are_turned_by_a_form(program: Program, browser: FlaskClient) -> None:
    form = {"boxes": "throttle_retry_after error_ooops", "error_ooops": "true", "lost_answer_every": "10"}
    page = browser.post("/sandbox/switches", data=form | {"profile": "classic-2020"}, follow_redirects=True).text
    assert "The switches are set." in page
    switches = program.space.faults.switches
    assert (switches.lost_answer_every, switches.error_ooops, switches.throttle_retry_after) == (10, True, False)
    assert program.space.profile == "classic-2020"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/sandbox/switches/off", "Every fault is off."),
        ("/sandbox/tokens/expire", "run out"),
        ("/sandbox/tokens/revoke", "revoked"),
        ("/sandbox/calls/reset", "counters"),
        ("/sandbox/reset", "first day"),
    ],
)
def test_deeds_of_the_page_say_what_they_did(browser: FlaskClient, path: str, said: str) -> None:
    assert said in browser.post(path, data={"boxes": ""}, follow_redirects=True).text


def test_the_page_lists_what_is_made_up_and_how_sure_that_is(browser: FlaskClient) -> None:
    page = browser.get("/sandbox").text
    assert page.count(">Unknown<") == sum(mark == "unknown" for mark, _, _ in INVENTIONS) > 5
    assert "Prices are net." in page


def test_the_demo_shows_its_people(start: Start) -> None:
    page = start(demo=True).adapter.app.test_client().get("/").text
    assert "Benno Ashgrove" in page
    assert "Archived" in page


def test_charges_and_sales_are_counted(program: Program, browser: FlaskClient) -> None:
    member = program.member()
    program.charge(member)
    program.sale(member)
    page = browser.get("/sandbox").text
    assert f"POST {CHARGES}" in page
    assert f"POST {SALES}" in page
