"""A mailbox at Gmail from its first typing to what is read, answered, deleted, decided and filed by hand.

The servers that answer are Dovecot and an SMTP server of this machine, under the names and ports of the preset: see
`host_map`. What the product does is what it would do at Gmail, the certificates' names included.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, Request, expect

from plugins.mail_monitor.sandbox import certificate as sandbox_certificate
from tests.browser.conftest import Product
from tests.mail_services import Dovecot, Post, dovecot_program, dovecot_server, make_certificate, post_server
from tests.plugins.mail_monitor.letters import html_mail, mail
from tests.services import eventually

pytestmark = [pytest.mark.browser, pytest.mark.processes, pytest.mark.dovecot, pytest.mark.slow]

ADDRESS = "quayside.post@gmail.com"
IMAP, SMTP = "imap.gmail.com", "smtp.gmail.com"
IMAP_AT, SMTP_AT = "127.0.0.11", "127.0.0.12"
CUSTOMER, WRITES = "Tamsin Quill", "Tamsin Quill <tamsin@quillyarrow.example>"
SUBJECT = "The parcel on shelf B"
PAGES = [
    "/mail/accounts",
    "/mail/accounts/new",
    "/mail/accounts/1",
    "/mail/accounts/1/find",
    "/mail/accounts/providers",
    "/mail/choices",
    "/mail/unknown-senders",
    "/mail/quarantine",
    "/customers/2/mail/crm",
    "/customers/2/mail/crm?part=addresses",
    "/mail/customers/2/compose",
]


@pytest.fixture(scope="module")
def gmail_certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("gmail"), IMAP, SMTP)


@pytest.fixture(scope="module")
def gmail(gmail_certificate: Path) -> Iterator[Dovecot]:
    """Where the mailbox is."""
    program = dovecot_program()
    if program is None:
        pytest.skip("Dovecot is not installed (apt install dovecot-imapd)")
    with dovecot_server(program, gmail_certificate) as running:
        yield running


@pytest.fixture(scope="module")
def post(gmail_certificate: Path) -> Iterator[Post]:
    """Where its answers are handed in."""
    with post_server(gmail_certificate) as running:
        yield running


@pytest.fixture(scope="module")
def surroundings(gmail: Dovecot, post: Post, gmail_certificate: Path, data_dir: Path) -> dict[str, str]:
    """The product finds both servers under the names of Gmail's, and trusts who signed for them."""
    both = data_dir / "authorities.pem"
    sandbox = sandbox_certificate.make(data_dir / "mail-sandbox")
    both.write_text(gmail_certificate.with_name("cert.pem").read_text() + sandbox.read_text())
    return {
        "PYTHONPATH": str(Path(__file__).with_name("host_map")),
        "HOST_MAP": f"{IMAP} 993 {IMAP_AT} {gmail.tls_port}\n{SMTP} 465 {SMTP_AT} {post.tls_port}",
        "SPHEREMAIL_MAIL_PRIVATE_HOSTS": f"{IMAP_AT},{SMTP_AT}",
        "SPHEREMAIL_MAIL_CA_FILE": str(both),
    }


def nested(sender: str, subject: str) -> bytes:
    """A mail within mails, deeper than anybody reads."""
    head = f"From: {sender}\r\nTo: {ADDRESS}\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\n"
    layers = "".join(f'Content-Type: multipart/mixed; boundary="b{n}"\r\n\r\n--b{n}\r\n' for n in range(60))
    return f"{head}{layers}\r\nAt the very end.\r\n".encode()


