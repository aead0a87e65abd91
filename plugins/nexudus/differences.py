"""What a reconciliation can find, in words: a title, and what to do about it."""

ACCEPTED, CREDITED, NOT_THERE = "accepted", "credited_there", "not_found"
# Listed, but nobody has to do anything about them.
NOT_COUNTED = ("", ACCEPTED, CREDITED)
# It is not as it was handed over, and yet it stands there with its amount.
STANDS_ALL_THE_SAME = frozenset({"reference_lost"})

_COPY = "If it is still owed, copy the invoice here as a new one: the copy goes with the next window."

DIFFERENCES = {
    "total_differs": (
        "Another total there",
        "Correct the lines in Nexudus, or bill the difference with a new invoice.",
    ),
    ACCEPTED: ("Another total, accepted", "Nothing: somebody accepted it when it was handed over."),
    CREDITED: ("Credited there", f"Nothing, when it was settled with credit. {_COPY}"),
    NOT_THERE: ("Gone from Nexudus", _COPY),
    "void_there": ("Voided there", _COPY),
    "other_customer": ("On another member there", "Move it to the right member in Nexudus."),
    "other_currency": ("In another currency there", "Correct the currency in Nexudus."),
    "line_missing": ("A line is missing there", "Put the line back in Nexudus, or bill it with a new invoice."),
    "duplicate": ("A line stands there twice", "Take the second one off in Nexudus."),
    "reference_lost": ("Our reference is missing there", "Write it on the invoice in Nexudus as its purchase order."),
    "twice": ("A second one stands there", "Delete this one in Nexudus, so that nobody pays twice."),
    "not_closed": ("Stands there, not closed here", "Open the invoice and check again: once it is found it is closed."),
    "not_sent": ("Stands there, but is collected here", "Delete it in Nexudus, so that nobody pays twice."),
    "nobodys": (
        "Our reference, no invoice of ours",
        "Look where it comes from; delete it in Nexudus if it is a mistake.",
    ),
}
OTHER = ("It could not be compared", "Open it in Nexudus and compare it by hand.")


def in_words(code: str) -> tuple[str, str]:
    """Title and next step of what was found; two empty texts when nothing differs."""
    return DIFFERENCES.get(code, OTHER) if code else ("", "")
