"""Reading in Chromium: hostile mail runs nothing and asks nobody, in its frame and by itself; the menu by keyboard."""

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from axe_playwright_python.sync_playwright import Axe
from flask import Flask
from playwright.sync_api import BrowserContext, Page, expect
from werkzeug.serving import make_server

from app import assets, clock
from app.db import db, unit_of_work, write_access
from plugins.mail_monitor import credentials, jobs
from plugins.mail_monitor.credentials import Passwords
from plugins.mail_monitor.models import EmailAccount, Encryption, Folder, FolderKind
from plugins.mail_monitor.reading_models import SafeCopy
from plugins.mail_monitor.records import Filing, Message, Trust
from tests import cast as people
from tests import make
from tests.fakes.mailbox import FakeServer
from tests.plugins.mail_monitor.letters import PIXEL, html_mail, mail
from tests.visitors import HeardBell, apart

pytestmark = pytest.mark.browser

TAMSIN = "Tamsin Quill <tamsin@quill.example>"


def hostile(host: str) -> str:
    """Everything at once that would run, fetch, send or take over the page, all of it pointing at `host`."""
    evil = f"https://{host}"
    return (
        f'<base href="{evil}/base/"><meta http-equiv="refresh" content="0;url={evil}/refresh">'
        f"<style>@import '{evil}/import';body{{background:url({evil}/css)}}</style>"
        f'<link rel="stylesheet" href="{evil}/sheet"><link rel="prefetch" href="{evil}/prefetch">'
        f"<script>top.document.title='taken';fetch('{evil}/script')</script>"
        f"<p style=\"background:url('{evil}/style')\">These are the words.</p>"
        f'<form id="f" action="{evil}/form" method="post"><input name="a" autofocus><button>Send</button></form>'
        f'<img src="{evil}/picture" onerror="top.document.title=\'taken\'"><img src="//{host}/relative">'
        f'<img srcset="{evil}/srcset 2x, {evil}/srcset3 3x" alt=""><table background="{evil}/background"></table>'
        f'<svg onload="top.document.title=\'taken\'"><image href="{evil}/svg"/><feImage href="{evil}/fe"/></svg>'
        f'<video poster="{evil}/poster" src="{evil}/video" autoplay></video>'
        f'<object data="{evil}/object"></object><embed src="{evil}/embed"><audio src="{evil}/audio" autoplay></audio>'
        '<img src="cid:logo" alt="Logo">'
    )


def frame_of(host: str) -> str:
    """A frame in a frame: forbidden too, but Chromium opens a connection (and asks nothing) before it notices."""
    return f'<iframe src="https://{host}/frame"></iframe>'


