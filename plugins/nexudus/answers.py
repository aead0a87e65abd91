"""What an answer of Nexudus means: data, or one of the five errors that say what happens next.

Status codes and bodies: https://developers.nexudus.com/reference/api-limitations (409), and the newer
https://developers.nexudus.com/rest-api/sdk/error-handling (429). Bodies are read here and never logged.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from app import clock
from app.errors import Capped, NotSent, OutcomeUnknown, Refused, SignInNeeded
from app.http import Answer
from plugins.nexudus.envelopes import MutationAnswer

S = TypeVar("S", bound=BaseModel)

SHORTEST_WAIT, LONGEST_WAIT = timedelta(seconds=1), timedelta(hours=1)
LONGEST_MESSAGE = 200
MOST_DIGITS = 40  # a number beyond this is no amount, and writing it out could fill the memory

FIELDS = {
    "FullName": "a name",
    "Email": "an email",
    "Country": "a country",
    "CountryId": "a country",
    "SimpleTimeZone": "a time zone",
    "SimpleTimeZoneId": "a time zone",
    "BillToName": "a name",
    "BillToAddress": "an address",
    "BillToCity": "a city",
    "BillToPostCode": "a postcode",
    "BillToCountry": "a country",
    "BillToCountryId": "a country",
}

_SECONDS = re.compile(r"(\d{1,9})\s*(?:s\b|sec)", re.IGNORECASE)
_DEMANDED = re.compile(r"required|may not be (?:null|empty)|can ?not be (?:null|empty|blank)|missing", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Call:
    """One request, and the right it needs in words ("create") and things ("invoices")."""

    method: Literal["GET", "POST", "PUT"]
    path: str
    verb: str
    things: str
    params: Mapping[str, str | int] | None = None
    body: Mapping[str, Any] | None = None

    @property
    def kind(self) -> Literal["read", "write"]:
        return "read" if self.method == "GET" else "write"

    @property
    def creates_members(self) -> bool:
        return self.right == "create members"

    @property
    def right(self) -> str:
        return f"{self.verb} {self.things}"


def data_of(call: Call, answer: Answer, throttled_before: int = 0) -> Any:
    """The JSON that answers `call`, amounts as `Decimal`.

    Raises one of the five `Outside` errors. 401 is not decided here: the sender renews the token first.
    `throttled_before` counts the throttled answers just before this one.
    """
    if is_throttled(answer):
        raise capped(answer, throttled_before)
    if answer.status in (401, 403):
        raise right_missing(call, answer.status)
    if 200 <= answer.status < 300:
        return _agreed(call, answer)
    if 400 <= answer.status < 500 and answer.status not in (408, 409):
        raise refusal(call, answer)
    raise no_answer(call, status=answer.status)


def shaped(call: Call, shape: type[S], data: Any) -> S:
    """`data` as a `shape`; what does not fit is no readable answer."""
    try:
        return shape.model_validate(data)
    except ValidationError as error:
        misfits = [".".join(map(str, one["loc"])) for one in error.errors(include_input=False, include_url=False)]
        raise no_answer(call, misfits=misfits[:5]) from None  # the cause quotes the body


def json_of(answer: Answer) -> Any:
    """The body as JSON with exact decimals; `ValueError` when it is anything else."""
    try:
        return json.loads(answer.body, parse_float=_number, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("nested too deep") from None


def exact_json(value: Any) -> str:
    """`value` as JSON, decimals digit by digit: no amount ever passes through a float."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{json.dumps(name)}:{exact_json(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(exact_json, value)) + "]"
    return json.dumps(value)


def no_answer(call: Call, **details: Any) -> NotSent | OutcomeUnknown:
    """Nothing that can be read came back: a read is asked again, a write is looked up."""
    if call.kind == "read":
        return NotSent("Nexudus does not answer. We ask again on our own.", asked=call.path, **details)
    return OutcomeUnknown(
        "Nexudus gave no clear answer. We check whether it arrived before sending anything again.",
        asked=call.path,
        **details,
    )


def is_throttled(answer: Answer) -> bool:
    """429, or the older 409 that comes empty or with `Retry-After`; either way nothing was executed."""
    if answer.status == 409:
        return "Retry-After" in answer.headers or not answer.body.strip()
    return answer.status == 429


