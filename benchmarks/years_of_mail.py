"""Three years of mail: one email account, threads of two, and what waits for a person."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from app import clock
from app.audit import AuditEntry
from app.billing.models import Customer
from app.db import db, unit_of_work
from app.mailing.models import MailState, OutgoingMail
from benchmarks.stage import FIRST, LAST, Sizes, Stage, email_of, insert
from plugins.mail_monitor import accounts
from plugins.mail_monitor.models import EmailAccount, Folder, FolderKind
from plugins.mail_monitor.reading_models import Thread
from plugins.mail_monitor.records import Direction, Filing, How, Message, Role
from plugins.mail_monitor.settings import AccountSettings, ServerSettings
from plugins.mail_monitor.waiting import Choice, Doubt, Quarantined, Stub, StubAddress
from tests import make

YEARS = timedelta(days=3 * 365)
BUSY = 20  # every so many messages one is the same customer's, whose record is the longest
STUBS, CHOICES, QUARANTINED = 10, 1000, 2000  # every so many messages one
TEXT = "Has the parcel for us arrived? Please forward it to the address of last time, and keep the letters. " * 20


def fill(stage: Stage, sizes: Sizes) -> int:
    """Put them there; answers the id of the customer with the longest record."""
    email_account_id, folder_id = _account(stage)
    customer_ids = list(db.session.scalars(sa.select(Customer.id).order_by(Customer.id)))
    db.session.rollback()
    rows = _Rows(stage.cast.acme.id, email_account_id, folder_id, customer_ids, sizes.messages)
    insert(Message, rows.messages())
    insert(Thread, rows.threads())
    message_ids = _ids(Message)
    insert(Filing, rows.filings(message_ids, _ids(Thread)))
    insert(Choice, rows.choices(message_ids))
    insert(Stub, rows.stubs())
    insert(StubAddress, rows.stub_addresses(_ids(Stub)))
    insert(Quarantined, rows.quarantined())
    insert(OutgoingMail, rows.mails())
    insert(AuditEntry, rows.audits())
    return customer_ids[0]


def _account(stage: Stage) -> tuple[int, int]:
    installation = make.installation(stage.cast.acme, "mail_monitor")
    server = ServerSettings("imap.desk.example", 993, "tls", "desk", "secret")
    settings = AccountSettings(
        display_name="Front desk",
        location_id=stage.cast.acme.locations[0].id,
        email_address="desk@acme.example",
        incoming=server,
        outgoing=ServerSettings("smtp.desk.example", 465, "tls"),
    )
    with unit_of_work() as session:
        row = accounts.save(stage.cast.acme, installation, settings)
        session.flush()
        place = {"account_id": row.account_id, "email_account_id": row.id, "name": "INBOX"}
        folder = Folder(kind=FolderKind.INBOX, uidvalidity=7, cursor=0, **place)
        session.add(folder)
        session.get_one(EmailAccount, row.id).last_success_at = clock.now()
        session.flush()
        return row.id, folder.id


def _ids(model: Any) -> list[int]:
    found = list(db.session.scalars(sa.select(model.id).order_by(model.id)))
    db.session.rollback()
    return found


class _Rows:
    """The rows of every table, as dicts."""

    def __init__(
        self, account_id: int, email_account_id: int, folder_id: int, customer_ids: list[int], count: int
    ) -> None:
        self._account_id = account_id
        self._source = {"account_id": account_id, "email_account_id": email_account_id}
        self._place = {**self._source, "folder_id": folder_id, "uidvalidity": 7}
        self._customer_ids = customer_ids
        self._count = count
        self._now = clock.now()

    def _at(self, number: int) -> datetime:
        return self._now - YEARS + YEARS * (number + 1) / (self._count + 1)

    def _whose(self, number: int) -> int:
        """Which customer; the two messages of a thread are one customer's."""
        pair = number // 2
        return 0 if pair % BUSY == 0 else pair % len(self._customer_ids)

    def messages(self) -> Iterator[dict[str, Any]]:
        for number in range(self._count):
            whose = self._whose(number)
            sender = email_of(whose)
            name = f"{FIRST[whose % len(FIRST)]} {LAST[whose % len(LAST)]}"
            subject = f"{'Re: ' * (number % 2)}Parcel {number // 2}"
            yield {
                "account_id": self._account_id,
                "fingerprint": f"{number:064x}",
                "message_id": f"{number}@bench.example",
                "message_key": f"{number:064x}",
                "direction": Direction.OUTGOING if number % 2 else Direction.INCOMING,
                "sender_name": name,
                "sender_address": sender,
                "sender_key": sender,
                "recipients": [{"role": "to", "name": "Desk", "address": "desk@acme.example"}],
                "references": [],
                "notes": [],
                "subject": subject,
                "search_key": f"{subject} {name} {sender} {TEXT}".lower(),
                "received_at": self._at(number),
                "size": 9000,
                "text": TEXT,
                "snippet": TEXT[:200],
            }

    def threads(self) -> Iterator[dict[str, Any]]:
        for number in range(0, self._count, 2):
            yield {
                "account_id": self._account_id,
                "customer_id": self._customer_ids[self._whose(number)],
                "subject_key": f"{number:064x}",
                "last_at": self._at(min(number + 1, self._count - 1)),
            }

    def filings(self, message_ids: list[int], thread_ids: list[int]) -> Iterator[dict[str, Any]]:
        for number, message_id in enumerate(message_ids):
            if number % CHOICES != 1:
                yield {
                    **self._source,
                    "message_id": message_id,
                    "customer_id": self._customer_ids[self._whose(number)],
                    "role": Role.TO if number % 2 else Role.SENDER,
                    "how": How.MAIN_ADDRESS,
                    "reason": "From is the main address",
                    "thread_id": thread_ids[number // 2],
                    "received_at": self._at(number),
                    "read_at": None if number % 50 == 0 else self._at(number),
                }

    def choices(self, message_ids: list[int]) -> Iterator[dict[str, Any]]:
        for number in range(1, self._count, CHOICES):
            two = (self._customer_ids[self._whose(number)], self._customer_ids[-1])
            yield {
                **self._source,
                "message_id": message_ids[number],
                "doubt": Doubt.SHARED_ADDRESS,
                "sentence": "Two customers have this address.",
                "address_key": email_of(number),
                "candidates": [{"customer_id": one, "role": "sender", "why": "From"} for one in two],
                "received_at": self._at(number),
            }

    def stubs(self) -> Iterator[dict[str, Any]]:
        for number in range(0, self._count, STUBS):
            yield {
                **self._place,
                "uid": number + 1,
                "direction": Direction.INCOMING,
                "name": "A stranger",
                "address": f"stranger-{number % 5000}@elsewhere.example",
                "subject": f"An offer {number}",
                "size": 4000,
                "received_at": self._now - timedelta(minutes=number % 40_000),
                "expires_at": self._now + timedelta(days=2),
            }

    def stub_addresses(self, stub_ids: list[int]) -> Iterator[dict[str, Any]]:
        for number, stub_id in zip(range(0, self._count, STUBS), stub_ids, strict=True):
            key = f"stranger-{number % 5000}@elsewhere.example"
            yield {"account_id": self._account_id, "stub_id": stub_id, "address_key": key, "plain_key": key}

    def quarantined(self) -> Iterator[dict[str, Any]]:
        for number in range(0, self._count, QUARANTINED):
            yield {
                **self._place,
                "uid": 10**7 + number,
                "code": "died",
                "reason": "Reading it took too much time or memory, three times.",
                "tries": 3,
                "subject": f"Endless {number}",
                "sender": email_of(number),
                "size": 9000,
                "received_at": self._at(number),
                "kept_until": self._now + timedelta(days=20),
            }

    def mails(self) -> Iterator[dict[str, Any]]:
        """What the product itself has sent: as many as a quarter of what it filed."""
        for number in range(0, self._count, 4):
            yield {
                "account_id": self._account_id,
                "customer_id": self._customer_ids[number % len(self._customer_ids)],
                "template": "invoice",
                "message_id": f"<bench-{number}@acme.example>",
                "sender_name": "Acme",
                "sender_address": "acme@acme.example",
                "recipient": email_of(number % len(self._customer_ids)),
                "subject": f"Invoice B-{number}",
                "text": "Your invoice is attached.",
                "html": "<p>Your invoice is attached.</p>",
                "state": MailState.REFUSED if number % 10_000 == 0 or number + 4 >= self._count else MailState.SENT,
                "created_at": self._at(number),
                "ended_at": self._at(number),
            }

    def audits(self) -> Iterator[dict[str, Any]]:
        for number in range(self._count):
            yield {
                "account_id": self._account_id,
                "at": self._at(number),
                "actor": "ana@acme.example" if number % 3 else "system",
                "action": ("customer_edited", "invoice_created", "message_moved", "signed_in")[number % 4],
                "object_kind": "Customer",
                "object_id": self._customer_ids[number % len(self._customer_ids)],
                "outcome": "refused" if number % 100 == 0 else "done",
                "details": {},
            }
