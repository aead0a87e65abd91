"""What a page reads from its own address: text, the page of a list, a day. Nonsense counts as not said."""

from datetime import date

from flask import request

from app.typed import problem_of, tidy

LONGEST = 200


def asked(name: str) -> str:
    """A parameter of the address as tidied text; "" when it is not there or nobody can have typed it."""
    text = tidy(request.args.get(name, ""))
    return "" if problem_of(text, LONGEST) else text


def page_number() -> int:
    """The page of a list that the address asks for, at least 1."""
    return max(1, request.args.get("page", 1, type=int))


def asked_day(name: str) -> date | None:
    """A day written as "2026-11-28"."""
    try:
        return date.fromisoformat(asked(name))
    except ValueError:
        return None
