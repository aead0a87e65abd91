"""The strategies: which step comes next for an invoice, as a pure function of the frozen invoice and what is done.

"product_sale" sells a product per line and invoices exactly those sales. "document" writes an invoice with lines.
Every step can be looked up, so that one whose outcome is unknown is never repeated blindly.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from app import clock
from app.effects import Done, Intent, Result, Step
from app.errors import NotSent, Refused
from plugins.nexudus.client import Nexudus
from plugins.nexudus.frozen import FrozenInvoice, FrozenLine
from plugins.nexudus.payloads import Record, Sale
from plugins.nexudus.verifying import Verify

R = TypeVar("R", bound=Record)

# Sales older than this may have been invoiced by Nexudus itself meanwhile, for example with a contract.
FRESH = timedelta(seconds=60)
LOOK_BACK = timedelta(days=1)  # before the first attempt; the clocks of two machines differ


def next_step(frozen: FrozenInvoice, done: Done) -> Step | None:
    """The next thing to do for this invoice, or None when it stands in Nexudus as frozen."""
    return product_sale(frozen, done) if frozen.way == "product_sale" else document(frozen, done)


def product_sale(frozen: FrozenInvoice, done: Done) -> Step | None:
    """`sale:1` ... `sale:n`, `invoice`, `reference`, `verify`."""
    for line in frozen.lines:
        if f"sale:{line.position}" not in done:
            return SellLine(frozen, line)
    sold = [done[f"sale:{line.position}"] for line in frozen.lines]
    sale_ids = tuple(int(one["sale_id"]) for one in sold)
    if "invoice" not in done:
        return InvoiceSales(sale_ids, min(datetime.fromisoformat(one["begun_at"]) for one in sold))
    if "reference" not in done:
        return ReferenceSales(frozen, sale_ids)
    if "verify" not in done:
        found = done["reference"]
        return Verify(frozen, int(found["invoice_id"]), tuple(found["origins"]))
    return None


def document(frozen: FrozenInvoice, done: Done) -> Step | None:
    """`invoice`, `line:1` ... `line:n`, when it is to be issued `check` and `issue`, maybe `reference`, `verify`."""
    if "invoice" not in done:
        return WriteHead(frozen)
    remote_id = int(done["invoice"]["invoice_id"])
    for line in frozen.lines:
        if f"line:{line.position}" not in done:
            return WriteLine(frozen, line, remote_id)
    if frozen.issue == "issued":
        if "check" not in done:
            return Verify(frozen, remote_id, key="check")  # issuing may mail and collect: not with a wrong total
        if "issue" not in done:
            return IssueInvoice(remote_id)
        if frozen.use_own_number and "reference" not in done:
            return NumberInvoice(frozen, remote_id)
    return Verify(frozen, remote_id) if "verify" not in done else None


@dataclass(frozen=True, slots=True)
class SellLine:
    """Sell one line's product to the member."""

    frozen: FrozenInvoice
    line: FrozenLine

    @property
    def key(self) -> str:
        return f"sale:{self.line.position}"

    def call(self, remote: Nexudus, intent: Intent) -> Result:
        return self._sold(remote.sell(intent, self.frozen.sale(self.line)), intent)

    def look_up(self, remote: Nexudus, intent: Intent) -> Result | None:
        """By member and marker; the tag at the end of the description says which line it is."""
        found = remote.sales_with_reference(
            self.frozen.member_id, self.frozen.marker, since=intent.first_begun_at - LOOK_BACK
        )
        tag = self.frozen.tag(self.line)
        sale = _only([sale for sale in found if sale.description.rstrip().endswith(tag)], "product sales")
        return None if sale is None else self._sold(sale.id, intent)

    def _sold(self, sale_id: int, intent: Intent) -> Result:
        return {"sale_id": sale_id, "begun_at": intent.first_begun_at.isoformat()}


@dataclass(frozen=True, slots=True)
class InvoiceSales:
    """Invoice exactly our sales; never while one of them shows as invoiced, by whomever."""

    sale_ids: tuple[int, ...]
    sold_since: datetime
    key: str = "invoice"

    def call(self, remote: Nexudus, intent: Intent) -> Result:
        if clock.now() - self.sold_since > FRESH and self._is_billed(remote):
            return {"raised": False}
        try:
            remote.invoice_sales(intent, self.sale_ids)
        except Refused:
            if not self._is_billed(remote):
                raise
            return {"raised": False}
        return {"raised": True}

    def look_up(self, remote: Nexudus, intent: Intent) -> Result | None:
        return {"raised": False} if self._is_billed(remote) else None

    def _is_billed(self, remote: Nexudus) -> bool:
        billed = [remote.sale(sale_id).is_billed for sale_id in self.sale_ids]
        if any(billed) and not all(billed):
            raise Refused(
                "Nexudus itself invoiced some of its lines but not all. Invoice the rest there, then check again.",
                code="partly_invoiced",
            )
        return all(billed)


