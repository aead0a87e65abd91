"""What this sandbox does without knowing whether Nexudus does the same; its page lists it."""

INFERRED, UNKNOWN, SEEN = "inferred", "unknown", "seen"

INVENTIONS: tuple[tuple[str, str, str], ...] = (
    (
        UNKNOWN,
        "Sign-in",
        "A missing or wrong one-time code is answered as a wrong password with a description of its own.",
    ),
    (UNKNOWN, "Sign-in", "A new password ends all tokens of the user."),
    (
        SEEN,
        "Rights",
        "A user without API access is refused with 401; the flag was also seen off on users whose calls worked.",
    ),
    (
        UNKNOWN,
        "Rights",
        "Running a command needs the right to edit its kind of record; the raise call needs CoworkerInvoice-Create.",
    ),
    (INFERRED, "Rights", "A missing right is 401 “Unauthorized”; a switch makes it 403."),
    (UNKNOWN, "Limits", "A call that is refused does not count. Signing in is not counted."),
    (
        UNKNOWN,
        "Limits",
        "The classic profile throttles with 409, the current one with 429; a switch chooses for itself.",
    ),
    (
        SEEN,
        "Limits",
        "The 51st new member of a day (in UTC) is refused with 401 “Access Denied”, while limits are documented.",
    ),
    (UNKNOWN, "Lists", "Text filters compare exactly, case included."),
    (UNKNOWN, "Lists", "dir understands Descending, desc and -1; everything else is ascending."),
    (
        UNKNOWN,
        "Lists",
        "Rows leave out collections, and three fields of charges that were seen missing. Nexudus may leave out more.",
    ),
    (
        SEEN,
        "Lists",
        "Charges need a filter by location; lines and histories one by invoice; settings ignore every filter.",
    ),
    (INFERRED, "Records", "An update that leaves SystemId or CustomFields out clears them. Both are kept otherwise."),
    (
        UNKNOWN,
        "Records",
        "Ids run through all kinds of record. Territories stand in for countries, IANA names for time zones.",
    ),
    (UNKNOWN, "Records", "Field errors name the relation (“Country”), and a body that is no JSON object is “invalid”."),
    (INFERRED, "Members", "Emails are stored as typed and may repeat. No mail is sent, and CreateUser makes no user."),
    (SEEN, "Members", "Without Businesses and InvoicingBusinessId a member lands in the last location of the login."),
    (UNKNOWN, "Sales", "Prices are net. A line says what the sale's Notes say, or else the product's name."),
    (
        UNKNOWN,
        "Sales",
        "COWORKER_PRODUCT_INVOICE makes one invoice of all ids; a switch makes one each. Two customers are refused.",
    ),
    (INFERRED, "Sales", "What has been invoiced cannot be deleted, nor invoiced again."),
    (UNKNOWN, "Charges", "TotalAmount is net and for the whole line; Quantity is only shown."),
    (
        UNKNOWN,
        "Invoices",
        "The raise call takes no body, answers the invoice of everything pending, and is refused when there is none.",
    ),
    (INFERRED, "Invoices", "Numbers are INV-0001, drafts DRAFT-0001, credit notes CN-0001, one sequence per location."),
    (
        INFERRED,
        "Invoices",
        "Issuing a draft replaces a number of the drafts' sequence, and keeps any other. Numbers may repeat.",
    ),
    (
        UNKNOWN,
        "Invoices",
        "Tax is rounded per line, halves up; totals are computed anew from the lines, posted ones too.",
    ),
    (UNKNOWN, "Invoices", "Lines can be added and changed until the invoice is paid or void."),
    (UNKNOWN, "Invoices", "Deleting one makes its sales and charges pending again; voiding and cancelling do not."),
    (
        UNKNOWN,
        "Invoices",
        "A credit note carries the order number of its invoice, whose CreditedAmount is its total from then on.",
    ),
    (INFERRED, "Invoices", "A mail to the customer is a line in the invoice's history. Nobody's card is charged."),
    (
        INFERRED,
        "Invoices",
        "The classic profile lets programs create invoices and their lines, the current one answers 405.",
    ),
    (
        UNKNOWN,
        "Contracts",
        "They are kept and can be cancelled, but bill nothing; the renewal switch stands in for that.",
    ),
    (
        INFERRED,
        "Webhooks",
        "Bodies hold whole records. One shared secret for all: sandbox-webhook-secret. This machine only, one try.",
    ),
)
