"""One message: opening it, noting that it was read, whose pictures are shown, and taking its content away."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import selectinload

from app import audit, clock
from app.db import db, insert_missing
from app.errors import Conflict, NotFound
from plugins.mail_monitor import safe_copies
from plugins.mail_monitor.reading_models import PictureSender, SafeCopy
from plugins.mail_monitor.records import Attachment, Direction, Filing, Message, Sighting, Trust
from plugins.mail_monitor.waiting import Choice, OtherRecipient

MOST_ODD_SAID = 3
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(frozen=True, slots=True)
class Opened:
    """One message to read: in whose records it stands, or why it waits, and what there is to show of it."""

    message: Message
    filings: Sequence[Filing]
    choice: Choice | None
    copy: SafeCopy | None  # the one to show; None while there is none of today's kind
    always_pictures: bool  # a person wished so for this sender, and it is this sender

    @property
    def seen_through(self) -> list[str]:
        """The email accounts that brought it."""
        return list(dict.fromkeys(one.email_account.display_name for one in self.message.sightings))

    @property
    def has_formatting(self) -> bool:
        """Whether there is more to show than plain text, or will be once a worker has made it safe."""
        return self.message.has_html and bool(self.message.raw_hash) and not (self.copy and self.copy.refusal)

    @property
    def waits_for_copy(self) -> bool:
        return self.has_formatting and self.copy is None

    @property
    def is_unread(self) -> bool:
        return any(one.read_at is None for one in self.filings)

    @property
    def may_always(self) -> bool:
        """Whether "always from this sender" can be offered: only where it is sure who that is."""
        return _is_sure(self.message)

    def shows_pictures(self, *, once: bool) -> bool:
        """Whether pictures are loaded from elsewhere."""
        return bool(self.copy and self.copy.html_with_pictures) and (once or self.always_pictures)

    def files(self, *, beside_text: bool) -> list[Attachment]:
        """What is offered for saving; pictures that stand inside the message are left out where they are seen."""
        return [one for one in self.message.attachments if beside_text or not one.is_inline]

    @property
    def odd_links(self) -> str:
        """Where links say one address and lead to another; "" when none does."""
        odd = self.copy.odd_links if self.copy else []
        said = " ".join(f"“{one['says']}” leads to {one['leads_to']}." for one in odd[:MOST_ODD_SAID])
        return f"{said} There are {len(odd) - MOST_ODD_SAID} more." if len(odd) > MOST_ODD_SAID else said

    @property
    def blocked(self) -> str:
        """What was left out, as a sentence; "" for nothing."""
        if self.copy is None or not self.copy.blocked:
            return ""
        count, trackers = self.copy.blocked, self.copy.trackers
        said = "1 remote picture is blocked" if count == 1 else f"{count} remote pictures are blocked"
        if trackers:
            number = _NUMBERS[trackers] if trackers < len(_NUMBERS) else str(trackers)
            said += "; it looks like a tracker" if count == 1 else ""
            said += f"; {number} {'looks' if trackers == 1 else 'look'} like a tracker" if count > 1 else ""
        return f"{said}."


def open_message(account_id: int, message_id: int) -> Opened:
    """A message that is in a record or waits for a choice, or `NotFound`."""
    message = db.session.scalar(
        sa.select(Message)
        .where(Message.account_id == account_id, Message.id == message_id, Message.deleted_at.is_(None))
        .options(
            selectinload(Message.filings).joinedload(Filing.customer),
            selectinload(Message.attachments),
            selectinload(Message.sightings).joinedload(Sighting.email_account),
        )
    )
    if message is None:
        raise NotFound("There is no such message.")
    filings = [one for one in message.filings if one.deleted_at is None]
    choice = db.session.scalar(sa.select(Choice).where(Choice.message_id == message.id, Choice.decided_at.is_(None)))
    if not filings and choice is None:
        raise NotFound("There is no such message.")
    copy = db.session.scalar(sa.select(SafeCopy).where(SafeCopy.message_id == message.id))
    always = bool(
        _is_sure(message)
        and db.session.scalar(
            sa.select(PictureSender.id).where(
                PictureSender.account_id == account_id, PictureSender.address_key == message.sender_key
            )
        )
    )
    return Opened(message, filings, choice, copy if safe_copies.is_current(copy) else None, always)


def note_opened(opened: Opened) -> None:
    """Somebody reads it: it is not new any more, and a copy that is safe to show is asked for."""
    for filing in opened.filings:
        filing.read_at = filing.read_at or clock.now()
    if opened.waits_for_copy:
        safe_copies.ask(db.session(), opened.message)
    audit.record("message_opened", opened.message)


def show_pictures(opened: Opened, by: str, *, always: bool) -> None:
    """Show the pictures of this sender from now on, or block them again."""
    message = opened.message
    if always and not opened.may_always:
        raise Conflict("It is not sure who sent this, so pictures can only be shown once.")
    if always:
        row: dict[str, Any] = {"account_id": message.account_id, "address_key": message.sender_key, "wished_by": by}
        insert_missing(db.session(), PictureSender, [row])
    else:
        db.session.execute(
            sa.delete(PictureSender).where(
                PictureSender.account_id == message.account_id, PictureSender.address_key == message.sender_key
            )
        )
    audit.record("pictures_of_sender", message, sender=message.sender_address, shown=always)


def bury(message: Message, by: str) -> None:
    """Take a message's content away and keep its fingerprint, so that the next scan does not bring it back."""
    message.deleted_at, message.deleted_by = clock.now(), by
    message.text = message.snippet = message.search_key = message.subject = message.raw_hash = ""
    message.sender_name = message.sender_address = message.sender_key = ""
    message.recipients, message.notes, message.has_html = [], [], False
    for part in (Attachment, SafeCopy, OtherRecipient):
        db.session.execute(sa.delete(part).where(part.message_id == message.id))
    audit.record("message_content_removed", message, actor=by)


def _is_sure(message: Message) -> bool:
    return message.direction is Direction.INCOMING and message.trust is Trust.VERIFIED and bool(message.sender_key)
