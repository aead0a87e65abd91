"""What becomes of an email account whose scan went wrong: how long it rests, and when it waits for a person instead."""

import random
from datetime import datetime, timedelta

from app import audit, clock
from app.db import unit_of_work
from app.errors import Capped, Outside, Refused, SignInNeeded
from plugins.mail_monitor import troubles
from plugins.mail_monitor.models import EmailAccount, Trouble
from plugins.mail_monitor.turns import Turn

SIGN_INS = 2  # more wrong passwords in a row would make the provider lock the mailbox
BETWEEN_SIGN_INS = timedelta(minutes=15)
FIRST_PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(hours=1)
# Waits for a person, and still looks from time to time whether it has mended itself.
LOOK_AGAIN = timedelta(hours=1)


def rest(turn: Turn, *, all_done: bool) -> None:
    """The slice went well: trouble is over. The next one comes after the interval, or at once for what is left."""
    now = clock.now()
    with unit_of_work() as session:
        row = session.get_one(EmailAccount, turn.email_account_id)
        if row.trouble is not None:
            audit.record("email_account_recovered", row, trouble=row.trouble.value, since=str(row.failing_since))
            if row.trouble.needs_a_person:
                troubles.tell_of_recovery(row)
        changes = {"last_success_at": now} if all_done else {}
        turn.lease.renew(
            due_at=_next_scan(row, now) if all_done else now,
            nudged_at=None,
            attempts=0,
            problem="",
            trouble=None,
            failing_since=None,
            refusals=0,
            **turn.count_today(),
            **changes,
        )


def pause(turn: Turn, error: Outside) -> None:
    """Something stands in the way of the whole account: say so in its row, and come back in time."""
    now = clock.now()
    with unit_of_work() as session:
        row = session.get_one(EmailAccount, turn.email_account_id)
        trouble = trouble_of(error)
        attempts = row.attempts + 1
        refusals = row.refusals + 1 if trouble == Trouble.SIGN_IN else row.refusals
        problem = error.sentence
        if refusals >= SIGN_INS:
            problem += " We stopped after two tries so that the provider does not lock the mailbox."
        if row.trouble != trouble:
            audit.record("email_account_trouble", row, outcome="failed", trouble=trouble.value, sentence=problem)
            if trouble.needs_a_person:
                troubles.tell_of_trouble(row, problem)
        turn.lease.renew(
            due_at=_next_try(error, trouble, attempts, refusals, now),
            nudged_at=None,
            attempts=attempts,
            refusals=refusals,
            trouble=trouble,
            problem=problem[:500],
            failing_since=row.failing_since or now,
            **turn.count_today(),
        )


def trouble_of(error: Outside) -> Trouble:
    """Which kind of trouble an error is."""
    if isinstance(error, Capped):
        return Trouble.THROTTLED
    if isinstance(error, SignInNeeded):
        return Trouble.CLOSED if error.code == "closed" else Trouble.SIGN_IN
    if isinstance(error, Refused):
        return Trouble.CERTIFICATE if error.code == "certificate" else Trouble.SETTINGS
    return Trouble.NETWORK


def _next_try(error: Outside, trouble: Trouble, attempts: int, refusals: int, now: datetime) -> datetime | None:
    """When the account is looked at again; None when only a person can go on."""
    if isinstance(error, Capped):
        return error.until
    if trouble == Trouble.SIGN_IN:
        return now + BETWEEN_SIGN_INS if refusals < SIGN_INS else None
    if trouble.needs_a_person:
        return now + LOOK_AGAIN
    pause = min(FIRST_PAUSE * (1 << min(attempts - 1, 10)), LONGEST_PAUSE)
    # Half of it is chance, so that many accounts of one provider do not come back in one moment.
    return now + pause * random.uniform(0.5, 1)  # noqa: S311  # no secret


def _next_scan(row: EmailAccount, now: datetime) -> datetime:
    return now + timedelta(minutes=row.interval_minutes)
