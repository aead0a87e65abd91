"""Every change leaves an audit row: each POST route comes to where one is written, or says here why it writes none.

This reads the code and follows what it names, so it finds the route that forgot. The branch that forgets is found by
`Visitor`, the browser of all tests: it fails when a request changed a table and left no audit row.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest
from flask import Flask
from werkzeug.local import LocalProxy

from app import audit
from app.accounts.models import User
from app.mailing.services import post
from tests import make
from tests.cast import Cast
from tests.visitors import Visitor

# Jobs that write no row of their own, and why none is missing.
JOBS_WITHOUT = {
    "host.heed_payment_event": "looks at the gateway; what follows from that is written where it changes something",
    "host.look_for_due": "plans attempts to charge; each attempt is written down",
    "mail_monitor.find_message": "the search was written down when somebody asked for it",
    "mail_monitor.host_mail_sent": "puts a mail beside the customer's others; its sending is written down",
    "mail_monitor.make_safe_copy": "makes a copy for reading; the message stays as it is",
    "mail_monitor.test_connection": "the test was written down when somebody asked for it",
}
CHANGES_NOTHING = {"styleguide.dialog": "shows a dialog, and is not there in production"}


def test_each_post_route_leaves_an_audit_row_or_is_known_to_change_nothing(app: Flask) -> None:
    silent = {endpoint for endpoint in post_routes(app) if not audits(app.view_functions[endpoint])}
    assert sorted(silent) == sorted(CHANGES_NOTHING.keys() & silent), "these leave no audit row"


def test_each_job_leaves_an_audit_row_or_says_why_it_needs_none(app: Flask) -> None:
    jobs = {name: known.run for name, known in app.extensions["bell"].jobs.items() if not name.startswith("example.")}
    silent = {name for name, run in jobs.items() if not audits(run)}
    assert sorted(silent) == sorted(JOBS_WITHOUT), "these leave no audit row, or leave one after all"


def test_every_exception_is_a_post_route_and_says_why(app: Flask) -> None:
    assert CHANGES_NOTHING.keys() <= post_routes(app)
    assert all(CHANGES_NOTHING.values())


def test_a_branch_that_changes_something_and_leaves_no_row_fails_the_test_that_comes_by(
    cast: Cast, sign_in: Callable[[User], Visitor], monkeypatch: pytest.MonkeyPatch
) -> None:
    customer, ana = make.customer(cast.acme), sign_in(cast.ana)
    ana.post(f"/acme/customers/{customer.id}/deactivate", data={"reason": "Moved away"})
    monkeypatch.setattr(audit, "record", lambda *words, **details: None)
    with pytest.raises(AssertionError, match=r"changed \[.*'customer'.*\] and left no audit row"):
        ana.post(f"/acme/customers/{make.customer(cast.acme).id}/deactivate", data={"reason": "Moved away"})


def post_routes(app: Flask) -> set[str]:
    return {rule.endpoint for rule in app.url_map.iter_rules() if "POST" in (rule.methods or ())}


def audits(view: Callable[..., Any]) -> bool:
    """Whether the code of a view, and of what it calls by name, comes to `audit.record`."""
    seen, ask = set(), [inspect.unwrap(view)]
    while ask:
        function = ask.pop()
        if function is audit.record:
            return True
        if function in seen or function is post:  # a mail's own row says nothing of why it was asked for
            continue
        seen.add(function)
        ask += called_by(function)
    return False


@cache
def called_by(function: Any) -> list[Callable[..., Any]]:
    """The product's own functions that are named in the code of one; methods are found by their names alone."""
    module = inspect.getmodule(function)
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except OSError:  # made by a dataclass or a library
        return []
    found: list[Callable[..., Any]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            found += _functions(getattr(module, node.id, None))
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            owner = getattr(module, node.value.id, None)
            found += [] if isinstance(owner, LocalProxy) else _functions(getattr(owner, node.attr, None))
    return found


def _functions(found: Any) -> Iterator[Callable[..., Any]]:
    """A function of ours; of a class of ours its methods, for making one may call any of them."""
    # A proxy stands for something of a request, and there is none here.
    if isinstance(found, LocalProxy) or not str(getattr(found, "__module__", "")).startswith(("app.", "plugins.")):
        return
    if inspect.isfunction(found):
        yield inspect.unwrap(found)
    elif inspect.isclass(found):
        yield from (one for one in vars(found).values() if inspect.isfunction(one))
