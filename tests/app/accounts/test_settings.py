"""Business settings > General: who may change it, what is taken, the logo, the look, and the sender of mails."""

import io
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from PIL import Image

from app.accounts.looks import look_of
from app.accounts.models import AccountLogo, User
from app.audit import AuditEntry
from app.billing.numbering import next_number
from app.db import db, unit_of_work
from app.mailing.models import MailState, OutgoingMail
from app.mailing.services import ended, post
from tests import make
from tests.cast import Cast
from tests.visitors import HeardBell, Visitor

GENERAL = "/acme/settings"
FILLED = {
    "name": "Acme Mailrooms",
    "contact_email": "hello@acme.example",
    "contact_phone": "+351 21 000 000",
    "website": "acme.example/rooms",
    "accent": "#8A2BE2",
    "mail_name": "Acme front desk",
    "invoice_prefix": "am",
    "payment_days": "14",
    "mails_invoices": "y",
}


@pytest.fixture
def ana(cast: Cast, sign_in: Callable[[User], Visitor]) -> Visitor:
    return sign_in(cast.ana)


@pytest.fixture
def ben(cast: Cast, sign_in: Callable[[User], Visitor]) -> Visitor:
    return sign_in(cast.ben)


def png(colour: str = "#c03") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (40, 20), colour).save(out, "PNG")
    return out.getvalue()


def upload(visitor: Visitor, content: bytes, name: str = "logo.png") -> Any:
    return visitor.post(f"{GENERAL}/logo", data={"logo": (io.BytesIO(content), name)})


def last_mail() -> OutgoingMail:
    return db.session.scalars(sa.select(OutgoingMail).order_by(OutgoingMail.id.desc()).limit(1)).one()


def test_an_operator_says_what_the_account_is(ana: Visitor, cast: Cast) -> None:
    assert ana.post(GENERAL, data=FILLED).location == GENERAL

    db.session.refresh(cast.acme)
    assert cast.acme.name == "Acme Mailrooms"
    assert cast.acme.website == "https://acme.example/rooms"
    assert cast.acme.accent == "#8a2be2"
    assert cast.acme.invoice_prefix == "AM"
    noted = db.session.scalars(sa.select(AuditEntry).where(AuditEntry.action == "account_changed")).one()
    assert cast.acme.payment_days == 14
    assert noted.details["fields"] == sorted(FILLED.keys() - {"mails_invoices"})


def test_fees_are_no_longer_mailed_once_the_box_is_empty(ana: Visitor, cast: Cast) -> None:
    ana.post(GENERAL, data={name: text for name, text in FILLED.items() if name != "mails_invoices"})

    db.session.refresh(cast.acme)
    assert not cast.acme.mails_invoices


def test_saving_the_same_again_changes_and_notes_nothing(ana: Visitor) -> None:
    ana.post(GENERAL, data=FILLED)
    ana.post(GENERAL, data=FILLED)

    assert "Nothing was changed." in ana.get(GENERAL).text
    assert len(db.session.scalars(sa.select(AuditEntry).where(AuditEntry.action == "account_changed")).all()) == 1


@pytest.mark.parametrize(
    ("field", "typed", "sentence"),
    [
        ("name", " ", "An account needs a name."),
        ("name", "x" * 121, "there is room for 120"),
        ("contact_email", "nobody", "is not an email address"),
        ("contact_phone", "1" * 41, "there is room for 40"),
        ("website", "javascript:alert(1)", "is not the address of a website"),
        ("website", "https://user:word@acme.example", "is not the address of a website"),
        ("website", "http://[", "is not the address of a website"),
        ("website", "https://acme.example:x", "is not the address of a website"),
        ("website", "ftp://acme.example", "is not the address of a website"),
        ("accent", "teal", "A colour has six digits"),
        ("mail_name", "Acme\u202eemcA", "a character nobody can see"),
        ("invoice_prefix", "", "One to eight letters"),
        ("invoice_prefix", "A B", "One to eight letters"),
        ("payment_days", "", "A whole number of days from 0 to 90."),
        ("payment_days", "-1", "A whole number of days from 0 to 90."),
        ("payment_days", "1.5", "A whole number of days from 0 to 90."),
        ("payment_days", "91", "A whole number of days from 0 to 90."),
        ("payment_days", "\u0663", "A whole number of days from 0 to 90."),
    ],
)
def test_what_cannot_be_taken_is_said_at_the_field_and_stays_typed(
    ana: Visitor, cast: Cast, field: str, typed: str, sentence: str
) -> None:
    for htmx in (False, True):
        answer = ana.post(GENERAL, data=FILLED | {field: typed}, htmx=htmx)
        assert answer.status_code == 422
        assert sentence in answer.text
        assert "+351 21 000 000" in answer.text or field == "contact_phone"
    db.session.refresh(cast.acme)
    assert (cast.acme.name, cast.acme.accent) == ("Acme", "")


