"""The files that dress an account's pages for customers. Each address names one version, so browsers may keep it."""

from flask import Response, g

from app.access import VISITORS, allow
from app.accounts import logos
from app.accounts.looks import look_of, style_sheet
from app.accounts.routes.blueprint import pages
from app.errors import NotFound

# Not "public": an answer may carry a session cookie, which no shared cache may keep.
KEPT = "private, max-age=31536000, immutable"


@pages.get("/portal/<account_slug>/logo/<version>.png")
@allow(VISITORS)
def logo(version: str) -> Response:
    content = logos.content_of(g.account, version)
    if content is None:
        raise NotFound
    answer = _kept(content, "image/png")
    answer.headers["Content-Security-Policy"] = "default-src 'none'; frame-ancestors 'none'; sandbox"
    return answer


@pages.get("/portal/<account_slug>/look/<version>.css")
@allow(VISITORS)
def style(version: str) -> Response:
    """The account's accent colour, over our own."""
    look = look_of(g.account.accent)
    if not g.account.accent or version != look.version:
        raise NotFound
    return _kept(style_sheet(look), "text/css")


def _kept(content: bytes | str, mimetype: str) -> Response:
    answer = Response(content, mimetype=mimetype)
    answer.headers["Cache-Control"] = KEPT
    return answer
