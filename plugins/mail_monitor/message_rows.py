"""Rows of messages that were read: inserted once, found again by their fingerprint, seen wherever they were seen."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app import clock
from app.db import insert_missing
from app.typed import fold
from plugins.mail_monitor import identity
from plugins.mail_monitor.address_lists import address_key
from plugins.mail_monitor.batches import Batch, Item
from plugins.mail_monitor.letters import Letter
from plugins.mail_monitor.places import FolderPlace
from plugins.mail_monitor.records import Attachment, Blob, Direction, Message, Sighting, Trust
from plugins.mail_monitor.senders import Doubtful, Filed
from plugins.mail_monitor.sending_models import CopyState, Outgoing, OutgoingState

SEARCHED = 2000  # characters of the text that a search looks through


@dataclass(frozen=True, slots=True)
class Source:
    """Through which email account a batch came."""

    account_id: int
    email_account_id: int


def keep_blobs(session: Session, account_id: int, hashes: Mapping[bytes, str]) -> None:
    """Note what was put into the store, once per account."""
    sizes = {digest: len(data) for data, digest in hashes.items()}
    rows = [{"account_id": account_id, "hash": digest, "size": sizes[digest]} for digest in sorted(sizes)]
    insert_missing(session, Blob, rows)


def put_messages(
    session: Session,
    source: Source,
    batch: Batch,
    readable: Sequence[tuple[Item, Letter]],
    hashes: Mapping[bytes, str],
) -> tuple[dict[int, int], dict[int, int]]:
    """The message of every UID: all of them, and those that are new, each of which counts under one UID only."""
    if not readable:
        return {}, {}
    prints = {item.uid: fingerprint_of(item, letter) for item, letter in readable}
    if batch.place.is_sent:
        prints |= _written_here(session, source.account_id, readable)
    there = _messages_with(session, source.account_id, prints.values())
    rows, first = {}, {}
    for item, letter in readable:
        fingerprint = prints[item.uid]
        if fingerprint not in there and fingerprint not in rows:
            rows[fingerprint] = _message_row(source, batch, item, letter, fingerprint, hashes)
            first[fingerprint] = item.uid
    _mark_variants(session, source.account_id, rows.values())
    # In one order everywhere, so that two workers wait for each other instead of blocking each other.
    insert_missing(session, Message, [rows[fingerprint] for fingerprint in sorted(rows)])
    here = there | _messages_with(session, source.account_id, rows)
    ids = {uid: here[fingerprint] for uid, fingerprint in prints.items()}
    new = {uid: here[fingerprint] for fingerprint, uid in first.items()}
    letters = {item.uid: letter for item, letter in readable}
    _keep_attachments(session, source, {new[uid]: letters[uid] for uid in new}, hashes)
    return ids, new


def _written_here(session: Session, account_id: int, readable: Sequence[tuple[Item, Letter]]) -> dict[int, str]:
    """Copies of what was sent from here: known by their Message-ID, whatever the provider made of the rest.

    Only asked of folders of sent mail: recipients know these ids too, and could use them for other mails.
    """
    keys = {item.uid: identity.message_key(letter.envelope.message_id) for item, letter in readable}
    rows = session.execute(
        sa.select(Outgoing.message_key, Message.fingerprint, Outgoing.id)
        .join(Message, Message.id == Outgoing.record_id)
        .where(Outgoing.account_id == account_id, Outgoing.message_key.in_(sorted(set(keys.values()) - {""})))
    )
    found = {key: (fingerprint, outgoing_id) for key, fingerprint, outgoing_id in rows}
    settle_seen(session, [outgoing_id for _, outgoing_id in found.values()])
    return {uid: found[key][0] for uid, key in keys.items() if key in found}


def settle_seen(session: Session, ids: Sequence[int]) -> None:
    """These mails were seen in the folder of sent mail: what was in doubt is settled, and no copy is needed."""
    for state, wanted, changes in (
        (Outgoing.state, OutgoingState.UNKNOWN, {"state": OutgoingState.SENT, "problem": "", "ended_at": clock.now()}),
        (Outgoing.copy_state, CopyState.WAITING, {"copy_state": CopyState.DONE}),
    ):
        session.execute(
            sa.update(Outgoing)
            .where(Outgoing.id.in_(ids), state == wanted)
            .values(**changes)
            .execution_options(synchronize_session=False)
        )


def _messages_with(session: Session, account_id: int, fingerprints: Iterable[str]) -> dict[str, int]:
    wanted = sa.select(Message.fingerprint, Message.id).where(
        Message.account_id == account_id, Message.fingerprint.in_(sorted(set(fingerprints)))
    )
    return dict(session.execute(wanted).all())


def _mark_variants(session: Session, account_id: int, rows: Iterable[dict[str, Any]]) -> None:
    """The second message with a Message-ID is marked: ids are chosen by senders."""
    by_key: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row["message_key"]:
            by_key.setdefault(row["message_key"], []).append(row)
    taken = set(
        session.scalars(
            sa.select(Message.message_key).where(
                Message.account_id == account_id, Message.message_key.in_(sorted(by_key))
            )
        )
    )
    for key, same in by_key.items():
        for row in same if key in taken else same[1:]:
            row["is_variant"] = True


def _message_row(
    source: Source, batch: Batch, item: Item, letter: Letter, fingerprint: str, hashes: Mapping[bytes, str]
) -> dict[str, Any]:
    """The columns of a message that was read."""
    envelope = letter.envelope
    raw = batch.raws.get(item.uid)
    trust = item.decision.trust if isinstance(item.decision, Filed | Doubtful) else Trust.NOT_VERIFIED
    recipients = [
        {"role": role, "name": one.name, "address": one.address}
        for role in ("to", "cc", "bcc", "reply_to")
        for one in getattr(envelope, role)
    ][:100]
    words = [envelope.subject, envelope.sender.name, envelope.sender.address]
    words += [f"{one['name']} {one['address']}" for one in recipients[:20]]
    notes = list(letter.notes)
    if item.is_too_large:
        notes.append("Too large to copy: only its header and the beginning of its text. Open it in the mailbox.")
    return {
        "account_id": source.account_id,
        "fingerprint": fingerprint,
        "message_id": envelope.message_id,
        "message_key": identity.message_key(envelope.message_id),
        "is_variant": False,
        "in_reply_to": envelope.in_reply_to,
        "references": list(envelope.references),
        "direction": Direction.OUTGOING if batch.place.is_sent else Direction.INCOMING,
        "sender_name": envelope.sender.name,
        "sender_address": envelope.sender.address,
        "sender_key": address_key(envelope.sender.address),
        "recipients": recipients,
        "subject": envelope.subject,
        "search_key": searchable(" ".join([*words, letter.text[:SEARCHED]])),
        "received_at": item.stands_at,
        "sent_at": envelope.sent_at,
        "date_text": envelope.date_text,
        "size": item.size,
        "text": letter.text,
        "snippet": " ".join(letter.text[:1000].split())[:200],
        "has_html": bool(letter.html),
        "raw_hash": hashes[raw] if raw is not None else "",
        "is_partial": item.is_too_large,
        "notes": notes,
        "automatic": envelope.automatic,
        "trust": trust,
        "is_quiet": item.received_at < batch.place.quiet_before,
    }


def searchable(text: str) -> str:
    """Text as searches compare it."""
    return text.lower() if text.isascii() else fold(text)


def _keep_attachments(
    session: Session, source: Source, letters: Mapping[int, Letter], hashes: Mapping[bytes, str]
) -> None:
    rows = [
        {
            "account_id": source.account_id,
            "message_id": message_id,
            "position": position,
            "name": file.name,
            "content_type": file.content_type,
            "content_id": file.content_id,
            "size": len(file.data),
            "blob_hash": hashes[file.data],
        }
        for message_id, letter in letters.items()
        for position, file in enumerate(letter.files)
    ]
    insert_missing(session, Attachment, rows)


def note_sightings(
    session: Session,
    source: Source,
    place: FolderPlace,
    readable: Sequence[tuple[Item, Letter]],
    ids: Mapping[int, int],
) -> None:
    rows = [
        {
            "account_id": source.account_id,
            "email_account_id": source.email_account_id,
            "folder_id": place.folder_id,
            "uidvalidity": place.uidvalidity,
            "uid": item.uid,
            "message_id": ids[item.uid],
            "message_key": identity.message_key(letter.envelope.message_id),
            "size": item.size,
            "received_at": item.received_at,
        }
        for item, letter in readable
    ]
    insert_missing(session, Sighting, rows)


def fingerprint_of(item: Item, letter: Letter) -> str:
    """The identity of a message that was read."""
    envelope = letter.envelope
    return identity.fingerprint(
        envelope.message_id,
        letter.body_hash,
        address_key(envelope.sender.address),
        envelope.date_text,
        envelope.subject,
    )
