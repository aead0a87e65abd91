"""Reading the audit of one account: filters, words for what was done, and where the object stands."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa
from flask import url_for
from flask_sqlalchemy.pagination import Pagination

from app import clock
from app.accounts.models import Account
from app.audit import AuditEntry
from app.billing.models import Customer, Invoice
from app.db import db
from app.typed import fold, tidy

PER_PAGE = 50
AT_ONCE = 1000
MOST_ROWS = 100_000  # in one file

# What reads badly when its name is merely spelled out.
WORDS = {
    "billed_by": "Changed who bills",
    "billed_by_for_all": "Changed who bills for everybody",
    "check_now": "Asked to scan now",
    "connect_members": "Began to connect members",
    "connected": "Connected",
    "invoice_do_not_send": "Changed whether it is sent",
    "invoice_given_back": "Let go of an invoice",
    "invoice_handed_over": "Handed over an invoice",
    "list_saved": "Saved a list as a file",
    "invoice_paid_by_hand": "Marked as paid by hand",
    "members_connected": "Ended connecting members",
    "member_look_again": "Asked to look for a member again",
    "plugin_off": "Switched a plugin off",
    "plugin_on": "Switched a plugin on",
    "refused": "Was refused",
    "role_given": "Gave a role",
    "sign_in": "Signed in",
    "sign_out": "Signed out",
    "try_now": "Asked to try again now",
}
KINDS = {"OutgoingMail": "Mail", "InvoiceMail": "Invoice by mail", "SavedCard": "Card", "CardEntry": "Entry of a card"}


@dataclass(frozen=True, slots=True)
class Search:
    """What the list is narrowed to: who or what by text, one action, one outcome, days of the account's calendar."""

    text: str = ""
    action: str = ""
    outcome: str = ""
    since: date | None = None
    until: date | None = None

    @property
    def narrows(self) -> bool:
        return self != Search()


def find(account: Account, wanted: Search, page: int) -> Pagination:
    """One page of the audit, newest first."""
    return db.paginate(
        _query(account, wanted).order_by(AuditEntry.at.desc(), AuditEntry.id.desc()),
        page=page,
        per_page=PER_PAGE,
        error_out=False,
    )


def rows_for_file(account: Account, wanted: Search) -> Iterator[list[Any]]:
    """The same as lines of a file, heading first, newest first, read in pieces."""
    yield ["at", "actor", "action", "object", "object_id", "outcome", "details", "address", "request_id"]
    query = _query(account, wanted).order_by(AuditEntry.at.desc(), AuditEntry.id.desc()).limit(MOST_ROWS)
    for entry in db.session.scalars(query.execution_options(yield_per=AT_ONCE)):
        yield [
            entry.at.isoformat(),
            entry.actor,
            entry.action,
            entry.object_kind or "",
            entry.object_id or "",
            entry.outcome,
            details_of(entry),
            entry.address or "",
            entry.request_id or "",
        ]


def actions(account: Account) -> list[str]:
    """Every action that the account's audit knows, by name."""
    return _known(account, AuditEntry.action)


def outcomes(account: Account) -> list[str]:
    """Every outcome that the account's audit knows, in the same way."""
    return _known(account, AuditEntry.outcome)


def in_words(action: str) -> str:
    """An action as people say it."""
    return WORDS.get(action, action.replace("_", " ").capitalize())


def details_of(entry: AuditEntry) -> str:
    """What else was noted, on one line."""
    return ", ".join(
        f"{name.replace('_', ' ')}: {_plain(value)}"
        for name, value in entry.details.items()
        if value not in (None, "", [], {})
    )


def kind_of(entry: AuditEntry) -> str:
    """What sort of thing an entry is about, as people say it."""
    kind = entry.object_kind or ""
    return KINDS.get(kind, re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind).capitalize())


def objects_of(entries: Sequence[AuditEntry]) -> dict[int, tuple[str, str]]:
    """Name and address of the customer or invoice that each entry is about, by the entry's id; one query each."""
    found: dict[int, tuple[str, str]] = {}
    named: tuple[tuple[str, Any, str, str], ...] = (
        ("Customer", sa.select(Customer.id, Customer.full_name), "billing.customer", "customer_id"),
        ("Invoice", sa.select(Invoice.id, Invoice.number), "billing.invoice", "invoice_id"),
    )
    for kind, query, endpoint, argument in named:
        about = [entry for entry in entries if entry.object_kind == kind]
        if not about:
            continue
        ids = {entry.object_id for entry in about}
        names: dict[int | None, str] = dict(db.session.execute(query.where(query.selected_columns.id.in_(ids))).all())
        for entry in about:
            if entry.object_id in names:
                values: dict[str, Any] = {argument: entry.object_id}
                found[entry.id] = (names[entry.object_id], url_for(endpoint, **values))
    return found


def _query(account: Account, wanted: Search) -> sa.Select[AuditEntry]:
    query = sa.select(AuditEntry).where(AuditEntry.account_id == account.id)
    for word in fold(tidy(wanted.text)).split()[:10]:
        query = query.where(_names(account, word))
    if wanted.action:
        query = query.where(AuditEntry.action == wanted.action)
    if wanted.outcome:
        query = query.where(AuditEntry.outcome == wanted.outcome)
    if wanted.since:
        query = query.where(AuditEntry.at >= clock.start_of(wanted.since, account.timezone))
    if wanted.until:
        query = query.where(AuditEntry.at < clock.start_of(wanted.until + timedelta(days=1), account.timezone))
    return query


def _names(account: Account, word: str) -> sa.ColumnElement[bool]:
    """Whether an entry names this word: its actor, or the customer or invoice that it is about."""
    customers = sa.select(Customer.id).where(
        Customer.account_id == account.id, Customer.search_key.contains(word, autoescape=True)
    )
    invoices = sa.select(Invoice.id).where(
        Invoice.account_id == account.id, sa.func.lower(Invoice.number).contains(word, autoescape=True)
    )
    return sa.or_(
        AuditEntry.actor.icontains(word, autoescape=True),
        sa.and_(AuditEntry.object_kind == "Customer", AuditEntry.object_id.in_(customers)),
        sa.and_(AuditEntry.object_kind == "Invoice", AuditEntry.object_id.in_(invoices)),
    )


def _known(account: Account, column: sa.orm.InstrumentedAttribute[str]) -> list[str]:
    """Every value of a column, in order: skips from one to the next along the index."""
    found: list[str] = []
    query = sa.select(sa.func.min(column)).where(AuditEntry.account_id == account.id)
    while value := db.session.scalar(query.where(column > found[-1]) if found else query):
        found.append(value)
    return found


def _plain(value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case dict():
            return ", ".join(f"{_plain(one)} {name.replace('_', ' ')}" for name, one in value.items())
        case list():
            return ", ".join(map(_plain, value))
    return str(value)
