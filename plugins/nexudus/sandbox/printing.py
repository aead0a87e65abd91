"""A one-page PDF of an invoice, behind an address that is good for some minutes."""

import secrets
from datetime import timedelta

from flask import Blueprint, Response

from plugins.nexudus.sandbox import billing, clock
from plugins.nexudus.sandbox.replies import not_found
from plugins.nexudus.sandbox.space import Space, space
from plugins.nexudus.sandbox.store import Record

GOOD_FOR = timedelta(minutes=5)

pages = Blueprint("printing", __name__)


def ticket(here: Space, invoice_ids: list[int]) -> str:
    """Allow whoever knows this word to fetch these invoices for a while."""
    word = secrets.token_urlsafe(16)
    here.store.put("print", word, {"ids": invoice_ids, "ends": clock.written(clock.now() + GOOD_FOR)})
    return word


@pages.get("/print/<ticket>.pdf")
def show_pdf(ticket: str) -> Response:
    here = space()
    allowed = here.get("print", ticket)
    if allowed is None or clock.read(allowed["ends"]) <= clock.now():
        return not_found()
    invoices = [one for key in allowed["ids"] if (one := here.get("CoworkerInvoice", key))]
    text = [line for invoice in invoices for line in _text(here, invoice)]
    return Response(pdf(text), mimetype="application/pdf")


def _text(here: Space, invoice: Record) -> list[str]:
    lines = billing.lines_of(here, invoice["Id"])
    return [
        f"Invoice {invoice['InvoiceNumber']} (Nexudus sandbox, not a real invoice)",
        f"To: {invoice['BillToName']}",
        f"Reference: {invoice['PurchaseOrder'] or '-'}",
        *(f"{one['Quantity']} x {one['Description']}: {one['SubTotal']} + {one['TaxAmount']} tax" for one in lines),
        f"Total: {invoice['TotalAmount']}",
        "",
    ]


def pdf(lines: list[str]) -> bytes:
    """The smallest document that holds these lines: one page, one of the built-in fonts."""
    shown = "".join(f"({_escaped(line)}) '\n" for line in lines)
    content = f"BT /F 11 Tf 14 TL 50 790 Td\n{shown}ET".encode("latin-1", "replace")
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</Font<</F 5 0 R>>>>/Contents 4 0 R>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(content), content),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
    ]
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    trailer = b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, len(out))
    return out + b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1) + table + trailer


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)").replace("\n", " ")
