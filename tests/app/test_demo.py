from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
import time_machine
from click.testing import Result

from app import clock
from app.accounts.models import Account, Membership, User
from app.billing import life, subscriptions
from app.billing.life_models import Aim, Recipient
from app.billing.models import Customer, CustomerStatus, Invoice, InvoiceStatus
from app.billing.subscription_models import Subscription
from app.db import db
from app.demo import CUSTOMER_SIGN_IN, SIGN_INS
from tests.cast import Cast
from tests.visitors import Visitor

Run = Callable[..., Result]


@pytest.fixture
def filled(run_command: Run) -> Result:
    """The demo, once the command has run on an empty database."""
    return run_command("demo")


def test_it_fills_an_empty_database_and_prints_the_slug(filled: Result) -> None:
    assert (filled.exit_code, filled.stdout) == (0, "quayside\n")
    account = db.session.scalars(sa.select(Account)).one()
    assert (account.slug, account.timezone, account.currency) == ("quayside", "Europe/Lisbon", "EUR")
    assert [location.name for location in account.locations] == ["Harbour Street", "Mill Lane"]


def test_there_are_customers_in_every_state_and_invoices_in_every_status(filled: Result) -> None:
    assert set(db.session.scalars(sa.select(Customer.status).distinct())) == set(CustomerStatus)
    assert set(db.session.scalars(sa.select(Invoice.status).distinct())) == set(InvoiceStatus)
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Customer)) == 40
    assert 100 <= (db.session.scalar(sa.select(sa.func.count()).select_from(Invoice)) or 0) <= 130


def test_whoever_is_served_has_a_plan_and_what_is_planned_has_a_day(filled: Result) -> None:
    served = list(db.session.scalars(sa.select(Customer).where(Customer.status.in_(["active", "locked", "scheduled"]))))
    planned = life.planned_of(served)

    assert set(subscriptions.of_many(served)) == {one.id for one in served}
    assert {one.id for one in served if one.status == CustomerStatus.SCHEDULED} <= set(planned)
    assert Aim.CANCEL in {move.aim for move in planned.values()}
    assert len(db.session.scalars(sa.select(Recipient)).all()) > 3


def test_no_period_of_the_demo_is_due_before_it_begins(filled: Result) -> None:
    due = db.session.scalars(sa.select(Subscription.due_at).where(Subscription.due_at.is_not(None))).all()

    assert min(day for day in due if day) > clock.now()


def test_nothing_lies_in_the_future_and_most_of_what_is_pending_is_recent(filled: Result) -> None:
    moments = db.session.scalars(sa.select(Invoice.created_at)).all()
    pending = db.session.scalars(sa.select(Invoice.created_at).where(Invoice.status == InvoiceStatus.PENDING)).all()

    assert max(moments) <= clock.now()
    recent = [moment for moment in pending if clock.now() - moment < timedelta(days=40)]
    assert len(recent) > len(pending) / 2


def test_a_second_run_does_nothing(filled: Result, run_command: Run) -> None:
    assert run_command("demo").exit_code == 0
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Account)) == 1


def test_it_leaves_an_account_that_exists_alone(cast: Cast, run_command: Run) -> None:
    run_command("demo")

    assert db.session.scalars(sa.select(Account.slug).order_by(Account.slug)).all() == ["acme", "zenith"]


@pytest.mark.parametrize(("role", "email", "password"), SIGN_INS)
def test_everybody_can_sign_in(filled: Result, client: Visitor, role: str, email: str, password: str) -> None:
    answer = client.post("/login", data={"email": email, "password": password})

    assert answer.status_code == 303
    user = db.session.scalars(sa.select(User).where(User.email == email)).one()
    roles = db.session.scalars(sa.select(Membership.role).where(Membership.user_id == user.id)).all()
    assert [one.label for one in roles] == ([] if user.is_instance_admin else [role])


def test_a_customer_can_sign_in_at_the_portal(filled: Result, client: Visitor) -> None:
    email, password = CUSTOMER_SIGN_IN

    assert client.post("/portal/quayside/login", data={"email": email, "password": password}).status_code == 303
    assert "Benno Ashgrove" in client.get("/portal/quayside/details").text
    assert client.get("/portal/quayside/sign-up").text.count('name="offer"') > 1


@pytest.mark.parametrize("day", ["2026-03-01", "2026-12-31", "2028-02-29"])
def test_it_works_on_any_day(run_command: Run, day: str) -> None:
    with time_machine.travel(datetime.fromisoformat(f"{day}T00:30:00").replace(tzinfo=UTC), tick=False):
        assert run_command("demo").exit_code == 0
        assert db.session.scalars(sa.select(sa.func.max(Invoice.created_at))).one() <= clock.now()