class Walk:
    """One Operator's way with a mailbox, step by step; each step shows that it worked."""

    def __init__(self, page: Page, product: Product, gmail: Dovecot, post: Post, pictures: Path | None) -> None:
        self.page, self.product, self.gmail, self.post, self.pictures = page, product, gmail, post, pictures
        self.asked_elsewhere: list[str] = []
        page.context.on("request", self._note)

    def _note(self, request: Request) -> None:
        if not request.url.startswith((f"http://127.0.0.1:{self.product.port}/", "data:")):
            self.asked_elsewhere.append(request.url)

    def take_picture(self, name: str) -> None:
        """Renew a picture of the documentation, when somebody asked for that."""
        if self.pictures:
            self.page.wait_for_timeout(300)  # a toast or a menu may still be on its way
            self.page.screenshot(path=self.pictures / f"{name}.png", caret="initial")

    def receive(self, raw: bytes) -> None:
        self.gmail.deliver(ADDRESS, raw)

    def check_now(self) -> None:
        """Ask for a scan of the new account, and wait until it has been."""
        page = self.page
        page.goto(f"{self.product.address}/mail/accounts")
        row = page.locator("tr", has_text=ADDRESS)
        row.get_by_role("button", name="Check now").click()
        # The list asks again by itself until the scan has ended.
        asks_again = page.locator("#email-accounts[hx-get]")
        expect(asks_again).to_have_count(1)
        expect(asks_again).to_have_count(0, timeout=30_000)
        expect(row.get_by_text("Fine")).to_be_visible()

    def open_messages(self, customer: str) -> None:
        """As the menu leads there: Customers, the name, CRM."""
        page = self.page
        page.get_by_role("navigation", name="Main", exact=True).get_by_role("link", name="Customers").click()
        page.goto(f"{page.url}?q={customer.replace(' ', '+')}")
        page.get_by_role("link", name=customer, exact=True).click()
        page.get_by_role("link", name=re.compile("^CRM")).click()

    @property
    def letter(self) -> Locator:
        """The message that is open."""
        return self.page.locator("article", has=self.page.get_by_role("button", name="More about this message"))

    @property
    def menu(self) -> Locator:
        """What pops out of the button at its end."""
        return self.letter.locator(".sm-menu")

    def type_an_address_and_get_its_servers(self) -> None:
        page = self.page
        page.get_by_role("link", name="Email accounts").click()
        page.get_by_role("link", name="Add email account").click()
        page.get_by_label("Email address", exact=True).fill(ADDRESS)
        page.get_by_label("Display name", exact=True).fill("Quayside post")
        expect(page.get_by_text("This address is at Gmail and Google Workspace.")).to_be_visible()
        expect(page.get_by_text("Create an app password: 16 letters.")).to_be_visible()
        for host in (IMAP, SMTP):
            expect(page.get_by_text(host, exact=True)).to_be_visible()
        expect(page.locator("#incoming-host, #outgoing-host")).to_have_count(0)
        expect(page.locator("#incoming-user")).to_have_value(ADDRESS)

    def be_refused_with_the_wrong_password(self) -> None:
        page, test = self.page, self.page.locator("#test")
        page.locator("#incoming-password").fill("not the password")
        test.get_by_role("button", name="Test the connection").click()
        expect(test.get_by_text("Sign-in refused")).to_be_visible(timeout=30_000)
        expect(test.get_by_text("Server found")).to_be_visible()
        expect(test.get_by_text(re.compile("The normal password does not work"))).to_be_visible()
        self.take_picture("mail-account")
        page.get_by_label("Watch this mailbox").check()
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.get_by_text("Test the connection first")).to_be_visible()

    def mend_it_and_save(self) -> None:
        page, test = self.page, self.page.locator("#test")
        self.receive(mail(WRITES, ADDRESS, "From before", message_id="<before@quillyarrow.example>"))
        page.locator("#incoming-password").fill(self.gmail.password)
        test.get_by_role("button", name="Test again").click()
        expect(test.get_by_text("Your one message would be filed")).to_be_visible(timeout=30_000)
        for words in ("Server found", "Server answers", "Encrypted", "Speaks IMAP", "Signed in", "Folders", "Sending"):
            expect(test.get_by_role("listitem").filter(has_text=f"{words}: passed")).to_be_visible()
        expect(test.get_by_text("Passed", exact=True)).to_be_visible()
        self.take_picture("mail-test-passed")
        test.get_by_role("button", name="Save and start watching").click()
        expect(page.get_by_text("Quayside post is watched.")).to_be_visible()
        expect(page.locator("tr", has_text=ADDRESS).get_by_text("Fine")).to_be_visible(timeout=30_000)

    def read_the_first_message(self) -> None:
        page = self.page
        self.receive(
            html_mail(
                "<p>Hello,</p><p>is our <b>parcel</b> still on shelf B? Ivo comes for it on Friday.</p>"
                '<p>Thank you<br>Tamsin</p><img src="https://counter.example/open.gif" width="1" height="1">'
                '<svg onload="top.document.title=1"><image href="//counter.example/svg"/></svg>'
                '<script src="https://counter.example/run.js"></script>',
                sender=WRITES,
                to=ADDRESS,
                subject=SUBJECT,
                text="Is our parcel still on shelf B?",
                message_id="<shelf-b@quillyarrow.example>",
                Authentication_Results="mx.google.com; dmarc=pass header.from=quillyarrow.example",
            )
        )
        self.check_now()
        self.open_messages(CUSTOMER)
        page.get_by_role("link", name=SUBJECT).click()
        framed = page.frame_locator("iframe.sm-letter-frame")
        expect(framed.get_by_text("Ivo comes for it on Friday.")).to_be_visible()
        expect(self.letter.get_by_text("Verified sender")).to_be_visible()
        expect(self.letter.get_by_text("2 remote pictures are blocked; one looks like a tracker.")).to_be_visible()
        assert page.locator("iframe.sm-letter-frame").get_attribute("sandbox") is not None
        self.take_picture("mail-messages")

    def answer_it(self) -> None:
        page = self.page
        page.get_by_role("button", name="More about this message").click()
        self.menu.get_by_role("link", name="Reply").click()
        page.get_by_label("Answer", exact=True).fill("Dear Tamsin,\n\nit is, and it stays there until Friday.\n\nHanna")
        expect(page.get_by_text(re.compile("^Draft saved today"))).to_be_visible()
        page.get_by_role("button", name="Send", exact=True).click()
        expect(self.letter.get_by_text("it stays there until Friday.")).to_be_visible()
        expect(self.letter.get_by_text("Sent", exact=True)).to_be_visible(timeout=30_000)
        expect(self.letter.get_by_text("Quayside post", exact=True)).to_be_visible()
        expect(page.get_by_role("article")).to_have_count(2)
        self.take_picture("mail-reading")
        sent = eventually(lambda: self.post.taken, "it was handed in")[0]
        assert sent.rcpt_tos == ["tamsin@quillyarrow.example"]
        assert b"In-Reply-To: <shelf-b@quillyarrow.example>" in (sent.original_content or b"")

    def delete_it_by_keyboard(self) -> None:
        page = self.page
        page.get_by_role("article").get_by_role("link", name=CUSTOMER).click()
        expect(page.frame_locator("iframe.sm-letter-frame").get_by_text("Ivo comes for it on Friday.")).to_be_visible()
        page.get_by_role("button", name="More about this message").focus()
        page.keyboard.press("ArrowDown")
        expect(self.menu.get_by_role("link", name="Reply")).to_be_focused()
        page.keyboard.press("End")
        expect(page.get_by_role("link", name="Delete…")).to_be_focused()
        self.take_picture("mail-menu")
        page.keyboard.press("Enter")
        question = page.get_by_role("dialog")
        expect(question.get_by_role("heading", name="Delete this message?")).to_be_visible()
        question.get_by_role("button", name="Delete message").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_text("Deleted.")).to_be_visible()
        self.check_now()  # it is still in the mailbox, and does not come back
        self.open_messages(CUSTOMER)
        page.get_by_role("link", name=SUBJECT).click()
        expect(self.letter.get_by_text("it stays there until Friday.")).to_be_visible()
        expect(page.get_by_role("article")).to_have_count(1)

    def decide_whose_it_is(self) -> None:
        page = self.page
        self.receive(mail('"yuki@fennimore.example" <post@courier.example>', ADDRESS, "A label for you", "Print it."))
        self.check_now()
        page.get_by_role("link", name=re.compile("^Needs a choice")).first.click()
        choice = page.locator("form", has_text="A label for you")
        expect(choice.get_by_text(re.compile("The name in From says yuki@fennimore.example"))).to_be_visible()
        expect(choice.get_by_role("radio", checked=True)).to_have_count(0)
        self.take_picture("mail-choices")
        choice.get_by_role("radio", name=re.compile("^Yuki Fennimore")).check()
        choice.get_by_role("button", name="File it").click()
        expect(page.locator("form", has_text="A label for you")).to_have_count(0)
        self.open_messages("Yuki Fennimore")
        expect(page.get_by_role("link", name="A label for you")).to_be_visible()

    def file_by_hand_what_cannot_be_read(self) -> None:
        page = self.page
        self.receive(nested("Kwame Birchall <kwame@birchall.example>", "Freight papers, forwarded"))
        self.check_now()
        page.get_by_role("link", name=re.compile("^Quarantine")).first.click()
        aside = page.locator("section", has_text="Freight papers, forwarded")
        expect(aside.get_by_text("Its parts are nested deeper than the limit of 50.")).to_be_visible()
        self.take_picture("mail-quarantine")
        aside.get_by_role("link", name="File by hand…").click()
        question = page.get_by_role("dialog")
        question.get_by_role("searchbox").fill("birchall")
        question.get_by_role("radio", name=re.compile("^Kwame Birchall")).check()
        question.get_by_role("button", name="File it").click()
        expect(page.get_by_text("Filed by hand for Kwame Birchall")).to_be_visible()
        self.open_messages("Kwame Birchall")
        expect(page.get_by_role("link", name="Freight papers, forwarded")).to_be_visible()


