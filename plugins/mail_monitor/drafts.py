"""Drafts: an empty mail to a customer, an answer to a message, what was typed so far, and the files that go along."""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.orm import joinedload, selectinload

from app import audit, clock
from app.accounts.models import Account
from app.billing import customers
from app.billing.models import Customer
from app.db import db
from app.errors import Conflict, InvalidInput, NotFound
from plugins.mail_monitor import accounts, directory
from plugins.mail_monitor.address_lists import Named, address_key, is_address, read_list
from plugins.mail_monitor.charsets import clean_line, clean_text
from plugins.mail_monitor.drafting import answer_subject
from plugins.mail_monitor.file_names import safe_name
from plugins.mail_monitor.letters import File
from plugins.mail_monitor.message_rows import keep_blobs
from plugins.mail_monitor.models import EmailAccount
from plugins.mail_monitor.records import Direction, Filing, How, Message
from plugins.mail_monitor.sending_models import Outgoing, OutgoingFile, OutgoingState

MOST_RECIPIENTS = 50
LONGEST_TEXT = 100_000
LONGEST_SUBJECT = 250
LONGEST_LIST = 8_000
MOST_FILES = 10
MOST_FILE_BYTES = 18_000_000  # a third more on the way, and most providers take 25 MB
TOKEN = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Typed:
    """What a form holds. `token` tells one mail from another before it has a row."""

    token: str
    customer_id: int
    email_account_id: int
    answers_id: int | None = None
    to: str = ""
    cc: str = ""
    bcc: str = ""
    subject: str = ""
    text: str = ""
    quotes: bool = True


@dataclass(frozen=True, slots=True)
class Around:
    """What stands around the form: who it is about, what it answers, and from where it can be sent."""

    customer: Customer
    senders: Sequence[EmailAccount]
    answers: Message | None = None
    note: str = ""  # a sentence about where the answer goes
    draft: Outgoing | None = None
    files: Sequence[OutgoingFile] = field(default=())


def senders(account_id: int) -> list[EmailAccount]:
    """The email accounts that a mail can be sent from."""
    return [row for row in accounts.all_of(account_id) if row.active and row.outgoing_host]


def new(account: Account, customer_id: int) -> tuple[Typed, Around]:
    """An empty mail to a customer."""
    customer = customers.get(account, customer_id)
    able = senders(account.id)
    here = [row for row in able if row.location_id == customer.location_id]
    chosen = next(iter([*here, *able]), None)
    typed = Typed(secrets.token_hex(16), customer.id, chosen.id if chosen else 0, to=customer.email, quotes=False)
    return typed, Around(customer, able)


def answer(account: Account, message_id: int, customer_id: int | None, *, to_all: bool = False) -> tuple[Typed, Around]:
    """An answer to a message that is in a customer's record, from the account that brought it."""
    filing = _filing(account.id, message_id, customer_id)
    message = filing.message
    able = senders(account.id)
    chosen = next((row for row in able if row.id == filing.email_account_id), next(iter(able), None))
    to, note = _whom(account.id, filing)
    typed = Typed(
        token=secrets.token_hex(16),
        customer_id=filing.customer_id,
        email_account_id=chosen.id if chosen else 0,
        answers_id=message.id,
        to=written(to),
        cc=written(_others(account.id, message, to)) if to_all else "",
        subject=answer_subject(message.subject),
    )
    return typed, Around(filing.customer, able, message, note)


def around(account: Account, typed: Typed) -> Around:
    """What stands around a form that came back; `NotFound` when it names what is not this account's."""
    customer = customers.get(account, typed.customer_id)
    message = _filing(account.id, typed.answers_id, customer.id).message if typed.answers_id else None
    draft = by_token(account.id, typed.token)
    return Around(customer, senders(account.id), message, "", draft, draft.files if draft else ())


def typed_of(row: Outgoing) -> Typed:
    """What a draft holds."""
    return Typed(
        row.token,
        row.customer_id,
        row.email_account_id,
        row.answers_id,
        row.to,
        row.cc,
        row.bcc,
        row.subject,
        row.text,
        row.quotes,
    )


