"""One log line per request and job, as JSON or text, with ids that find each other and without secrets."""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog
from flask import Request

from app.config import Settings

SECRET_KEYS = re.compile(r"password|token|secret|authorization|cookie|totp|api_key", re.IGNORECASE)
SECRET_TEXT = re.compile(r"(?i)\b(bearer|basic)\s+[a-z0-9._~+/=-]{8,}|((?:password|token|secret|totp)=)[^&\s'\"]+")


def redact(logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Blank what looks like a secret, by key and by pattern, wherever it stands in the event."""
    for key, value in event.items():
        if SECRET_KEYS.search(key):
            event[key] = "[hidden]"
        elif isinstance(value, str):
            event[key] = SECRET_TEXT.sub(lambda found: (found.group(2) or "") + "[hidden]", value)
    return event


def set_up(settings: Settings) -> None:
    """Send structlog and the standard library's loggers through one chain to standard error."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    draw: structlog.types.Processor = (
        structlog.processors.JSONRenderer()
        if settings.logs_as_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, draw],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level.upper())
    for chatty in ("urllib3", "werkzeug", "rq.worker", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def path_of(request: Request) -> str:
    """The path of a request for the log; a token in it opens something and is left out."""
    return request.url_rule.rule if request.url_rule and "token" in (request.view_args or {}) else request.path
