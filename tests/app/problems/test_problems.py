"""The list of what needs a person, the bell that counts it, and the mails that Operators get or do not want."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from app.access import Role
from app.accounts.models import User
from app.audit import AuditEntry
from app.billing.models import CustomerStatus
from app.db import db, unit_of_work
from app.installations.models import InstallationState
from app.mailing.models import MailState, OutgoingMail
from app.mailing.services import post
from app.payments.models import Collection, CollectionState, Gateway, ProviderName
from app.problems.models import Notice
from app.problems.services import tell_operators
from tests import make
from tests.cast import Cast
from tests.visitors import Visitor, counted_queries

SignIn = Callable[[User], Visitor]


def told(cast: Cast) -> list[str]:
    """Who gets a notice about an export now."""
    with unit_of_work():
        tell_operators(
            cast.acme,
            Notice.EXPORT,
            subject="12 handed over",
            lines=["All went well."],
            endpoint="problems.list_problems",
        )
    return list(db.session.scalars(sa.select(OutgoingMail.recipient).where(OutgoingMail.template == "notice")))


def test_where_nothing_waits_the_page_says_so_and_the_bell_is_silent(cast: Cast, sign_in: SignIn) -> None:
    page = sign_in(cast.ana).get("/acme/problems").text

    assert "Nothing needs you" in page
    assert 'aria-label="Notices"' in page


def test_each_cause_stands_with_its_meaning_and_the_button_that_mends_it(cast: Cast, sign_in: SignIn) -> None:
    make.installation(cast.acme, "example", state=InstallationState.ATTENTION, problem="Something broke.")
    make.customer(cast.acme, status=CustomerStatus.LOCKED)

    page = sign_in(cast.ana).get("/acme/problems").text

    for words in ("Things wait", "Two of them.", "€12.30", "A key is missing", "A customer is locked"):
        assert words in page
    assert 'href="/acme/example/connect"' in page
    assert 'href="/acme/customers?status=locked"' in page
    assert 'aria-label="Notices, 3 new"' in page


def test_only_those_who_can_mend_it_are_shown_a_problem(cast: Cast, sign_in: SignIn) -> None:
    make.installation(cast.acme, "example", state=InstallationState.ATTENTION, problem="Something broke.")

    assert "A key is missing" not in sign_in(cast.ben).get("/acme/problems").text
    assert "Things wait" in sign_in(cast.ben).get("/acme/problems").text
    assert "Things wait" not in sign_in(cast.mia).get("/acme/problems").text


def test_problems_of_another_account_are_not_shown(cast: Cast, sign_in: SignIn) -> None:
    make.installation(cast.zenith, "example", state=InstallationState.ATTENTION, problem="Something broke.")
    make.customer(cast.zenith, status=CustomerStatus.LOCKED)

    assert "Nothing needs you" in sign_in(cast.ana).get("/acme/problems").text


def test_a_plugin_with_a_fault_leaves_a_line_and_every_page_stands(cast: Cast, sign_in: SignIn) -> None:
    make.installation(cast.acme, "example", state=InstallationState.ATTENTION, problem="breaks the list")
    ana = sign_in(cast.ana)

    assert "Example could not say how it stands" in ana.get("/acme/problems").text
    assert ana.get("/acme/customers").status_code == 200


def test_a_mail_that_was_refused_is_a_problem_until_somebody_saw_to_it(cast: Cast, sign_in: SignIn) -> None:
    with unit_of_work():
        mail = post(cast.acme, to="gone@quill.example", template="test", context={"name": "Tamsin"})
        mail.state, mail.due_at, mail_id = MailState.REFUSED, None, mail.id
    ana = sign_in(cast.ana)
    assert "A mail was refused" in ana.get("/acme/problems").text

    ana.post(f"/acme/activity/mails/{mail_id}/leave")

    assert "Nothing needs you" in ana.get("/acme/problems").text


def test_a_mail_without_an_answer_waits_for_somebody_to_decide(cast: Cast, sign_in: SignIn) -> None:
    with unit_of_work():
        mail = post(cast.acme, to="tamsin@quill.example", template="test", context={"name": "Tamsin"})
        mail.state, mail.due_at, mail_id = MailState.UNKNOWN, None, mail.id
    ana = sign_in(cast.ana)
    assert "A mail may have been sent" in ana.get("/acme/problems").text

    ana.post(f"/acme/activity/mails/{mail_id}/again")

    assert "Nothing needs you" in ana.get("/acme/problems").text


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (CollectionState.HELD, "The gateway would not charge an invoice"),
        (CollectionState.ASK, "An invoice is older than its card"),
    ],
)
def test_an_invoice_that_is_charged_only_when_somebody_says_so_is_a_problem_while_it_is_open(
    cast: Cast, sign_in: SignIn, state: CollectionState, words: str
) -> None:
    invoice = make.invoice(make.customer(cast.acme))
    with unit_of_work() as session:
        session.add(Collection(account_id=cast.acme.id, invoice_id=invoice.id, state=state))
    ana = sign_in(cast.ana)
    page = ana.get("/acme/problems").text
    assert words in page
    assert f'href="/acme/invoices/{invoice.id}"' in page

    ana.post(f"/acme/invoices/{invoice.id}/paid", data={"how": "Bank transfer"})

    assert "Nothing needs you" in ana.get("/acme/problems").text


def test_whose_work_stands_still_comes_first(cast: Cast, sign_in: SignIn) -> None:
    """By what stopped, not by the alphabet: of Example an Admin is only asked, the host has stopped."""
    make.installation(cast.acme, "example", state=InstallationState.ATTENTION, problem="Something broke.")
    with unit_of_work():
        mail = post(cast.acme, to="gone@quill.example", template="test", context={"name": "Tamsin"})
        mail.state, mail.due_at = MailState.REFUSED, None

    page = sign_in(cast.ben).get("/acme/problems").text

    assert page.index("A mail was refused") < page.index("Things wait")


def test_every_operator_is_told_by_mail_with_the_way_to_the_page(cast: Cast) -> None:
    assert told(cast) == ["ana@acme.example"]
    mail = db.session.scalars(sa.select(OutgoingMail)).one()
    assert mail.subject == "12 handed over"
    assert "Hello Ana Alder" in mail.text
    assert "http://127.0.0.1:8000/acme/problems" in mail.text


def test_who_does_not_want_a_kind_of_mail_gets_none(cast: Cast, sign_in: SignIn) -> None:
    ana = sign_in(cast.ana)

    ana.post("/acme/problems/notices", data={"notice": ["stuck"]})

    assert told(cast) == []
    page = ana.get("/acme/problems").text
    assert 'value="stuck" checked' in page
    assert 'value="export" checked' not in page
    assert db.session.scalars(sa.select(AuditEntry.action).order_by(AuditEntry.id.desc())).first() == "notices_chosen"


def test_an_operators_own_profile_leads_to_the_choice(cast: Cast, sign_in: SignIn) -> None:
    assert 'href="/acme/problems#mails-to-you"' in sign_in(cast.ana).get("/acme/profile").text
    assert 'id="mails-to-you"' in sign_in(cast.ana).get("/acme/problems").text
    assert "#mails-to-you" not in sign_in(cast.ben).get("/acme/profile").text


def test_who_wants_them_again_gets_them(cast: Cast, sign_in: SignIn) -> None:
    ana = sign_in(cast.ana)
    ana.post("/acme/problems/notices", data={})

    ana.post("/acme/problems/notices", data={"notice": ["export", "stuck", "nonsense"]})

    assert told(cast) == ["ana@acme.example"]


@pytest.mark.parametrize("role", [Role.ADMIN, Role.MAIL_ADMIN])
def test_only_operators_are_told_and_can_choose(cast: Cast, sign_in: SignIn, role: Role) -> None:
    visitor = sign_in(cast.staff[role])

    assert "Mails to you" not in visitor.get("/acme/problems").text
    assert visitor.post("/acme/problems/notices", data={}).status_code == 403


def test_the_bell_costs_the_same_however_much_waits(cast: Cast, sign_in: SignIn) -> None:
    make.installation(cast.acme, "example", state=InstallationState.ATTENTION, problem="Something broke.")
    ana = sign_in(cast.ana)
    with counted_queries() as few:
        ana.get("/acme/problems")
    for _ in range(5):
        make.customer(cast.acme, status=CustomerStatus.LOCKED)

    with counted_queries() as many:
        ana.get("/acme/problems")

    assert many.count == few.count


def test_a_gateway_that_shuts_us_out_is_for_operators_to_mend(cast: Cast, sign_in: SignIn) -> None:
    with unit_of_work() as session:
        session.add(
            Gateway(
                account_id=cast.acme.id,
                provider=ProviderName.TEST,
                webhook_key="w" * 20,
                tag="t",
                problem="The key was revoked.",
            )
        )

    page = sign_in(cast.ana).get("/acme/problems").text

    assert "The key was revoked. Nothing is charged until then." in page
    assert 'href="/acme/settings/payments/key"' in page
    assert "revoked. Nothing is charged until then" not in sign_in(cast.ben).get("/acme/problems").text