def capped(answer: Answer, throttled_before: int = 0) -> Capped:
    """Throttled: wait as long as the answer says, else 2, 4, 8 seconds."""
    now = clock.now()
    wait = _retry_after(answer.headers.get("Retry-After", ""), now)
    if wait is None:
        told = _SECONDS.search(answer.body[:1000].decode(errors="replace"))
        wait = timedelta(seconds=int(told[1]) if told else 2 ** min(throttled_before + 1, 3))
    wait = min(max(wait, SHORTEST_WAIT), LONGEST_WAIT)
    return Capped("Nexudus is busy. We go on by ourselves; nothing for you to do.", until=now + wait)


def used_up_today() -> Capped:
    """Nexudus accepts about 50 new members a day and then denies access although the sign-in is fine."""
    tomorrow = clock.now().replace(hour=0, minute=5, second=0, microsecond=0) + timedelta(days=1)
    return Capped(
        "Nexudus accepts about 50 new members a day, and today's are used up. We go on tomorrow.",
        until=tomorrow,
        code="daily_members",
    )


def right_missing(call: Call, status: int) -> SignInNeeded:
    """The user may sign in but not do this; names what is missing."""
    return SignInNeeded(
        f"One right is missing: {call.right}. Give it to this user in Nexudus, then sign in again.",
        code="missing_right",
        right=call.right,
        status=status,
    )


def signed_out() -> SignInNeeded:
    """The tokens are no good any more."""
    return SignInNeeded("Nexudus ended our sign-in. What waits goes on by itself once you sign in again.")


def refusal(call: Call, answer: Answer) -> Refused:
    """Why Nexudus refused, in its own words made presentable; `details["field"]` is the field it blames."""
    if answer.status == 404:
        return Refused(f"Nexudus has no such record ({call.things}).", code="not_found", asked=call.path)
    if answer.status == 405:
        return Refused(f"This Nexudus does not let programs {call.right}.", code="not_routed", asked=call.path)
    try:
        said = json_of(answer)
    except ValueError:
        said = answer.body[:1000].decode(errors="replace")
    return _refused(call, said, answer.status)


def presentable(message: str) -> str:
    """A message from outside as one short line of text; "" when it is markup or nothing."""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in message).split())
    if "<" in line:
        return ""
    return line if len(line) <= LONGEST_MESSAGE else line[: LONGEST_MESSAGE - 1].rstrip() + "…"


def _agreed(call: Call, answer: Answer) -> Any:
    """The JSON of a 2xx answer; `Refused` when it says that it was not successful after all."""
    try:
        data = json_of(answer)
    except ValueError:
        raise no_answer(call, status=answer.status, reason="unreadable") from None
    if isinstance(data, dict) and data.get("WasSuccessful") is False:
        raise _refused(call, data, answer.status)
    return data


def _refused(call: Call, said: Any, status: int) -> Refused:
    message, field = _complaint(said)
    if _DEMANDED.search(message) and field:
        wanted = FIELDS.get(field, f"the field “{presentable(field)}”")
        return Refused(f"Nexudus refuses this without {wanted}.", code="field_missing", field=field, asked=call.path)
    sentence = f"Nexudus refused: “{message}”" if message else "Nexudus refused without saying why."
    return Refused(sentence, field=field, asked=call.path, answered=status)


def _complaint(said: Any) -> tuple[str, str]:
    """The first message of a refusal and the field it is about, either may be empty."""
    if isinstance(said, str):
        return presentable(said), ""
    try:
        envelope = MutationAnswer.model_validate({"WasSuccessful": False, **said})
    except (ValidationError, TypeError):
        return "", ""
    first = next((one for one in envelope.errors if one.message), None)
    message = first.message if first else envelope.message
    field = (first.property_name if first else "") or _named_field(message)
    return presentable(message), presentable(field)


def _named_field(message: str) -> str:
    """The field of a message such as "Email: may not be null or empty"."""
    name, colon, _ = message.partition(":")
    return name if colon and name.isidentifier() else ""


def _retry_after(header: str, now: datetime) -> timedelta | None:
    """Seconds or a date, possibly absurd; None when it says nothing."""
    header = header.strip()
    if re.fullmatch(r"-?\d+", header):
        return LONGEST_WAIT if len(header) > 9 and header[0] != "-" else timedelta(seconds=int(header[:9]))
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now


def _number(digits: str) -> Decimal:
    number = Decimal(digits)
    if abs(number.adjusted()) > MOST_DIGITS or len(digits) > 2 * MOST_DIGITS:
        raise ValueError("a number out of all bounds")
    return number


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is no number")
