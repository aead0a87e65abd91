"""Find a message: what a person remembers of it, looked for on the server and here by a worker."""

from datetime import date, timedelta

import sqlalchemy as sa

from app import audit, clock
from app.accounts.signing_in import count_try
from app.db import db
from app.errors import InvalidInput, NotFound
from app.typed import line
from app.work import ring_after_commit
from plugins.mail_monitor.models import EmailAccount
from plugins.mail_monitor.wishes import MessageSearch

JOB = "mail_monitor.find_message"
KEPT = timedelta(hours=1)  # then what was found is forgotten
MOST_TRIES = 20


def begin(row: EmailAccount, by: str, sender: str, subject: str, day: date | None) -> MessageSearch:
    """Ask for a search, inside the unit of work around the caller; `InvalidInput` when nothing was said."""
    sender, subject = line(sender, 200, "sender"), line(subject, 200, "subject")
    if not (sender or subject or day):
        raise InvalidInput("Say who sent it, what it was about, or when it came.", field="sender")
    if day is not None and day > clock.now().date() + timedelta(days=1):
        raise InvalidInput("That day has not come yet.", field="day")
    search = MessageSearch(
        account_id=row.account_id,
        installation_id=row.installation_id,
        email_account_id=row.id,
        asked_by=by,
        sender=sender,
        subject=subject,
        day=day,
        due_at=clock.now(),
    )
    db.session.add(search)
    db.session.flush()
    audit.record("message_searched", search, actor=by, email_account_id=row.id)
    ring_after_commit(JOB, search.id)
    return search


def count(account_id: int) -> None:
    """Note one search of an account; `TooManyTries` when there were many within a quarter of an hour."""
    count_try("mail_find", str(account_id), MOST_TRIES)


def get(account_id: int, search_id: int) -> MessageSearch:
    """One of the account's searches, or `NotFound` when it is none or too old."""
    search = db.session.scalar(
        sa.select(MessageSearch).where(MessageSearch.account_id == account_id, MessageSearch.id == search_id)
    )
    if search is None:
        raise NotFound("This search is over an hour old and was forgotten. Search again.")
    return search
