"""Signing in: the token endpoint, bearer tokens and Basic, and who may do what.

https://developers.nexudus.com/rest-api/authentication, .../reference/get-bearer-token, .../rest-api/roles-and-access
"""

import secrets
from datetime import timedelta

from flask import Blueprint, Response, g, request
from werkzeug.security import check_password_hash, generate_password_hash

from plugins.nexudus.sandbox import clock
from plugins.nexudus.sandbox.replies import Refusal, json_reply, text_reply
from plugins.nexudus.sandbox.schema import ENTITIES
from plugins.nexudus.sandbox.space import Space, space
from plugins.nexudus.sandbox.store import Record

ACCESS_LASTS = timedelta(seconds=604_799)
REFRESH_LASTS = timedelta(days=15)

pages = Blueprint("auth", __name__)


def set_password(here: Space, user: Record, password: str) -> None:
    """Give a user a password; it is kept as a hash."""
    secret = here.store.get("secret", user["Id"]) or {"roles": []}
    # Few rounds: signing in is done often in tests, and what is kept here is made up.
    here.store.put("secret", user["Id"], secret | {"password": generate_password_hash(password, "pbkdf2:sha256:1000")})


def set_roles(here: Space, user: Record, roles: list[str]) -> None:
    """The rights of a user who is no administrator, as "CoworkerInvoice-Edit"."""
    secret = here.store.get("secret", user["Id"]) or {"password": ""}
    here.store.put("secret", user["Id"], secret | {"roles": roles})


def expire_access_tokens(here: Space) -> None:
    for token in here.store.all("access_token"):
        here.store.drop("access_token", token["token"])


def revoke_refresh_tokens(here: Space) -> None:
    for token in here.store.all("refresh_token"):
        here.store.drop("refresh_token", token["client_id"])


@pages.post("/api/token")
def token() -> Response:
    if request.mimetype != "application/x-www-form-urlencoded":
        return _no("unsupported_grant_type")
    grant = request.form.get("grant_type")
    with space().store.change():
        if grant == "password":
            return _by_password()
        if grant == "refresh_token":
            return _by_refresh_token()
    return _no("unsupported_grant_type")


def _by_password() -> Response:
    user = _user_with(request.form.get("username", ""), request.form.get("password", ""))
    if user is None or not user["Active"]:
        return _no("invalid_grant", "The user name or password is incorrect.")
    code = space().faults.switches.one_time_code
    if code and request.form.get("totp") != code:
        return _no("invalid_grant", "A valid two-factor authentication code is required.")
    return _issued(user, request.headers.get("client_id") or user["Email"])


def _by_refresh_token() -> Response:
    given = request.form.get("refresh_token", "")
    client_id = request.headers.get("client_id", "")
    stored = space().store.get("refresh_token", client_id)
    if stored is None or stored["token"] != given or clock.read(stored["ends"]) <= clock.now():
        return _no("invalid_grant")
    user = space().get("User", stored["user_id"])
    if user is None or not user["Active"]:
        return _no("invalid_grant")
    return _issued(user, client_id)


def _issued(user: Record, client_id: str) -> Response:
    """A new pair of tokens. The earlier refresh token of this client id dies, its access tokens live on."""
    moment, store = clock.now(), space().store
    access, refresh = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    for old in store.all("access_token"):
        if clock.read(old["ends"]) <= moment:
            store.drop("access_token", old["token"])
    shared = {"client_id": client_id, "user_id": user["Id"]}
    store.put("access_token", access, shared | {"token": access, "ends": clock.written(moment + ACCESS_LASTS)})
    store.put("refresh_token", client_id, shared | {"token": refresh, "ends": clock.written(moment + REFRESH_LASTS)})
    return json_reply(
        {
            "access_token": access,
            "token_type": "bearer",
            "expires_in": int(ACCESS_LASTS.total_seconds()),
            "refresh_token": refresh,
        }
    )


def _no(error: str, description: str | None = None) -> Response:
    body = {"error": error}
    return json_reply(body | {"error_description": description} if description else body, 400)


def _user_with(email: str, password: str) -> Record | None:
    for user in space().store.all("User"):
        if user["Email"].casefold() == email.strip().casefold():
            secret = space().get("secret", user["Id"])
            if secret and check_password_hash(secret["password"], password):
                return user
    return None


def sign_in_caller() -> None:
    """Find out who is asking and leave it in `g.user`; a `Refusal` for nobody."""
    user = _caller()
    switches = space().faults.switches
    if user is None or switches.api_access == "off" or not user["APIAccess"]:
        raise Refusal(text_reply("Unauthorized", 401))
    g.user = user


def _caller() -> Record | None:
    given = request.authorization
    if given is None:
        return None
    if given.type == "basic":
        return _user_with(given.username or "", given.password or "")
    if given.type != "bearer" or not given.token:
        return None
    stored = space().get("access_token", given.token)
    if stored is None or clock.read(stored["ends"]) <= clock.now():
        return None
    user = space().get("User", stored["user_id"])
    return user if user and user["Active"] else None


def demand(entity: str, right: str) -> None:
    """Refuse a caller who may not; rights are called "Coworker-List", "-Read", "-Create", "-Edit", "-Delete"."""
    role = f"{entity}-{right}".lower()
    faults = space().faults
    if role in faults.names("missing_roles") or not (g.user["IsAdmin"] or role in _roles(g.user)):
        status = faults.switches.missing_role_status
        raise Refusal(text_reply("Forbidden" if status == 403 else "Unauthorized", status))


def _roles(user: Record) -> set[str]:
    secret = space().get("secret", user["Id"]) or {}
    return {role.lower() for role in secret.get("roles", [])}


@pages.get("/api/auth/me")
def me() -> Response:
    here, user = space(), g.user
    home = here.get("Business", next(iter(user["Businesses"]), None)) or {}
    currency = here.get("Currency", home.get("CurrencyId")) or {}
    country = here.get("Country", home.get("CountryId")) or {}
    zone = here.get("SimpleTimeZone", home.get("SimpleTimeZoneId")) or {}
    access = user["APIAccess"] and here.faults.switches.api_access == "on"
    return json_reply(
        here.shown(ENTITIES["User"], user)
        | {
            "APIAccess": access,
            "DefaultBusinessId": home.get("Id"),
            "DefaultBusinessName": home.get("Name"),
            "DefaultCurrencyId": currency.get("Id"),
            "DefaultCurrencyName": currency.get("Name"),
            "DefaultCurrencyCode": currency.get("Code"),
            "DefaultCountryId": country.get("Id"),
            "DefaultCountryName": country.get("Name"),
            "DefaultSimpleTimeZoneId": zone.get("Id"),
            "DefaultSimpleTimeZoneName": zone.get("Name"),
            "DefaultSimpleTimeZoneNameIana": zone.get("Iana"),
        }
    )
