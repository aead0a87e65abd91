"""The Connect popup under the fingers of people, and connecting and exporting without a script."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from plugins.nexudus.sandbox.seed import EMAIL, PASSWORD
from tests.browser.conftest import PATIENCE_MS, Product
from tests.services import eventually

pytestmark = [pytest.mark.browser, pytest.mark.processes, pytest.mark.slow]

SYSTEMS = "/settings/integrations/systems"
REFUSED = "Nexudus does not accept this email and password."


def opened_popup(page: Page, product: Product) -> Locator:
    """The popup over Systems, with the plugin switched on but not connected."""
    page.goto(product.address + SYSTEMS)
    toggle = page.get_by_role("switch", name="Nexudus")
    if not toggle.is_checked():
        toggle.click()
    page.get_by_role("link", name="Connect…").click()
    popup = page.get_by_role("dialog")
    expect(email_of(popup)).to_be_focused()
    return popup


def email_of(popup: Locator | Page) -> Locator:
    return popup.get_by_label("Nexudus email", exact=True)


def password_of(popup: Locator | Page) -> Locator:
    return popup.get_by_label("Nexudus password", exact=True)


def test_escape_closes_it_and_the_focus_returns(sit_down: Callable[..., Page], product: Product) -> None:
    page = sit_down("Operator")
    popup = opened_popup(page, product)
    page.keyboard.press("Escape")
    expect(popup).to_have_count(0)
    expect(page.get_by_role("link", name="Connect…")).to_be_focused()


def test_enter_sends_and_after_a_refusal_the_email_stays_and_the_password_is_empty(
    sit_down: Callable[..., Page], product: Product
) -> None:
    popup = opened_popup(sit_down("Operator"), product)
    email_of(popup).fill(EMAIL)
    password_of(popup).fill("not the password")
    password_of(popup).press("Enter")

    expect(popup.get_by_text(REFUSED)).to_be_visible(timeout=PATIENCE_MS)
    expect(email_of(popup)).to_have_value(EMAIL)
    expect(password_of(popup)).to_have_value("")
    expect(password_of(popup)).to_be_focused()


def test_a_second_click_while_it_checks_does_nothing(sit_down: Callable[..., Page], product: Product) -> None:
    page = sit_down("Operator")
    popup = opened_popup(page, product)
    email_of(popup).fill(EMAIL)
    password_of(popup).fill("not the password")
    under_way: list[Route] = []

    def hold(route: Route) -> None:
        under_way.append(route)

    page.route("**/nexudus/connect", hold)
    button = popup.get_by_role("button", name="Connect", exact=True)
    button.click()
    expect(popup.get_by_role("button", name="Connecting")).to_be_visible()
    box = popup.locator("button[aria-busy]").bounding_box()
    assert box
    page.mouse.dblclick(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    password_of(popup).press("Enter")
    under_way[0].continue_()

    expect(popup.get_by_text(REFUSED)).to_be_visible(timeout=PATIENCE_MS)
    assert len(under_way) == 1


def test_connecting_and_exporting_work_without_a_script(sit_down: Callable[..., Page], product: Product) -> None:
    page = sit_down("Operator", java_script_enabled=False)
    page.goto(product.address + SYSTEMS)
    if page.get_by_role("link", name="Connect…").count() == 0:
        page.locator("#system-nexudus").get_by_role("switch").click()
    page.get_by_role("link", name="Connect…").click()
    email_of(page).fill(EMAIL)
    password_of(page).fill(PASSWORD)
    page.get_by_role("button", name="Connect", exact=True).click()
    expect(page.get_by_text("Connected to Quayside Works Coworking.")).to_be_visible(timeout=PATIENCE_MS)

    def all_are_matched() -> bool:
        page.goto(f"{product.address}/nexudus/members")
        return page.get_by_text("Last run: ended").count() == 1

    eventually(all_are_matched, "the run has ended", 60)
    page.get_by_role("link", name="Kwame Birchall").first.click()
    page.get_by_role("link", name="New invoice", exact=True).click()
    page.get_by_label("What is billed").fill("Storage")
    page.get_by_label("Price", exact=True).fill("10")
    page.get_by_role("button", name="Create invoice").last.click()
    page.get_by_role("link", name="Exports", exact=True).click()
    page.get_by_role("link", name="Export now…").click()
    page.get_by_role("button", name="Export now", exact=True).click()

    def it_is_exported() -> bool:
        page.reload()
        return page.get_by_text("Exported", exact=True).count() == 1

    eventually(it_is_exported, "the invoice has gone", 60)
    page.goto(product.address + SYSTEMS)
    page.get_by_role("link", name="Disconnect…").click()
    page.get_by_role("button", name="Disconnect", exact=True).click()
    expect(page.get_by_text("Disconnected from Quayside Works Coworking.")).to_be_visible()
