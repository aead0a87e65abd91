"""What waits for a person in this plugin, for the list of problems, and what Operators are told of it by mail."""

from typing import Literal

from app.access import OPERATORS
from app.accounts.models import Account
from app.db import db
from app.installations.models import Installation, InstallationState
from app.plugin import Problem
from app.problems.models import Notice
from app.problems.services import tell_operators
from plugins.nexudus import connecting, export_reports, listing_pages
from plugins.nexudus.export_reports import RunSums
from plugins.nexudus.models import ExportRun, LinkState, RunKind

# The states of a link that wait for a person: tab of the members page, kind, title, what to do.
LINKS: dict[LinkState, tuple[str, Literal["stop", "ask"], str, str]] = {
    LinkState.GONE: (
        "gone",
        "stop",
        "Linked members are gone",
        "Archived or deleted in Nexudus. Bring them back there, or link the customers to other members.",
    ),
    LinkState.CHOICE: (
        "choice",
        "ask",
        "Customers wait for your choice",
        "Several members have the email of one customer. You choose; we never guess.",
    ),
    LinkState.SKIPPED: (
        "skipped",
        "ask",
        "Customers were skipped",
        "Nexudus demands data that we lack. Complete it; then they are connected by themselves.",
    ),
}


def problems_of(installation: Installation) -> list[Problem]:
    """A sign-in that no longer works, held invoices by cause, customers whose link waits for somebody."""
    connection = connecting.current(installation)
    if connection is None:
        return []
    found = [_sign_in(installation)] if installation.state == InstallationState.ATTENTION else []
    found += [_held(cause) for cause in export_reports.held_by_cause(connection)]
    links = listing_pages.state_counts(connection)
    return found + [
        Problem(show, kind, links[state], title, meaning, "See who", "nexudus.members", {"show": show})
        for state, (show, kind, title, meaning) in LINKS.items()
        if links.get(state)
    ]


def tell_of_run(run: ExportRun) -> None:
    """Mail what became of a run that has ended; a run that found nothing to do says nothing."""
    sums = export_reports.sums_of(run.connection, [run])[0]
    if not (sums.exported or sums.held or sums.unknown):
        return
    account = db.session.get_one(Account, run.account_id)
    tell_operators(
        account,
        Notice.EXPORT,
        subject=_subject(sums),
        lines=_lines(run, sums),
        endpoint="nexudus.export_run",
        run_id=run.id,
    )


def tell_of_sign_in(installation: Installation) -> None:
    """Mail that work stands still until somebody signs in again."""
    account = db.session.get_one(Account, installation.account_id)
    tell_operators(
        account,
        Notice.STUCK,
        subject="Nexudus needs you: sign in again",
        lines=[
            installation.problem,
            "Until then nothing is linked or handed over. Nothing is lost, and nothing is sent twice.",
        ],
        endpoint="installations.systems",
    )


def _subject(sums: RunSums) -> str:
    done = "1 invoice" if sums.exported == 1 else f"{sums.exported} invoices"
    rest = sums.held + sums.unknown
    return f"{done} handed over to Nexudus, {sums.total}" + (f"; {rest} not" if rest else "")


def _lines(run: ExportRun, sums: RunSums) -> list[str]:
    name = f"The export of {run.window_on:%d %B}" if run.kind == RunKind.WINDOW and run.window_on else "The export"
    lines = [f"{name} has ended: {sums.exported} handed over, {sums.total}."]
    if sums.held:
        lines.append(f"{sums.held} are held and wait for you." if sums.held != 1 else "1 is held and waits for you.")
    if sums.unknown:
        lines.append(f"{sums.unknown} without an answer; they are looked up before anything else happens.")
    return lines


def _sign_in(installation: Installation) -> Problem:
    return Problem(
        "sign_in",
        "stop",
        1,
        "Nexudus does not let us in",
        installation.problem,
        "Sign in again",
        "nexudus.connect",
        roles=OPERATORS,
    )


def _held(cause: export_reports.Cause) -> Problem:
    return Problem(
        f"held_{cause.code}",
        "stop",
        cause.count,
        f"Held: {cause.title}",
        cause.next_step,
        "See the invoices",
        "nexudus.held",
        {"cause": cause.code},
        amount=str(cause.total),
    )
