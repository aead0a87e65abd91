"""No way leads from one account into another: every address, with ids of the other one in path, query and form.

Zenith has one row in every table, and each of them is number 777. So whatever an address calls its ids, it can be
asked for Zenith's. A table or an address that is added tomorrow is in this walk without being named.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from werkzeug.datastructures import MultiDict
from werkzeug.routing import Rule

from app.access import PUBLIC, Role, allowed
from app.accounts.models import User
from app.db import db, unit_of_work
from app.installations.models import Installation, InstallationState
from tests import make
from tests.cast import Cast
from tests.visitors import Visitor

pytestmark = pytest.mark.slow

THEIRS = 777
CANARY = "hushbird"  # no word of any page, as "canary" is of the list of countries
MOMENT = datetime(2026, 11, 1, 12, tzinfo=UTC)
# One row each, made by the cast; the others hang from them.
MADE = {"account", "user", "membership", "heartbeat"}
# What a form or a query may call an id; the names of the parameters of all addresses are added.
NAMES = {"id", "customer", "plan", "location", "member", "invoice", "message", "account_id", "to", "email_account"}


def _value(column: sa.Column[Any], row: dict[str, int]) -> Any:
    """Something that fits a column; text of Zenith's begins with the canary."""
    for key in column.foreign_keys:
        return row.get(key.column.table.name)
    if column.default is not None and column.default.is_scalar:
        return column.default.arg  # type: ignore[attr-defined]  # a scalar default has one
    kind = column.type
    if isinstance(kind, sa.Enum):
        return kind.enums[0] if kind.enum_class is None else next(iter(kind.enum_class))
    if isinstance(kind, sa.types.TypeDecorator):
        return Decimal(0) if isinstance(kind.impl_instance, sa.String) else MOMENT
    made: dict[type[Any], Any] = {
        sa.Boolean: False,
        sa.Date: date(2026, 11, 1),
        sa.Integer: 0,
        sa.LargeBinary: CANARY.encode(),
        sa.JSON: {},
        sa.String: f"{CANARY} {column.table.name}",
    }
    fits = next(value for known, value in made.items() if isinstance(kind, known))
    return fits[: getattr(kind, "length", None)] if isinstance(fits, str) else fits


@pytest.fixture
def zenith(cast: Cast) -> Cast:
    """Acme with a customer and an invoice of its own, every plugin on in both; and Zenith's row 777 in every table."""
    make.invoice(make.customer(cast.acme))
    make.installation(cast.acme, "mail_monitor")
    nexudus = make.installation(cast.acme, "nexudus", state=InstallationState.CONNECTED, cutover_at=MOMENT)
    _connect(nexudus)
    known = {"account": cast.zenith.id, "user": cast.zoe.id, "membership": cast.zoe.memberships[0].id}
    with unit_of_work() as session:
        for table in db.metadata.sorted_tables:
            if table.name in MADE or "id" not in table.c:
                continue
            row = {
                column.name: _value(column, known)
                for column in table.c
                if column.name != "id" and (not column.nullable or column.foreign_keys)
            }
            session.execute(table.insert().values(id=THEIRS, **row))
            known[table.name] = THEIRS
    return cast


def _connect(installation: Installation) -> None:
    """Without a connection of its own the plugin would refuse before it looks at any id."""
    table = db.metadata.tables["nexudus_connection"]
    parents = {"account": installation.account_id, "installation": installation.id}
    row = {column.name: _value(column, parents) for column in table.c if column.name != "id" and not column.nullable}
    texts = {name: "theirs" for name, value in row.items() if isinstance(value, str) and CANARY in value}
    with unit_of_work() as session:
        session.execute(table.insert().values(**(row | texts | {"currency": "EUR"})))


def rows_of(account_id: int) -> dict[str, list[tuple[Any, ...]]]:
    """Every row that belongs to an account, apart from the audit: it notes that somebody was refused."""
    with db.engine.connect() as connection:
        return {
            table.name: sorted(
                map(tuple, connection.execute(sa.select(table).where(table.c.account_id == account_id))), key=repr
            )
            for table in db.metadata.sorted_tables
            if "account_id" in table.c and table.name != "audit_entry"
        }


def references_to_theirs(account_id: int) -> list[str]:
    """Columns of an account's rows that name row 777 of another table, all of which are Zenith's."""
    with db.engine.connect() as connection:
        return [
            f"{table.name}.{column.name}"
            for table in db.metadata.sorted_tables
            for column in table.c
            if "account_id" in table.c
            and any(key.column.table.name not in MADE for key in column.foreign_keys)
            and connection.scalar(sa.select(sa.func.count()).where(table.c.account_id == account_id, column == THEIRS))
        ]


def rules(app: Flask) -> Iterator[tuple[Rule, str]]:
    """Every address of an account's pages, once per method; those with ids first, for others may switch things off."""
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: not any("_id" in name for name in rule.arguments)):
        if rule.endpoint == "accounts.sign_out" or "account_slug" not in rule.arguments:
            continue
        if allowed(app.view_functions[rule.endpoint]) == PUBLIC:
            continue
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield rule, method


def path_of(app: Flask, rule: Rule) -> tuple[str, bool]:
    """The address under Acme with Zenith's ids, and whether there is any id in it."""
    numbers = {name for name in rule.arguments if "Integer" in type(rule._converters[name]).__name__}
    values: dict[str, Any] = {name: THEIRS if name in numbers else "nexudus" for name in rule.arguments}
    with app.test_request_context():
        built = app.url_map.bind("").build(rule.endpoint, values | {"account_slug": "acme"}, append_unknown=False)
    return str(built), bool(numbers)


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.ADMIN])
def test_ids_of_another_account_lead_nowhere(
    app: Flask, zenith: Cast, sign_in: Callable[[User], Visitor], role: Role
) -> None:
    visitor = sign_in(zenith.staff[role])
    before = rows_of(zenith.zenith.id)
    assert sum(len(rows) for rows in before.values()) > 30
    names = NAMES | {name for rule in app.url_map.iter_rules() for name in rule.arguments} - {"account_slug"}
    asked = MultiDict([(name, str(THEIRS)) for name in sorted(names)])
    for rule, method in rules(app):
        path, has_id = path_of(app, rule)
        for htmx in (False, True):
            form = None if method == "GET" else asked
            answer = visitor.open(path, method=method, query_string=asked, data=form, htmx=htmx)
            what = (method, path, answer.status_code)
            assert answer.status_code < 500, what
            if has_id and not path.startswith("/portal/"):  # where staff are strangers, and asked to sign in
                assert answer.status_code in {403, 404}, what
            assert CANARY not in answer.text.lower(), what
            assert CANARY not in str(answer.headers).lower(), what
    assert rows_of(zenith.zenith.id) == before
    assert references_to_theirs(zenith.acme.id) == []


def test_jobs_and_bodies_of_another_kind_lead_nowhere_either(
    app: Flask, zenith: Cast, sign_in: Callable[[User], Visitor]
) -> None:
    ana, before = sign_in(zenith.ana), rows_of(zenith.zenith.id)
    for rule, method in rules(app):
        if method == "GET":
            continue
        path, _ = path_of(app, rule)
        answer = ana.open(path, method=method, json={"id": THEIRS, "account_id": zenith.zenith.id, "role": "operator"})
        assert answer.status_code < 500, (method, path)
        assert CANARY not in answer.text.lower(), (method, path)
    assert rows_of(zenith.zenith.id) == before
    assert references_to_theirs(zenith.acme.id) == []
