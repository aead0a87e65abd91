"""The whole story in a browser: from signing in to an invoice that is handed over, paid there, and by whom not."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from plugins.nexudus.sandbox.seed import EMAIL, PASSWORD
from tests.browser.conftest import PATIENCE_MS, Product

pytestmark = [pytest.mark.browser, pytest.mark.processes, pytest.mark.slow]

CUSTOMER = "Nell Saltwick"
AMBIGUOUS = "Benno Ashgrove"
TOTAL = "€47.97"
PAGES = [
    "/settings/integrations/systems",
    "/nexudus/connect",
    "/nexudus/members",
    "/nexudus/members/connect",
    "/nexudus/exports",
    "/nexudus/exports/now",
    "/nexudus/exports/held",
    "/nexudus/reconciliation",
    "/customers/1",
]


class Walk:
    """One Operator's way through the product, step by step; each step shows that it worked."""

    def __init__(self, page: Page, product: Product, pictures: Path | None) -> None:
        self.page, self.product, self.pictures = page, product, pictures

    def take_picture(self, name: str) -> None:
        """Renew a picture of the documentation, when somebody asked for that."""
        if self.pictures:
            self.page.wait_for_timeout(300)  # a toast or a menu may still be on its way
            self.page.screenshot(path=self.pictures / f"{name}.png", caret="initial")

    def add_and_activate_a_customer(self) -> None:
        page = self.page
        page.get_by_role("link", name="Add customer").click()
        page.get_by_label("Name", exact=True).fill(CUSTOMER)
        page.get_by_label("Email", exact=True).fill("nell@saltwick.example")
        page.get_by_role("button", name="Add customer").click()
        page.get_by_role("link", name="Activate…").click()
        page.get_by_role("button", name="Activate", exact=True).click()
        expect(page.get_by_text(f"{CUSTOMER} is active")).to_be_visible()

    def write_an_invoice(self, what: str) -> str:
        """Write one for the new customer; answers its number."""
        page = self.page
        page.goto(f"{self.product.address}/customers?q=saltwick")
        page.get_by_role("link", name=CUSTOMER).click()
        page.get_by_role("link", name="New invoice", exact=True).click()
        page.get_by_label("What is billed").fill(what)
        page.get_by_label("Price", exact=True).fill("39")
        page.get_by_role("button", name="Create invoice").last.click()
        expect(page.get_by_text("is created. Nothing was sent.")).to_be_visible()
        expect(page.get_by_text(TOTAL).last).to_be_visible()
        return page.get_by_role("heading", level=1).inner_text().split()[0]

    def switch_nexudus_on_in_the_marketplace(self) -> None:
        page = self.page
        page.get_by_role("link", name="Marketplace").click()
        self.take_picture("marketplace")
        page.get_by_role("link", name="Set up Nexudus").click()
        expect(page.get_by_role("link", name="Connect…")).to_have_count(0)
        page.get_by_role("switch", name="Nexudus").click()
        expect(page.get_by_role("link", name="Connect…")).to_be_visible()

    def connect(self) -> None:
        page, popup = self.page, self.page.get_by_role("dialog")
        page.get_by_role("link", name="Connect…").click()
        expect(popup.get_by_role("heading", name="Connect Nexudus")).to_be_visible()
        expect(popup.get_by_text("Active customers and their contact data are shared.")).to_be_visible()
        expect(popup.get_by_text(re.compile(r"^\d+ pending invoices \(.*\) from before stay here\.$"))).to_be_visible()

        popup.get_by_label("Nexudus email", exact=True).fill(EMAIL)
        popup.get_by_label("Nexudus password", exact=True).fill("not the password")
        popup.get_by_role("button", name="Connect", exact=True).click()
        expect(popup.get_by_text("Nexudus does not accept this email and password.")).to_be_visible()
        self.take_picture("connect-refused")

        popup.get_by_label("Nexudus password", exact=True).fill(PASSWORD)
        popup.get_by_role("button", name="Connect", exact=True).click()
        expect(popup.get_by_role("heading", name="Connected")).to_be_visible(timeout=PATIENCE_MS)
        expect(popup.get_by_text("Quayside Works Coworking")).to_be_visible()
        expect(popup.get_by_text("issued, as product sales")).to_be_visible()
        expect(popup.get_by_role("link", name="Customers not connected")).to_be_visible()
        self.take_picture("connected")

    def connect_members_and_watch(self) -> None:
        page = self.page
        page.get_by_role("link", name="Connect members…").click()
        # The run that began by itself is found, not doubled; had it ended, a new one would begin.
        name = re.compile("Show the run|Confirm and connect|Check again")
        page.get_by_role("dialog").get_by_role("button", name=name).click()
        page.wait_for_url("**/nexudus/members")

        bar = page.get_by_role("progressbar", name="Connecting members")
        expect(bar).to_be_visible()
        before = float(bar.get_attribute("value") or 0)
        page.wait_for_function(
            "before => { const bar = document.querySelector('progress'); return !bar || bar.value > before }",
            arg=before,
        )
        self.take_picture("connecting-members")
        expect(bar).to_have_count(0, timeout=60_000)

        expect(page.get_by_role("heading", name="New customers")).to_be_visible()
        created = page.locator("tr", has_text=CUSTOMER).first
        expect(created.get_by_role("link", name=re.compile(r"^Member \d+$"))).to_be_visible()
        expect(page.get_by_text(re.compile("Last run: ended today"))).to_be_visible()
        self.take_picture("members")

    def choose_a_member_by_hand(self) -> None:
        page = self.page
        page.get_by_role("link", name=re.compile("Need a choice")).click()
        page.locator("tr", has_text=AMBIGUOUS).get_by_role("link", name="Choose").click()

        panel = page.locator("#member-panel")
        expect(panel.get_by_label("Search Nexudus by email, name or company")).to_have_value(
            "benno@ashgrove-tea.example"
        )
        expect(panel.get_by_text("2 members found. You choose; we never guess.")).to_be_visible(timeout=PATIENCE_MS)
        expect(panel.get_by_role("radio", checked=True)).to_have_count(0)
        self.take_picture("choose-a-member")
        panel.get_by_role("radio").first.check()
        panel.get_by_role("button", name="Link the chosen member").click()
        expect(panel.get_by_text("by Hanna Velde")).to_be_visible()

    def export(self, number: str) -> None:
        page = self.page
        page.get_by_role("link", name="Exports", exact=True).click()
        expect(page.get_by_text(re.compile(rf"1 invoice, {TOTAL}, goes to Nexudus "))).to_be_visible()
        page.get_by_role("link", name="Export now…").click()
        question = page.get_by_role("dialog")
        expect(question.get_by_text("product sales cannot be drafts")).to_be_visible()
        question.get_by_role("button", name="Export now", exact=True).click()
        row = page.locator("tr", has_text=number)
        expect(row.get_by_text("Exported")).to_be_visible(timeout=60_000)
        row.get_by_role("link", name=number).click()

    def read_that_it_is_closed(self) -> str:
        """The invoice says so; answers its number over there."""
        page = self.page
        said = page.get_by_text(re.compile(r"Closed: handed over to Nexudus on .* as INV-\d+\. Not paid yet\."))
        expect(said).to_be_visible()
        expect(page.get_by_role("link", name=re.compile("Add a line|Mark as paid|Void"))).to_have_count(0)
        self.take_picture("handed-over")
        found = re.search(r"INV-\d+", said.inner_text())
        assert found
        return found[0]

    def mark_it_as_paid_over_there(self, number: str, remote: str) -> None:
        page = self.page
        page.goto(f"{self.product.sandbox}/invoice-log")
        row = page.locator("tr", has_text=remote)
        for words in (CUSTOMER, f"quayside:{number}", TOTAL, "Issued"):
            expect(row.get_by_text(words).first).to_be_visible()
        row.get_by_role("button", name="Mark as paid").click()
        expect(page.get_by_role("heading", name=remote)).to_be_visible()
        page.goto(f"{self.product.sandbox}/invoice-log")
        expect(page.locator("tr", has_text=remote).get_by_text("Paid", exact=True)).to_be_visible()
        self.take_picture("invoice-log")


