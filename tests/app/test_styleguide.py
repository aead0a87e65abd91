"""The design: what its templates may hold, what its colours promise, and how its pages behave in a browser."""

import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from flask import Flask
from markupsafe import Markup
from playwright.sync_api import Browser, ConsoleMessage, Page, Route, expect
from werkzeug.serving import make_server

from app import assets
from app.styleguide import ERRORS, STATES
from tests.visitors import Visitor

ROOT = Path(__file__).parents[2]
TEMPLATES = [*ROOT.glob("templates/**/*.html"), *ROOT.glob("plugins/*/templates/**/*.html")]
TOKENS = (ROOT / "app/static/tokens.css").read_text()
FORBIDDEN = {
    "a style attribute": r"\sstyle=",
    "a style element": r"<style",
    "an inline script": r"<script(?![^>]*\ssrc=)",
    "a handler in an attribute": r"\son[a-z]+=|\shx-on",
    "a value that htmx evaluates": r"[\"']js:|javascript:",
}


# What stands in a frame of its own, under a policy of its own.
FRAMED = ROOT / "plugins/mail_monitor/templates/mail_monitor/formatted.html"


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_template_holds_what_the_content_policy_forbids(what: str) -> None:
    holds = re.compile(FORBIDDEN[what], re.IGNORECASE)
    assert [path for path in TEMPLATES if path != FRAMED and holds.search(path.read_text())] == []


def test_every_icon_that_a_template_asks_for_is_drawn(app: Flask) -> None:
    drawn = _exported(app, "icons").paths
    asks = re.compile(r'(?:\bicon\(|icon_name=|end_icon=|icon_button\()"([\w-]+)"')
    assert [(path, name) for path in TEMPLATES for name in asks.findall(path.read_text()) if name not in drawn] == []


def _exported(app: Flask, file: str) -> Any:
    """What the macro file `file` defines, as attributes."""
    return app.jinja_env.get_template(f"macros/{file}.html").module


def test_own_classes_cannot_collide_with_those_of_bootstrap() -> None:
    rules = re.sub(r"/\*.*?\*/|\"[^\"]*\"", "", (ROOT / "app/static/app.css").read_text(), flags=re.DOTALL)
    assert {name for name in re.findall(r"\.([a-z][\w-]*)", rules) if not name.startswith("sm-")} == set()


def test_the_script_stays_small() -> None:
    assert len((ROOT / "app/static/app.js").read_text().splitlines()) <= 200


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("text", "ground", "least"),
    [
        *[(text, ground, 4.5) for text in ("text", "text-2", "text-3", "ink") for ground in ("sheet", "desk")],
        *[(tone, "sheet", 4.5) for tone in ("there", "good", "ask", "stop")],
        *[(tone, f"{tone}-tint", 4.5) for tone in ("there", "good", "ask", "stop")],
        *[(f"on-{tone}", tone, 4.5) for tone in ("ink", "good", "stop", "there")],
        *[("ink-strong", "ink-tint", 4.5), ("text-2", "ink-tint", 4.5), ("ink", "there-wash", 4.5)],
        *[("toast-text", "toast", 4.5), ("toast-link", "toast", 4.5), ("toast-failed-text", "toast-failed", 4.5)],
        *[("edge", "sheet", 3), ("edge", "desk", 3), ("heavy", "sheet", 3)],
    ],
)
def test_words_and_edges_stand_out_from_their_ground(text: str, ground: str, least: float, theme: int) -> None:
    bright, dark = sorted((_luminance(text, theme), _luminance(ground, theme)), reverse=True)
    assert (bright + 0.05) / (dark + 0.05) >= least


def _luminance(token: str, theme: int) -> float:
    """Relative luminance as WCAG 2.2 defines it: https://www.w3.org/TR/WCAG22/#dfn-relative-luminance"""
    pair = re.search(rf"--{token}: light-dark\(#(\w{{6}}), #(\w{{6}})\)", TOKENS)
    assert pair, token
    channels = [part / 255 for part in bytes.fromhex(pair[theme + 1])]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_every_state_has_a_chip_and_the_style_guide_shows_it(app: Flask) -> None:
    dress = _exported(app, "chips").dress
    assert {kind: set(states) for kind, states in dress.items()} == {
        kind: set(states) for kind, states in STATES.items()
    }


