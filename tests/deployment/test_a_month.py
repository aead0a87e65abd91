"""A month by the clock on two web servers, three workers and two sweeps, as deploy/systemd starts them.

One PostgreSQL, one Redis-compatible server, Nexudus and a mail server, each a process of its own. Fees fall due,
windows open, cards are charged, mails are filed and told of, nights are tidied; in the middle of it a worker and a
sweep are killed. At the end everything happened exactly once.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from app import clock
from app.access import Role
from app.accounts.models import Account, Attempt, SignIn
from app.accounts.signing_in import hashed
from app.billing import life, plans
from app.billing.life import Terms
from app.billing.models import Customer, CustomerStatus, Invoice, InvoiceStatus
from app.billing.plans import PlanDetails
from app.billing.subscription_models import Cycle
from app.db import db, unit_of_work
from app.embedded import embedded_server
from app.mailing.models import MailState, OutgoingMail
from app.payments import cards, gateways
from app.payments.gateways import Access
from app.payments.models import CardEntry, Charge, ChargeState, ProviderName
from app.payments.test_gateway import TestGateway
from app.problems.services import of_account
from app.upkeep import pruning
from app.work import HostJob
from plugins.mail_monitor.records import Direction, Filing, Message
from plugins.mail_monitor.records import Role as InMessage
from plugins.nexudus.models import ExportRun, ExportState, InvoiceExport, RunKind
from plugins.nexudus.sandbox.seed import EMAIL, PASSWORD
from tests import make
from tests.cast import PASSWORD as PASSWORD_OF_ALL
from tests.cast import Cast, assemble
from tests.deployment import moved_clock
from tests.deployment.others import MailServer, Person, nexudus
from tests.deployment.units import Deployment
from tests.plugins.nexudus.over_the_wire import NexudusThere
from tests.services import Postgres, eventually

pytestmark = [pytest.mark.processes, pytest.mark.postgres, pytest.mark.redis, pytest.mark.slow]

MONTH = [date(2027, 3, number) for number in range(1, 32)]  # Lisbon's clock changes on the 28th
BEGINS = datetime(2027, 2, 28, 12, tzinfo=UTC)
MORNING = time(9, tzinfo=UTC)  # the night's pruning is due by then, the day's fees are, and a window has opened
WINDOWS = [date(2027, 3, number) for number in (5, 10, 15, 20, 25, 30)]
HANDED_OVER = (3, 6, 9, 14, 22, 26)  # days on which fees of customers begin whom Nexudus bills
CHARGED = (2, 10, 21, 28)  # and of those who pay by card
ISSUED = (4, 14, 18, 29)  # days on which somebody issues an invoice by hand
POWER_CUT = date(2027, 3, 15)
QUIET_WITHIN_S = 60


@dataclass
class Month:
    """Everything that runs, and the clock that all of it goes by."""

    app: Flask
    clock_file: Path
    redis: Redis
    deployment: Deployment
    there: NexudusThere
    mail: MailServer

    def move_to(self, moment: datetime) -> None:
        moved_clock.set_to(moment, self.clock_file)

    def pass_to(self, moment: datetime) -> None:
        """Move the clock, and wait until whatever is due by then has been done."""
        self.move_to(moment)
        eventually(self.is_quiet, f"all is done that is due by {moment}", QUIET_WITHIN_S)

    def is_quiet(self) -> bool:
        """Whether no job waits or runs, and no row asks for one."""
        for queue in self.queues():
            if queue.count or queue.started_job_registry.get_job_count(cleanup=False):
                return False
        db.session.rollback()
        due = [sa.exists().where(model.due_at <= clock.now()) for model, _ in self.app.extensions["bell"].kinds]
        return not db.session.scalar(sa.select(sa.or_(*due))) and not pruning.is_due()

    def queues(self) -> list[Queue]:
        names = self.app.extensions["bell"].queues
        return [Queue(name, connection=self.redis, serializer=JSONSerializer, job_class=HostJob) for name in names]

    def running_jobs(self) -> set[str]:
        return {one for queue in self.queues() for one in queue.started_job_registry.get_job_ids(cleanup=False)}

    def failed_jobs(self) -> set[str]:
        return {one for queue in self.queues() for one in queue.failed_job_registry.get_job_ids(cleanup=False)}


@pytest.fixture
def month(
    tmp_path: Path,
    data_dir: Path,
    postgres: Postgres,
    build_app: Callable[..., Flask],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Month]:
    """Everything prepared as docs/deploy.md says, and nothing of the product running yet."""
    clock_file, database_url, mail = tmp_path / "clock", postgres.new_database(), MailServer(tmp_path)
    monkeypatch.setattr(clock, "datetime", datetime)  # given back at the end
    moved_clock.follow(clock, clock_file)
    moved_clock.set_to(BEGINS, clock_file)
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "manifest.json").write_text((data_dir / "assets" / "manifest.json").read_text())
    with embedded_server() as redis:
        environment = {
            "PATH": "/usr/bin:/bin",
            moved_clock.NAME: str(clock_file),
            "SPHEREMAIL_DATA_DIR": str(tmp_path),
            "SPHEREMAIL_DATABASE_URL": database_url,
            "SPHEREMAIL_REDIS_URL": redis.url,
            "SPHEREMAIL_SWEEP_S": "0.5",
            "SPHEREMAIL_LOG_FORMAT": "json",
            **mail.settings,
        }
        with nexudus(tmp_path, environment) as there, mail.running(environment):
            deployment = Deployment({**environment, "SPHEREMAIL_NEXUDUS_URL": there.base}, tmp_path)
            deployment.flask("db", "upgrade")
            app = build_app(data_dir=tmp_path, database_url=database_url)
            with app.app_context():
                yield Month(app, clock_file, Redis.from_url(redis.url), deployment, there, mail)
                db.session.remove()
                db.engine.dispose()


def new_customer(account: Account, day: int, **fields: Any) -> Customer:
    """Somebody with a plan whose first period begins on that day of the month."""
    customer = make.customer(account, status=CustomerStatus.INACTIVE, **fields)
    with unit_of_work() as session:
        plan = plans.add(account, PlanDetails(f"Business {day}", "business", "39.00", "EUR"))
        row = session.get_one(Customer, customer.id)
        life.activate(row, Terms(plan, Cycle.MONTHLY, MONTH[day - 1]))
    return customer


def leave_card(customer: Customer, bank: TestGateway) -> None:
    """A card that pays, saved on the gateway's page."""
    db.session.rollback()
    bank.leave_card(cards.start_card_entry(customer.id, "/back").rpartition("/")[2], "good")
    entry_id = db.session.scalars(sa.select(CardEntry.id).where(CardEntry.customer_id == customer.id)).one()
    assert cards.finish_card_entry(entry_id)


