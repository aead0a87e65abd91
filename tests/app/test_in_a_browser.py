"""The host's pages as people use them, in Chromium, on the demo's data: with a script, without one, at every width."""

import re
import threading
from collections.abc import Callable, Iterator
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from flask import Flask
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect
from werkzeug.serving import make_server

from app import assets
from app.db import db, write_access
from app.demo import SIGN_INS
from tests.visitors import apart

_, OPERATOR, PASSWORD = SIGN_INS[0]
PAGES = [
    "/today",
    "/problems",
    "/activity",
    "/activity/mails",
    "/activity/audit",
    "/customers",
    "/customers?status=all",
    "/customers?q=nobody",
    "/customers/new",
    "/customers/12",
    "/customers/12/details",
    "/customers/12/edit",
    "/customers/12/deactivate",
    "/customers/12/invoices/new",
    "/invoices",
    "/invoices/1",
    "/invoices/100",
    "/invoices/100/lines/new",
    "/invoices/100/void",
    "/invoices/100/paid",
    "/marketplace",
    "/marketplace/example",
    "/settings",
    "/settings/integrations",
    "/settings/integrations/systems",
]


@pytest.fixture(scope="module")
def address(
    build_app: Callable[..., Flask], app_settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Where the demo's account is served, with the real browser files."""
    data_dir = tmp_path_factory.mktemp("served")
    assets.build(data_dir)
    app = build_app(data_dir=data_dir, database_url=f"sqlite:///{data_dir / 'demo.db'}", **app_settings)
    with app.app_context():
        with write_access(), db.engine.begin() as connection:
            db.metadata.create_all(connection)
        assert apart(app.test_cli_runner().invoke, args=["demo"]).exit_code == 0
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/quayside"
    server.shutdown()
    thread.join()


@pytest.fixture(scope="module")
def signed_in(chromium: Browser, address: str) -> Any:
    """The cookies of somebody who typed email and password."""
    with chromium.new_context() as context:
        page = context.new_page()
        enter(page, address)
        return context.storage_state()


def enter(page: Page, address: str) -> None:
    page.goto(address.replace("/quayside", "/login"))
    page.get_by_label("Email", exact=True).fill(OPERATOR)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url("**/today")


@pytest.fixture
def desk(chromium: Browser, signed_in: Any) -> Iterator[Callable[..., BrowserContext]]:
    """`desk(width)`: a browser with an Operator signed in; further options are the context's."""
    opened: list[BrowserContext] = []

    def sit_down(width: int = 1440, **options: Any) -> BrowserContext:
        context = chromium.new_context(storage_state=signed_in, viewport={"width": width, "height": 900}, **options)
        context.set_default_timeout(10_000)
        opened.append(context)
        return context

    yield sit_down
    for context in opened:
        context.close()


@pytest.fixture
def office(desk: Callable[..., BrowserContext]) -> Page:
    return desk().new_page()


@pytest.mark.browser
@pytest.mark.parametrize("width", [320, 390, 720, 1024, 1440])
def test_no_page_scrolls_sideways(desk: Callable[..., BrowserContext], address: str, width: int) -> None:
    page = desk(width).new_page()
    for path in PAGES:
        page.goto(address + path)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_axe_finds_no_fault(
    desk: Callable[..., BrowserContext], address: str, theme: Literal["light", "dark"], width: int
) -> None:
    # Axe is put into the page by the test, which the content policy would rightly stop.
    page = desk(width, bypass_csp=True, color_scheme=theme).new_page()
    for path in PAGES:
        page.goto(address + path)
        found = Axe().run(page).response["violations"]
        assert [(fault["id"], fault["nodes"][0]["html"]) for fault in found] == [], path


@pytest.mark.browser
def test_nothing_is_stopped_by_the_content_policy(office: Page, address: str) -> None:
    said: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            said.append(message.text)

    office.on("console", listen)
    for path in PAGES:
        office.goto(address + path)
    assert said == []


@pytest.mark.browser
class TestSearching:
    def test_the_list_follows_the_typing_and_the_focus_stays(self, office: Page, address: str) -> None:
        office.goto(f"{address}/customers")
        field = office.get_by_placeholder("Name, email, company, number")
        field.press_sequentially("quil", delay=30)

        expect(office.locator("#customer-list tbody tr")).to_have_count(1)
        expect(office.get_by_text("1 customer", exact=True)).to_be_visible()
        expect(field).to_be_focused()
        expect(field).to_have_value("quil")

    def test_the_address_carries_the_search(self, office: Page, address: str) -> None:
        office.goto(f"{address}/customers")
        office.get_by_placeholder("Name, email, company, number").fill("quil")
        office.wait_for_url("**/customers?q=quil")
        office.reload()

        expect(office.locator("#customer-list tbody tr")).to_have_count(1)

    def test_the_tabs_follow_too(self, office: Page, address: str) -> None:
        office.goto(f"{address}/customers")
        office.get_by_placeholder("Name, email, company, number").fill("longmeadow")
        expect(office.locator("#customer-tabs [aria-current]")).to_have_text("All")
        office.get_by_role("link", name=re.compile("Inactive")).click()

        office.wait_for_url("**/customers?q=longmeadow&status=inactive")
        expect(office.locator("#customer-list tbody tr")).to_have_count(1)


@pytest.mark.browser
class TestWritingAnInvoice:
    def test_a_new_line_comes_without_losing_anything_and_takes_the_focus(self, office: Page, address: str) -> None:
        office.goto(f"{address}/customers/12/invoices/new")
        office.get_by_label("What is billed").fill("Parcel")
        office.get_by_label("Price").fill("4.50")
        office.get_by_role("button", name="Add a line").click()

        expect(office.locator("#lines-1-description")).to_be_focused()
        expect(office.locator("#lines-0-description")).to_have_value("Parcel")
        office.get_by_role("button", name="Remove line 1").click()
        expect(office.locator("#lines-0-description")).to_have_value("")

    def test_enter_creates_and_does_not_add_or_remove(self, office: Page, address: str) -> None:
        office.goto(f"{address}/customers/12/invoices/new")
        office.get_by_label("What is billed").fill("Parcel")
        office.get_by_label("Price").fill("4.50")
        office.get_by_label("Price").press("Enter")

        expect(office.get_by_text("is created. Nothing was sent.")).to_be_visible()
        expect(office.get_by_text("Parcel", exact=True)).to_be_visible()


@pytest.mark.browser
def test_the_toggle_brings_connect_without_a_reload_and_off_is_asked_about(office: Page, address: str) -> None:
    office.goto(f"{address}/invoices")
    office.evaluate("window.still_here = true")
    office.get_by_role("link", name="Marketplace").click()
    office.get_by_role("link", name="Set up Example").click()
    expect(office.get_by_role("link", name="Connect…")).to_have_count(0)
    office.get_by_role("switch", name="Example").click()

    expect(office.get_by_role("link", name="Connect…")).to_be_visible()
    expect(office.get_by_role("switch", name="Example")).to_be_checked()
    expect(office.locator("#rail").get_by_role("link", name="Things")).to_be_attached()
    expect(office.locator("#rail [aria-current]")).to_have_text("Invoices")
    assert office.evaluate("window.still_here")

    office.reload()
    office.goto(f"{address}/settings/integrations/systems")
    expect(office.get_by_role("link", name="Connect…")).to_be_visible()
    office.get_by_role("switch", name="Example").click()
    expect(office.get_by_role("link", name="Connect…")).to_have_count(0)


@pytest.mark.browser
def test_the_whole_day_works_without_a_script(chromium: Browser, address: str) -> None:
    with chromium.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.set_default_timeout(10_000)
        enter(page, address)
        page.get_by_role("link", name="Add customer").click()
        page.get_by_label("Name", exact=True).fill("Nell Scriptless")
        page.get_by_label("Email", exact=True).fill("not an email")
        page.get_by_role("button", name="Add customer").click()
        expect(page.get_by_text("is not an email address.")).to_be_visible()
        expect(page.get_by_label("Name", exact=True)).to_have_value("Nell Scriptless")
        page.get_by_label("Email", exact=True).fill("nell@scriptless.example")
        page.get_by_role("button", name="Add customer").click()
        page.get_by_role("link", name="Activate…").click()
        page.get_by_role("button", name="Activate", exact=True).click()
        expect(page.get_by_text(re.compile("Nell Scriptless is active"))).to_be_visible()
        page.get_by_role("link", name="New invoice").click()
        page.get_by_label("What is billed").fill("Storage")
        page.get_by_label("Price", exact=True).fill("10")
        page.get_by_role("button", name="Add a line").click()
        page.locator("#lines-1-description").fill("Parcel")
        page.locator("#lines-1-unit_price").fill("5")
        page.get_by_role("button", name="Create invoice").last.click()
        expect(page.get_by_text("€18.45")).to_be_visible()
        page.get_by_role("link", name="Mark as paid…").click()
        page.get_by_label("Cash", exact=True).check()
        page.get_by_role("button", name="Mark as paid", exact=True).click()
        expect(page.get_by_text(re.compile(r"Marked as paid by hand \(cash\)"))).to_be_visible()
        page.get_by_role("link", name="Marketplace").click()
        page.get_by_role("link", name="Set up Example").click()
        expect(page.get_by_role("switch", name="Example")).not_to_be_checked()
