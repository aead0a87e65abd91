"""Every address of the product, asked for by everybody: nobody, a stranger, and each role."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from werkzeug.routing import Rule

from app.access import CUSTOMERS, INSTANCE_ADMINS, OFFICE, PUBLIC, SIGNED_IN, VISITORS, Role, allowed
from app.accounts.models import User
from app.billing.models import Customer, Invoice
from app.db import db
from app.installations.models import InstallationState
from app.portal.models import PortalSignIn
from tests import make
from tests.cast import Cast
from tests.visitors import Visitor

UNSAFE = {"POST", "PUT", "PATCH", "DELETE"}
# Their callers carry no cookie and prove who they are in another way.
WITHOUT_TOKEN = {"webhooks.payments", "nexudus_hooks.heard"}


@dataclass(frozen=True)
class Ask:
    """One address of Acme with one method, and who may ask."""

    endpoint: str
    method: str
    path: str
    who: Any

    def may(self, role: Role) -> bool:
        return self.who in (PUBLIC, SIGNED_IN, VISITORS) or (isinstance(self.who, frozenset) and role in self.who)


@pytest.fixture
def acme(cast: Cast) -> Cast:
    """Acme with a customer and an invoice, every plugin switched on and none connected."""
    customer = make.customer(cast.acme, "Canary Bird", company="Canary Ltd")
    invoice = make.invoice(customer, number="CANARY-1")
    make.portal_sign_in(customer)
    for plugin in ("nexudus", "mail_monitor"):
        make.installation(cast.acme, plugin, state=InstallationState.ON)
    assert invoice.id
    return cast


@pytest.fixture
def asks(app: Flask, acme: Cast) -> list[Ask]:
    """Every rule of the product with ids that exist in Acme, once per method."""
    ids = _ids()
    return [
        Ask(rule.endpoint, method, _path(app, rule, ids), allowed(app.view_functions[rule.endpoint]))
        for rule in app.url_map.iter_rules()
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
        if rule.endpoint not in {"accounts.sign_out", "portal.sign_out"}  # they end the sign-in that the walk needs
    ]


def _ids() -> dict[str, Any]:
    customer, invoice = db.session.scalars(sa.select(Customer)).one(), db.session.scalars(sa.select(Invoice)).one()
    return {
        "account_slug": "acme",
        "customer_id": customer.id,
        "invoice_id": invoice.id,
        "sign_in_id": db.session.scalars(sa.select(PortalSignIn.id)).one(),
        "name": "nexudus",
    }


def _path(app: Flask, rule: Rule, ids: dict[str, Any]) -> str:
    """The rule's address; an argument that is not among `ids` is 1 or a word, which need not exist."""
    values = {
        name: ids.get(name, 1 if "Integer" in type(rule._converters[name]).__name__ else "nexudus")
        for name in rule.arguments
    }
    with app.test_request_context():
        return str(app.url_map.bind("").build(rule.endpoint, values, append_unknown=False))


