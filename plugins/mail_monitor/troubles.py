"""What waits for a person in this plugin, for the list of problems, and what Operators are told of it by mail."""

from datetime import datetime

from app import clock
from app.access import OPERATORS
from app.accounts.models import Account
from app.db import db
from app.installations.models import Installation
from app.plugin import Problem
from app.problems.models import Notice
from app.problems.services import tell_operators
from plugins.mail_monitor import choices, health, quarantine, quota
from plugins.mail_monitor.models import EmailAccount


def problems_of(installation: Installation) -> list[Problem]:
    """Email accounts that are not scanned until somebody looks, messages that wait for a choice, unreadable ones."""
    found = [
        Problem(
            f"email_account_{row.id}",
            "stop",
            1,
            f"{row.display_name} is not scanned",
            row.problem,
            "Mend it",
            "mail_monitor.account",
            {"email_account_id": row.id},
            roles=OPERATORS,
            since=row.failing_since,
        )
        for row in health.stopped(installation.account_id)
    ]
    found += [
        Problem(
            f"email_account_{row.id}",
            "ask",
            1,
            f"{row.display_name} was not reached for {_hours_since(row.failing_since)} hours",
            f"{row.problem} New mail waits there. If this lasts, look whether the server has moved.",
            "Look at it",
            "mail_monitor.account",
            {"email_account_id": row.id},
            roles=OPERATORS,
            since=row.failing_since,
        )
        for row in health.unreached(installation.account_id)
    ]
    found += [
        Problem(
            f"sent_folder_{row.id}",
            "ask",
            1,
            health.SENT_MISSING.format(name=row.display_name),
            f"{health.about_sent(row)} Choose it from the folders of the mailbox, or say that there is none.",
            "Choose the folder",
            "mail_monitor.account",
            {"email_account_id": row.id, "_anchor": "folders"},
            roles=OPERATORS,
            since=row.sent_missing_since,
        )
        for row in health.without_sent(installation.account_id)
    ]
    if count := choices.count_waiting(installation.account_id):
        found.append(
            Problem(
                "choices",
                "ask",
                count,
                "Messages wait for your choice",
                "It cannot be said for certain whose they are. You choose; the answer can be remembered.",
                "Choose",
                "mail_monitor.choices",
            )
        )
    if count := quarantine.count_waiting(installation.account_id):
        found.append(
            Problem(
                "quarantine",
                "ask",
                count,
                "Messages could not be read",
                "They are kept as they came. Try again, file them by hand, or ignore them.",
                "Look at them",
                "mail_monitor.quarantine",
            )
        )
    room = quota.room_of(installation.account_id)
    if room.is_tight and not room.is_full:  # a full one stops the email accounts, and they say so
        found.append(
            Problem(
                "mail_storage",
                "ask",
                1,
                f"The storage for messages is {room.percent} % full",
                f"It holds {room.words}. When it is full, new mail waits in the mailboxes. Delete messages that nobody "
                "needs, or ask whoever runs this installation for more.",
                "See the email accounts",
                "mail_monitor.accounts",
                roles=OPERATORS,
            )
        )
    return found


def _hours_since(moment: datetime | None) -> int:
    return int((clock.now() - moment).total_seconds() // 3600) if moment is not None else 0


def tell_of_trouble(row: EmailAccount, sentence: str) -> None:
    """Mail that a mailbox is not scanned until somebody looks."""
    tell_operators(
        db.session.get_one(Account, row.account_id),
        Notice.STUCK,
        subject=f"{row.display_name} is not scanned",
        lines=[f"{row.email_address}: {sentence}", "Scanning goes on where it stopped once this is mended."],
        endpoint="mail_monitor.account",
        email_account_id=row.id,
    )


def tell_of_recovery(row: EmailAccount) -> None:
    """Mail that a mailbox which needed somebody is scanned again."""
    tell_operators(
        db.session.get_one(Account, row.account_id),
        Notice.STUCK,
        subject=f"{row.display_name} is scanned again",
        lines=[f"{row.email_address} works again. Nothing was missed."],
        endpoint="mail_monitor.account",
        email_account_id=row.id,
    )
