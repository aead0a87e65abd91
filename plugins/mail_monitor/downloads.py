"""What strangers sent, handed to a browser that must not run, sniff or trust it: saved, or shown in a frame."""

from urllib.parse import quote

from flask import Response

from plugins.mail_monitor.file_names import safe_name

POLICY = "sandbox; default-src 'none'; frame-ancestors 'none'"
# Links open elsewhere, in a page of their own; everything else that HTML can do is switched off, framed or not.
FRAME_POLICY = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src {pictures}; "
    "style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
)


def download(data: bytes, name: str) -> Response:
    """An answer that is saved under `name` and never opened in place."""
    name = safe_name(name, "application/octet-stream", 1)
    plain = name.encode("ascii", errors="replace").decode().replace('"', "_").replace("?", "_")
    response = Response(data, mimetype="application/octet-stream")
    response.headers["Content-Disposition"] = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name)}"
    response.headers["Content-Security-Policy"] = POLICY
    return response


def frame(html: str, *, remote_pictures: bool) -> Response:
    """The formatted text of a mail; pictures from elsewhere load only if `remote_pictures`, and never unencrypted."""
    response = Response(html, mimetype="text/html")
    response.headers["Content-Security-Policy"] = FRAME_POLICY.format(
        pictures="data: https:" if remote_pictures else "data:"
    )
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    return response
