"""The lists read their order from an index: a page of a long list costs what a page of a short one does."""

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from app.billing import customers, invoices
from app.billing.models import CustomerStatus, InvoiceStatus
from app.db import db
from tests.cast import Cast

LISTS: dict[str, Callable[[Cast], Any]] = {
    "customers": lambda cast: customers.find(cast.acme, customers.Search()),
    "customers of one status": lambda cast: customers.find(
        cast.acme, customers.Search(status=CustomerStatus.ACTIVE, backwards=True)
    ),
    "invoices": lambda cast: invoices.find(cast.acme, invoices.Search()),
    "invoices of one status": lambda cast: invoices.find(
        cast.acme, invoices.Search(status=InvoiceStatus.PENDING, oldest_first=True)
    ),
    "invoices of one customer": lambda cast: invoices.find(cast.acme, invoices.Search(customer_id=1)),
}


# PostgreSQL plans by what a table holds; SQLite's plan shows whether an index fits, even on an empty one.
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("name", LISTS)
def test_no_list_is_sorted_when_it_is_asked_for(app: Flask, cast: Cast, name: str) -> None:
    asked: list[tuple[str, Any]] = []

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, *rest: Any) -> None:
        if "ORDER BY" in statement and "LIMIT" in statement:
            asked.append((statement, parameters))

    sa.event.listen(db.engine, "before_cursor_execute", note)
    try:
        LISTS[name](cast)
    finally:
        sa.event.remove(db.engine, "before_cursor_execute", note)

    (statement, parameters) = asked[0]
    plan = db.session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
    steps = [row[3] for row in plan]
    assert any("USING INDEX" in step for step in steps), steps
    assert not any("TEMP B-TREE" in step for step in steps), steps
