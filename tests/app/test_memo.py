"""What a page asks more than once: once while it is read, always anew when something was written."""

import sqlalchemy as sa
from flask import Flask

from app.accounts.models import Account
from app.db import db, unit_of_work
from app.memo import once_a_page
from tests.cast import Cast


class Questions:
    """Counts how often the database was really asked for an account's name."""

    def __init__(self) -> None:
        self.count = 0
        self.name_of = once_a_page(self._name_of)

    def _name_of(self, account_id: int) -> str | None:
        self.count += 1
        return db.session.scalar(sa.select(Account.name).where(Account.id == account_id))


def test_a_page_asks_once_for_each_thing(app: Flask, cast: Cast) -> None:
    ask = Questions()
    for _ in range(2):  # pages
        with app.test_request_context("/"):
            names = [ask.name_of(account.id) for account in (cast.acme, cast.zenith, cast.acme)]
            assert names == [cast.acme.name, cast.zenith.name, cast.acme.name]
    assert ask.count == 4


def test_what_is_written_while_a_page_is_read_is_seen(app: Flask, cast: Cast) -> None:
    ask = Questions()
    with app.test_request_context("/"):
        ask.name_of(cast.acme.id)
        with unit_of_work():
            assert ask.name_of(cast.acme.id) == cast.acme.name
            cast.acme.name = "Changed"
        assert ask.name_of(cast.acme.id) == "Changed"


def test_forms_and_jobs_always_ask(app: Flask, cast: Cast) -> None:
    ask = Questions()
    with app.test_request_context("/", method="POST"):
        for _ in range(2):
            ask.name_of(cast.acme.id)
    for _ in range(2):
        ask.name_of(cast.acme.id)
    assert ask.count == 4
