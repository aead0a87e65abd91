"""Filing a batch: everything that becomes of its messages, in one transaction, however often it is tried.

Rows are inserted or found: the fingerprint decides whether a message is here already, the folder and UID whether it
was seen. So a batch that is filed twice, by a restart or by two workers, changes nothing the second time.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from app.db import insert_missing
from plugins.mail_monitor import bounces, late_recipients, notices, threads
from plugins.mail_monitor.batches import Batch, Item
from plugins.mail_monitor.letters import Envelope, Letter, Unreadable
from plugins.mail_monitor.message_rows import Source, keep_blobs, note_sightings, put_messages
from plugins.mail_monitor.put_aside import keep_stubs, quarantine
from plugins.mail_monitor.records import Filing, How, Role
from plugins.mail_monitor.senders import Doubtful, Filed, NotGiven, Reported
from plugins.mail_monitor.sending_models import Outgoing
from plugins.mail_monitor.turns import Tally
from plugins.mail_monitor.waiting import Choice

NOT_GIVEN = Unreadable("not_given", "The server put a note in its place: it cannot hand this message out over IMAP.")


def file_batch(
    session: Session,
    source: Source,
    batch: Batch,
    hashes: Mapping[bytes, str],
    tries: int = 1,
    news_from: datetime | None = None,
) -> Tally:
    """Write down what became of every message of `batch`; answers what that came to.

    `hashes` names the stored bytes. Somebody is told of what came since `news_from`, if that is given. Messages whose
    body did not come are left to the caller, who owes them.
    """
    tally = Tally(seen=len(batch.uids))
    returned = bounces.matched(session, source, batch)
    readable = [
        (item, letter)
        for item in batch.items
        if isinstance(letter := batch.letters.get(item.uid), Letter)
        and (item.uid in returned or not isinstance(item.decision, Reported))
    ]
    keep_blobs(session, source.account_id, hashes)
    ids, new = put_messages(session, source, batch, readable, hashes)
    note_sightings(session, source, batch.place, readable, ids)
    _file(session, source, batch, readable, new, tally)
    _file_reports(session, source, batch, returned, new)
    bounces.note(session, returned, batch)
    if news_from is not None and not batch.place.is_sent:
        notices.ask(session, source, _news(batch, readable, new, news_from))
    threads.gather(session, new.values())
    tally.duplicates = len(readable) - len(new)
    tally.stubs = keep_stubs(session, source, batch.place, [item for item in batch.items if item.uid not in returned])
    for item in batch.items:
        problem = NOT_GIVEN if isinstance(item.decision, NotGiven) else batch.letters.get(item.uid)
        if isinstance(problem, Unreadable):
            raw = batch.raws.get(item.uid)
            quarantine(session, source, batch.place, item, problem, hashes[raw] if raw is not None else "", tries)
            tally.quarantined += 1
    return tally


def _file(
    session: Session,
    source: Source,
    batch: Batch,
    readable: Sequence[tuple[Item, Letter]],
    new: Mapping[int, int],
    tally: Tally,
) -> None:
    """Put new messages into records, or before a person. What was here already stays where it was put."""
    filings: list[dict[str, Any]] = []
    choices: list[dict[str, Any]] = []
    for item, _ in readable:
        if item.uid not in new:
            continue
        common: dict[str, Any] = {
            "account_id": source.account_id,
            "email_account_id": source.email_account_id,
            "message_id": new[item.uid],
            "received_at": item.stands_at,
        }
        if isinstance(item.decision, Filed):
            tally.filed += 1
            # What was sent, and what an import brings, is nothing new to anybody.
            old_news = batch.place.is_sent or item.received_at < batch.place.quiet_before
            common["read_at"] = item.received_at if old_news else None
            filings += [
                {**common, "customer_id": one.customer_id, "role": one.role, "how": one.how, "reason": one.reason}
                for one in item.decision.places
            ]
        elif isinstance(item.decision, Doubtful):
            tally.choices += 1
            choices.append({**common, **_choice_of(item.decision)})
    insert_missing(session, Filing, filings)
    insert_missing(session, Choice, choices)
    for item, _ in readable:
        if item.uid in new and item.others:
            late_recipients.note(session, source.account_id, new[item.uid], item.others)


def _file_reports(
    session: Session, source: Source, batch: Batch, returned: Mapping[int, Outgoing], new: Mapping[int, int]
) -> None:
    """Put reports about delivery beside the mails they are about, unless their sender is a customer anyway."""
    rows: list[dict[str, Any]] = [
        {
            "account_id": source.account_id,
            "email_account_id": source.email_account_id,
            "message_id": new[item.uid],
            "received_at": item.stands_at,
            "customer_id": returned[item.uid].customer_id,
            "role": Role.REPORT,
            "how": How.REPORT,
            "reason": bounces.SENTENCE,
        }
        for item in batch.items
        if item.uid in returned and item.uid in new and isinstance(item.decision, Reported)
    ]
    insert_missing(session, Filing, rows)


def _news(
    batch: Batch, readable: Sequence[tuple[Item, Letter]], new: Mapping[int, int], news_from: datetime
) -> dict[int, Envelope]:
    """Newly filed messages that a customer wrote lately, by id; nothing that an import or a rebuilt mailbox brings."""
    since = max(news_from, batch.place.quiet_before)
    return {
        new[item.uid]: letter.envelope
        for item, letter in readable
        if item.uid in new
        and item.received_at >= since
        and isinstance(item.decision, Filed)
        and any(one.role is Role.SENDER for one in item.decision.places)
    }


def _choice_of(decision: Doubtful) -> dict[str, Any]:
    return {
        "doubt": decision.doubt,
        "sentence": decision.sentence[:300],
        "address_key": decision.address_key,
        "candidates": [
            {"customer_id": one.customer_id, "role": one.role.value, "why": one.reason} for one in decision.candidates
        ],
    }