def test_a_mailbox_from_its_first_typing_to_the_last_message(
    sit_down: Callable[..., Page],
    product: Product,
    gmail: Dovecot,
    post: Post,
    faults: list[str],
    pictures: Path | None,
) -> None:
    walk = Walk(sit_down("Operator"), product, gmail, post, pictures)
    walk.type_an_address_and_get_its_servers()
    walk.be_refused_with_the_wrong_password()
    walk.mend_it_and_save()
    walk.read_the_first_message()
    walk.answer_it()
    walk.delete_it_by_keyboard()
    walk.decide_whose_it_is()
    walk.file_by_hand_what_cannot_be_read()
    assert walk.asked_elsewhere == []
    assert faults == []


@pytest.mark.parametrize(("width", "theme"), [(320, "light"), (390, "dark"), (1440, "light"), (1440, "dark")])
def test_the_mail_pages_fit_and_read_well(
    sit_down: Callable[..., Page], product: Product, width: int, theme: str
) -> None:
    # Axe is put into the page by the test, which the content policy would rightly stop.
    page = sit_down("Operator", viewport={"width": width, "height": 900}, color_scheme=theme, bypass_csp=True)
    for path in PAGES:
        answer = page.goto(product.address + path)
        assert answer, path
        assert answer.ok, path
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        found = Axe().run(page).response["violations"]
        assert [(fault["id"], fault["nodes"][0]["html"]) for fault in found] == [], path
