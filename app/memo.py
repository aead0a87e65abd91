"""Questions that several parts of one page ask the database: asked once while the page is read."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from flask import has_request_context, request

P = ParamSpec("P")
R = TypeVar("R")

_KNOWN = "spheremail.asked"


def once_a_page(ask: Callable[P, R]) -> Callable[P, R]:
    """While a page is read (GET, HEAD), the first answer to the same question stands until something is written.

    Forms, jobs and commands always ask. Arguments must be hashable, and nobody may change the answer.
    """

    @wraps(ask)
    def asked(*args: P.args, **kwargs: P.kwargs) -> R:
        if not has_request_context() or request.method not in {"GET", "HEAD"}:
            return ask(*args, **kwargs)
        # Not in `g`: that may outlive the request where a command or a test has opened the app's context before.
        known: dict[Any, R] = request.environ.setdefault(_KNOWN, {})
        question = (ask, args, tuple(sorted(kwargs.items())))
        if question not in known:
            known[question] = ask(*args, **kwargs)
        return known[question]

    return asked


def ask_anew() -> None:
    """Forget the answers: something was written."""
    if has_request_context():
        request.environ.pop(_KNOWN, None)