def test_an_admin_reads_and_may_change_nothing(ana: Visitor, ben: Visitor) -> None:
    ana.post(GENERAL, data=FILLED)

    page = ben.get(GENERAL)
    assert "hello@acme.example" in page.text
    assert "general-form" not in page.text
    for path in ("", "/logo", "/logo/remove", "/test-mail"):
        assert ben.post(GENERAL + path, data=FILLED).status_code == 403


def test_numbers_go_on_under_a_new_prefix_and_are_never_given_out_twice(ana: Visitor, cast: Cast) -> None:
    customer = make.customer(cast.acme)
    for number in ("AM-1500", "AM-lost", "AM-2", "AMX-9000"):
        make.invoice(customer, number=number)
    ana.post(GENERAL, data=FILLED)

    with unit_of_work():
        assert next_number(cast.acme) == "AM-1501"


def test_a_prefix_that_is_new_keeps_the_count(ana: Visitor, cast: Cast) -> None:
    with unit_of_work():
        assert next_number(cast.acme) == "A-1001"
    ana.post(GENERAL, data=FILLED)

    with unit_of_work():
        assert next_number(cast.acme) == "AM-1002"


class TestLook:
    def test_the_portal_wears_the_accent_from_an_address_that_browsers_keep(
        self, ana: Visitor, client: Visitor
    ) -> None:
        assert "/look/" not in client.get("/portal/acme/login").text
        ana.post(GENERAL, data=FILLED)

        address = f"/portal/acme/look/{look_of('#8a2be2').version}.css"
        assert address in client.get("/portal/acme/login").text
        style = client.get(address)
        assert style.mimetype == "text/css"
        assert style.headers["Cache-Control"] == "private, max-age=31536000, immutable"
        assert "--ink: light-dark(#8a2be2" in style.text
        assert client.get("/portal/acme/look/0123456789ab.css").status_code == 404
        assert client.get(address.replace("acme", "zenith")).status_code == 404

    def test_mails_wear_it_in_a_tone_that_can_be_read_on_paper(self, ana: Visitor, cast: Cast) -> None:
        ana.post(GENERAL, data=FILLED | {"accent": "#ffe000"})
        with unit_of_work() as rows:
            rows.refresh(cast.acme)
            post(cast.acme, to="t@quill.example", template="test", context={"name": "Tamsin"})

        assert f'link="{look_of("#ffe000").on_paper}"' in last_mail().html
        assert "#ffe000" not in last_mail().html

    def test_a_colour_is_judged_while_it_is_typed(self, ana: Visitor) -> None:
        assert "too faint for text" in ana.get(f"{GENERAL}/accent?accent=%23ffe000", htmx=True).text
        assert "is no colour yet" in ana.get(f"{GENERAL}/accent?accent=te<b>", htmx=True).text
        assert ana.get(f"{GENERAL}/accent?accent=te").location == GENERAL


