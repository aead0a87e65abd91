"""Turns the sandbox's switches, for tests and scripts: JSON in, JSON out. The same deeds serve the page's forms."""

from typing import Any

from flask import Blueprint, Response, redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from plugins.nexudus.sandbox import auth, billing, seed
from plugins.nexudus.sandbox.faults import Switches
from plugins.nexudus.sandbox.replies import Refusal, json_reply
from plugins.nexudus.sandbox.space import PROFILES, Space, space

LIMITS = ("documented", "off")

pages = Blueprint("control", __name__, url_prefix="/sandbox")


@pages.get("/switches")
def show_switches() -> Response:
    return json_reply(state(space()))


@pages.post("/switches")
def turn_switches() -> AnyResponse:
    """Turn the switches that are named; "profile" and "limits" are two of them. The others stay as they are."""
    here, values = space(), _sent()
    for name, known in (("profile", PROFILES), ("limits", LIMITS)):
        if values.get(name, known[0]) not in known:
            raise _wrong(f"{name} is one of {', '.join(known)}")
    profile, limits = values.pop("profile", here.profile), values.pop("limits", here.limits.mode)
    try:
        here.faults.turn(values)
    except ValueError as error:
        raise _wrong(str(error)) from None
    here.profile, here.limits.mode = profile, limits
    return _done("turned")


@pages.post("/switches/off")
def turn_all_off() -> AnyResponse:
    """Every fault off; profile and limits stay."""
    space().faults.reset()
    return _done("off")


@pages.post("/reset")
def reset() -> AnyResponse:
    """Forget every record and start anew; `demo` says whether with people (default: as before)."""
    here, sent = space(), _sent()
    before = here.get("seeded", "seeded") or {}
    demo = sent.get("demo", before.get("demo", False)) in (True, "true", "on", "1")
    with here.store.change():
        here.store.clear()
        seed.fill(here, demo=demo)
    here.faults.reset()
    here.limits.reset()
    here.calls.reset()
    return _done("reset")


@pages.post("/tokens/expire")
def expire_tokens() -> AnyResponse:
    """Every access token has run out."""
    with space().store.change():
        auth.expire_access_tokens(space())
    return _done("expired")


@pages.post("/tokens/revoke")
def revoke_tokens() -> AnyResponse:
    """No refresh token is good any more, and no access token either."""
    with space().store.change():
        auth.expire_access_tokens(space())
        auth.revoke_refresh_tokens(space())
    return _done("revoked")


@pages.post("/password")
def change_password() -> AnyResponse:
    """Another password for a user, by `email`; their tokens die with the old one."""
    here, sent = space(), _sent()
    user = next(iter(here.where("User", Email=sent.get("email") or seed.EMAIL)), None)
    if user is None or not sent.get("password"):
        raise _wrong("email names a user, password is their new password")
    with here.store.change():
        auth.set_password(here, user, str(sent["password"]))
        auth.expire_access_tokens(here)
        auth.revoke_refresh_tokens(here)
    return _done("password")


@pages.post("/renew")
def renew() -> AnyResponse:
    """A contract of `coworker_id` renews: an invoice appears that swallows whatever is pending for them."""
    here = space()
    customer = here.get("Coworker", _sent().get("coworker_id"))
    if customer is None:
        raise _wrong("coworker_id names a member")
    with here.store.change():
        invoice = billing.renew(here, customer["InvoicingBusinessId"], customer["Id"])
    return json_reply({"invoice_id": invoice["Id"]})


@pages.get("/calls")
def show_calls() -> Response:
    """How often each call was made since the last reset."""
    return json_reply(space().calls.counts())


@pages.get("/requests")
def show_requests() -> Response:
    """The last calls since the last reset, the newest first: when, what, which command, and how they ended."""
    return json_reply(space().calls.last())


@pages.post("/calls/reset")
def reset_calls() -> AnyResponse:
    space().calls.reset()
    return _done("calls")


def state(here: Space) -> dict[str, Any]:
    """Every switch with its value, profile and limits among them."""
    return {"profile": here.profile, "limits": here.limits.mode, **here.faults.as_dict()}


def _sent() -> dict[str, Any]:
    """What was sent, by name; a form leaves out the boxes that are not ticked, so they are added as off."""
    if not request.form:
        sent = request.get_json(silent=True) or {}
        return dict(sent) if isinstance(sent, dict) else {}
    sent = request.form.to_dict()
    boxes = sent.pop("boxes", "")
    return dict.fromkeys(boxes.split(), False) | sent


def _done(said: str) -> AnyResponse:
    if request.form:
        return redirect(url_for("pages.show_sandbox", said=said), 303)
    return json_reply(state(space()))


def _wrong(sentence: str) -> Refusal:
    return Refusal(json_reply({"error": sentence}, 400))


BOXES = " ".join(name for name, value in vars(Switches()).items() if isinstance(value, bool))
