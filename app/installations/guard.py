"""The guard in front of every page: who is asking, for which account, and may they."""

from typing import Any

import structlog
from flask import Flask, current_app, flash, g, redirect, request, url_for
from flask_login import current_user
from werkzeug import Response
from werkzeug.exceptions import BadRequest

from app import audit
from app.access import CUSTOMERS, INSTANCE_ADMINS, OPERATORS, PUBLIC, VISITORS, Allowed, Audience, Role, allowed
from app.accounts.services import account_by_slug, membership_of, operators_of
from app.db import unit_of_work
from app.errors import AppError, Forbidden, NotFound
from app.htmx import asks_for_partial, go_to
from app.installations.services import installation_of
from app.plugin import registry
from app.portal import entering

SAFE = {"GET", "HEAD", "OPTIONS"}


class SignInFirst(AppError):
    """Nobody is signed in, and htmx asked: the page opens a sign-in dialog instead of losing what was typed."""

    status = 401
    title = "Sign in"


def init_app(app: Flask) -> None:
    app.url_value_preprocessor(_take_account_slug)
    app.url_defaults(_give_account_slug)
    app.before_request(_guard)


def _take_account_slug(endpoint: str | None, values: dict[str, Any] | None) -> None:
    g.account_slug = values.pop("account_slug", None) if values else None
    if "\0" in request.path:
        raise NotFound  # PostgreSQL takes no such text, not even to look for it


def _give_account_slug(endpoint: str, values: dict[str, Any]) -> None:
    if "account_slug" not in values and current_app.url_map.is_endpoint_expecting(endpoint, "account_slug"):
        values["account_slug"] = g.account_slug


def _guard() -> Response | None:
    if request.endpoint is None:
        return None  # no such address: the 404 page says so
    who = allowed(current_app.view_functions[request.endpoint])
    if who is None:
        raise RuntimeError(f"{request.endpoint} does not say who may ask for it")
    _refuse_other_websites()
    if who == PUBLIC:
        return None
    if who in {VISITORS, CUSTOMERS}:
        return _enter_portal(signed_in=who == CUSTOMERS)
    return _enter_back_office(who)


def _enter_back_office(who: Allowed) -> Response | None:
    if not current_user.is_authenticated:
        return _ask_to_sign_in("accounts.sign_in")
    structlog.contextvars.bind_contextvars(user_id=current_user.id)
    if who == INSTANCE_ADMINS:
        _enter_server()
    return None if isinstance(who, Audience) else _enter(who)


def _enter(who: frozenset[Role]) -> Response | None:
    """Into the account, as what its role may be there."""
    _enter_account()
    if g.membership.role not in who:
        _refuse(who)
    if _owes_second_factor():
        flash("An Operator signs in with a second factor here. Add one to go on.", "failed")
        return go_to(url_for("accounts.profile"))
    _enter_installation()
    return None


def _refuse_other_websites() -> None:
    """Browsers say where a request comes from; the token in every form guards those that do not."""
    if request.method not in SAFE and request.headers.get("Sec-Fetch-Site") in {"cross-site", "same-site"}:
        raise BadRequest("Another website sent this. Nothing was changed.")


def _owes_second_factor() -> bool:
    """In production an Operator opens nothing but their own profile before they have one."""
    return (
        g.membership.role == Role.OPERATOR
        and current_user.second_factor_since is None
        and not current_app.config["SETTINGS"].is_demo
        and request.endpoint not in {"accounts.profile", "accounts.begin_second_factor", "accounts.add_second_factor"}
    )


def _enter_server() -> None:
    """The server's own pages belong to no account."""
    if not current_user.is_instance_admin:
        raise NotFound
    g.looks_after_server = True


def _enter_account() -> None:
    account = account_by_slug(g.account_slug)
    membership = membership_of(current_user, account)
    if membership is None:
        raise NotFound
    g.account, g.membership = account, membership
    structlog.contextvars.bind_contextvars(account_id=account.id)


def _enter_installation() -> None:
    """A plugin's pages exist only while it is on."""
    if request.blueprint and registry().get(request.blueprint):
        g.installation = installation_of(g.account.id, request.blueprint)
        if g.installation is None or not g.installation.is_on:
            raise NotFound


def _refuse(who: frozenset[Role]) -> None:
    names = ", ".join(user.shown_name for user in operators_of(g.account.id))
    with unit_of_work():
        audit.record("refused", g.account, outcome="refused", path=request.path, method=request.method)
    if who == OPERATORS:
        raise Forbidden(f"Only an Operator can open or change this. At {g.account.name} that is {names}.")
    roles = " or ".join(role.label for role in Role if role in who)
    raise Forbidden(f"Only an {roles} can open or change this. Who gives roles at {g.account.name}: {names}.")


def _enter_portal(*, signed_in: bool) -> Response | None:
    """A portal knows its own customers alone: whoever is signed in as staff is a visitor here."""
    g.account = account_by_slug(g.account_slug)
    structlog.contextvars.bind_contextvars(account_id=g.account.id)
    if not signed_in:
        return None
    sign_in = entering.current(g.account)
    if sign_in is None:
        return _ask_to_sign_in("portal.sign_in")
    g.customer, g.portal_sign_in = sign_in.customer, sign_in
    structlog.contextvars.bind_contextvars(customer_id=sign_in.customer_id)
    return None


def _ask_to_sign_in(endpoint: str) -> Response:
    if asks_for_partial():
        raise SignInFirst("You were signed out. Sign in again to go on.")
    if request.method == "GET":
        return redirect(url_for(endpoint, next=request.full_path.rstrip("?")))
    flash("You were signed out, so nothing was saved. Sign in and try again.", "failed")
    return redirect(url_for(endpoint))