class TestLogo:
    def test_it_stands_on_the_portal_under_an_address_of_its_version(
        self, ana: Visitor, client: Visitor, cast: Cast
    ) -> None:
        upload(ana, png())
        db.session.refresh(cast.acme)
        address = f"/portal/acme/logo/{cast.acme.logo_version}.png"

        assert address in client.get("/portal/acme/login").text
        answer = client.get(address)
        assert answer.mimetype == "image/png"
        assert answer.data.startswith(b"\x89PNG")
        assert answer.headers["Cache-Control"] == "private, max-age=31536000, immutable"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in answer.headers["Content-Security-Policy"]
        assert client.get(address.replace("acme", "zenith")).status_code == 404

    def test_a_new_one_has_a_new_address_and_the_old_one_is_gone(
        self, ana: Visitor, client: Visitor, cast: Cast
    ) -> None:
        versions = []
        for colour in ("#c03", "#03c"):
            upload(ana, png(colour))
            db.session.refresh(cast.acme)
            versions.append(cast.acme.logo_version)

        assert client.get(f"/portal/acme/logo/{versions[0]}.png").status_code == 404
        assert client.get(f"/portal/acme/logo/{versions[1]}.png").status_code == 200

    def test_it_can_be_removed(self, ana: Visitor, client: Visitor, cast: Cast) -> None:
        upload(ana, png())
        ana.post(f"{GENERAL}/logo/remove")

        db.session.refresh(cast.acme)
        assert cast.acme.logo_version == ""
        assert db.session.scalars(sa.select(AccountLogo)).all() == []
        assert "sm-portal-logo" not in client.get("/portal/acme/login").text

    @pytest.mark.parametrize("content", [b"", b"<svg onload='alert(1)'/>", b"\x89PNG\r\n\x1a\n" + b"\0" * 99])
    def test_anything_else_is_refused_and_changes_nothing(self, ana: Visitor, cast: Cast, content: bytes) -> None:
        upload(ana, png())
        before = ana.get(GENERAL).text.count("/logo/")

        answer = upload(ana, content, "logo.svg")

        assert answer.status_code == 422
        assert "Choose a file." in answer.text or "no PNG or JPEG" in answer.text
        assert ana.get(GENERAL).text.count("/logo/") == before


class TestMails:
    def test_mails_name_the_sender_and_answers_go_to_the_account(self, ana: Visitor, cast: Cast) -> None:
        ana.post(GENERAL, data=FILLED)

        ana.post(f"{GENERAL}/test-mail")

        mail = last_mail()
        assert (mail.sender_name, mail.reply_to) == ("Acme front desk", "hello@acme.example")
        assert mail.recipient == "ana@acme.example"
        assert "An answer to it goes to hello@acme.example." in mail.text

    def test_without_settings_the_accounts_name_is_the_sender(self, ana: Visitor, cast: Cast) -> None:
        ana.post(f"{GENERAL}/test-mail")

        assert (last_mail().sender_name, last_mail().reply_to) == ("Acme", "")

    def test_the_outcome_of_a_test_is_seen(self, ana: Visitor, bell: HeardBell) -> None:
        piece = ana.post(f"{GENERAL}/test-mail", htmx=True)
        assert "On its way." in piece.text
        assert "every 2s" in piece.text

        with unit_of_work():
            ended(last_mail(), MailState.SENT)

        piece = ana.get(f"{GENERAL}/test-mail", htmx=True)
        assert "Sent." in piece.text
        assert "every 2s" not in piece.text
        with unit_of_work():
            ended(last_mail(), MailState.REFUSED, "Our mail server takes no mail from us.")
        assert "takes no mail from us" in ana.get(GENERAL).text

    def test_nobody_sends_tests_without_end(self, ana: Visitor) -> None:
        for _ in range(10):
            assert ana.post(f"{GENERAL}/test-mail").status_code == 303

        assert ana.post(f"{GENERAL}/test-mail", htmx=True).status_code == 429
        assert ana.post(f"{GENERAL}/test-mail").status_code == 429


def test_the_name_menu_leads_to_locations_and_settings(
    ana: Visitor, cast: Cast, sign_in: Callable[[User], Visitor]
) -> None:
    menu = ana.get(GENERAL).text.split('id="name-menu"')[1].split('class="sm-rail"')[0]

    assert menu.index("Locations") < menu.index("Business settings") < menu.index("Sign out")
    assert "Locations" not in sign_in(cast.mia).get("/acme/").text