def settle(month: Month) -> tuple[Cast, list[Customer], list[Invoice]]:
    """Acme hands over to Nexudus and reads a mailbox, Zenith charges cards; answers who and what there is."""
    cast = assemble()
    month.deployment.flask("nexudus", "connect", "--account", "acme", "--email", EMAIL, typed=f"{PASSWORD}\n")
    month.deployment.flask("mail", "add", "--account", "acme", "--file", str(month.mail.account_file()))
    lives: dict[str, Any] = {"address": "Rua 1", "city": "Porto", "postcode": "4000", "country": "PT"}
    customers = [new_customer(cast.acme, day, **lives) for day in HANDED_OVER]
    drafts = [
        make.invoice(customer, number=f"BY-HAND-{day}", status=InvoiceStatus.DRAFT)
        for customer, day in zip(customers, ISSUED, strict=False)
    ]

    found = Access(0, ProviderName.TEST, "", "").open().check()
    with unit_of_work():
        gateways.connect(cast.zenith, ProviderName.TEST, "", found)
    bank = TestGateway(month.deployment.folder, "")
    for day in CHARGED:
        leave_card(new_customer(cast.zenith, day), bank)

    with unit_of_work() as session:  # to be forgotten in the first night, and on the second of March
        old = BEGINS - timedelta(days=40)
        session.add(SignIn(user_id=cast.ana.id, token_hash=hashed("old"), begun_at=old, ended_at=old))
        session.add(Attempt(kind="sign_in", subject="somebody", at=BEGINS - timedelta(days=1)))
    return cast, customers, drafts


def cut_the_power(month: Month) -> set[str]:
    """Kill the worker that hands an invoice over, and a sweep; they start again, as systemd would have it."""
    month.there.turn(slow_s=2, only="/api/")
    month.move_to(datetime.combine(POWER_CUT, MORNING))
    eventually(is_handing_over, "an invoice is on its way", QUIET_WITHIN_S)
    lost = month.running_jobs()
    victims = [month.deployment.workers["nexudus"], month.deployment.sweeps[0]]
    for unit in victims:
        unit.kill()
    assert is_handing_over(), "it was killed in the middle"
    month.there.turn(slow_s=0, only="")
    for unit in victims:
        unit.start()
    return lost


def is_handing_over() -> bool:
    db.session.rollback()
    sending = sa.select(InvoiceExport.id).where(InvoiceExport.state == ExportState.SENDING)
    return db.session.scalar(sending) is not None