def test_no_two_states_of_a_thing_look_alike(app: Flask) -> None:
    for states in _exported(app, "chips").dress.values():
        assert len({word for word, form, sign in states.values()}) == len(states)


@pytest.mark.parametrize(
    ("file", "call"),
    [
        ("chips", 'chip("customer", "active", word)'),
        ("page", "head(word, [(word, word)], word)"),
        ("page", "button(word, busy=word, attrs={'title': word})"),
        ("page", "docket([{'label': word, 'value': word, 'second': word, 'url': word}])"),
        ("page", "notice('ask', word, word)"),
        ("page", "person(word, word, url=word)"),
        ("page", "toast(word, 'done', word, word)"),
        ("forms", "candidate(word, word, word, [word], word)"),
        ("forms", "raw_field(word, word, word, word, help=word)"),
        ("ledger", "filter_menu(word, 'by', [(word, word)], word)"),
        ("progress", "moment(word, 'check', word, word, word, url=word)"),
        ("stamps", "postmark(word, word, word, word)"),
        ("stamps", "calendar(word, [[{'day': word, 'label': word, 'url': word, 'count': word}]], word)"),
        ("forms", "option(word, word, word, word)"),
        ("mail", "thread(word, word, word, word, word)"),
        ("mail", "letter(word, word, email=word, second=word, snippet=word, url=word)"),
        ("mail", "letter_frame(word, word, blocked=word)"),
        ("mail", "raw_text(word)"),
        ("dialog", "bridge(there=word)"),
    ],
)
def test_a_macro_escapes_what_people_typed(app: Flask, file: str, call: str) -> None:
    source = f'{{% from "macros/{file}.html" import {call[: call.index("(")]} %}}{{{{ {call} }}}}'
    with app.test_request_context("/"):
        drawn = app.jinja_env.from_string(source).render(word="<b>'\"&")
    assert "<b>" not in drawn.lower()
    assert "&lt;" in drawn.lower()


def test_an_amount_keeps_its_text_and_greys_its_minor_unit_only_when_large(app: Flask) -> None:
    money = _exported(app, "page").money
    assert Markup(money("€4,106.15", large=True)).striptags() == "€4,106.15"
    assert '<span class="sm-minor">.15</span>' in money("€4,106.15", large=True)
    assert "sm-minor" not in money("€4,106.15")
    assert "sm-minor" not in money("¥4,106", large=True)


def test_a_sorted_page_keeps_the_filters_of_its_address(app: Flask) -> None:
    source = '{% from "macros/page.html" import here %}{{ here(page=2, sort=None) }}'
    with app.test_request_context("/x?q=a%26b&sort=-open&page=7"):
        assert app.jinja_env.from_string(source).render() == "?q=a%26b&amp;page=2"


@pytest.mark.parametrize("code", ERRORS)
def test_an_error_page_says_what_happened_within_and_outside_the_frame(client: Visitor, code: int) -> None:
    title, sentence = ERRORS[code]
    within, outside = client.get(f"/styleguide/error/{code}"), client.get(f"/styleguide/error/{code}?visitor=1")
    assert within.status_code == outside.status_code == code
    for page in (within.text, outside.text):
        assert title in page
        assert sentence in page
        assert "7f3a91c20e5d4b18" in page
    assert 'id="rail"' in within.text
    assert 'id="rail"' not in outside.text


def test_a_dialog_is_a_page_without_javascript_and_a_piece_with_it(client: Visitor) -> None:
    assert "<html" in client.get("/styleguide/dialog").text
    assert "<html" not in client.get("/styleguide/dialog", htmx=True, target="dialog").text


def test_production_has_no_style_guide(build_app: Callable[..., Flask]) -> None:
    app = build_app(
        env="production",
        secret_key="s" * 32,
        vault_keys="one:" + "A" * 43 + "=",
        public_url="https://mail.example",
        redis_url="redis://localhost:1/0",
        smtp_url="smtp://localhost:1",
        mail_from="office@mail.example",
        plugins=(),
    )
    assert "styleguide" not in app.blueprints


