"""How each email account stands, in the words of the list and of the installation."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from app import clock
from app.db import db
from app.installations.models import Installation
from app.memo import once_a_page
from app.plugin import State
from plugins.mail_monitor.models import EmailAccount, Trouble

LONG = timedelta(hours=6)  # without an answer
SENT_MISSING = "{name} has no folder of sent mail that we could find"


@dataclass(frozen=True, slots=True)
class Health:
    """A state of the chips, other words for it, what is wrong, and when the account is scanned next."""

    state: str
    word: str | None = None
    problem: str = ""
    next_at: datetime | None = None


def health_of(row: EmailAccount) -> Health:
    """What the list says about an email account."""
    if not row.active:
        return Health("off")
    if row.is_scanning:
        return Health("scanning", problem=row.problem)
    if row.is_stopped:
        word = None if row.trouble in {Trouble.SIGN_IN, Trouble.CLOSED} else "Needs you"
        return Health("needs_sign_in", word, row.problem, row.due_at)
    if row.trouble is not None:
        return Health("resting", None, row.problem, row.due_at)
    return Health("fine", next_at=row.due_at)


@once_a_page
def stopped(account_id: int) -> list[EmailAccount]:
    """The watched accounts that wait for a person, by name."""
    rows = db.session.scalars(
        sa.select(EmailAccount)
        .where(EmailAccount.account_id == account_id, EmailAccount.active, EmailAccount.trouble.is_not(None))
        .order_by(EmailAccount.display_name)
    )
    return [row for row in rows if row.is_stopped]


def unreached(account_id: int) -> list[EmailAccount]:
    """The watched accounts whose server has not answered for hours, by name. They are tried on all the same."""
    return list(
        db.session.scalars(
            sa.select(EmailAccount)
            .where(EmailAccount.account_id == account_id, EmailAccount.active)
            .where(EmailAccount.trouble == Trouble.NETWORK, EmailAccount.failing_since <= clock.now() - LONG)
            .order_by(EmailAccount.display_name)
        )
    )


def without_sent(account_id: int) -> list[EmailAccount]:
    """The watched accounts whose folder of sent mail was not found, or is gone, by name."""
    return list(
        db.session.scalars(
            sa.select(EmailAccount)
            .where(EmailAccount.account_id == account_id, EmailAccount.active)
            .where(EmailAccount.sent_missing_since.is_not(None))
            .order_by(EmailAccount.display_name)
        )
    )


def about_sent(row: EmailAccount) -> str:
    """What is wrong with the folder of sent mail, and what that means."""
    what = f"The folder {row.sent_folder} is gone." if row.sent_folder else "No folder has its mark or a usual name."
    return f"{what} What is sent from other mail programs is not filed."


def count_stopped(installation: Installation) -> tuple[int, str]:
    """For the menu: how many accounts wait for a person; without any, how many there are."""
    waiting = len(stopped(installation.account_id))
    if waiting:
        return waiting, "stop"
    return _count(installation.account_id), ""


def state_of(installation: Installation) -> State:
    """What Marketplace and Systems show: a word and one line of facts."""
    watched = _count(installation.account_id, active=True)
    if not watched:
        return State("not_set_up", "On, but no email account is watched yet.")
    waiting = stopped(installation.account_id)
    if waiting:
        names = ", ".join(row.display_name for row in waiting[:3])
        return State("attention", f"Not scanned until somebody looks: {names}. {waiting[0].problem}")
    last = db.session.scalar(
        sa.select(sa.func.max(EmailAccount.last_success_at)).where(EmailAccount.account_id == installation.account_id)
    )
    accounts = "1 email account is" if watched == 1 else f"{watched} email accounts are"
    minutes = round((clock.now() - last).total_seconds() / 60) if last else None
    scanned = "" if minutes is None else f", scanned {'just now' if minutes < 2 else f'{minutes} minutes ago'}"
    return State("connected", f"{accounts} watched{scanned}.")


def _count(account_id: int, *, active: bool = False) -> int:
    query = sa.select(sa.func.count()).where(EmailAccount.account_id == account_id)
    return int(db.session.scalar(query.where(EmailAccount.active) if active else query) or 0)
