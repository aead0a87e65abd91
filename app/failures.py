"""How each error looks on a screen: a page or a piece of one, with a sentence, a code and the request id."""

import structlog
from flask import Flask, g, jsonify, render_template, request
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, OperationalError
from werkzeug import Response
from werkzeug.exceptions import HTTPException

from app.errors import AppError
from app.htmx import asks_for_partial

log = structlog.get_logger()

Failure = tuple[str | Response, int]

SENTENCES = {
    400: ("That request cannot be read", "Go back, reload the page and try again."),
    404: ("Not found", "There is nothing at this address."),
    405: ("Not this way", "This address does not answer that kind of request."),
    413: ("Too large", "What was sent is larger than this page takes."),
    429: ("Too many tries", "Wait a little, then try again."),
}


def init_app(app: Flask) -> None:
    app.register_error_handler(AppError, _app_error)
    app.register_error_handler(CSRFError, _csrf_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(DBAPIError, _database_error)
    app.register_error_handler(IntegrityError, _two_at_once)
    app.register_error_handler(DataError, _beyond_the_database)
    app.register_error_handler(OverflowError, _beyond_the_database)
    app.register_error_handler(Exception, _unexpected)


def _app_error(error: AppError) -> Failure:
    log.info("refused", error=type(error).__name__, sentence=error.sentence, **_loggable(error.details))
    return _draw(error.status, error.title, error.sentence)


def _csrf_error(error: CSRFError) -> Failure:
    return _draw(
        400,
        "This page is out of date",
        "It was open too long, so nothing was saved. Reload it and try again.",
    )


def _http_error(error: HTTPException) -> Failure | Response:
    code = error.code or 500
    if code < 400:
        return error.get_response()
    title, sentence = SENTENCES.get(code, (error.name, "That did not work."))
    return _draw(code, title, sentence)


def _database_error(error: DBAPIError) -> Failure:
    if not isinstance(error, OperationalError) and not error.connection_invalidated:
        return _unexpected(error)
    log.error("database_unavailable", error=str(error.orig))
    g.database_gone = True  # who is asking cannot be looked up for this page either
    return _draw(503, "The database does not answer", "Your last change was not saved. Try again in a moment.")


def _two_at_once(error: IntegrityError) -> Failure:
    """Two tabs or people did the same thing in one moment, and the database took the first."""
    log.warning("two_at_once", path=request.path, error=str(error.orig)[:200])
    sentence = "Somebody else changed this at the same moment. Nothing of yours was saved; look again."
    return _draw(409, "That changed meanwhile", sentence)


def _beyond_the_database(error: Exception) -> Failure:
    """An id or a page number larger than any database holds leads nowhere, like any other that does not exist."""
    log.warning("beyond_the_database", path=request.path, error=str(error)[:200])
    return _draw(404, *SENTENCES[404])


def _unexpected(error: Exception) -> Failure:
    log.error("unexpected", path=request.path, exc_info=error)
    return _draw(
        500,
        "Something broke on our side",
        "Your last change was not saved. It is safe to go back and try again.",
    )


def _draw(code: int, title: str, sentence: str) -> Failure:
    g.failing = True  # the frame around an error page must not fail in its turn
    g.pop("frame", None)
    context = {
        "code": code,
        "title": title,
        "sentence": sentence,
        "request_id": g.get("request_id", ""),
        "portal": request.blueprint == "portal" and "account" in g and "database_gone" not in g,
    }
    if request.accept_mimetypes.best == "application/json":
        return jsonify(error={"code": code, "message": sentence}), code
    template = "errors/_error.html" if asks_for_partial() else "errors/error.html"
    return render_template(template, **context), code


def _loggable(details: dict[str, object]) -> dict[str, object]:
    return {f"detail_{key}": str(value) for key, value in details.items()}
