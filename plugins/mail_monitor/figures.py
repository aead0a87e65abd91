"""Figures of this plugin for `/metrics`, over all accounts; and what it lets go every night."""

from datetime import timedelta

import sqlalchemy as sa

from app import clock
from app.db import db
from app.plugin import Delete, Gauge
from plugins.mail_monitor.models import ConnectionTest, EmailAccount
from plugins.mail_monitor.waiting import Choice, Quarantined, QuarantineState, Stub

TESTS_KEPT = timedelta(days=1)


def gauges() -> list[Gauge]:
    """How long the quietest mailbox has not been read, and what waits for people."""
    oldest = db.session.scalar(
        sa.select(sa.func.min(sa.func.coalesce(EmailAccount.last_success_at, EmailAccount.last_begun_at))).where(
            EmailAccount.active
        )
    )
    stopped = _count(EmailAccount, EmailAccount.active.is_(True), EmailAccount.trouble.is_not(None))
    choices = _count(Choice, Choice.decided_at.is_(None))
    waiting = _count(Quarantined, Quarantined.state == QuarantineState.OPEN)
    return [
        Gauge(
            "mailbox_last_success_age_seconds_max",
            "How long ago the mailbox was read that waits longest.",
            (),
            [((), (clock.now() - oldest).total_seconds() if oldest else 0)],
        ),
        Gauge("mailboxes_in_trouble", "Mailboxes that could not be read the last time.", (), [((), stopped)]),
        Gauge("mail_quarantined", "Messages that could not be read and wait for a person.", (), [((), waiting)]),
        Gauge(
            "mail_choices_waiting",
            "Messages that wait for a choice.",
            (),
            [((), choices)],
        ),
    ]


def prune(delete: Delete) -> dict[str, int]:
    """Connection tests with their typed settings after a day; headers of unknown senders when their time is over."""
    now = clock.now()
    return {
        "connection_tests": delete(ConnectionTest, ConnectionTest.asked_at < now - TESTS_KEPT),
        "unknown_senders": delete(Stub, Stub.expires_at <= now),
    }


def _count(model: type, *conditions: sa.ColumnElement[bool]) -> int:
    return int(db.session.scalar(sa.select(sa.func.count()).select_from(model).where(*conditions)) or 0)
