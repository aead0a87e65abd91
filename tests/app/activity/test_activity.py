"""What goes on in an account: background work with its next try, mails that did not go out, the audit and its file."""

import csv
import io
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from app import audit, clock
from app.access import Role
from app.accounts.models import Account, User
from app.activity import audits, work
from app.addresses import PERSONAL_LINK, public_url
from app.audit import AuditEntry
from app.db import db, unit_of_work
from app.mailing import services as mailing
from app.mailing.models import MailState, OutgoingMail
from app.mailing.services import JOB, post
from tests import make
from tests.cast import Cast
from tests.visitors import HeardBell, Visitor

SignIn = Callable[[User], Visitor]


def a_mail(account: Account, to: str = "tamsin@quill.example", **changes: object) -> int:
    """A mail on its way; `changes` are columns."""
    with unit_of_work():
        mail = post(account, to=to, template="test", context={"name": "Tamsin"})
        for name, value in changes.items():
            setattr(mail, name, value)
        return mail.id


def mails() -> list[OutgoingMail]:
    db.session.expire_all()
    return list(db.session.scalars(sa.select(OutgoingMail).order_by(OutgoingMail.id)))


class TestBackgroundWork:
    def test_a_quiet_account_says_so(self, cast: Cast, sign_in: SignIn) -> None:
        assert "All quiet" in sign_in(cast.ana).get("/acme/activity").text

    def test_failing_work_says_why_how_often_and_when_next(self, cast: Cast, sign_in: SignIn) -> None:
        later = clock.now() + timedelta(minutes=5)
        a_mail(cast.acme, due_at=later, attempts=3, problem="The mail server does not answer.")

        page = sign_in(cast.ana).get("/acme/activity").text

        for words in ("Failing", "The mail server does not answer.", "Tried 3 times; next try today", "Try now"):
            assert words in page

    def test_work_in_hand_and_work_that_waits_are_told_apart(self, cast: Cast, sign_in: SignIn) -> None:
        a_mail(cast.acme, lease_token="x", lease_until=clock.now() + timedelta(seconds=30))
        a_mail(cast.acme)

        page = sign_in(cast.ana).get("/acme/activity").text

        assert "Running" in page
        assert "Due since today" in page

    def test_what_lies_ahead_is_counted(self, cast: Cast, sign_in: SignIn) -> None:
        for hours in (2, 3):
            a_mail(cast.acme, due_at=clock.now() + timedelta(hours=hours))

        page = sign_in(cast.ana).get("/acme/activity").text

        assert "All quiet" in page
        assert "Planned" in page
        assert "Send mail" in page

    def test_trying_now_makes_it_due_rings_and_is_written_down(
        self, cast: Cast, sign_in: SignIn, bell: HeardBell
    ) -> None:
        mail_id = a_mail(cast.acme, due_at=clock.now() + timedelta(hours=1), problem="No answer.")
        bell.rings.clear()

        answer = sign_in(cast.ben).post(f"/acme/activity/{JOB}/{mail_id}/try-now")

        assert answer.status_code == 303
        assert bell.rings == [(JOB, mail_id)]
        due_at = mails()[0].due_at
        assert due_at is not None
        assert due_at <= clock.now()
        assert db.session.scalars(sa.select(AuditEntry.action).order_by(AuditEntry.id.desc())).first() == "try_now"

    def test_what_does_not_fail_is_not_tried_again(self, cast: Cast, sign_in: SignIn) -> None:
        mail_id = a_mail(cast.acme)

        assert sign_in(cast.ana).post(f"/acme/activity/{JOB}/{mail_id}/try-now").status_code == 409

    def test_another_accounts_work_is_not_found(self, cast: Cast, sign_in: SignIn, bell: HeardBell) -> None:
        mail_id = a_mail(cast.zenith, problem="No answer.", to="canary@zenith.example")
        bell.rings.clear()
        ana = sign_in(cast.ana)

        assert ana.post(f"/acme/activity/{JOB}/{mail_id}/try-now").status_code == 404
        assert ana.post(f"/acme/activity/no.such/{mail_id}/try-now").status_code == 404
        assert "No answer." not in ana.get("/acme/activity").text
        assert bell.rings == []