def issue(month: Month, invoice_id: int) -> None:
    """Ana signs in at one web server and presses Issue at the other."""
    ana = Person(*(web.url for web in month.deployment.webs))
    ana.sign_in("ana@acme.example", PASSWORD_OF_ALL)
    page = f"/acme/invoices/{invoice_id}"
    assert ana.post(f"{page}/issue", {}, read=page).status_code == 303


def everything_of(query: sa.Select[Any]) -> list[Any]:
    db.session.rollback()
    return list(db.session.scalars(query))


def test_a_month_of_everything_happens_exactly_once_though_processes_are_killed(month: Month) -> None:
    cast, customers, drafts = settle(month)
    to_issue = dict(zip(ISSUED, [invoice.id for invoice in drafts], strict=True))
    addresses, mail, lost = [customer.email for customer in customers], month.mail, set()

    with month.deployment.running():
        for day in MONTH:
            if day == POWER_CUT:
                lost = cut_the_power(month)
                month.pass_to(datetime.combine(day, MORNING) + timedelta(minutes=2))
            else:
                month.pass_to(datetime.combine(day, MORNING))
            assert all(web.is_ready() for web in month.deployment.webs)
            mail.deliver(addresses[day.day % len(addresses)], f"Parcels of the {day.day}.", f"<{day}@quill.example>")
            if day.day in to_issue:
                issue(month, to_issue[day.day])
        month.pass_to(datetime.combine(MONTH[-1] + timedelta(days=1), MORNING))
        codes = {unit.log.stem: unit.end() for unit in month.deployment.units}

    everything_is_handed_over_once_in_its_window(month)
    everything_is_charged_once(month, cast)
    everything_is_filed_and_told_of_once(month)
    every_night_was_tidied(month)
    nothing_is_left_for_a_person(month, cast)
    assert {one["outcome"] for one in month.deployment.events("job")} == {"done"}
    assert month.failed_jobs() <= lost
    assert [line for line in month.deployment.noise() if not any(one in line for one in lost)] == []
    assert set(codes.values()) == {0}


def everything_is_handed_over_once_in_its_window(month: Month) -> None:
    exported = everything_of(sa.select(InvoiceExport))
    assert {one.state for one in exported} == {ExportState.EXPORTED}
    assert len(exported) == len(HANDED_OVER) + len(ISSUED)
    month.there.turn(limits="off")
    month.there.sign_in()
    over_there = month.there.records("billing/coworkerinvoices")
    assert sorted(one["Id"] for one in over_there) == sorted(one.remote_id for one in exported)
    runs = everything_of(sa.select(ExportRun).order_by(ExportRun.id))
    assert [(run.kind, run.window_on, run.makes_up) for run in runs] == [(RunKind.WINDOW, day, []) for day in WINDOWS]
    assert all(run.ended_at for run in runs)


def everything_is_charged_once(month: Month, cast: Cast) -> None:
    invoices = everything_of(sa.select(Invoice).where(Invoice.account_id == cast.zenith.id))
    assert [one.status for one in invoices] == [InvoiceStatus.PAID] * len(CHARGED)
    sums, ids = sorted(one.total_minor for one in invoices), sorted(one.id for one in invoices)
    charges = everything_of(sa.select(Charge))
    assert sorted((one.invoice_id, one.state) for one in charges) == [(one, ChargeState.PAID) for one in ids]
    db.session.rollback()
    taken = TestGateway(month.deployment.folder, "").payments()
    assert sorted(one["minor"] for one in taken) == sums


def everything_is_filed_and_told_of_once(month: Month) -> None:
    received = everything_of(sa.select(Message).where(Message.direction == Direction.INCOMING))
    assert Counter(one.subject for one in received) == Counter(f"Parcels of the {day.day}." for day in MONTH)
    assert len(everything_of(sa.select(Filing).where(Filing.role == InMessage.SENDER))) == len(MONTH)
    sent = everything_of(sa.select(OutgoingMail))
    assert {one.state for one in sent} == {MailState.SENT}
    assert Counter(one.message_id for one in sent) == Counter(message_id for _, _, message_id in month.mail.taken())
    templates = Counter((one.template, one.recipient) for one in sent)
    assert templates["mail_monitor_notice", "ana@acme.example"] == len(MONTH)
    assert templates["notice", "ana@acme.example"] == len(WINDOWS)


def every_night_was_tidied(month: Month) -> None:
    """Those before and after the month among them."""
    assert len(month.deployment.events("pruned")) == len(MONTH) + 2
    assert everything_of(sa.select(SignIn).where(SignIn.token_hash == hashed("old"))) == []
    assert everything_of(sa.select(Attempt).where(Attempt.at < BEGINS)) == []


def nothing_is_left_for_a_person(month: Month, cast: Cast) -> None:
    for account in (cast.acme, cast.zenith):
        assert of_account(db.session.get_one(Account, account.id), Role.OPERATOR) == []