def get(account_id: int, outgoing_id: int) -> Outgoing:
    """A mail that was written here, or `NotFound`."""
    row = db.session.scalar(
        sa.select(Outgoing)
        .where(Outgoing.account_id == account_id, Outgoing.id == outgoing_id)
        .options(joinedload(Outgoing.email_account), selectinload(Outgoing.files))
    )
    if row is None:
        raise NotFound("There is no such draft.")
    return row


def by_token(account_id: int, token: str) -> Outgoing | None:
    """The mail of a form, if it was saved before."""
    return db.session.scalar(sa.select(Outgoing).where(Outgoing.account_id == account_id, Outgoing.token == token))


def of_customer(customer: Customer) -> Sequence[Outgoing]:
    """The drafts that wait in a customer's record, the newest first."""
    return db.session.scalars(
        sa.select(Outgoing)
        .where(Outgoing.customer_id == customer.id, Outgoing.state == OutgoingState.DRAFT)
        .order_by(Outgoing.id.desc())
        .limit(20)
    ).all()


def save(account: Account, typed: Typed, by: str) -> Outgoing:
    """Keep what was typed so far, inside the unit of work around the caller; what cannot be sent is kept too."""
    if not TOKEN.fullmatch(typed.token):
        raise NotFound("There is no such draft.")
    accounts.get(account.id, typed.email_account_id)
    customer = customers.get(account, typed.customer_id)
    row = by_token(account.id, typed.token)
    if row is None:
        if typed.answers_id:
            _filing(account.id, typed.answers_id, customer.id)
        row = Outgoing(
            account_id=account.id,
            token=typed.token,
            customer_id=customer.id,
            answers_id=typed.answers_id,
            written_by=by,
        )
        db.session.add(row)
    elif row.state is not OutgoingState.DRAFT:
        raise Conflict("This mail was sent a moment ago.")
    for name, longest in (("to", LONGEST_LIST), ("cc", LONGEST_LIST), ("bcc", LONGEST_LIST), ("subject", 1000)):
        setattr(row, name, clean_line(getattr(typed, name), longest))
    row.text = clean_text(typed.text)[: 2 * LONGEST_TEXT]
    row.quotes, row.email_account_id, row.saved_at = typed.quotes, typed.email_account_id, clock.now()
    db.session.flush()
    audit.record("draft_saved", row, actor=by)
    return row


def discard(row: Outgoing, by: str) -> None:
    """Throw a draft away."""
    if row.state is not OutgoingState.DRAFT:
        raise Conflict("This mail was sent a moment ago.")
    audit.record("draft_discarded", row, actor=by)
    db.session.execute(sa.delete(OutgoingFile).where(OutgoingFile.outgoing_id == row.id))
    db.session.execute(sa.delete(Outgoing).where(Outgoing.id == row.id))


def checked_files(kept: Sequence[OutgoingFile], came: Sequence[tuple[str, str, bytes]]) -> list[File]:
    """Files that came with a form, named safely; `InvalidInput` when there are too many or too much of them."""
    found = [
        File(safe_name(name, kind, len(kept) + number), _kind(kind), data)
        for number, (name, kind, data) in enumerate(came, start=1)
    ]
    if len(kept) + len(found) > MOST_FILES:
        raise InvalidInput(f"At most {MOST_FILES} files go along with one mail.", field="files")
    size = sum(one.size for one in kept) + sum(len(one.data) for one in found)
    if size > MOST_FILE_BYTES:
        raise InvalidInput(
            f"Together the files have {size / 1_000_000:.1f} MB; at most {MOST_FILE_BYTES / 1_000_000:g} MB go along "
            "with one mail.",
            field="files",
        )
    return found