# In a browser ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def address(build_app: Callable[..., Flask], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the style guide is served, with the real browser files."""
    data_dir = tmp_path_factory.mktemp("served")
    assets.build(data_dir)
    server = make_server("127.0.0.1", 0, build_app(data_dir=data_dir, plugins=()), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/styleguide"
    server.shutdown()
    thread.join()


PAGES = {"": 200, "/dialog": 200, "/error/404": 404, "/error/500?visitor=1": 500}
"""Pages of the style guide, and what their status is."""


def _open(page: Page, address: str, path: str) -> None:
    answer = page.goto(address + path)
    assert answer
    assert answer.status == PAGES[path]


@pytest.fixture
def guide(page: Page, address: str) -> Page:
    """The style guide, open."""
    page.goto(address)
    return page


def test_nothing_on_the_page_is_stopped_by_the_content_policy(page: Page, address: str) -> None:
    said: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and "422" not in message.text:
            said.append(message.text)

    page.on("console", listen)
    page.goto(address)
    page.get_by_role("link", name="Open a dialog").click()
    page.locator("#dialog").get_by_role("button", name="Connect", exact=True).click()
    expect(page.locator("#dialog .sm-error").first).to_be_visible()
    assert said == []


@pytest.mark.parametrize("width", [320, 390, 720, 920, 1024, 1440])
def test_no_page_scrolls_sideways(chromium: Browser, address: str, width: int) -> None:
    with chromium.new_context(viewport={"width": width, "height": 800}) as context:
        page = context.new_page()
        for path in PAGES:
            _open(page, address, path)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_axe_finds_no_fault(chromium: Browser, address: str, theme: Literal["light", "dark"], width: int) -> None:
    # Axe is put into the page by the test, which the content policy would rightly stop.
    with chromium.new_context(bypass_csp=True, color_scheme=theme, viewport={"width": width, "height": 900}) as context:
        page = context.new_page()
        for path in PAGES:
            _open(page, address, path)
            found = Axe().run(page).response["violations"]
            assert [(fault["id"], fault["nodes"][0]["html"]) for fault in found] == []


@pytest.mark.parametrize("way", ["Escape", "cross", "backdrop"])
def test_a_dialog_closes_three_ways_and_gives_the_focus_back(guide: Page, way: str) -> None:
    opener = guide.get_by_role("link", name="Open a dialog")
    opener.click()
    expect(guide.get_by_role("heading", name="Connect a street")).to_be_focused()
    if way == "Escape":
        guide.keyboard.press("Escape")
    elif way == "cross":
        guide.locator("#dialog").get_by_role("link", name="Close").click()
    else:
        guide.mouse.click(5, 300)
    expect(guide.locator("dialog[open]")).to_have_count(0)
    expect(opener).to_be_focused()


def test_a_rejected_form_comes_back_in_place_with_the_focus_on_its_first_bad_field(guide: Page) -> None:
    guide.get_by_role("link", name="Open a dialog").click()
    dialog = guide.locator("#dialog")
    dialog.get_by_label("Street", exact=True).fill("Harbour Street 4")
    dialog.get_by_role("button", name="Connect", exact=True).click()
    expect(dialog.get_by_label("Email")).to_be_focused()
    expect(dialog.get_by_label("Street", exact=True)).to_have_value("Harbour Street 4")
    expect(dialog.get_by_text("Type an email.")).to_be_visible()
    expect(dialog.locator(".sm-dialog-sheet")).to_have_count(1)


def test_a_button_says_that_it_works_and_keeps_its_width(guide: Page) -> None:
    held: list[Route] = []
    guide.get_by_role("link", name="Open a dialog").click()

    def hold(route: Route) -> None:
        held.append(route)

    guide.route("**/styleguide/dialog", hold)
    button = guide.locator("#dialog .sm-button-filled")
    before = button.bounding_box()
    button.click()
    expect(guide.locator("#dialog").get_by_role("button", name="Connecting")).to_be_visible()
    after = button.bounding_box()
    assert before
    assert after
    assert before["width"] == after["width"]
    held[0].continue_()
    expect(button).not_to_have_attribute("aria-busy", "true")


def test_a_chosen_theme_outlives_the_page(guide: Page) -> None:
    guide.get_by_role("button", name="Quayside Works").click()
    guide.get_by_role("button", name="Dark").click()
    dark = guide.evaluate("getComputedStyle(document.body).backgroundColor")
    guide.reload()
    assert guide.evaluate("getComputedStyle(document.body).backgroundColor") == dark == "rgb(10, 18, 19)"


def test_a_menu_is_walked_with_the_arrow_keys(guide: Page) -> None:
    opener = guide.get_by_role("button", name="Quayside Works")
    opener.focus()
    guide.keyboard.press("ArrowDown")
    expect(guide.get_by_role("link", name="Mill Lane Offices")).to_be_focused()
    guide.keyboard.press("ArrowUp")
    expect(guide.get_by_role("button", name="Sign out").last).to_be_focused()
    guide.keyboard.press("Escape")
    expect(opener).to_be_focused()


def test_the_slash_key_goes_to_the_search_but_not_while_typing(guide: Page) -> None:
    guide.keyboard.press("/")
    search = guide.locator("#search")
    expect(search).to_be_focused()
    guide.keyboard.type("a/b")
    expect(search).to_have_value("a/b")


def _raise_toast(page: Page, **news: str) -> None:
    page.evaluate("news => document.body.dispatchEvent(new CustomEvent('toast', {bubbles: true, detail: news}))", news)


def test_a_toast_shows_words_and_not_markup(guide: Page) -> None:
    _raise_toast(guide, sentence="<b>Ivo</b> is unlinked.", label="Undo", url="/x")
    expect(guide.locator("#toasts")).to_contain_text("<b>Ivo</b> is unlinked.")
    expect(guide.locator("#toasts").get_by_role("link", name="Undo")).to_have_attribute("href", "/x")


def test_at_most_three_toasts_stand_and_the_same_news_replaces_itself(guide: Page) -> None:
    for number in range(5):
        _raise_toast(guide, sentence=f"Failure {number}", kind="failed")
    for number in range(2):
        _raise_toast(guide, sentence=f"Linking {number} of 3", kind="running", id="toast-linking")
    expect(guide.locator("#toasts .sm-toast")).to_have_count(3)
    expect(guide.locator("#toast-linking")).to_contain_text("Linking 1 of 3")


def test_an_error_stands_above_a_dialog_that_stays_as_it_was(guide: Page, app: Flask) -> None:
    with app.test_request_context("/"):
        error = app.jinja_env.get_template("errors/_error.html").render(code=409, title="Changed", sentence="Reload.")
    guide.get_by_role("link", name="Open a dialog").click()
    guide.locator("#dialog").get_by_label("Street", exact=True).fill("Harbour Street 4")
    guide.route("**/styleguide/dialog", lambda route: route.fulfill(status=409, body=error))
    guide.locator("#dialog").get_by_role("button", name="Connect", exact=True).click()
    expect(guide.locator("#dialog").get_by_role("alert")).to_contain_text("Changed. Reload.")
    expect(guide.locator("#dialog").get_by_label("Street", exact=True)).to_have_value("Harbour Street 4")


def test_a_session_that_ended_is_taken_up_where_it_stopped(guide: Page) -> None:
    opener = guide.get_by_role("link", name="Open a dialog")
    guide.route("**/styleguide/dialog", lambda route: route.fulfill(status=401, body=""))
    opener.click()
    expect(guide.get_by_role("heading", name="You are signed out")).to_be_visible()
    guide.unroute("**/styleguide/dialog")
    guide.get_by_role("button", name="Go on").click()
    expect(guide.get_by_role("heading", name="Connect a street")).to_be_visible()


def test_a_lost_connection_is_said_and_a_click_tries_again(guide: Page) -> None:
    guide.route("**/styleguide/dialog", lambda route: route.abort())
    guide.get_by_role("link", name="Open a dialog").click()
    expect(guide.locator("#toast-connection")).to_contain_text("No connection. What you typed is still here")
    guide.unroute("**/styleguide/dialog")
    guide.get_by_role("button", name="Try now").click()
    expect(guide.get_by_role("heading", name="Connect a street")).to_be_visible()
    expect(guide.locator("#toast-connection")).to_have_count(0)
