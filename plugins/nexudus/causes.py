"""Why an invoice is held, in words: a title, and what a person does about it."""

CAUSES = {
    "total_differs": ("The total there is another one.", "Compare the lines, then accept their total or correct it."),
    "duplicate": ("The same reference stands there more than once.", "Delete all but one in Nexudus, then retry."),
    "several_invoices": ("Nexudus made several invoices of it.", "Keep one in Nexudus, then retry."),
    "partly_invoiced": ("Nexudus itself invoiced a part of it.", "Invoice the rest there, then retry."),
    "tax_rate_missing": ("Nexudus has no such tax rate.", "Add the tax rate in Nexudus, then retry all of them."),
    "product_missing": ("No product carries this tax rate.", "Choose one in Business settings, Systems, then retry."),
    "gone": ("The member was archived or deleted.", "Bring the member back, or link another one, then retry."),
    "unlinked": ("The customer is not linked any more.", "Link the customer, or release the invoice."),
    "field_missing": ("Nexudus demands something we lack.", "Complete the customer's data, then retry."),
    "currency": ("Another currency.", "Release it: it is collected here."),
    "credit": ("It is a credit.", "Settle it with the customer, then release it."),
    "unknown_too_long": ("No answer for a week.", "Look for it in Nexudus, then retry."),
    "broken_off": ("Sending broke off three times.", "The log says why; retry once that is mended."),
    "other_customer": ("It stands on another member there.", "Move it to the right member in Nexudus, then retry."),
    "void_there": ("It was voided there.", "Release it: it is collected here."),
    "line_missing": ("A line is missing there.", "Put the line back in Nexudus, then retry."),
    "reference_lost": ("Our reference is missing there.", "Write it on the invoice in Nexudus, then retry."),
    "by_hand": ("Held back by a person.", "Retry sends it now; release collects it here."),
}
OTHER = ("Nexudus refused it.", "Read the reason, mend it, then retry.")


def in_words(code: str) -> tuple[str, str]:
    """Title and next step of a reason."""
    return CAUSES.get(code, OTHER)