def attach(row: Outgoing, files: Sequence[File], hashes: dict[bytes, str]) -> None:
    """Add files, whose bytes are in the store under `hashes`, to a draft."""
    if not files:
        return
    keep_blobs(db.session(), row.account_id, hashes)
    last = max((one.position for one in row.files), default=0)
    for position, one in enumerate(files, start=last + 1):
        row.files.append(
            OutgoingFile(
                account_id=row.account_id,
                position=position,
                name=one.name,
                content_type=one.content_type,
                size=len(one.data),
                blob_hash=hashes[one.data],
            )
        )
    db.session.flush()


def detach(row: Outgoing, file_id: int, by: str) -> None:
    """Take a file away from a draft."""
    found = next((one for one in row.files if one.id == file_id), None)
    if found is None:
        raise NotFound("There is no such file.")
    if row.state is not OutgoingState.DRAFT:
        raise Conflict("This mail was sent a moment ago.")
    db.session.delete(found)
    audit.record("draft_file_removed", row, actor=by, name=found.name)


def recipients(text: str, name: str) -> tuple[Named, ...]:
    """The addresses in a field, each once; `InvalidInput` for that field names the first that cannot be one."""
    found = read_list(text.encode())
    for one in found:
        if not is_address(one.address) or "." not in one.address.rpartition("@")[2]:
            raise InvalidInput(f"“{one.address or one.name}” is not an email address.", field=name)
    return tuple({one.key: one for one in reversed(found)}.values())[::-1]


def written(named: Sequence[Named]) -> str:
    """Addresses as one types them."""
    return ", ".join(f'"{one.name}" <{one.address}>' if _needs_quotes(one.name) else _plain(one) for one in named)


def _plain(one: Named) -> str:
    return f"{one.name} <{one.address}>" if one.name else one.address


def _needs_quotes(name: str) -> bool:
    return bool(re.search(r"[()<>\[\]:;@\\,.\"]", name))


def _filing(account_id: int, message_id: int | None, customer_id: int | None) -> Filing:
    """A message in a record: in that customer's if one is named, else in the first one's."""
    query = (
        sa.select(Filing)
        .join(Filing.message)
        .where(Filing.account_id == account_id, Filing.message_id == message_id, Filing.deleted_at.is_(None))
        .where(Message.deleted_at.is_(None))
        .options(joinedload(Filing.message), joinedload(Filing.customer))
        .order_by(Filing.id)
    )
    if customer_id is not None:
        query = query.where(Filing.customer_id == customer_id)
    filing = db.session.scalars(query.limit(1)).one_or_none()
    if filing is None:
        raise NotFound("There is no such message.")
    return filing


def _whom(account_id: int, filing: Filing) -> tuple[list[Named], str]:
    """To whom an answer goes, and what is to be said about that.

    Reply-To is followed only where it is one of the customer's own addresses or a relay of ours wrote for somebody:
    anybody can ask for answers to go elsewhere.
    """
    message = filing.message
    if message.direction is Direction.OUTGOING:
        return _named(message, "to"), ""
    sender = Named(message.sender_name, message.sender_address)
    asked = _named(message, "reply_to")[:1]
    if not asked or asked[0].key == sender.key:
        return [sender], ""
    theirs = directory.known_for(account_id, {asked[0].key}).find(asked[0].key)
    if filing.how is How.REPLY_TO or any(match.customer_id == filing.customer_id for match in theirs):
        return asked, ""
    return [sender], f"The message asks for answers to {asked[0].address}. That address is not known here."


def _others(account_id: int, message: Message, to: Sequence[Named]) -> list[Named]:
    """Everybody else who got the message, without ourselves."""
    left_out = directory.own_keys(account_id) | {one.key for one in to}
    return [one for one in (*_named(message, "to"), *_named(message, "cc")) if one.key not in left_out]


def _named(message: Message, role: str) -> list[Named]:
    found = [Named(one["name"], one["address"]) for one in message.recipients if one["role"] == role]
    return [one for one in found if address_key(one.address)]


def _kind(content_type: str) -> str:
    """A type as a header holds it; whatever is none is bytes."""
    plain = content_type.partition(";")[0].strip().lower()
    return plain if re.fullmatch(r"[a-z0-9.+-]{1,60}/[a-z0-9.+-]{1,60}", plain) else "application/octet-stream"