class TestManyRows:
    """PostgreSQL's own word on how much it reads; on SQLite the indexes are the same."""

    ROWS = 20_000

    @pytest.fixture
    def acme(self, cast: Cast) -> Account:
        if db.engine.dialect.name != "postgresql":
            pytest.skip("asks PostgreSQL")
        return cast.acme

    def test_work_is_found_without_reading_what_is_done_or_planned(self, acme: Account) -> None:
        a_mail(acme)
        a_mail(acme, due_at=clock.now() + timedelta(hours=1), problem="No answer.")
        a_mail(acme, due_at=None, lease_token="x", lease_until=clock.now() + timedelta(seconds=30))
        done = a_mail(acme, due_at=None, state=MailState.SENT)
        for due_at in (sa.null(), sa.literal(clock.now() + timedelta(days=3))):
            anew = sa.cast(sa.func.gen_random_uuid(), sa.String)
            copy_rows(OutgoingMail, done, self.ROWS, message_id=anew, due_at=due_at)

        rows, read = what_is_read(work._moving(OutgoingMail, acme.id).limit(work.SHOWN + 1))

        assert rows == 3
        assert read < 100

    @pytest.mark.parametrize("wanted", [audits.Search(outcome="refused"), audits.Search(action="sign_in")])
    def test_the_audit_narrowed_is_one_page_of_an_index(self, acme: Account, wanted: audits.Search) -> None:
        with unit_of_work():
            audit.record("sign_in", acme, outcome="refused")
            audit.record("customer_changed", acme)
        db.session.rollback()
        last = db.session.scalars(sa.select(sa.func.max(AuditEntry.id))).one()
        copy_rows(AuditEntry, last, self.ROWS)

        query = audits._query(acme, wanted).order_by(AuditEntry.at.desc(), AuditEntry.id.desc())
        rows, read = what_is_read(query.limit(audits.PER_PAGE))

        assert rows == 1
        assert read < 100


def copy_rows(model: type[Any], row_id: int, count: int, **changes: Any) -> None:
    """So many copies of a row, apart from `changes`; and let the planner know of them."""
    numbers = sa.func.generate_series(1, count).table_valued("number").alias("numbers")
    table = model.__table__
    columns = [column for column in table.columns if column.name != "id"]
    values = [changes.get(column.name, column) for column in columns]
    with unit_of_work() as session:
        source = sa.select(*values).select_from(table.join(numbers, sa.true())).where(table.c.id == row_id)
        session.execute(table.insert().from_select(columns, source))
        session.execute(sa.text("ANALYZE"))


def what_is_read(query: sa.Select[Any]) -> tuple[int, int]:
    """How many rows a query answers, and how many it looks at for that, by PostgreSQL's own count."""
    text = query.compile(db.engine, compile_kwargs={"literal_binds": True})
    db.session.rollback()
    [plan] = db.session.execute(sa.text(f"EXPLAIN (ANALYZE, FORMAT JSON) {text}")).scalar_one()
    return plan["Plan"]["Actual Rows"], sum(_looked_at(plan["Plan"]))


def _looked_at(node: dict[str, Any]) -> Iterator[int]:
    counts = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck")
    yield sum(int(node.get(name, 0)) for name in counts)
    for below in node.get("Plans", []):
        yield from _looked_at(below)


class TestMails:
    @pytest.mark.parametrize("state", [MailState.REFUSED, MailState.UNKNOWN])
    def test_one_that_did_not_go_out_is_sent_again_as_a_copy(
        self, cast: Cast, sign_in: SignIn, bell: HeardBell, state: MailState
    ) -> None:
        mail_id = a_mail(cast.acme, state=state, due_at=None, problem="No such mailbox.")
        ben = sign_in(cast.ben)
        assert "Send again" in ben.get("/acme/activity/mails?show=failed").text

        ben.post(f"/acme/activity/mails/{mail_id}/again")

        first, copy = mails()
        assert (first.state, copy.state) == (state, MailState.WAITING)
        assert first.seen_at is not None
        assert first.message_id != copy.message_id
        assert (copy.subject, copy.text, copy.html) == (first.subject, first.text, first.html)
        assert bell.rings[-1] == (JOB, copy.id)
        assert ben.post(f"/acme/activity/mails/{mail_id}/again").status_code == 409

    def test_the_copy_goes_to_the_customers_present_address(self, cast: Cast, sign_in: SignIn) -> None:
        customer = make.customer(cast.acme, email="new@quill.example")
        mail_id = a_mail(
            cast.acme, state=MailState.REFUSED, due_at=None, customer_id=customer.id, recipient="old@quill.example"
        )

        sign_in(cast.ana).post(f"/acme/activity/mails/{mail_id}/again")

        assert mails()[-1].recipient == "new@quill.example"

    def test_one_that_held_a_personal_link_is_asked_for_anew_and_not_copied(
        self, cast: Cast, sign_in: SignIn, bell: HeardBell
    ) -> None:
        link = public_url("payments.leave_card", account_slug="acme", token="let-me-pay")
        mail_id = a_mail(cast.acme, text=f"Leave another card: {link}")
        with unit_of_work() as session:
            mailing.ended(session.get_one(OutgoingMail, mail_id), MailState.REFUSED, "No such mailbox.")
        ben = sign_in(cast.ben)

        page = ben.get("/acme/activity/mails?show=failed").text
        answer = ben.post(f"/acme/activity/mails/{mail_id}/again")

        assert "Send again" not in page
        assert "It held a personal link" in page
        assert answer.status_code == 409
        assert len(mails()) == 1
        assert ben.post(f"/acme/activity/mails/{mail_id}/leave").status_code == 303

    @pytest.mark.parametrize(
        ("deed", "said", "state"),
        [("leave", "3 left as they are.", []), ("again", "2 sent once more. 1 held a personal link", ["waiting"] * 2)],
    )
    def test_many_that_may_have_been_sent_are_decided_about_at_once(
        self, cast: Cast, sign_in: SignIn, deed: str, said: str, state: list[str]
    ) -> None:
        """As after a restore: hundreds may rest, and the answer is one."""
        for words in ("One", "Two", PERSONAL_LINK):
            a_mail(cast.acme, state=MailState.UNKNOWN, due_at=None, text=words)
        a_mail(cast.acme, state=MailState.REFUSED, due_at=None)
        theirs = a_mail(cast.zenith, state=MailState.UNKNOWN, due_at=None)
        ben = sign_in(cast.ben)
        assert "3 mails may have been sent" in ben.get("/acme/activity/mails?show=failed").text

        page = ben.post(f"/acme/activity/mails/unknown/{deed}", follow_redirects=True).text

        assert said in page
        assert [mail.state for mail in mails()[5:]] == state
        assert db.session.get_one(OutgoingMail, theirs).seen_at is None
        assert mails()[3].seen_at is None

    def test_one_that_went_out_is_not_sent_again(self, cast: Cast, sign_in: SignIn) -> None:
        mail_id = a_mail(cast.acme, state=MailState.SENT, due_at=None)

        assert sign_in(cast.ana).post(f"/acme/activity/mails/{mail_id}/again").status_code == 409
        assert len(mails()) == 1

    def test_another_accounts_mails_are_not_found(self, cast: Cast, sign_in: SignIn) -> None:
        mail_id = a_mail(cast.zenith, state=MailState.REFUSED, due_at=None, subject="Canary")
        ana = sign_in(cast.ana)

        assert ana.post(f"/acme/activity/mails/{mail_id}/again").status_code == 404
        assert ana.post(f"/acme/activity/mails/{mail_id}/leave").status_code == 404
        assert "Canary" not in ana.get("/acme/activity/mails").text


