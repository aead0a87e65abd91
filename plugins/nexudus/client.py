"""The client of one Nexudus sign-in: what is read, what is probed (both inherited), and every write.

A writing method takes the `Intent` of a step first: proof that what is about to happen has been written down.
There is no PATCH: PUT clears what it does not name, so each update reads the record by id and sends all of it back.
https://developers.nexudus.com/rest-api
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import structlog

from app.effects import Intent
from plugins.nexudus import answers
from plugins.nexudus.answers import Call
from plugins.nexudus.envelopes import MutationAnswer
from plugins.nexudus.payloads import Record
from plugins.nexudus.probing import Probing
from plugins.nexudus.reading import INVOICES, LINES, MEMBERS, PRODUCTS, SALES, THINGS
from plugins.nexudus.sent import NewInvoice, NewLine, NewMember, NewProduct, NewSale, Sent
from plugins.nexudus.wire import Permit, TokenSource

__all__ = ["Nexudus", "Permit", "TokenSource"]

INVOICE_SALES = "COWORKER_PRODUCT_INVOICE"  # seen in use; `GET .../commands` need not list it


class Nexudus(Probing):
    """Built with `(door, tokens, permit)`. Creating answers the new record's id.

    Every method raises one of the five `Outside` errors, or what `permit` and `tokens` raise.
    """

    def create_member(self, intent: Intent, member: NewMember) -> int:
        """`Capped` with `details["code"] == "daily_members"` when the day's new members are used up."""
        return self._create(intent, MEMBERS, member)

    def create_product(self, intent: Intent, product: NewProduct) -> int:
        return self._create(intent, PRODUCTS, product)

    def sell(self, intent: Intent, sale: NewSale) -> int:
        """Sell a product to a member; it stays pending until it is invoiced."""
        return self._create(intent, SALES, sale)

    def invoice_sales(self, intent: Intent, sale_ids: Sequence[int]) -> None:
        """Invoice exactly these sales. The answer does not name the invoice; the sales do once they are read."""
        body = {"Key": INVOICE_SALES, "Ids": list(sale_ids), "Parameters": []}
        self._write(intent, Call("POST", f"{SALES}/runcommand", "invoice", THINGS[SALES], body=body))

    def create_invoice(self, intent: Intent, invoice: NewInvoice) -> int:
        """The head of an invoice document, by default a draft."""
        return self._create(intent, INVOICES, invoice)

    def create_line(self, intent: Intent, line: NewLine) -> int:
        return self._create(intent, LINES, line)

    def set_invoice_reference(
        self, intent: Intent, invoice_id: int, reference: str, number: str | None = None
    ) -> Literal["written", "kept", "taken"]:
        """Write `reference`, and `number` if given, on an invoice.

        "kept": both stood there already. "taken": it carries another reference, which is left alone.
        """
        record = self._whole(INVOICES, invoice_id)
        if record.get("PurchaseOrder") not in (None, "", reference):
            return "taken"
        changes = {"PurchaseOrder": reference} | ({"InvoiceNumber": number} if number else {})
        if all(record.get(name) == value for name, value in changes.items()):
            return "kept"
        self._overwrite(intent, INVOICES, record, changes)
        return "written"

    def issue_invoice(self, intent: Intent, invoice_id: int) -> None:
        """Turn a draft into an issued invoice, which Nexudus may mail and collect; nothing when it is issued."""
        record = self._whole(INVOICES, invoice_id)
        if record.get("Draft"):
            self._overwrite(intent, INVOICES, record, {"Draft": False})

    def _create(self, intent: Intent, path: str, sent: Sent) -> int:
        call = Call("POST", path, "create", THINGS[path], body=sent.body())
        # Documented is {"Id": 1}, seen was the whole new record.
        return answers.shaped(call, Record, self._write(intent, call)).id

    def _overwrite(self, intent: Intent, path: str, record: Mapping[str, Any], changes: Mapping[str, Any]) -> None:
        self._write(intent, Call("PUT", path, "change", THINGS[path], body={**record, **changes}))

    def _whole(self, path: str, record_id: int) -> dict[str, Any]:
        """A record with every field it has, read by id: a row of a list would clear what it leaves out."""
        call = Call("GET", f"{path}/{record_id}", "read", THINGS[path])
        record = self.ask(call)
        if not isinstance(record, dict) or record.get("Id") != record_id:
            raise answers.no_answer(call, reason="another record came back")
        return record

    def _write(self, intent: Intent, call: Call) -> Any:
        """What the envelope of a write holds; a record that comes without one is taken as it is."""
        effect = f"{intent.subject.kind} {intent.subject.row_id} {intent.step}"
        with structlog.contextvars.bound_contextvars(effect=effect):
            said = self.ask(call)
        if isinstance(said, dict) and "WasSuccessful" not in said and "Id" in said:
            return said
        return answers.shaped(call, MutationAnswer, said).value
