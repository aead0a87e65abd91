"""Sending what was written: it is frozen and filed at once, handed in by a worker, and never two different mails."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from flask import current_app
from sqlalchemy.orm import Session

from app import audit, clock, effects
from app.accounts.models import Account
from app.db import db, insert_missing
from app.effects import Subject
from app.errors import Conflict, InvalidInput
from app.typed import problem_of
from app.work import ring_after_commit
from plugins.mail_monitor import batches, credentials, drafts, identity, late_recipients, parsing, presets, threads
from plugins.mail_monitor.accounts import JOB, settings_of
from plugins.mail_monitor.address_lists import Named, address_key
from plugins.mail_monitor.batches import Batch, Item
from plugins.mail_monitor.charsets import clean_text
from plugins.mail_monitor.drafting import Draft, new_message_id, plain_address, quoted, thread_ids, whole_text
from plugins.mail_monitor.drafts import Typed
from plugins.mail_monitor.imap_client import Server
from plugins.mail_monitor.letters import File, Letter
from plugins.mail_monitor.message_rows import Source, keep_blobs, put_messages
from plugins.mail_monitor.mime import split_head
from plugins.mail_monitor.models import EmailAccount, FolderKind
from plugins.mail_monitor.places import FolderPlace
from plugins.mail_monitor.records import Filing, How, Message, Role
from plugins.mail_monitor.senders import Filed, decide, others_of
from plugins.mail_monitor.sending_models import CopyState, Outgoing, OutgoingState
from plugins.mail_monitor.turns import store

SEND_JOB = "mail_monitor.send_outgoing"
HAND_IN, PUT_COPY = "mail_monitor.hand_in", "mail_monitor.sent_copy"
_LONG_AGO = datetime(1970, 1, 2, tzinfo=UTC)
# Where a mail stands that was not seen on any server yet.
_HERE = FolderPlace(0, FolderKind.SENT, "", 0, 0, quiet_before=_LONG_AGO, watched_from=_LONG_AGO)


@dataclass(frozen=True, slots=True)
class Frozen:
    """A mail that is ready to go: its bytes, and everything that is filed of it. Its bytes are in the store."""

    typed: Typed
    draft: Draft
    raw: bytes
    letter: Letter
    hashes: dict[bytes, str]


def freeze(account: Account, typed: Typed, new_files: Iterable[File] = ()) -> Frozen:
    """Make the mail that a form describes and put it into the store, outside of any unit of work.

    Raises `InvalidInput` naming the field that stands in the way.
    """
    found = drafts.around(account, typed)
    sender = next((row for row in found.senders if row.id == typed.email_account_id), None)
    if sender is None:
        raise InvalidInput("Choose an email account that is active.", field="email_account_id")
    to, cc, bcc = (drafts.recipients(getattr(typed, name), name) for name in ("to", "cc", "bcc"))
    _refuse(typed, (*to, *cc, *bcc))
    answers = found.answers
    in_reply_to, references = thread_ids(answers.message_id, answers.references) if answers else ("", ())
    quote = quote_of(answers, sender.location.timezone) if answers is not None and typed.quotes else ""
    draft = Draft(
        message_id=new_message_id(typed.token, current_app.config["SECRET_KEY"], account.id, sender.email_address),
        sender_name=sender.display_name,
        sender_address=sender.email_address,
        reply_to=sender.reply_to,
        subject=typed.subject.strip(),
        text=whole_text(clean_text(typed.text), sender.signs_with, quote),
        written_at=clock.now().replace(microsecond=0),
        to=to,
        cc=cc,
        bcc=bcc,
        in_reply_to=in_reply_to,
        references=references,
    )
    kept = [(one.name, one.content_type, one.blob_hash) for one in found.files]
    db.session.rollback()
    held = store()
    files = [File(name, kind, held.read(account.id, digest)) for name, kind, digest in kept]
    draft = replace(draft, files=(*files, *new_files))
    raw = draft.as_bytes()
    # Our own mail: no stranger wrote anything in it that would have to be read with care.
    letter = parsing.read_letter(raw)
    letter = replace(letter, envelope=replace(letter.envelope, bcc=draft.bcc))
    hashes = held.put_all(account.id, [raw, *(one.data for one in letter.files)])
    return Frozen(typed, draft, raw, letter, hashes)


def quote_of(message: Message, zone: str) -> str:
    """A message as it is quoted below its answer, with when it came on the clock of whoever answers."""
    writer = message.sender_name or message.sender_address
    return quoted(message.text, writer, message.received_at, zone)


def send(account: Account, frozen: Frozen, by: str) -> Outgoing:
    """File a frozen mail and let a worker send it, inside the unit of work around the caller.

    The same form sent twice is one mail: the second time raises `Conflict`.
    """
    session, draft, typed = db.session(), frozen.draft, frozen.typed
    row = drafts.save(account, typed, by)
    row.message_id, row.message_key = draft.message_id, identity.message_key(draft.message_id)
    row.state, row.asked_at, row.due_at, row.written_by = OutgoingState.WAITING, clock.now(), clock.now(), by
    row.record_id = _file(session, row, frozen)
    session.flush()
    audit.record("mail_written", row, actor=by, to=[one.address for one in draft.recipients])
    ring_after_commit(SEND_JOB, row.id)
    return row


def retry(row: Outgoing, by: str) -> None:
    """A person says: send it (again). The mail is the same to the last byte, so whoever got it already sees it once."""
    if row.state not in {OutgoingState.FAILED, OutgoingState.UNKNOWN} or row.is_sending:
        raise Conflict("This changed a moment ago.")
    effects.forget(hand_in_of(row))
    row.state, row.problem, row.attempts, row.ended_at, row.refused = OutgoingState.WAITING, "", 0, None, []
    row.due_at, row.nudged_at, row.asked_at = clock.now(), None, clock.now()
    audit.record("mail_sent_again", row, actor=by)
    ring_after_commit(SEND_JOB, row.id)


def settle(row: Outgoing, by: str) -> None:
    """A person says of a mail of which it is not known: it was sent."""
    if row.state is not OutgoingState.UNKNOWN:
        raise Conflict("This changed a moment ago.")
    ended(row, OutgoingState.SENT, "")
    audit.record("mail_settled", row, actor=by)


def ended(row: Outgoing, state: OutgoingState, problem: str) -> None:
    """Note what became of a mail; one that was sent gets its copy in the folder of sent mail."""
    row.state, row.problem, row.due_at, row.ended_at = state, problem[:500], None, clock.now()
    account = row.email_account
    # Where a person said that there is no folder of sent mail, none is looked for either.
    wants_copy = account.sent_folder != "" and not presets.keeps_sent(account.provider, account.outgoing_host)
    if state is OutgoingState.SENT and row.copy_state is CopyState.NONE and wants_copy:
        row.copy_state = CopyState.WAITING
    if state in {OutgoingState.SENT, OutgoingState.UNKNOWN} and account.active and not account.is_stopped:
        # The mailbox has one connection, and the scan holds it: copies are put and looked for there.
        account.due_at, account.nudged_at = clock.now(), None
        ring_after_commit(JOB, account.id)
    audit.record("mail_handed_in", row, outcome=state.value)


def hand_in_of(row: Outgoing) -> Subject:
    """The handing-in of a mail, as effects know it."""
    return Subject(row.account_id, HAND_IN, row.id, made_at=row.saved_at)


def server_of(account: EmailAccount) -> Server:
    """Where an email account hands mail in; `SignInNeeded` when the key to its password is lost."""
    return credentials.outgoing_server(settings_of(account), credentials.kept(account))


def addresses_of(message: Message) -> list[str]:
    """To whom a filed mail goes, as addresses travel."""
    named = [one["address"] for one in message.recipients if one["role"] in {"to", "cc", "bcc"}]
    return list({address_key(one): plain_address(one) for one in named}.values())


def _refuse(typed: Typed, recipients: tuple[Named, ...]) -> None:
    if not recipients:
        raise InvalidInput("Say to whom it goes.", field="to")
    if len(recipients) > drafts.MOST_RECIPIENTS:
        raise InvalidInput(f"At most {drafts.MOST_RECIPIENTS} recipients.", field="to")
    for name, longest in (
        ("subject", drafts.LONGEST_SUBJECT),
        *((one, drafts.LONGEST_LIST) for one in ("to", "cc", "bcc")),
    ):
        problem = problem_of(getattr(typed, name), longest)
        if problem:
            raise InvalidInput(problem, field=name)
    if not typed.text.strip():
        raise InvalidInput("Write something first.", field="text")
    if len(typed.text) > drafts.LONGEST_TEXT:
        raise InvalidInput(f"At most {drafts.LONGEST_TEXT:,} characters.", field="text")


def _file(session: Session, row: Outgoing, frozen: Frozen) -> int:
    """Put the mail into the record it was written from and into those of other customers it goes to."""
    letter, now = frozen.letter, clock.now()
    source = Source(row.account_id, row.email_account_id)
    known = batches.knowledge(row.email_account, [letter.envelope])
    decision = decide(letter.envelope, known, outgoing=True)
    item = Item(0, len(frozen.raw), now, split_head(frozen.raw)[0], letter.envelope, decision)
    batch = Batch(_HERE, [0], [item], raws={0: frozen.raw})
    keep_blobs(session, source.account_id, frozen.hashes)
    ids, _ = put_messages(session, source, batch, [(item, letter)], frozen.hashes)
    places = {one.customer_id: one for one in decision.places} if isinstance(decision, Filed) else {}
    common = {
        "account_id": row.account_id,
        "email_account_id": row.email_account_id,
        "message_id": ids[0],
        "received_at": now,
        "read_at": now,
        "by": row.written_by,
    }
    filings = [
        {**common, "customer_id": one.customer_id, "role": one.role, "how": one.how, "reason": one.reason}
        for one in places.values()
    ]
    if row.customer_id not in places:
        reason = "Written from this record"
        filings.append(
            {**common, "customer_id": row.customer_id, "role": Role.TO, "how": How.BY_HAND, "reason": reason}
        )
    insert_missing(session, Filing, filings)
    late_recipients.note(session, row.account_id, ids[0], others_of(letter.envelope, known))
    threads.gather(session, ids.values())
    return ids[0]
