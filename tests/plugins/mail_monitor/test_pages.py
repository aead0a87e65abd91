"""The pages of email accounts and of what waits: what they show, what they refuse, and to whom."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest
from sqlalchemy import update

from app.access import Role
from app.accounts.models import User
from app.billing import customers
from app.db import unit_of_work
from app.installations import services as installations
from app.installations.models import Installation, InstallationState
from plugins.mail_monitor import accounts, customer_addresses, testing
from plugins.mail_monitor.models import ConnectionTest, ConnectionTestState, EmailAccount, ImportRun, Trouble
from plugins.mail_monitor.records import Filing
from plugins.mail_monitor.settings import AccountSettings
from plugins.mail_monitor.waiting import Choice, CustomerAddress
from tests import make
from tests.cast import Cast
from tests.fakes.mailbox import FakeServer
from tests.plugins.mail_monitor.conftest import Watch, rows_of
from tests.plugins.mail_monitor.letters import mail
from tests.plugins.mail_monitor.test_scanning import Scan
from tests.visitors import HeardBell, Visitor

SignIn = Callable[[User], Visitor]
TYPED = {
    "display_name": "Front desk",
    "email_address": "desk@acme.example",
    "provider": "",
    "incoming-host": "imap.acme.example",
    "incoming-port": "993",
    "incoming-encryption": "tls",
    "incoming-user": "desk",
    "incoming-password": "s3cret-imap",
    "incoming-delete": "never",
    "outgoing-host": "smtp.acme.example",
    "outgoing-port": "465",
    "outgoing-encryption": "tls",
    "interval_minutes": "15",
    "largest_mb": "25",
    "daily_mb": "1024",
    "daily_messages": "20000",
}


@pytest.fixture
def ana(cast: Cast, installation: Installation, sign_in: SignIn) -> Visitor:
    return sign_in(cast.ana)


@pytest.fixture
def typed(cast: Cast) -> dict[str, str]:
    return {**TYPED, "location_id": str(cast.acme.locations[0].id)}


def passed_test() -> int:
    """The newest test, as if a worker had done it and all went well."""
    with unit_of_work() as session:
        test = session.get_one(ConnectionTest, rows_of_ids()[-1])
        test.state = ConnectionTestState.PASSED
        test.begins_at = [{"kind": "inbox", "name": "INBOX", "uidvalidity": 7, "uidnext": 1}]
        return test.id


def value_of(name: str, html: str) -> str:
    """What stands in a field."""
    tag = re.search(rf'<input[^>]* name="{name}"[^>]*>', html)
    assert tag, name
    found = re.search(r' value="([^"]*)"', tag[0])
    return found[1] if found else ""


def rows_of_ids() -> list[int]:
    return [row.id for row in rows_of(ConnectionTest)]


def test_an_account_is_saved_as_inactive_without_a_test(ana: Visitor, typed: dict[str, str]) -> None:
    assert ana.post("/acme/mail/accounts/new", data=typed).status_code == 303
    row = rows_of(EmailAccount)[0]
    assert (row.email_address, row.active, row.due_at) == ("desk@acme.example", False, None)
    page = ana.get("/acme/mail/accounts").text
    assert "Front desk" in page
    assert "Off" in page


def test_it_is_watched_only_after_a_test_that_passed(ana: Visitor, typed: dict[str, str], bell: HeardBell) -> None:
    answer = ana.post("/acme/mail/accounts/new", data={**typed, "active": "y"})
    assert answer.status_code == 422
    assert "Test the connection first" in answer.text
    ana.post("/acme/mail/accounts/test", data=typed, htmx=True)
    assert [name for name, *_ in bell.rings] == ["mail_monitor.test_connection"]
    answer = ana.post("/acme/mail/accounts/new", data={**typed, "active": "y", "test": rows_of_ids()[-1]})
    assert "Test the connection first" in answer.text
    answer = ana.post("/acme/mail/accounts/new", data={**typed, "save": "watch", "test": passed_test()})
    assert answer.status_code == 303
    row = rows_of(EmailAccount)[0]
    assert row.active
    assert [(folder.name, folder.cursor) for folder in row.folders] == [("INBOX", 0)]


def test_a_test_proves_only_what_it_tested(ana: Visitor, typed: dict[str, str]) -> None:
    ana.post("/acme/mail/accounts/test", data=typed)
    test = passed_test()
    for change in ({"incoming-host": "imap.else.example"}, {"incoming-password": "another"}, {"outgoing-port": "2525"}):
        answer = ana.post("/acme/mail/accounts/new", data={**typed, **change, "active": "y", "test": test})
        assert answer.status_code == 422, change
    same = {**typed, "signature": "Regards", "active": "y", "test": test}
    assert ana.post("/acme/mail/accounts/new", data=same).status_code == 303
    assert rows_of(EmailAccount)[0].signature == "Regards"


def test_without_javascript_the_passwords_of_the_test_are_used(ana: Visitor, typed: dict[str, str]) -> None:
    answer = ana.post("/acme/mail/accounts/test", data=typed)
    assert answer.status_code == 303
    page = ana.get(answer.location)
    assert "imap.acme.example" in page.text
    assert "s3cret-imap" not in page.text
    typed["incoming-password"] = ""
    answer = ana.post("/acme/mail/accounts/new", data={**typed, "active": "y", "test": passed_test()})
    assert answer.status_code == 303


def test_a_password_is_never_drawn_again(ana: Visitor, typed: dict[str, str]) -> None:
    refused = ana.post("/acme/mail/accounts/new", data={**typed, "incoming-port": "995"})
    assert refused.status_code == 422
    ana.post("/acme/mail/accounts/new", data=typed)
    row = rows_of(EmailAccount)[0]
    shown = ana.get(f"/acme/mail/accounts/{row.id}").text
    for page in (refused.text, shown, ana.get("/acme/mail/accounts").text):
        assert "s3cret-imap" not in page
    assert "Empty keeps it" in shown


def test_an_empty_password_keeps_the_stored_one(ana: Visitor, typed: dict[str, str]) -> None:
    ana.post("/acme/mail/accounts/new", data=typed)
    before = rows_of(EmailAccount)[0]
    sealed = before.incoming_password
    ana.post(f"/acme/mail/accounts/{before.id}", data={**typed, "incoming-password": "", "display_name": "Renamed"})
    after = rows_of(EmailAccount)[0]
    assert (after.display_name, after.incoming_password) == ("Renamed", sealed)


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("incoming-port", "995", "Only IMAP can be watched"),
        ("incoming-encryption", "starttls", "Port 993 is encrypted from the first byte"),
        ("incoming-port", "abc", "That is no port"),
        ("email_address", "desk", "is not an email address"),
        ("display_name", "", "Customers see this name"),
        ("incoming-password", "", "Type the password"),
        ("interval_minutes", "0", "A number from 1 to 60"),
        ("location_id", "999", "Not a valid choice"),
        ("incoming-delete", "always", "Not a valid choice"),
    ],
)
def test_what_cannot_be_right_is_refused_in_its_cell(
    ana: Visitor, typed: dict[str, str], field: str, value: str, sentence: str
) -> None:
    answer = ana.post("/acme/mail/accounts/new", data={**typed, field: value}, htmx=True, target="account-form")
    assert answer.status_code == 422
    assert answer.headers["HX-Retarget"] == "#account-form"
    cell = re.search(rf'id="{field}-note">(.*?)</p>', answer.text, re.DOTALL)
    assert cell
    assert sentence in cell[1]
    assert rows_of(EmailAccount) == []


def test_every_field_that_is_wrong_stands_in_the_list_on_top(ana: Visitor, typed: dict[str, str]) -> None:
    empty = dict.fromkeys(("display_name", "email_address", "incoming-host", "incoming-user"), "")
    page = ana.post("/acme/mail/accounts/new", data={**typed, **empty}).text
    assert "4 fields need another look." in page
    assert '<a href="#incoming-host">Incoming: Server</a>' in page
    assert "Type the server." in page


def test_an_address_is_watched_once(ana: Visitor, typed: dict[str, str]) -> None:
    ana.post("/acme/mail/accounts/new", data=typed)
    answer = ana.post("/acme/mail/accounts/new", data={**typed, "email_address": "DESK@acme.example"})
    assert "is watched already, as Front desk" in answer.text


def test_notifications_never_go_to_a_watched_address(ana: Visitor, typed: dict[str, str]) -> None:
    ana.post("/acme/mail/accounts/new", data=typed)
    other = {**typed, "email_address": "post@acme.example", "notification_email_address": "desk+x@acme.example"}
    assert "the mail would go round in circles" in ana.post("/acme/mail/accounts/new", data=other).text


def servers_for(ana: Visitor, address: str, **typed: str) -> str:
    """The part of the form with the servers, after this address was typed over what stood there."""
    query = {"by": "address", "email_address": address, "provider": "", **typed}
    return ana.get(f"/acme/mail/accounts/servers?{urlencode(query)}", htmx=True).text


def test_typing_an_address_brings_its_providers_servers(ana: Visitor) -> None:
    known = servers_for(ana, "me@gmail.com")
    assert "imap.gmail.com" in known
    assert "Create an app password" in known
    assert 'name="incoming-host"' not in known
    assert value_of("incoming-user", known) == "me@gmail.com"


def test_an_address_of_nobody_known_changes_nothing(ana: Visitor) -> None:
    unknown = ana.get("/acme/mail/accounts/servers?by=address&email_address=me@acme.example&provider=", htmx=True)
    assert unknown.status_code == 204
    chosen = "/acme/mail/accounts/servers?by=address&email_address=me@acme.example&provider=gmail"
    assert ana.get(chosen, htmx=True).status_code == 204


def test_another_address_takes_the_provider_away_that_an_address_brought(ana: Visitor) -> None:
    brought = {"provider": "gmail", "brought_by": "me@gmail.com", "incoming-user": "me@gmail.com"}
    other = servers_for(ana, "me@acme.example", **brought)
    assert 'name="incoming-host"' in other
    assert "imap.gmail.com" not in other
    assert value_of("incoming-user", other) == "me@acme.example"
    assert value_of("brought_by", other) == ""
    yahoo = servers_for(ana, "me@yahoo.com", **{**brought, "incoming-user": "somebody"})
    assert "imap.mail.yahoo.com" in yahoo
    assert value_of("incoming-user", yahoo) == "somebody"
    by_hand = ana.get("/acme/mail/accounts/servers?provider=icloud&brought_by=me@gmail.com", htmx=True).text
    assert value_of("brought_by", by_hand) == ""


def test_a_provider_that_is_not_in_the_table_has_help_too(ana: Visitor) -> None:
    page = ana.get("/acme/mail/accounts/new").text
    assert "The provider's help names its servers" in page
    assert page.count('rel="noreferrer"') >= 5


def test_the_table_of_providers_marks_what_was_corrected(ana: Visitor) -> None:
    page = ana.get("/acme/mail/accounts/providers").text
    assert "smtp-mail.outlook.com" in page
    assert page.count(">Corrected<") >= 5


def test_tests_are_limited(ana: Visitor, typed: dict[str, str]) -> None:
    answers = [ana.post("/acme/mail/accounts/test", data=typed, htmx=True).status_code for _ in range(11)]
    assert answers == [200] * 10 + [429]


def test_a_test_shows_its_steps_and_asks_again_while_it_runs(ana: Visitor, typed: dict[str, str]) -> None:
    answer = ana.post("/acme/mail/accounts/test", data=typed, htmx=True)
    assert 'hx-trigger="every 1s"' in answer.text
    with unit_of_work() as session:
        test = session.get_one(ConnectionTest, rows_of_ids()[-1])
        test.state = ConnectionTestState.FAILED
        test.steps = [{"key": "signed_in", "label": "Sign-in refused", "state": "failed", "reason": "Check both."}]
    answer = ana.get(f"/acme/mail/tests/{rows_of_ids()[-1]}", htmx=True)
    assert "every 1s" not in answer.text
    assert "Sign-in refused" in answer.text
    assert "Save as inactive" in answer.text


def test_old_tests_are_forgotten_with_their_passwords(
    ana: Visitor, typed: dict[str, str], bell: HeardBell, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana.post("/acme/mail/accounts/test", data=typed)
    bell.rings.clear()
    monkeypatch.setattr(testing, "KEPT", testing.KEPT * 0)
    bell.ring("mail_monitor.test_connection", rows_of_ids()[-1])
    bell.answer()
    assert rows_of(ConnectionTest) == []


def test_check_now_makes_an_account_due(ana: Visitor, desk: EmailAccount, bell: HeardBell) -> None:
    ana.post(f"/acme/mail/accounts/{desk.id}/check")
    assert ("mail_monitor.work_on_account", desk.id) in bell.rings
    bell.rings.clear()
    ana.post("/acme/mail/accounts/check")
    assert bell.rings == [("mail_monitor.work_on_account", desk.id)]


def test_an_account_that_needs_a_person_is_impossible_to_overlook(
    ana: Visitor, desk: EmailAccount, server: FakeServer, scan: Scan
) -> None:
    server.password = "changed"
    scan(desk)
    scan(desk)
    page = ana.get("/acme/mail/accounts").text
    assert "Needs sign-in" in page
    assert "stopped after two tries" in page
    assert "sm-text-stop" in ana.get("/acme/customers").text
    assert "Not scanned until somebody looks: Front desk" in ana.get("/acme/settings/integrations/systems").text


def test_older_messages_are_imported_on_request(ana: Visitor, desk: EmailAccount, bell: HeardBell) -> None:
    ana.post(f"/acme/mail/accounts/{desk.id}/import", data={"days": "30"})
    assert rows_of(ImportRun)[0].days == 30
    page = ana.get(f"/acme/mail/accounts/{desk.id}")
    assert "Looking through the last 30 days" in page.text
    assert ana.post(f"/acme/mail/accounts/{desk.id}/import", data={"days": "30"}).status_code == 409
    ana.post(f"/acme/mail/accounts/{desk.id}/import/stop")
    assert rows_of(ImportRun)[0].ended_at is not None
    assert ana.post(f"/acme/mail/accounts/{desk.id}/import", data={"days": "no"}).status_code == 422


def test_switching_off_forgets_the_passwords_and_keeps_everything_else(
    cast: Cast, ana: Visitor, desk: EmailAccount
) -> None:
    page = ana.get("/acme/settings/integrations/systems").text
    assert "passwords are forgotten" in page or "mail_monitor" in page
    with unit_of_work():
        installations.switch(cast.acme, "mail_monitor", on=False)
    row = rows_of(EmailAccount)[0]
    assert (row.active, row.incoming_password, row.due_at) == (False, None, None)
    assert len(row.folders) == 2
    assert ana.get("/acme/mail/accounts").status_code == 404


def test_the_first_account_makes_the_plugin_work(cast: Cast, ana: Visitor, typed: dict[str, str]) -> None:
    with unit_of_work() as session:
        session.execute(update(Installation).values(state=InstallationState.ON))
    ana.post("/acme/mail/accounts/new", data=typed)
    assert rows_of(Installation)[0].state == InstallationState.CONNECTED


OPERATORS_ONLY = ["accounts", "accounts/new", "accounts/servers", "accounts/providers", "accounts/1", "tests/1"]
OFFICE = ["choices", "quarantine", "unknown-senders"]


def test_the_menu_has_customers_under_operations_and_email_accounts_under_crm(ana: Visitor) -> None:
    rail = ana.get("/acme/mail/accounts").text.split('id="rail"')[1].split("</nav>")[0]
    titles = re.findall(r'class="sm-rail-title">([^<]*)<', rail)
    assert titles == ["Operations", "CRM", "Account"]
    operations, crm = rail.split("Operations</p>")[1].split("CRM</p>")
    assert re.findall(r"<span>([^<]*)</span>", operations) == ["Customers", "Invoices"]
    assert re.findall(r"<span>([^<]*)</span>", crm.split("Account</p>")[0]) == [
        "Email accounts",
        "Needs a choice",
        "Unknown senders",
        "Quarantine",
    ]


@pytest.mark.parametrize("path", OPERATORS_ONLY)
def test_email_accounts_are_for_operators(cast: Cast, installation: Installation, sign_in: SignIn, path: str) -> None:
    for role in (Role.ADMIN, Role.MAIL_ADMIN):
        answer = sign_in(cast.staff[role]).get(f"/acme/mail/{path}")
        assert answer.status_code == 403
        assert "Ana Alder" in answer.text


@pytest.mark.parametrize("path", OFFICE)
def test_what_waits_is_for_operators_and_admins(
    cast: Cast, installation: Installation, sign_in: SignIn, path: str
) -> None:
    assert sign_in(cast.ben).get(f"/acme/mail/{path}").status_code == 200
    assert sign_in(cast.mia).get(f"/acme/mail/{path}").status_code == 403
    assert sign_in(cast.zoe).get(f"/acme/mail/{path}").status_code == 404


@pytest.fixture
def everything(cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan) -> dict[str, Any]:
    """One row of every kind in Acme, by the name it has in an address."""
    tamsin = make.customer(cast.acme, "Tamsin Quill", email="tamsin@quill.example")
    ben = make.customer(cast.acme, "Ben Birch", email="ben@birch.example")
    with unit_of_work():
        for one in (ben, tamsin):
            customer_addresses.add(customers.get(cast.acme, one.id), "home@oxbow.example")
    part = b"--b\r\nContent-Type: application/pdf; name=lease.pdf\r\n\r\n%PDF-canary\r\n"
    head = b"From: tamsin@quill.example\r\nSubject: canary-subject\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    server.inbox.put(head + part + b"--b\r\n\r\ncanary-text\r\n--b--\r\n")
    server.inbox.put(mail("home@oxbow.example"))
    server.inbox.put(mail("nadia@voss.example"))
    server.inbox.put(head.replace(b"canary", b"bomb") + b"--b\r\n\r\nx\r\n" * 600)
    scan(desk)
    message = next(one.message for one in rows_of(Filing))
    return {
        "email_account": desk.id,
        "customer": tamsin.id,
        "address": rows_of(CustomerAddress)[-1].id,
        "message": message.id,
        "attachment": message.attachments[0].id,
        "choice": rows_of(Choice)[0].id,
        "quarantined": 1,
    }


def addresses(ids: dict[str, Any]) -> list[tuple[str, str]]:
    """Every page and deed that names a row."""
    account, message, row = f"accounts/{ids['email_account']}", f"messages/{ids['message']}", ids["quarantined"]
    return [
        ("GET", account),
        ("POST", account),
        ("POST", f"{account}/check"),
        ("POST", f"{account}/test"),
        ("GET", f"{account}/import"),
        ("POST", f"{account}/import"),
        ("POST", f"{account}/import/stop"),
        ("GET", message),
        ("GET", f"{message}/original"),
        ("GET", f"{message}/attachments/{ids['attachment']}"),
        ("POST", f"choices/{ids['choice']}"),
        ("GET", f"choices/{ids['choice']}/other"),
        ("POST", f"quarantine/{row}/retry"),
        ("POST", f"quarantine/{row}/ignore"),
        ("POST", f"quarantine/{row}/original"),
        ("GET", f"quarantine/{row}/file"),
        ("POST", f"quarantine/{row}/file"),
        ("POST", f"customers/{ids['customer']}/addresses"),
        ("POST", f"customers/{ids['customer']}/addresses/{ids['address']}/remove"),
        ("GET", "unknown-senders/customer?address=nadia@voss.example"),
        ("POST", "unknown-senders/ignore"),
    ]


def test_another_account_finds_nothing_of_ours_and_changes_nothing(
    cast: Cast, everything: dict[str, Any], sign_in: SignIn
) -> None:
    make.installation(cast.zenith, "mail_monitor")
    zoe = sign_in(cast.zoe)
    data = {"customer": str(everything["customer"]), "days": "3", "address": "nadia@voss.example", **TYPED}
    for method, path in addresses(everything):
        answer = zoe.open(f"/zenith/mail/{path}", method=method, data=data if method == "POST" else None)
        assert answer.status_code == 404, path
        assert "canary" not in answer.text
    assert zoe.get(f"/zenith/customers/{everything['customer']}/mail/crm").status_code == 404
    assert len(rows_of(CustomerAddress)) == 2
    assert rows_of(Choice)[0].decided_at is None


def test_an_admin_reads_decides_and_gives_addresses(cast: Cast, everything: dict[str, Any], sign_in: SignIn) -> None:
    ben = sign_in(cast.ben)
    record = ben.get(f"/acme/customers/{everything['customer']}/mail/crm").text
    assert "canary-subject" in record
    assert "From is the main address" in record
    message = ben.get(f"/acme/mail/messages/{everything['message']}").text
    assert "canary-text" in message
    saved = ben.get(f"/acme/mail/messages/{everything['message']}/attachments/{everything['attachment']}")
    assert saved.data == b"%PDF-canary"
    assert 'filename="lease.pdf"' in saved.headers["Content-Disposition"]
    assert "Two customers have this address." in ben.get("/acme/mail/choices").text
    ben.post(f"/acme/mail/choices/{everything['choice']}", data={"customer": everything["customer"], "remember": "y"})
    assert rows_of(Choice)[0].customer_id == everything["customer"]
    ben.post(
        f"/acme/mail/customers/{everything['customer']}/addresses", data={"address": "b@quill.example", "whose": ""}
    )
    assert rows_of(CustomerAddress)[-1].address == "b@quill.example"
    addresses_page = ben.get(f"/acme/customers/{everything['customer']}/mail/crm?part=addresses").text
    assert "b@quill.example" in addresses_page
    assert "nadia@voss.example" in ben.get("/acme/mail/unknown-senders").text
    ben.post(
        "/acme/mail/unknown-senders/customer",
        data={"address": "nadia@voss.example", "customer": everything["customer"]},
    )
    assert rows_of(CustomerAddress)[-1].address == "nadia@voss.example"


def test_a_choice_without_a_choice_changes_nothing(cast: Cast, everything: dict[str, Any], sign_in: SignIn) -> None:
    ben = sign_in(cast.ben)
    assert ben.post(f"/acme/mail/choices/{everything['choice']}").status_code == 422
    answer = ben.post(f"/acme/mail/choices/{everything['choice']}", data={"customer": "other"})
    assert answer.location.endswith(f"/choices/{everything['choice']}/other")
    assert rows_of(Choice)[0].decided_at is None


def test_nothing_that_strangers_wrote_is_taken_for_markup(
    cast: Cast, desk: EmailAccount, server: FakeServer, scan: Scan, sign_in: SignIn
) -> None:
    make.customer(cast.acme, email="tamsin@quill.example")
    evil = "<img src=x onerror=alert(1)>"
    server.inbox.put(mail("tamsin@quill.example", subject=evil, text=evil))
    server.inbox.put(mail("nadia@voss.example", subject=evil))
    server.inbox.put(mail(f'"{evil} tamsin@quill.example" <x@y.example>', subject=evil, text=evil))
    scan(desk)
    ben = sign_in(cast.ben)
    filing = rows_of(Filing)[0]
    message = f"mail/messages/{filing.message_id}"
    for path in (f"customers/{filing.customer_id}/mail/crm", message, "mail/unknown-senders", "mail/choices"):
        page = ben.get(f"/acme/{path}").text
        assert "<img src=x" not in page
        assert "&lt;img src=x" in page, path


def test_other_settings_than_the_connection_need_no_new_test(
    cast: Cast, installation: Installation, desk: EmailAccount, settings: AccountSettings, watch: Watch
) -> None:
    renamed = replace(settings, display_name="Renamed", incoming=replace(settings.incoming, password=""))
    with unit_of_work() as session:
        accounts.save(cast.acme, installation, renamed, session.get_one(EmailAccount, desk.id))
    assert rows_of(EmailAccount)[0].display_name == "Renamed"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"active": False}, "Nothing is scanned: no account is active."),
        ({"trouble": Trouble.SIGN_IN, "due_at": None}, "Nothing is scanned. One waits for you."),
    ],
)
def test_the_list_says_why_nothing_is_scanned(
    ana: Visitor, desk: EmailAccount, changes: dict[str, Any], said: str
) -> None:
    with unit_of_work() as session:
        row = session.get_one(EmailAccount, desk.id)
        for name, value in changes.items():
            setattr(row, name, value)
    assert said in ana.get("/acme/mail/accounts").text
