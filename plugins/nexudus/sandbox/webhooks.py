"""Webhooks: which change tells whom, signed as Nexudus signs, delivered to this machine only.

https://help.nexudus.com: "Verifying webhooks created via the API". The body is a JSON array of changed records.
"""

import hashlib
import hmac
import ipaddress
import threading
from urllib.parse import urlsplit

import requests
from flask import g, has_app_context

from plugins.nexudus.sandbox import clock
from plugins.nexudus.sandbox.space import Space
from plugins.nexudus.sandbox.store import Record, dumped

COWORKER_UPDATED, COWORKER_CREATED, COWORKER_DELETED = 2, 3, 50
INVOICE_CREATED, INVOICE_DELETED, INVOICE_UPDATED = 16, 17, 18
INVOICE_REFUNDED, CREDIT_NOTE, INVOICE_PAID = 19, 20, 21
SALE_CREATED, SALE_UPDATED, SALE_DELETED = 68, 69, 70

SIGNATURE = "X-Nexudus-Hook-Signature"
SECRET = "sandbox-webhook-secret"
GIVE_UP_AFTER = 10


def remember(action: int, record: Record) -> None:
    """Note a change of this request; it is told about once the change stands. Outside a request nobody is told."""
    if has_app_context():
        g.setdefault("changes", []).append((action, dict(record)))


def signature(body: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest().upper()


def deliver(here: Space, changes: list[tuple[int, Record]]) -> None:
    """Tell every active hook about what changed, beside the request that changed it."""
    hooks = [(hook, record) for action, record in changes for hook in here.where("WebHook", Action=action, Active=True)]
    if hooks:
        threading.Thread(target=tell, args=(here, hooks), daemon=True).start()


def deliver_remembered(here: Space) -> None:
    """Tell about every change that this request noted; to be called once it stands."""
    deliver(here, g.pop("changes", []))


def tell(here: Space, hooks: list[tuple[Record, Record]]) -> None:
    for hook, record in hooks:
        error = _send(hook["URL"], dumped([record]).encode())
        with here.store.change():
            current = here.get("WebHook", hook["Id"])
            if current is not None:
                count = current["ErrorCount"] + 1 if error else 0
                told = {"LastError": error or None, "ErrorCount": count, "LastTrigger": clock.written(clock.now())}
                is_active = current["Active"] and count < GIVE_UP_AFTER
                here.store.put("WebHook", hook["Id"], current | told | {"Active": is_active})


def _send(url: str, body: bytes) -> str:
    """Nothing when it was taken, else why not. Nothing is ever sent beyond this machine."""
    if not is_here(url):
        return "The sandbox delivers to this machine only."
    headers = {"Content-Type": "application/json", SIGNATURE: signature(body)}
    try:
        with requests.Session() as session:
            session.trust_env = False  # a proxy of the machine is not this machine
            answer = session.post(url, data=body, headers=headers, timeout=5, allow_redirects=False)
    except requests.RequestException as error:
        return type(error).__name__
    return "" if answer.ok else f"HTTP {answer.status_code}"


def is_here(url: str) -> bool:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        return False
    try:
        return ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return parts.hostname == "localhost"
