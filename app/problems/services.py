"""What needs a person in an account, and the mails that say so to its Operators. Never commits."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
import structlog
from flask import g

from app import audit
from app.access import Role
from app.accounts.models import Account, Membership
from app.addresses import public_url
from app.db import db, end_reading
from app.installations.services import active_installations
from app.mailing.services import post
from app.plugin import HOST, Problem
from app.problems.models import Notice, NoticeChoice
from app.problems.sources import host_problems

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Found:
    """A problem and whose it is: a plugin's title, or the host's."""

    owner: str
    problem: Problem


def of_account(account: Account, role: Role) -> list[Found]:
    """Everything that waits for somebody of this role, what stopped first; a constant number of queries."""
    found = [Found(HOST, problem) for problem in host_problems(account.id)]
    for plugin, installation in active_installations(account.id):
        if plugin.problems is None:
            continue
        try:
            found += [Found(plugin.title, problem) for problem in plugin.problems(installation)]
        except Exception:
            # This is asked for on every page: a plugin's fault must not take them all down. The log has the story.
            log.exception("problems_failed", plugin=plugin.name)
            end_reading()
            found.append(Found(plugin.title, _silent(plugin.title)))
    mine = [one for one in found if role in one.problem.roles]
    return sorted(mine, key=lambda one: one.problem.kind != "stop")


def shown_here() -> list[Found]:
    """`of_account` for whoever is signed in, read once per request: the frame asks, and some pages do too."""
    if "problems" not in g:
        g.problems = of_account(g.account, g.membership.role)
    found: list[Found] = g.problems
    return found


def tell_operators(
    account: Account, notice: Notice, *, subject: str, lines: Sequence[str], endpoint: str, **values: Any
) -> None:
    """Mail every Operator who wants this kind of notice, with a link to a page of the account.

    The mails go out once the unit of work around the caller is committed.
    """
    url = public_url(endpoint, account_slug=account.slug, **values)
    unwanted = sa.select(NoticeChoice.membership_id).where(NoticeChoice.notice == notice)
    members = db.session.scalars(
        sa.select(Membership)
        .where(Membership.account_id == account.id, Membership.role == Role.OPERATOR, Membership.id.not_in(unwanted))
        .order_by(Membership.id)
    ).all()
    for member in members:
        context = {"subject": subject, "lines": lines, "url": url, "name": member.user.shown_name}
        post(account, to=member.user.email, template="notice", context=context)


def unwanted_by(membership: Membership) -> set[Notice]:
    """The kinds of mail that one person does not want."""
    return set(db.session.scalars(sa.select(NoticeChoice.notice).where(NoticeChoice.membership_id == membership.id)))


def choose(membership: Membership, wanted: set[Notice]) -> None:
    """Store which kinds of mail one person wants."""
    if unwanted_by(membership) == set(Notice) - wanted:
        return
    db.session.execute(sa.delete(NoticeChoice).where(NoticeChoice.membership_id == membership.id))
    for notice in set(Notice) - wanted:
        db.session.add(NoticeChoice(account_id=membership.account_id, membership_id=membership.id, notice=notice))
    audit.record("notices_chosen", membership, wanted=sorted(notice.value for notice in wanted))


def _silent(title: str) -> Problem:
    return Problem(
        "silent",
        "stop",
        1,
        f"{title} could not say how it stands",
        "Its state could not be read. Whoever looks after the server finds the reason in the log.",
        "See the plugins",
        "installations.marketplace",
    )
