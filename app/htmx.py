"""Page or partial from one address, toasts and redirects: the only door to htmx's headers."""

from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, redirect, render_template
from htmx_flask import Htmx, make_response, request

Answer = Response | tuple[Response, int]


def init_app(app: Flask) -> None:
    """Make requests aware of htmx, and answers honest to caches and the Back button."""
    Htmx(app)

    @app.after_request
    def say_that_it_varies(response: Response) -> Response:
        # The same address answers a page or a partial; without this, Back shows the partial.
        response.vary.add("HX-Request")
        return response


def asks_for_partial() -> bool:
    """Whether htmx wants a piece of a page: not a boosted link and not a page restored from history."""
    return bool(request.htmx) and not request.htmx.boosted and not request.htmx.history_restore_request


def page_path() -> str:
    """Path of the page that the person looks at: this request's own, or the one that htmx asks on behalf of."""
    if not asks_for_partial():
        return str(request.path)
    try:
        return urlsplit(str(request.htmx.current_url or "")).path
    except ValueError:  # a header can hold anything
        return ""


def page_or_partial(page: str, partial: str, **context: Any) -> str:
    """Render `partial` for htmx, the whole `page` otherwise."""
    return render_template(partial if asks_for_partial() else page, **context)


def partial_with_event(html: str, event: str) -> Response:
    """An answer to htmx that also tells the rest of the page that something happened."""
    return _response(html, trigger={event: True})


def partial_elsewhere(html: str, target: str, status: int) -> Response:
    """An answer that replaces another element than the one htmx asked for; `target` is a CSS selector."""
    response = _response(html, retarget=target, reswap="outerHTML")
    response.status_code = status
    return response


def go_to(url: str) -> Response:
    """Send the browser to another page: a redirect, or its htmx counterpart that loads the whole page."""
    if request.htmx:
        return _response("", redirect=url)
    return redirect(url, code=303)  # type: ignore[return-value]  # werkzeug's response is Flask's here


def leave_to(url: str) -> Response:
    """Send the browser to somebody else's page after a form.

    Our content policy lets no form lead elsewhere, not even by a redirect; so a page of ours that goes on by itself.
    """
    if request.htmx:
        return _response("", redirect=url)
    return Response(render_template("leaving.html", url=url, host=urlsplit(url).hostname))


def _response(html: str, **headers: Any) -> Response:
    response: Response = make_response(html, **headers)
    return response
