"""What Nexudus answers: the envelopes of writes and lists, and the body of every refusal."""

from typing import Any

from flask import Response

from plugins.nexudus.sandbox.store import Record, dumped

JSON = "application/json; charset=utf-8"


def json_reply(value: Any, status: int = 200) -> Response:
    return Response(dumped(value), status, content_type=JSON)


def text_reply(text: str, status: int) -> Response:
    return Response(text, status, content_type="text/plain; charset=utf-8")


def complaint(property_name: str, message: str, value: Any = None) -> Record:
    """One entry of `Errors`."""
    return {"AttemptedValue": value, "Message": message, "PropertyName": property_name}


def mutation(
    value: Any,
    message: str | None = None,
    *,
    redirect: str | None = None,
    updated_on: str | None = None,
    updated_by: str | None = None,
) -> Response:
    """A write that worked."""
    return json_reply(
        {**_envelope(200, message, value), "RedirectURL": redirect, "UpdatedOn": updated_on, "UpdatedBy": updated_by}
    )


def refused(message: str, errors: list[Record] | None = None, status: int = 400) -> Response:
    """A write that did not: HTTP 400 with an inner status of 500, or HTTP 200 for commands."""
    return json_reply({**_envelope(500, message, None), "Errors": errors, "WasSuccessful": False}, status)


def _envelope(status: int, message: str | None, value: Any) -> Record:
    return {
        "Status": status,
        "Message": message,
        "Value": value,
        "OpenInDialog": False,
        "OpenInWindow": False,
        "RedirectURL": None,
        "JavaScript": None,
        "UpdatedOn": None,
        "UpdatedBy": None,
        "Errors": None,
        "WasSuccessful": True,
    }


def not_found() -> Response:
    return json_reply("Not found", 404)


def server_error(*, ooops: bool = False) -> Response:
    if ooops:
        return refused("Ooops! Something went wrong.", status=500)
    return json_reply({"Message": "An error has occurred."}, 500)


class Refusal(Exception):
    """Ends a request with `response`; nothing that it wrote is kept."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response
