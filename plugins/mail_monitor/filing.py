"""Filing a batch: everything that becomes of its messages, in one transaction, however often it is tried.

Rows are inserted or found: the fingerprint decides whether a message is here already, the folder and UID whether it
was seen. So a batch that is filed twice, by a restart or by two workers, changes nothing the second time.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from plugins.mail_monitor import threads
from plugins.mail_monitor.batches import Batch, Item
from plugins.mail_monitor.letters import Letter, Unreadable
from plugins.mail_monitor.message_rows import Source, insert_missing, keep_blobs, note_sightings, put_messages
from plugins.mail_monitor.put_aside import keep_stubs, quarantine
from plugins.mail_monitor.records import Filing
from plugins.mail_monitor.senders import Doubtful, Filed, NotGiven
from plugins.mail_monitor.turns import Tally
from plugins.mail_monitor.waiting import Choice

NOT_GIVEN = Unreadable("not_given", "The server put a note in its place: it cannot hand this message out over IMAP.")


def file_batch(session: Session, source: Source, batch: Batch, hashes: Mapping[bytes, str], tries: int = 1) -> Tally:
    """Write down what became of every message of `batch`; answers what that came to.

    `hashes` names the stored bytes. Messages whose body did not come are left to the caller, who owes them.
    """
    tally = Tally(seen=len(batch.uids))
    readable = [(item, letter) for item in batch.items if isinstance(letter := batch.letters.get(item.uid), Letter)]
    keep_blobs(session, source, hashes)
    ids, new = put_messages(session, source, batch, readable, hashes)
    note_sightings(session, source, batch.place, readable, ids)
    _file(session, source, batch, readable, new, tally)
    threads.gather(session, new.values())
    tally.duplicates = len(readable) - len(new)
    tally.stubs = keep_stubs(session, source, batch.place, batch.items)
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
            "received_at": item.received_at,
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


def _choice_of(decision: Doubtful) -> dict[str, Any]:
    return {
        "doubt": decision.doubt,
        "sentence": decision.sentence[:300],
        "address_key": decision.address_key,
        "candidates": [
            {"customer_id": one.customer_id, "role": one.role.value, "why": one.reason} for one in decision.candidates
        ],
    }
