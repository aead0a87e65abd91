"""What a sign-in may do, and whether look-ups can be trusted: found out on connecting, without making anything."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.errors import Capped, NotSent, Refused, SignInNeeded
from app.http import Answer
from plugins.nexudus import answers
from plugins.nexudus.answers import Call
from plugins.nexudus.envelopes import ListAnswer, MutationAnswer
from plugins.nexudus.reading import (
    BUSINESSES,
    COUNTRIES,
    INVOICES,
    LINES,
    MEMBERS,
    PRODUCTS,
    SALES,
    TAX_RATES,
    THINGS,
    ZONES,
    Reading,
)

IMPOSSIBLE = "spheremail:no-such-reference"
LISTED = (BUSINESSES, COUNTRIES, ZONES, TAX_RATES, PRODUCTS, MEMBERS, SALES, INVOICES, LINES)
CREATED = (MEMBERS, SALES)
CHANGED = (SALES, INVOICES)
# A list that refuses to run without this filter; which invoice it names does not matter.
DEMANDED_FILTERS = {LINES: {"CoworkerInvoiceLine_CoworkerInvoice": 1}}


@dataclass(frozen=True, slots=True)
class DocumentProbe:
    """Whether invoices can be written as documents, and the sentence that says so."""

    routed: bool
    note: str


class Probing(Reading):
    """Questions about Nexudus itself."""

    def check_rights(self) -> None:
        """Raise `SignInNeeded` "missing_right" that names everything this user may not do.

        Rights to write are tried with empty records: every documented version demands fields of a new record and
        an id of a changed one, so nothing is made and nothing changed.
        """
        needed = [
            *(_list_one(path, DEMANDED_FILTERS.get(path, {})) for path in LISTED),
            *(Call("POST", path, "create", THINGS[path], body={}) for path in CREATED),
            *(Call("PUT", path, "change", THINGS[path], body={}) for path in CHANGED),
        ]
        missing = [call.right for call in needed if not self._may(call)]
        if missing:
            rights = ", ".join(missing)
            sentence = (
                f"One right is missing: {rights}. Everything else is in order. Give it"
                if len(missing) == 1
                else f"{len(missing)} rights are missing: {rights}. Give them"
            )
            raise SignInNeeded(
                f"{sentence} to this user in Nexudus, then try again.", code="missing_right", right=rights
            )

    def check_look_ups(self) -> None:
        """Raise `Refused` "look_up" when a search for a reference that cannot exist finds something.

        Then a search says nothing about whether an invoice arrived, and nothing can be sent safely.
        """
        for path, filter_name in (
            (SALES, "CoworkerProduct_PurchaseOrder"),
            (INVOICES, "CoworkerInvoice_PurchaseOrder"),
            (MEMBERS, "Coworker_ReferenceNumber"),
        ):
            call = _list_one(path, {filter_name: IMPOSSIBLE})
            if answers.shaped(call, ListAnswer, self.ask(call)).records:
                raise Refused(
                    f"This Nexudus does not search {THINGS[path]} by reference, so nothing can be sent to it safely.",
                    code="look_up",
                )

    def accepts_documents(self) -> DocumentProbe:
        """Whether invoices and their lines can be created directly, asked with empty ones that cannot be accepted."""
        for path in (INVOICES, LINES):
            call = Call("POST", path, "create", THINGS[path], body={})
            try:
                answer = self.send(call)
            except SignInNeeded as error:
                if error.code != "missing_right":
                    raise
                return DocumentProbe(False, error.sentence)
            probe = _judge(call, answer)
            if not probe.routed:
                return probe
        return DocumentProbe(True, "This Nexudus takes invoices as documents.")

    def _may(self, call: Call) -> bool:
        """Whether the user has the right that `call` needs; any answer but "you may not" will do."""
        try:
            answer = self.send(call)
        except SignInNeeded as error:
            if error.code != "missing_right":
                raise
            return False
        except Capped as error:
            if error.details.get("code") != "daily_members":
                raise
            return True  # the right is there, only today's share is used up
        if answers.is_throttled(answer):
            raise answers.capped(answer)
        if call.verb == "create" and 200 <= answer.status < 300:
            raise Refused(_said_yes(call, answer), code="made_something")
        return answer.status != 403


def _list_one(path: str, filters: Mapping[str, str | int]) -> Call:
    return Call("GET", path, "list", THINGS[path], {"page": 1, "size": 1, **filters})


def _judge(call: Call, answer: Answer) -> DocumentProbe:
    if answer.status == 403:
        return DocumentProbe(False, answers.right_missing(call, 403).sentence)
    if answer.status in (404, 405):
        return DocumentProbe(False, f"This Nexudus does not let programs {call.right}; product sales are used instead.")
    if 200 <= answer.status < 300:
        return DocumentProbe(False, _said_yes(call, answer))
    if answer.status in (400, 422):
        routed = _complains(answer)
        return DocumentProbe(
            routed, "" if routed else f"It is not clear whether this Nexudus lets programs {call.right}."
        )
    if answers.is_throttled(answer):
        raise answers.capped(answer)
    raise NotSent("Nexudus does not answer. Try again in a minute.", status=answer.status)


def _complains(answer: Answer) -> bool:
    """Whether an empty record was refused field by field: then creating is routed."""
    try:
        return bool(MutationAnswer.model_validate(answers.json_of(answer)).errors)
    except ValueError:
        return False


def _said_yes(call: Call, answer: Answer) -> str:
    try:
        value = MutationAnswer.model_validate(answers.json_of(answer)).value
    except ValueError:
        value = None
    made = f" with id {value['Id']}" if isinstance(value, dict) and isinstance(value.get("Id"), int) else ""
    return (
        f"Nexudus said yes to an empty record among its {call.things}{made}. Look for it there and delete it; "
        "this way of writing is not used."
    )
