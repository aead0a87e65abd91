"""Pages of what goes on in an account: work, the product's own mails, the audit and its file."""

from typing import Any

from flask import Blueprint, Response, flash, g, render_template, request, url_for

from app import clock
from app.access import OFFICE, OPERATORS, allow
from app.activity import audits, mails, work
from app.asked import asked, asked_day, page_number
from app.csv_out import csv_file
from app.db import unit_of_work
from app.htmx import go_to, page_or_partial
from app.mailing.models import OutgoingMail
from app.mailing.services import sentence_of
from app.work import About

pages = Blueprint("activity", __name__)


def describe_mail(mail: OutgoingMail) -> About:
    """A mail of the product in the words of the job list."""
    return About(f"“{mail.subject}” to {mail.recipient}", "activity.mails_sent" if mail.account_id else "")


@pages.get("/<account_slug>/activity")
@allow(OFFICE)
def background() -> str:
    """What runs, waits and fails, renewed while the page is open."""
    return page_or_partial(
        "activity/work.html", "activity/_work.html", tabs=_tabs("background"), found=work.overview(g.account.id)
    )


@pages.post("/<account_slug>/activity/<job>/<int:row_id>/try-now")
@allow(OFFICE)
def try_now(job: str, row_id: int) -> Response:
    with unit_of_work():
        work.try_now(g.account.id, job, row_id)
    flash("It is tried now.", "done")
    return go_to(url_for(".background"))


@pages.get("/<account_slug>/activity/mails")
@allow(OFFICE)
def mails_sent() -> str:
    only_failed = asked("show") == "failed"
    found = mails.find(g.account, page_number(), only_failed=only_failed)
    return render_template(
        "activity/mails.html",
        tabs=_tabs("mails_sent"),
        found=found,
        held_a_link=mails.cannot_go_again(found.items),
        only_failed=only_failed,
        unknown=mails.count_unknown(g.account) if only_failed else 0,
        sentence_of=sentence_of,
        not_out=mails.NOT_OUT,
    )


@pages.post("/<account_slug>/activity/mails/<int:mail_id>/again")
@allow(OFFICE)
def send_again(mail_id: int) -> Response:
    with unit_of_work():
        recipient = mails.send_again(g.account, mail_id).recipient
    flash(f"It is sent to {recipient} once more.", "done")
    return go_to(url_for(".mails_sent"))


@pages.post("/<account_slug>/activity/mails/<int:mail_id>/leave")
@allow(OFFICE)
def leave_mail(mail_id: int) -> Response:
    with unit_of_work():
        mails.leave_it(g.account, mail_id)
    flash("Left as it is.", "done")
    return go_to(url_for(".mails_sent"))


@pages.post("/<account_slug>/activity/mails/unknown/again")
@allow(OFFICE)
def send_unknown_again() -> Response:
    with unit_of_work():
        again, kept = mails.send_unknown_again(g.account)
    held = f" {kept} held a personal link and stay." if kept else ""
    flash(f"{again} sent once more.{held}", "done")
    return go_to(url_for(".mails_sent", show="failed"))


@pages.post("/<account_slug>/activity/mails/unknown/leave")
@allow(OFFICE)
def leave_unknown() -> Response:
    with unit_of_work():
        count = mails.leave_unknown(g.account)
    flash(f"{count} left as they are.", "done")
    return go_to(url_for(".mails_sent", show="failed"))


@pages.get("/<account_slug>/activity/audit")
@allow(OPERATORS)
def audit_trail() -> str:
    """Who did what to which object, when, and with which outcome."""
    wanted = _wanted()
    found = audits.find(g.account, wanted, page_number())
    return page_or_partial(
        "activity/audit.html",
        "activity/_audit_list.html",
        tabs=_tabs("audit_trail"),
        wanted=wanted,
        found=found,
        objects=audits.objects_of(found.items),
        in_words=audits.in_words,
        kind_of=audits.kind_of,
        details_of=audits.details_of,
        actions=[("", "any"), *((name, audits.in_words(name)) for name in audits.actions(g.account))],
        outcomes=[("", "any"), *((name, name.replace("_", " ")) for name in audits.outcomes(g.account))],
        asked=request.args.to_dict(),
    )


@pages.get("/<account_slug>/activity/audit.csv")
@allow(OPERATORS)
def audit_file() -> Response:
    """The same list as a file, narrowed in the same way."""
    day = clock.today(g.account.timezone)
    return csv_file(audits.rows_for_file(g.account, _wanted()), f"audit-{g.account.slug}-{day}.csv")


def _wanted() -> audits.Search:
    return audits.Search(
        text=asked("q"),
        action=asked("action"),
        outcome=asked("outcome"),
        since=asked_day("since"),
        until=asked_day("until"),
    )


def _tabs(current: str) -> list[dict[str, Any]]:
    tabs = [("Background work", "background"), ("Mails", "mails_sent")]
    if g.membership.role in OPERATORS:
        tabs.append(("Audit", "audit_trail"))
    return [{"label": label, "url": url_for(f".{name}"), "current": name == current} for label, name in tabs]
