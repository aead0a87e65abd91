"""What a sign-in may do, and whether look-ups can be trusted: found out on connecting, without making anything."""

from dataclasses import dataclass

from app.errors import NotSent, Refused, SignInNeeded
from app.http import Answer
from plugins.nexudus import answers
from plugins.nexudus.answers import Call
from plugins.nexudus.envelopes import ListAnswer, MutationAnswer
from plugins.nexudus.payloads import Me
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
NEEDED = (BUSINESSES, COUNTRIES, ZONES, TAX_RATES, PRODUCTS, MEMBERS, SALES, INVOICES, LINES)
# A list that refuses to run without this filter; which invoice it names does not matter.
DEMANDED_FILTERS = {LINES: {"CoworkerInvoiceLine_CoworkerInvoice": 1}}


@dataclass(frozen=True, slots=True)
class DocumentProbe:
    """Whether invoices can be written as documents, and the sentence that says so."""

    routed: bool
    note: str


class Probing(Reading):
    """Questions about Nexudus itself."""

    def check_rights(self, me: Me) -> None:
        """Raise `SignInNeeded` "missing_right" that names what this user may not read; an administrator may all.

        Rights to write show only at the first write: there is no harmless way to try them.
        """
        if me.is_admin:
            return
        missing = [THINGS[path] for path in NEEDED if not self._may_list(path)]
        if missing:
            rights = ", ".join(f"list {things}" for things in missing)
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
            if self._rows(path, {filter_name: IMPOSSIBLE}):
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

    def _may_list(self, path: str) -> bool:
        params = {"page": 1, "size": 1, **DEMANDED_FILTERS.get(path, {})}
        try:
            self.ask(Call("GET", path, "list", THINGS[path], params))
        except SignInNeeded as error:
            if error.code != "missing_right":
                raise
            return False
        except Refused:
            return True  # whoever may not ask is not told what is wrong with the question
        return True

    def _rows(self, path: str, filters: dict[str, str]) -> int:
        call = Call("GET", path, "list", THINGS[path], {"page": 1, "size": 1, **filters})
        return len(answers.shaped(call, ListAnswer, self.ask(call)).records)


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
        f"Nexudus took an empty record as one of its {call.things}{made}. Look for it there and delete it. "
        "Invoices are written as product sales."
    )
