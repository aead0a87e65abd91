"""Bytes that strangers sent, handed to a browser that must not run, sniff or show them."""

from urllib.parse import quote

from flask import Response

from plugins.mail_monitor.file_names import safe_name

POLICY = "sandbox; default-src 'none'; frame-ancestors 'none'"


def download(data: bytes, name: str) -> Response:
    """An answer that is saved under `name` and never opened in place."""
    name = safe_name(name, "application/octet-stream", 1)
    plain = name.encode("ascii", errors="replace").decode().replace('"', "_").replace("?", "_")
    response = Response(data, mimetype="application/octet-stream")
    response.headers["Content-Disposition"] = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name)}"
    response.headers["Content-Security-Policy"] = POLICY
    return response
