"""How the switches are shown on the sandbox's page: in groups, with a label and a sentence each."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shown:
    """One switch: `kind` is "count", "seconds", "box", "text" or the choices it has."""

    name: str
    label: str
    kind: str | tuple[str, ...]
    hint: str = ""


GROUPS: tuple[tuple[str, tuple[Shown, ...]], ...] = (
    (
        "Answers that never arrive",
        (
            Shown(
                "lost_answer_next", "Lose the next answers", "count", "The write is carried out, its answer is lost."
            ),
            Shown("lost_answer_every", "Lose every n-th answer", "count", "10: every tenth write. 0: none."),
            Shown("dropped_next", "Drop the next calls", "count", "The connection ends before anything is done."),
            Shown("dropped_every", "Drop every n-th call", "count"),
        ),
    ),
    (
        "Wrong answers",
        (
            Shown("error_next", "Answer the next calls with 500", "count", "Nothing is carried out."),
            Shown("error_after_next", "Answer the next writes with 500", "count", "They are carried out all the same."),
            Shown("error_ooops", "500 with the “Ooops” envelope", "box"),
            Shown("html_next", "Answer the next calls with a web page", "count", "200, but no JSON."),
            Shown("cut_next", "Cut the next answers in half", "count", "The calls are carried out."),
            Shown("throttle_next", "Throttle the next calls", "count"),
            Shown("throttle_status", "Throttle with", ("409", "429")),
            Shown("throttle_retry_after", "Say when to come back (Retry-After)", "box"),
            Shown("slow_s", "Answer after", "seconds"),
            Shown(
                "only",
                "Only calls whose path contains",
                "text",
                "For the faults above; empty: every call but signing in.",
            ),
        ),
    ),
    (
        "Signing in and rights",
        (
            Shown("one_time_code", "One-time code to demand", "text", "Empty: none is asked for."),
            Shown("api_access", "API access", ("on", "off", "shown_off"), "shown_off: reads as off, calls work."),
            Shown("missing_roles", "Rights to take away", "text", "CoworkerInvoice-Create, Coworker-Edit, …"),
            Shown("missing_role_status", "Answer to a missing right", ("401", "403")),
            Shown("creation_cap", "New members a day", "text", "Empty: 50 while limits are documented."),
        ),
    ),
    (
        "Records that move",
        (
            Shown(
                "renewal_next", "Renew a contract before the next invoicing", "count", "It swallows what is pending."
            ),
            Shown("one_invoice_per_sale", "One invoice per sale, not one for all", "box"),
            Shown("ignored_filters", "Filters to ignore", "text", "Coworker_Email, CoworkerInvoice_PurchaseOrder, …"),
            Shown("hidden_s", "Hide new rows from lists for", "seconds"),
        ),
    ),
)
