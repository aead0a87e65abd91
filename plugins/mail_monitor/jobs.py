"""Background work of the plugin: a slice for one email account, a test of settings, and what the host's events ring."""

from datetime import timedelta

import structlog

from app import clock
from app.db import db, unit_of_work
from app.errors import Outside
from app.installations.models import Installation
from app.work import Lease, LeaseLost
from plugins.mail_monitor import (
    accounts,
    credentials,
    finding,
    handing_in,
    host_mail,
    late_recipients,
    looking,
    notices,
    pausing,
    safe_copies,
    scanning,
    strangers,
    testing,
)
from plugins.mail_monitor.connection_test import Steps, Trial
from plugins.mail_monitor.models import ConnectionTest, EmailAccount
from plugins.mail_monitor.sending_models import Outgoing
from plugins.mail_monitor.turns import Turn, store, turn
from plugins.mail_monitor.wishes import MessageSearch

log = structlog.get_logger()

SLICE_S = 40
BUSY = timedelta(seconds=5)


def work_on_account(email_account_id: int) -> None:
    """One slice of everything an email account has to do; says in its row when it wants the next one."""
    row = db.session.get(EmailAccount, email_account_id)
    works = row is not None and row.active and row.installation.is_on
    db.session.rollback()
    if not works:
        return
    with turn(email_account_id, SLICE_S) as mine:
        if mine is None:
            log.info("mailbox_busy", email_account_id=email_account_id)
            return
        try:
            _scan(mine)
        except LeaseLost:
            log.info("lease_lost", email_account_id=email_account_id)


def _scan(mine: Turn) -> None:
    try:
        all_done = scanning.work(mine)
    except Outside as error:
        log.warning("scan_failed", email_account_id=mine.email_account_id, error=type(error).__name__, **error.details)
        pausing.pause(mine, error)
    else:
        pausing.rest(mine, all_done=all_done)
        log.info("scanned", email_account_id=mine.email_account_id, **mine.counts())


def customer_has_address(installation_id: int, customer_id: int) -> None:
    """A customer was activated or has another address: fetch what was kept as a stranger's, file what went to it."""
    installation = db.session.get(Installation, installation_id)
    if installation is None:
        return
    account_id = installation.account_id
    with unit_of_work():
        strangers.look_again(account_id)
        late_recipients.look_again(account_id)


def make_safe_copy(copy_id: int) -> None:
    """Make the copy of a message that is safe to show."""
    safe_copies.make(copy_id, store())


def send_outgoing(outgoing_id: int) -> None:
    """Send a mail that was written here, unless it has been sent, is being sent, or may have been sent."""
    lease = Lease.take(Outgoing, outgoing_id)
    if lease is None:
        return
    try:
        handing_in.hand_in(outgoing_id, lease)
    except LeaseLost:
        log.info("lease_lost", outgoing_id=outgoing_id)
    finally:
        lease.give_back()


def find_message(search_id: int) -> None:
    """Look for a message on its server and here; an old search is forgotten."""
    with unit_of_work() as session:
        search = session.get(MessageSearch, search_id)
        if search is not None and search.asked_at <= clock.now() - finding.KEPT:
            session.delete(search)
            search = None
        if search is None or search.ended_at is not None:
            return
        email_account_id = search.email_account_id
    lease = Lease.take(MessageSearch, search_id)
    if lease is None:
        return
    try:
        with turn(email_account_id, SLICE_S) as mine:
            if mine is not None:
                looking.look(mine, lease, search_id)
                return
        with unit_of_work():  # a mailbox has one connection at a time
            again = clock.now() + BUSY
            lease.renew(due_at=again, nudged_at=None, sentence="The mailbox is being scanned; this comes next.")
    except LeaseLost:
        log.info("lease_lost", search_id=search_id)
    finally:
        db.session.rollback()
        lease.give_back()


def tell(notice_id: int) -> None:
    """Tell of the newly filed messages that wait for it, if nobody did yet."""
    with unit_of_work() as session:
        notices.tell(session, notice_id)


def host_mail_sent(installation_id: int, outgoing_mail_id: int) -> None:
    """The host sent a mail: if it went to a customer it stands in the record."""
    installation = db.session.get(Installation, installation_id)
    if installation is None:
        return
    host_mail.copy(installation.account_id, outgoing_mail_id)


def test_connection(test_id: int) -> None:
    """Do a test and note every step for whoever watches; an old one is forgotten with its passwords."""
    with unit_of_work() as session:
        test = session.get(ConnectionTest, test_id)
        if test is not None and test.asked_at <= clock.now() - testing.KEPT:
            session.delete(test)
            test = None
        if test is None or test.ended_at is not None:
            return
    lease = Lease.take(ConnectionTest, test_id)
    if lease is None:
        return
    try:
        _run(lease, test_id)
    except LeaseLost:
        log.info("lease_lost", test_id=test_id)
    finally:
        db.session.rollback()
        lease.give_back()


def _run(lease: Lease, test_id: int) -> None:
    test = db.session.get_one(ConnectionTest, test_id)
    settings, passwords = testing.settings_of(test), credentials.kept(test)
    account_id, email_account_id = test.account_id, test.email_account_id
    db.session.rollback()

    def keep(steps: Steps) -> None:
        with unit_of_work():
            lease.renew(steps=steps)

    trial = Trial(account_id, settings, passwords, keep)
    passed = trial.run(accounts.guard(), email_account_id)
    with unit_of_work() as session:
        lease.renew()
        testing.end(session.get_one(ConnectionTest, test_id), trial, passed=passed)
