"""What the page of the day shows of this plugin: the next scan, and messages by day."""

from datetime import timedelta

import sqlalchemy as sa

from app import clock
from app.charts import Bar, BarChart, Chart, Series
from app.db import db
from app.installations.models import Installation
from app.plugin import Coming
from plugins.mail_monitor.models import EmailAccount
from plugins.mail_monitor.records import Direction, Message

DAYS = 14
SERIES = (
    Series(Direction.INCOMING.value, "received", "received"),
    Series(Direction.OUTGOING.value, "sent", "sent", below=True),
)


def coming(installation: Installation) -> list[Coming]:
    """The next scan of any mailbox."""
    count, first = db.session.execute(
        sa.select(sa.func.count(), sa.func.min(EmailAccount.due_at)).where(
            EmailAccount.account_id == installation.account_id, EmailAccount.active, EmailAccount.due_at.is_not(None)
        )
    ).one()
    if first is None:
        return []
    minutes = max(0, round((first - clock.now()).total_seconds() / 60))
    return [
        Coming(
            first,
            "Mail scan",
            f"in {minutes} min" if minutes else "now",
            "1 email account" if count == 1 else f"{count} email accounts",
            "Unknown senders",
            "mail_monitor.strangers",
        )
    ]


def charts(installation: Installation) -> list[Chart]:
    """Messages in customers' records, by the day they came."""
    zone = installation.account.timezone
    today = clock.today(zone)
    days = [today - timedelta(days=ago) for ago in range(DAYS - 1, -1, -1)]
    starts = [clock.start_of(day, zone) for day in days]
    bucket = sa.case(
        *((Message.received_at < following, number) for number, following in enumerate(starts[1:])), else_=DAYS - 1
    )
    counts: list[dict[str, int]] = [dict.fromkeys((series.key for series in SERIES), 0) for _ in days]
    for number, direction, count in db.session.execute(
        sa.select(bucket, Message.direction, sa.func.count())
        .where(
            Message.account_id == installation.account_id,
            Message.received_at >= starts[0],
            Message.deleted_at.is_(None),
        )
        .group_by(bucket, Message.direction)
    ):
        counts[number][direction.value] = count
    bars = [Bar(str(day.day), values, is_open=day == today) for day, values in zip(days, counts, strict=True)]
    return [BarChart("Messages by day", SERIES, bars)]