@dataclass
class Canary:
    """Listens where hostile mail points, and counts who calls."""

    listener: socket.socket
    calls: int = 0
    called: threading.Event = field(default_factory=threading.Event)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.listener.getsockname()[1]}"

    def listen(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.calls += 1
            self.called.set()
            connection.close()


@pytest.fixture
def canary() -> Iterator[Canary]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        watched = Canary(listener)
        thread = threading.Thread(target=watched.listen)
        thread.start()
        yield watched
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


@dataclass
class Desk:
    """The served product, with a mailbox behind it."""

    app: Flask
    address: str
    server: FakeServer
    email_account_id: int
    customer_id: int

    @property
    def record(self) -> str:
        return f"{self.address}/acme/customers/{self.customer_id}/mail/crm"

    def receive(self, *raws: bytes) -> None:
        """Messages arrive, a second after one another, and are filed."""
        begun = clock.now()
        for number, raw in enumerate(raws):
            self.server.inbox.put(raw, begun + timedelta(seconds=number))
        apart(self._scan)

    def _scan(self) -> None:
        with self.app.app_context():
            jobs.work_on_account(self.email_account_id)

    def change(self, *statements: Any) -> None:
        with self.app.app_context(), unit_of_work() as session:
            for statement in statements:
                session.execute(statement)

    def ask(self, query: Any) -> Any:
        with self.app.app_context():
            return db.session.scalar(query)

    def work(self) -> None:
        """What was rung is done, as by a worker."""
        with self.app.app_context():
            bell = self.app.extensions["bell"]
            assert isinstance(bell, HeardBell)
            bell.answer()


@pytest.fixture
def desk(build_app: Callable[..., Flask], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    data_dir = tmp_path_factory.mktemp("served")
    assets.build(data_dir)
    app = build_app(data_dir=data_dir, database_url=f"sqlite:///{data_dir / 'mail.db'}")
    server = FakeServer()
    app.extensions["mail_monitor_opens"] = server.opens
    with app.app_context():
        with write_access(), db.engine.begin() as connection:
            db.metadata.create_all(connection)
        email_account_id, customer_id = _mailbox()
    web = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=web.serve_forever)
    thread.start()
    yield Desk(app, f"http://127.0.0.1:{web.server_port}", server, email_account_id, customer_id)
    web.shutdown()
    thread.join()


def _mailbox() -> tuple[int, int]:
    acme = people.assemble().acme
    installation = make.installation(acme, "mail_monitor")
    customer = make.customer(acme, "Tamsin Quill", email="tamsin@quill.example", company="Quill & Yarrow")
    with unit_of_work() as session:
        row = EmailAccount(
            account_id=acme.id,
            installation_id=installation.id,
            location_id=acme.locations[0].id,
            display_name="Front desk",
            email_address="desk@acme.example",
            address_key="desk@acme.example",
            active=True,
            incoming_host="imap.acme.example",
            incoming_port=993,
            incoming_encryption=Encryption.TLS,
            incoming_user="desk",
            outgoing_host="smtp.acme.example",
            outgoing_port=465,
        )
        session.add(row)
        session.flush()
        credentials.seal(row, Passwords("right", "right"))
        for kind, name in ((FolderKind.INBOX, "INBOX"), (FolderKind.SENT, "Sent")):
            session.add(
                Folder(account_id=acme.id, email_account_id=row.id, kind=kind, name=name, uidvalidity=7, cursor=0)
            )
        return row.id, customer.id


def enter(page: Page, desk: Desk) -> list[str]:
    """Sign Ben in; answers the addresses of other servers that the browser asks from now on."""
    asked: list[str] = []

    def note(request: Any) -> None:
        if not request.url.startswith((desk.address, "data:")):
            asked.append(request.url)

    page.context.on("request", note)
    page.goto(f"{desk.address}/login")
    page.get_by_label("Email").fill("ben@acme.example")
    page.get_by_label("Password", exact=True).fill(people.PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda address: "/login" not in address)
    return asked


def test_hostile_mail_runs_nothing_and_asks_nobody(page: Page, desk: Desk, canary: Canary) -> None:
    body = hostile(canary.host)
    raw = html_mail(body + frame_of(canary.host), sender=TAMSIN, subject="Look", pictures={"logo": PIXEL})
    desk.receive(raw)
    asked = enter(page, desk)
    page.goto(desk.record)
    framed = page.frame_locator("iframe.sm-letter-frame")
    expect(framed.get_by_text("These are the words.")).to_be_visible()
    assert framed.get_by_alt_text("Logo").evaluate("picture => picture.naturalWidth") == 1
    assert Axe().run(page).violations_count == 0
    formatted = str(page.locator("iframe.sm-letter-frame").get_attribute("src"))
    page.goto(desk.address + formatted)
    expect(page.get_by_text("These are the words.")).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert (asked, canary.calls) == ([], 0)

    # The second wall alone, with nothing cleaned away: by itself, and framed.
    desk.change(sa.update(SafeCopy).values(html=body))
    for address, place in ((desk.address + formatted, page), (desk.record, framed)):
        page.goto(address)
        expect(place.get_by_text("These are the words.")).to_be_visible()
        place.get_by_role("button", name="Send").click()
        page.wait_for_load_state("networkidle")
        assert "taken" not in page.title()
    assert canary.calls == 0

    # The canary does hear what may call: pictures, once somebody asks for them.
    with page.expect_request("**/picture"), page.expect_request("**/relative"):
        page.get_by_role("link", name="Show once").click()
    expect(page.get_by_text("Pictures from elsewhere are shown.")).to_be_visible()
    assert canary.called.wait(5)


def test_a_message_is_opened_moved_by_keyboard_and_deleted(page: Page, desk: Desk) -> None:
    first = mail(TAMSIN, subject="Letter from the tax office", text="Did it arrive?", message_id="<1@x>")
    second = html_mail(
        '<p>Hello,</p><p>please forward the original.</p><img src="https://canary.example/a.png">'
        '<img src="https://canary.example/t" width="1" height="1"><p>Best wishes,<br>Tamsin</p>',
        sender=TAMSIN,
        subject="Re: Letter from the tax office",
        In_Reply_To="<1@x>",
        message_id="<2@x>",
    )
    desk.receive(first, mail(TAMSIN, subject="Your parcel", text="It is on shelf B."), second)
    desk.change(sa.update(Message).values(trust=Trust.VERIFIED), sa.update(SafeCopy).values(version=-1))
    enter(page, desk)
    page.goto(desk.record)
    # The oldest that nobody has read comes first; when that was read, the next one.
    letter = page.locator("article", has=page.get_by_role("button", name="More about this message"))
    expect(letter.get_by_text("Did it arrive?")).to_be_visible()
    page.wait_for_load_state("networkidle")
    page.get_by_role("link", name="Re: Letter from the tax office").click()
    page.wait_for_url("**thread=*")
    expect(page.get_by_text("is being made safe to show")).to_be_visible()
    expect(letter.get_by_text("In plain words.")).to_be_visible()
    desk.work()
    frame = page.frame_locator("iframe.sm-letter-frame")
    expect(frame.get_by_text("please forward the original")).to_be_visible()
    expect(page.get_by_text("2 remote pictures are blocked; one looks like a tracker.")).to_be_visible()

    more = page.get_by_role("button", name="More about this message")
    more.focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator(".sm-menu").get_by_role("link", name="Reply")).to_be_focused()
    page.keyboard.press("End")
    expect(page.get_by_role("link", name="Delete…")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("link", name="Delete…")).to_be_hidden()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    question = page.get_by_role("dialog")
    expect(question.get_by_text("it stays there")).to_be_visible()
    assert Axe().run(page).violations_count == 0
    page.keyboard.press("Escape")
    expect(question).to_be_hidden()
    assert desk.ask(sa.select(sa.func.count()).where(Filing.deleted_at.is_not(None))) == 0
    more.click()
    page.get_by_role("link", name="Delete…").click()
    page.get_by_role("button", name="Delete message").click()
    expect(page.get_by_text("Deleted.")).to_be_visible()
    expect(page.get_by_role("link", name="Re: Letter from the tax office")).to_have_count(0)


def test_everything_works_without_scripts(page: Page, desk: Desk, chromium: Any) -> None:
    desk.receive(html_mail("<p>Formatted words</p>", sender=TAMSIN, subject="Quiet"))
    enter(page, desk)
    state = page.context.storage_state()
    plain: BrowserContext = chromium.new_context(java_script_enabled=False, storage_state=state, has_touch=True)
    with plain:
        plain.set_default_timeout(5_000)
        plain.set_default_navigation_timeout(20_000)
        quiet = plain.new_page()
        quiet.goto(desk.record)
        expect(quiet.frame_locator("iframe.sm-letter-frame").get_by_text("Formatted words")).to_be_visible()
        quiet.get_by_role("link", name="Plain text").click()
        expect(quiet.get_by_text("In plain words.")).to_be_visible()
        quiet.get_by_role("button", name="More about this message").tap()
        quiet.get_by_role("link", name="Delete…").tap()
        quiet.get_by_role("button", name="Delete message").tap()
        expect(quiet.get_by_text("No messages yet")).to_be_visible()
