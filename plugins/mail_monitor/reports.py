"""Reports about delivery (RFC 3464): for whom a mail was not delivered, why, and which mail it was."""

import re
from collections.abc import Iterable

from plugins.mail_monitor import identity
from plugins.mail_monitor.charsets import clean_line
from plugins.mail_monitor.headers import Headers
from plugins.mail_monitor.letters import Failure, Report

MOST_BLOCKS = 100
MOST_IDS = 10
STATUS, RETURNED = "message/delivery-status", frozenset({"message/rfc822", "text/rfc822-headers"})
_BETWEEN = re.compile(rb"\r?\n[ \t]*\r?\n")
_FAILED = "failed"


def read_report(statuses: Iterable[bytes], heads: Iterable[bytes], named: Iterable[str]) -> Report:
    """What a report says. `heads` are the headers of what it returns, `named` the ids in its own header."""
    failures = {}
    for status in statuses:
        for block in _BETWEEN.split(status.strip(), MOST_BLOCKS)[:MOST_BLOCKS]:
            failure = _failure(Headers.read(block))
            if failure is not None:
                failures[failure.address] = failure
    returned = (identity.normal_id(Headers.read(head).first("message-id").decode("utf-8", "replace")) for head in heads)
    ids = [one for one in dict.fromkeys([*returned, *named]) if one][:MOST_IDS]
    return Report(tuple(ids), tuple(failures.values()))


def _failure(fields: Headers) -> Failure | None:
    """One recipient of a report, if the mail will not get there; what is only late is no failure."""
    if fields.text("action", 40).lower() != _FAILED:
        return None
    address = _after_type(fields.text("original-recipient", 300)) or _after_type(fields.text("final-recipient", 300))
    why = _after_type(fields.text("diagnostic-code", 400)) or fields.text("status", 40)
    return Failure(clean_line(address, 254), clean_line(why, 200))


def _after_type(value: str) -> str:
    """An address or a reason without the word before it, such as "rfc822;", that says how it is written."""
    return value.partition(";")[2].strip() if ";" in value else value.strip()
