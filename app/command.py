"""What all commands share: one JSON object with `--json`, words without, and exit codes that scripts rely on."""

import json
import sys
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import click
import structlog
from flask.cli import with_appcontext
from sqlalchemy.exc import OperationalError

from app.errors import AppError

log = structlog.get_logger()

BUSY_EXIT = 3


class Busy(AppError):
    """Another run holds the connection; try again when it is done."""

    status = 409


class DatabaseGone(AppError):
    """Not reached, or locked for too long; nothing of the step at hand was saved."""


def answers(function: Callable[..., Mapping[str, Any]]) -> Callable[..., None]:
    """Run a command in the app and print what it answers: as words, or as one JSON object with `--json`.

    An `AppError` becomes its sentence on standard error (with `--json`: `{"error": {"code", "message"}}`) and
    exit code 1, `Busy` exit code 3.
    """

    @click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
    @with_appcontext
    @wraps(function)
    def run(*args: Any, as_json: bool, **options: Any) -> None:
        try:
            answer = function(*args, **options)
        except AppError as error:
            _fail(error, as_json=as_json)
        except OperationalError as error:
            log.exception("database_unavailable")
            _fail(DatabaseGone(f"The database does not answer: {error.orig}"), as_json=as_json)
        else:
            click.echo(json.dumps(answer, default=str) if as_json else _in_words(answer))

    return run


def from_stdin(what: str) -> str:
    """One line of standard input, without its line end; typed unseen when a person sits there."""
    if sys.stdin.isatty():
        return str(click.prompt(what, hide_input=True))
    return sys.stdin.readline().rstrip("\r\n")


def _fail(error: AppError, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"error": {"code": code_of(error), "message": error.sentence}}))
    else:
        click.echo(error.sentence, err=True)
    raise SystemExit(BUSY_EXIT if isinstance(error, Busy) else 1)


def code_of(error: AppError) -> str:
    """A short word for scripts: the error's own code, else its class in snake case."""
    own = getattr(error, "code", None)
    if own:
        return str(own)
    name = type(error).__name__
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


def _in_words(answer: Mapping[str, Any]) -> str:
    lines = []
    for key, value in answer.items():
        if isinstance(value, list):
            lines.append(f"{key}: {len(value)}")
            lines += [
                f"  {' · '.join(str(part) for part in row.values()) if isinstance(row, dict) else row}" for row in value
            ]
        else:
            lines.append(f"{key}: {value}")
    return "\n".join(lines)