def everything_stored() -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables, apart from those that note that somebody asked."""
    notes = {"audit_entry", "attempt", "sign_in", "portal_sign_in"}
    with db.engine.connect() as connection:
        return {
            table.name: sorted(map(tuple, connection.execute(sa.select(table))), key=repr)
            for table in db.metadata.sorted_tables
            if table.name not in notes
        }


def test_every_view_says_who_may_ask(app: Flask) -> None:
    silent = [rule.endpoint for rule in app.url_map.iter_rules() if allowed(app.view_functions[rule.endpoint]) is None]

    assert silent == []


def test_only_a_known_few_are_public(app: Flask) -> None:
    public = {
        rule.endpoint for rule in app.url_map.iter_rules() if allowed(app.view_functions[rule.endpoint]) == PUBLIC
    }

    assert {name.split(".")[0] for name in public} <= {
        "accounts",
        "health",
        "metrics",
        "styleguide",
        "webhooks",
        "nexudus_hooks",
        "payments",
    }


def test_nobody_is_asked_to_sign_in(asks: list[Ask], client: Visitor) -> None:
    before = everything_stored()
    for ask in asks:
        if ask.who in (PUBLIC, VISITORS):
            continue
        page, piece = client.open(ask.path, method=ask.method), client.open(ask.path, method=ask.method, htmx=True)
        assert page.status_code == 302, ask
        assert page.location.startswith("/portal/acme/login" if ask.who == CUSTOMERS else "/login"), ask
        assert piece.status_code == 401, ask
        assert "canary" not in (page.text + piece.text).lower(), ask
    assert everything_stored() == before


def test_a_stranger_finds_nothing_of_another_account(
    asks: list[Ask], acme: Cast, sign_in: Callable[[User], Visitor]
) -> None:
    zoe, before = sign_in(acme.zoe), everything_stored()
    for ask in asks:
        if not ask.path.startswith("/acme/"):
            continue
        for htmx in (False, True):
            answer = zoe.open(ask.path, method=ask.method, htmx=htmx)
            assert answer.status_code == 404, ask
            assert "canary" not in answer.text.lower(), ask
    assert everything_stored() == before


def test_ids_of_another_account_are_not_found_under_ones_own(
    asks: list[Ask], acme: Cast, sign_in: Callable[[User], Visitor]
) -> None:
    for plugin in ("nexudus", "mail_monitor"):
        make.installation(acme.zenith, plugin, state=InstallationState.ON)
    zoe, before = sign_in(acme.zoe), everything_stored()
    for ask in asks:
        if not ask.path.startswith(("/acme/customers/", "/acme/invoices/")):
            continue
        if not any(part.isdigit() for part in ask.path.split("/")):
            continue
        answer = zoe.open(ask.path.replace("/acme/", "/zenith/", 1), method=ask.method)
        assert answer.status_code == 404, ask
        assert "canary" not in answer.text.lower(), ask
    assert everything_stored() == before


@pytest.mark.parametrize("role", list(Role))
def test_a_role_is_refused_what_is_not_its_own(
    asks: list[Ask], acme: Cast, sign_in: Callable[[User], Visitor], role: Role
) -> None:
    visitor, before = sign_in(acme.staff[role]), everything_stored()
    for ask in asks:
        if ask.may(role) or ask.who == CUSTOMERS:
            continue
        answer = visitor.open(ask.path, method=ask.method)
        expected = 404 if ask.who == INSTANCE_ADMINS else 403
        assert answer.status_code == expected, ask
        if expected == 403:
            assert "Ana Alder" in answer.text, ask
            assert ("Only an Operator or Admin" in answer.text) == (ask.who == OFFICE), ask
    assert everything_stored() == before


@pytest.mark.parametrize("role", list(Role))
def test_looking_changes_nothing_and_no_page_breaks(
    asks: list[Ask], acme: Cast, sign_in: Callable[[User], Visitor], role: Role
) -> None:
    visitor, before = sign_in(acme.staff[role]), everything_stored()
    for ask in asks:
        if ask.method == "GET" and ask.may(role) and ask.endpoint != "health.ready":  # no sweep runs here
            for htmx in (False, True):
                answer = visitor.get(ask.path, htmx=htmx)
                assert answer.status_code < 500, ask
                assert answer.headers["X-Content-Type-Options"] == "nosniff", ask
                policy = answer.headers["Content-Security-Policy"]
                assert "frame-ancestors" in policy, ask
                assert "script-src" not in policy, ask
                assert answer.headers["Cache-Control"] == "no-store", ask
    assert everything_stored() == before


@pytest.mark.parametrize("role", list(Role))
def test_staff_are_nobody_at_the_portal(
    asks: list[Ask], acme: Cast, sign_in: Callable[[User], Visitor], role: Role
) -> None:
    visitor, before = sign_in(acme.staff[role]), everything_stored()
    for ask in asks:
        if ask.who == CUSTOMERS:
            answer = visitor.open(ask.path, method=ask.method)
            assert answer.status_code == 302, ask
            assert answer.location.startswith("/portal/acme/login"), ask
    assert everything_stored() == before


def test_a_customer_is_nobody_in_the_back_office(
    asks: list[Ask], acme: Cast, enter_portal: Callable[[Customer], Visitor]
) -> None:
    visitor = enter_portal(db.session.scalars(sa.select(Customer)).one())
    before = everything_stored()
    for ask in asks:
        if ask.who not in (PUBLIC, VISITORS, CUSTOMERS):
            answer = visitor.open(ask.path, method=ask.method)
            assert answer.status_code == 302, ask
            assert answer.location.startswith("/login"), ask
            assert "canary" not in answer.text.lower(), ask
    assert everything_stored() == before


def test_another_customer_finds_nothing_of_what_is_not_theirs(
    asks: list[Ask], acme: Cast, enter_portal: Callable[[Customer], Visitor]
) -> None:
    visitor = enter_portal(make.customer(acme.acme, "Pia Passer"))
    stranger = enter_portal(make.customer(acme.zenith, "Zed Zander"))
    before = everything_stored()
    for ask in asks:
        if ask.who != CUSTOMERS:
            continue
        elsewhere = stranger.open(ask.path, method=ask.method)
        assert elsewhere.status_code == 302, ask
        assert elsewhere.location.startswith("/portal/acme/login"), ask
        if not any(part.isdigit() for part in ask.path.split("/")):
            continue
        for who, path in ((visitor, ask.path), (stranger, ask.path.replace("/acme/", "/zenith/", 1))):
            answer = who.open(path, method=ask.method)
            assert answer.status_code == 404, ask
            assert "canary" not in answer.text.lower(), ask
    assert everything_stored() == before


def test_a_customer_looking_around_changes_nothing_and_breaks_nothing(
    asks: list[Ask], acme: Cast, enter_portal: Callable[[Customer], Visitor]
) -> None:
    visitor = enter_portal(db.session.scalars(sa.select(Customer)).one())
    before = everything_stored()
    for ask in asks:
        if ask.method == "GET" and ask.who in (VISITORS, CUSTOMERS):
            for htmx in (False, True):
                answer = visitor.get(ask.path, htmx=htmx)
                assert answer.status_code < 500, ask
    assert everything_stored() == before


def test_nothing_is_changed_without_the_token(asks: list[Ask], acme: Cast, sign_in: Callable[[User], Visitor]) -> None:
    ana, before = sign_in(acme.ana), everything_stored()
    for ask in asks:
        if ask.method in UNSAFE and ask.endpoint not in WITHOUT_TOKEN:
            for htmx in (False, True):
                answer = ana.open(ask.path, method=ask.method, csrf=False, htmx=htmx)
                assert answer.status_code == 400, ask
    assert everything_stored() == before


def test_the_token_of_another_browser_does_not_count(acme: Cast, sign_in: Callable[[User], Visitor]) -> None:
    ana, ben = sign_in(acme.ana), sign_in(acme.ben)
    theirs = ben._csrf_token()

    answer = ana.post("/acme/customers/new", csrf=False, headers={"X-CSRFToken": theirs})

    assert answer.status_code == 400
