"""Addresses of pages as people reach them from outside, for mails: workers know no request to take the host from."""

from typing import Any

from flask import current_app


def public_url(endpoint: str, **values: Any) -> str:
    """The whole address of a page, below `SPHEREMAIL_PUBLIC_URL`; `account_slug` has to be among the values."""
    path: str = current_app.url_map.bind("").build(endpoint, values)
    return f"{current_app.config['SETTINGS'].public_base}{path}"
