"""What jobs are about, in words: which plugin, which account, which row, and where a person finds it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from flask import url_for
from flask_login import current_user

from app.access import OFFICE
from app.accounts.models import Account
from app.db import db
from app.jobs.board import JobFacts
from app.plugin import owner_of
from app.work import About, bell


@dataclass(frozen=True, slots=True)
class Words:
    """A job for people: who asked for it, the deed, the account, the row, and its page for those who may open it."""

    known: bool
    owner: str
    deed: str
    account: str
    row: str
    url: str


def in_words(jobs: Sequence[JobFacts]) -> dict[str, Words]:
    """The words of each job by its id; one query per kind of row, however many jobs there are."""
    known = bell().jobs
    rows = {name: _rows(known[name].model, found) for name, found in _ids_by_name(jobs).items()}
    accounts = _accounts(row for found in rows.values() for row in found.values())
    words = {}
    for job in jobs:
        row = rows.get(job.name, {}).get(job.ids[-1]) if job.ids else None
        account = accounts.get(row.account_id) if row is not None else None
        describe = known[job.name].describe if job.name in known else None
        about = describe(row) if describe is not None and row is not None else About(_plain(job))
        words[job.id] = Words(
            known=job.name in known,
            owner=owner_of(job.name),
            deed=known[job.name].deed if job.name in known else "Not a job of this product",
            account=account.name if account else "",
            row=about.words,
            url=_url(about, account),
        )
    return words


def _ids_by_name(jobs: Iterable[JobFacts]) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for job in jobs:
        if job.ids and job.name in bell().jobs and bell().jobs[job.name].model is not None:
            found.setdefault(job.name, set()).add(job.ids[-1])
    return found


def _rows(model: Any, ids: set[int]) -> dict[int, Any]:
    return {row.id: row for row in db.session.scalars(sa.select(model).where(model.id.in_(ids)))}


def _accounts(rows: Iterable[Any]) -> dict[int, Account]:
    ids = {getattr(row, "account_id", None) for row in rows} - {None}
    return {account.id: account for account in db.session.scalars(sa.select(Account).where(Account.id.in_(ids)))}


def _plain(job: JobFacts) -> str:
    return f"Row {job.ids[-1]}" if job.ids else ""


def _url(about: About, account: Account | None) -> str:
    """Only for those who work in that account: looking after the server opens nobody's records."""
    if not about.endpoint or account is None:
        return ""
    if not any(one.account_id == account.id and one.role in OFFICE for one in current_user.memberships):
        return ""
    return url_for(about.endpoint, account_slug=account.slug, **about.values)
