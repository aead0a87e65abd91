"""Lists as CSV files to download: streamed, and without cells that a spreadsheet would run as formulas."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from flask import Response, g, request, stream_with_context

from app import audit
from app.db import db, unit_of_work

# What a spreadsheet takes for the beginning of a formula, behind blanks too (OWASP, "CSV Injection").
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\0")
_PIECE = 200  # rows written at once


def csv_file(rows: Iterable[Sequence[Any]], file_name: str) -> Response:
    """An answer that the browser saves as `file_name`; the first row is the heading. RFC 4180, UTF-8.

    Who takes a list along leaves a row in the audit: from then on it is out of our hands.
    """
    with unit_of_work():
        audit.record("list_saved", file=file_name, narrowed_by=request.args.to_dict())
    db.session.refresh(g.account)  # the rows ask for it while the answer goes out, when no session would load it
    answer = Response(stream_with_context(_pieces(rows)), mimetype="text/csv")
    answer.headers.set("Content-Disposition", "attachment", filename=file_name)
    return answer


def safe_cell(value: Any) -> str:
    """A value as a cell: what would begin a formula gets a quote in front, as spreadsheets mark text."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) and not _is_number(text) else text


def plain_cell(text: str) -> str:
    """What `safe_cell` made, without the quote again; anything else as it is."""
    rest = text.removeprefix("'")
    return rest if rest != text and rest.lstrip(" ").startswith(_FORMULA) else text


def _is_number(text: str) -> bool:
    """A negative amount is no formula, and a quote would turn it into text."""
    return text.removeprefix("-").replace(".", "", 1).isdecimal()


def _pieces(rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    written = io.StringIO()
    writer = csv.writer(written)
    for number, row in enumerate(rows, start=1):
        writer.writerow([safe_cell(value) for value in row])
        if number % _PIECE == 0:
            yield written.getvalue()
            written.seek(0)
            written.truncate()
    yield written.getvalue()