@dataclass(frozen=True, slots=True)
class ReferenceSales:
    """Find the invoice our sales ended up on and write the marker on it."""

    frozen: FrozenInvoice
    sale_ids: tuple[int, ...]
    key: str = "reference"

    def call(self, remote: Nexudus, intent: Intent) -> Result:
        """A marker that cannot be written because the invoice carries another one is no error: the sales lead to it."""
        sales = [remote.sale(sale_id) for sale_id in self.sale_ids]
        remote_id = _invoice_of(sales)
        number = self.frozen.number if self.frozen.use_own_number and _is_ours_alone(remote, remote_id, sales) else None
        outcome = remote.set_invoice_reference(intent, remote_id, self.frozen.marker, number)
        return _referenced(remote_id, sales, taken=outcome == "taken")

    def look_up(self, remote: Nexudus, intent: Intent) -> Result | None:
        sales = [remote.sale(sale_id) for sale_id in self.sale_ids]
        remote_id = _invoice_of(sales)
        reference = remote.invoice(remote_id).reference
        return _referenced(remote_id, sales, taken=reference != self.frozen.marker) if reference else None


@dataclass(frozen=True, slots=True)
class WriteHead:
    """Write the head of the document, always as a draft."""

    frozen: FrozenInvoice
    key: str = "invoice"

    def call(self, remote: Nexudus, intent: Intent) -> Result:
        return {"invoice_id": remote.create_invoice(intent, self.frozen.head())}

    def look_up(self, remote: Nexudus, intent: Intent) -> Result | None:
        found = remote.invoices_with_reference(
            self.frozen.member_id, self.frozen.marker, since=intent.first_begun_at - LOOK_BACK
        )
        invoice = _only(found, "invoices")
        return None if invoice is None else {"invoice_id": invoice.id}


@dataclass(frozen=True, slots=True)
class WriteLine:
    """Write one line of the document."""

    frozen: FrozenInvoice
    line: FrozenLine
    remote_id: int

    @property
    def key(self) -> str:
        return f"line:{self.line.position}"

    def call(self, remote: Nexudus, intent: Intent) -> Result:
        return {"line_id": remote.create_line(intent, self.frozen.document_line(self.remote_id, self.line))}

    def look_up(self, remote: Nexudus, intent: Intent) -> Result | None:
        """By invoice and tag. Nothing may be added to an invoice that somebody issued meanwhile."""
        tag = self.frozen.tag(self.line)
        lines = remote.invoice_lines(self.remote_id)
        line = _only([one for one in lines if one.description.rstrip().endswith(tag)], "invoice lines")
        if line is not None:
            return {"line_id": line.id}
        if not remote.invoice(self.remote_id).draft:
            raise Refused(
                f"The invoice was issued in Nexudus before line {self.line.position} was on it.",
                code="issued_there",
                invoice_id=self.remote_id,
            )
        return None


@dataclass(frozen=True, slots=True)
class IssueInvoice:
    """Turn the draft into an issued invoice."""

    remote_id: int
    key: str = "issue"

    def call(self, remote: Nexudus, intent: Intent) -> Result:
        remote.issue_invoice(intent, self.remote_id)
        return {"invoice_id": self.remote_id}

    def look_up(self, remote: Nexudus, intent: Intent) -> Result | None:
        return None if remote.invoice(self.remote_id).draft else {"invoice_id": self.remote_id}


@dataclass(frozen=True, slots=True)
class NumberInvoice:
    """Write our number again: drafts and issued invoices are numbered in sequences of their own."""

    frozen: FrozenInvoice
    remote_id: int
    key: str = "reference"

    def call(self, remote: Nexudus, intent: Intent) -> Result:
        remote.set_invoice_reference(intent, self.remote_id, self.frozen.marker, self.frozen.number)
        return {"invoice_id": self.remote_id}

    def look_up(self, remote: Nexudus, intent: Intent) -> Result | None:
        is_ours = remote.invoice(self.remote_id).number == self.frozen.number
        return {"invoice_id": self.remote_id} if is_ours else None


def _only(found: Sequence[R], things: str) -> R | None:
    if len(found) > 1:
        raise Refused(
            f"{len(found)} {things} there carry the same reference. Delete all but one in Nexudus, then check again.",
            code="duplicate",
            ids=[record.id for record in found],
        )
    return found[0] if found else None


def _invoice_of(sales: Sequence[Sale]) -> int:
    """The one invoice that billed these sales."""
    ids = {sale.invoice_id for sale in sales if sale.invoice_id is not None}
    if len(ids) > 1:
        raise Refused(
            f"Nexudus spread this over {len(ids)} invoices.", code="several_invoices", invoice_ids=sorted(ids)
        )
    if not ids or any(sale.invoice_id is None for sale in sales):
        raise NotSent("Nexudus has invoiced this but does not show the invoice yet. We ask again on our own.")
    return ids.pop()


def _is_ours_alone(remote: Nexudus, remote_id: int, sales: Sequence[Sale]) -> bool:
    """Whether nothing but our sales is on the invoice: only then may it carry our number."""
    origins = {sale.unique_id.lower() for sale in sales} - {""}
    return all(line.origin.lower() in origins for line in remote.invoice_lines(remote_id))


def _referenced(remote_id: int, sales: Sequence[Sale], *, taken: bool) -> Result:
    return {"invoice_id": remote_id, "origins": [sale.unique_id for sale in sales], "taken": taken}
