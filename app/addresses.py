"""Addresses of pages as people reach them from outside, for mails: workers know no request to take the host from."""

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

from flask import current_app
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect

PERSONAL_LINK = "[a personal link]"
_ADDRESS = re.compile(r"https?://[^\s<>\"]+")


def public_url(endpoint: str, **values: Any) -> str:
    """The whole address of a page, below `SPHEREMAIL_PUBLIC_URL`; `account_slug` has to be among the values."""
    path: str = current_app.url_map.bind("").build(endpoint, values)
    return f"{current_app.config['SETTINGS'].public_base}{path}"


def without_personal_links(text: str) -> str:
    """`text` with `PERSONAL_LINK` for each of our addresses that lets in, or lets pay, whoever has it."""
    return _ADDRESS.sub(lambda found: PERSONAL_LINK if _holds_a_token(found[0]) else found[0], text)


def _holds_a_token(url: str) -> bool:
    """Whether this is an address of ours with a token in it; every route calls it that."""
    base = current_app.config["SETTINGS"].public_base
    if not url.startswith(f"{base}/"):
        return False
    parts = urlsplit(url.removeprefix(base))
    try:
        _, values = current_app.url_map.bind("").match(parts.path)
    except (HTTPException, RequestRedirect):  # no page of ours
        values = {}
    return "token" in values or "token" in parse_qs(parts.query)