def test_the_whole_story(
    sit_down: Callable[..., Page], product: Product, faults: list[str], pictures: Path | None
) -> None:
    walk = Walk(sit_down("Operator"), product, pictures)
    walk.add_and_activate_a_customer()
    older = walk.write_an_invoice("Business 12, November")
    walk.switch_nexudus_on_in_the_marketplace()
    walk.connect()
    walk.connect_members_and_watch()
    walk.choose_a_member_by_hand()
    newer = walk.write_an_invoice("Business 12, December")
    walk.export(newer)
    remote = walk.read_that_it_is_closed()
    walk.mark_it_as_paid_over_there(newer, remote)
    assert walk.page.get_by_text(f"quayside:{older}").count() == 0
    assert faults == []


@pytest.mark.parametrize("role", ["Admin", "Mail Admin"])
def test_others_are_refused_at_systems_and_at_the_popup(
    sit_down: Callable[..., Page], product: Product, role: str
) -> None:
    page = sit_down(role)
    for path in ("/settings/integrations/systems", "/nexudus/connect"):
        answer = page.goto(product.address + path)
        assert answer
        assert answer.status == 403
        sentence = "Only an Operator can open or change this. At Quayside Works that is Hanna Velde."
        expect(page.get_by_text(sentence)).to_be_visible()
        expect(page.get_by_label("Nexudus password", exact=True)).to_have_count(0)


@pytest.mark.parametrize(("width", "theme"), [(320, "light"), (390, "dark"), (1440, "light"), (1440, "dark")])
def test_the_pages_fit_and_read_well(sit_down: Callable[..., Page], product: Product, width: int, theme: str) -> None:
    # Axe is put into the page by the test, which the content policy would rightly stop.
    page = sit_down("Operator", viewport={"width": width, "height": 900}, color_scheme=theme, bypass_csp=True)
    page.goto(f"{product.address}/settings/integrations/systems")
    toggle = page.locator("#system-nexudus .sm-switch")
    if toggle.get_attribute("aria-checked") == "false":
        toggle.click()
        expect(toggle).to_have_attribute("aria-checked", "true")
    for path in PAGES:
        answer = page.goto(product.address + path)
        assert answer, path
        # 409 is the page that says what is missing before there is a connection.
        assert answer.ok or answer.status == 409, path
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        found = Axe().run(page).response["violations"]
        assert [(fault["id"], fault["nodes"][0]["html"]) for fault in found] == [], path