class TestTheAudit:
    @pytest.fixture
    def ana(self, cast: Cast, sign_in: SignIn) -> Visitor:
        customer = make.customer(cast.acme, "Tamsin Quill")
        invoice = make.invoice(customer, number="A-7")
        with unit_of_work():
            audit.record("customer_changed", customer, actor="ben@acme.example", fields=["phone"])
            audit.record("invoice_created", invoice)
            audit.record("export_window", None, account_id=cast.acme.id, window="2026-11-25")
            audit.record("sign_in", None, account_id=cast.acme.id, outcome="refused", actor="=cmd|' /C calc'!A0")
            audit.record("customer_added", None, account_id=cast.zenith.id, actor="canary@zenith.example")
        return sign_in(cast.ana)

    def test_it_says_who_did_what_to_which_object_when_and_how_it_ended(self, ana: Visitor) -> None:
        page = ana.get("/acme/activity/audit").text

        for words in ("Customer changed", "Tamsin Quill", "ben@acme.example", "system", "Refused"):
            assert words in page
        assert "canary" not in page

    @pytest.mark.parametrize(
        ("query", "shown", "hidden"),
        [
            ("q=ben", "Customer changed", "Export window"),
            ("q=quill+tamsin", "Customer changed", "Export window"),
            ("q=a-7", "Invoice created", "Customer changed"),
            ("action=export_window", "2026-11-25", "Tamsin Quill"),
            ("outcome=refused", "Signed in", "Tamsin Quill"),
            ("since=2020-01-01", "Tamsin Quill", "Nothing found"),
            ("until=2020-01-01", "Nothing found", "Tamsin Quill"),
            ("since=nonsense", "Tamsin Quill", "Nothing found"),
        ],
    )
    def test_it_is_narrowed_by_what_the_address_says(self, ana: Visitor, query: str, shown: str, hidden: str) -> None:
        page = ana.get(f"/acme/activity/audit?{query}", htmx=True).text
        rows = page.partition("</table>")[0]

        assert shown in rows
        assert hidden not in rows

    def test_the_file_holds_the_same_and_nothing_that_runs_as_a_formula(self, ana: Visitor) -> None:
        answer = ana.get("/acme/activity/audit.csv?outcome=refused")

        rows = list(csv.DictReader(io.StringIO(answer.text)))
        assert [row["action"] for row in rows] == ["sign_in"]
        assert rows[0]["actor"].startswith("'=cmd")
        assert answer.headers["Content-Disposition"].startswith("attachment; filename=audit-acme-")

    @pytest.mark.parametrize(
        "path", ["activity/audit.csv?outcome=refused", "customers/export.csv?q=quill", "invoices/export.csv"]
    )
    def test_who_takes_a_list_along_is_written_down(self, ana: Visitor, path: str) -> None:
        assert ana.get(f"/acme/{path}").status_code == 200

        newest = db.session.scalars(sa.select(AuditEntry).order_by(AuditEntry.id.desc())).first()
        assert newest is not None
        assert (newest.action, newest.actor) == ("list_saved", "ana@acme.example")
        assert newest.details["file"].endswith(".csv")

    @pytest.mark.parametrize("role", [Role.ADMIN, Role.MAIL_ADMIN])
    def test_it_is_for_operators(self, cast: Cast, sign_in: SignIn, role: Role) -> None:
        visitor = sign_in(cast.staff[role])

        assert visitor.get("/acme/activity/audit").status_code == 403
        assert visitor.get("/acme/activity/audit.csv").status_code == 403
