"""Reading an invoice back and comparing it with what was sent: only an exact match counts as handed over."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.effects import Intent, Result
from app.errors import Refused
from app.money import Money
from plugins.nexudus.client import Nexudus
from plugins.nexudus.frozen import FrozenInvoice
from plugins.nexudus.payloads import InvoiceThere, LineThere


@dataclass(frozen=True, slots=True)
class Verify:
    """Compare the invoice over there with the frozen one.

    `origins` are the unique ids of the sales our lines came from, in the order of the lines; empty for a document,
    whose lines are known by the tags in their descriptions. Lines of others on an invoice raised from sales are
    not ours to judge: then our lines alone are compared.
    """

    frozen: FrozenInvoice
    remote_id: int
    origins: tuple[str, ...] = ()
    key: str = "verify"

    def call(self, remote: Nexudus, intent: Intent) -> Result:
        return self.compare(remote)

    def compare(self, remote: Nexudus) -> Result:
        """What stands there: `invoice_id`, `number`, `net_minor`, `tax_minor`, `total_minor`, `draft`, `shared`."""
        there = remote.invoice(self.remote_id)
        lines = remote.invoice_lines(self.remote_id)
        self._compare_head(there)
        ours = [self._ours(lines, index) for index in range(len(self.frozen.lines))]
        shared = len(lines) > len(ours) and bool(self.origins)
        found = _amounts(there, ours, self.frozen.currency, shared=shared)
        result = {"invoice_id": there.id, "number": there.number, "draft": there.draft, "shared": shared, **found}
        self._compare_amounts(ours, result)
        return result

    def look_up(self, remote: Nexudus, intent: Intent) -> Result | None:
        """Reading again is all it takes."""
        return self.compare(remote)

    def _compare_head(self, there: InvoiceThere) -> None:
        if there.void:
            raise self._refused("The invoice was voided in Nexudus.", "void_there", there)
        if there.member_id != self.frozen.member_id:
            raise self._refused("Nexudus put the invoice on another member.", "other_customer", there)
        if there.currency_id not in (None, self.frozen.currency_id):
            raise self._refused("The invoice there is in another currency.", "other_currency", there)
        if not self.origins and not there.reference:
            raise self._refused(
                f"Nexudus did not keep our reference. Write “{self.frozen.marker}” as its purchase order there, "
                "then check again.",
                "reference_lost",
                there,
            )

    def _ours(self, lines: Sequence[LineThere], index: int) -> LineThere:
        """The one line over there that our line number `index` became."""
        line = self.frozen.lines[index]
        origin = self.origins[index] if self.origins else ""
        found = [one for one in lines if origin and one.origin.lower() == origin.lower()]
        found = found or [one for one in lines if one.description.rstrip().endswith(self.frozen.tag(line))]
        if len(found) == 1:
            return found[0]
        sentence = f"Line {line.position} stands {len(found)} times on the invoice in Nexudus."
        raise Refused(
            sentence if found else f"Line {line.position} is not on the invoice in Nexudus.",
            code="duplicate" if found else "line_missing",
            invoice_id=self.remote_id,
        )

    def _compare_amounts(self, ours: Sequence[LineThere], found: dict[str, Any]) -> None:
        for what, here in (
            ("total", self.frozen.total_minor),
            ("tax", self.frozen.tax_minor),
            ("net", self.frozen.net_minor),
        ):
            self._compare(f"The {what} there", found[f"{what}_minor"], here, found)
        for line, there in zip(self.frozen.lines, ours, strict=True):
            name = f"Line {line.position} there"
            self._compare(name, Money.nearest(there.net, self.frozen.currency).minor, line.net_minor, found)

    def _compare(self, what: str, there: int, here: int, found: dict[str, Any]) -> None:
        if there != here:
            gap = Money(abs(there - here), self.frozen.currency)
            raise Refused(
                f"{what} is {gap} {'lower' if there < here else 'higher'} than here.", code="total_differs", **found
            )

    def _refused(self, sentence: str, code: str, there: InvoiceThere) -> Refused:
        stands_at = Money.nearest(there.total, self.frozen.currency).minor
        return Refused(sentence, code=code, invoice_id=there.id, number=there.number, stands_at=stands_at)


def _amounts(there: InvoiceThere, ours: Sequence[LineThere], currency: str, *, shared: bool) -> dict[str, int]:
    """Net, tax and total of the invoice, or of our lines on it when it is shared."""
    if shared:
        net = sum(Money.nearest(line.net, currency).minor for line in ours)
        tax = sum(Money.nearest(line.tax, currency).minor for line in ours)
        return {"net_minor": net, "tax_minor": tax, "total_minor": net + tax}
    tax, total = Money.nearest(there.tax, currency).minor, Money.nearest(there.total, currency).minor
    return {"net_minor": total - tax, "tax_minor": tax, "total_minor": total}
