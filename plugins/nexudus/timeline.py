"""What the plugin adds to a customer's timeline: linked, unlinked, member gone, out of the audit."""

from collections.abc import Sequence
from datetime import datetime

from app.audit import AuditEntry
from app.billing.models import Customer
from app.billing.timeline import audited
from app.installations.models import Installation
from app.plugin import Moment
from plugins.nexudus.models import How

_ACTIONS = ("member_linked", "member_unlinked", "member_gone", "member_look_again")
_HOW = {How.BY_EMAIL: "by email", How.CREATED: "missing and created", How.BY_HAND: "by hand"}


def moments(installation: Installation, customer: Customer, until: datetime, most: int) -> Sequence[Moment]:
    """Links of a customer, newest first."""
    return [_moment(entry) for entry in audited(customer, _ACTIONS, until, most)]


def _moment(entry: AuditEntry) -> Moment:
    said = entry.details
    by = f"By {said['by']}." if said.get("by") else ""
    if entry.action == "member_linked":
        how = said.get("how", "")
        words = _HOW[How(how)] if how in set(How) else ""
        why = f"Found {words}. {by}".strip() if words else by
        return Moment(entry.at, "Linked to a member in Nexudus", why, "link", "there")
    if entry.action == "member_unlinked":
        return Moment(entry.at, "Unlinked: billed here", f"{said.get('reason', '')} {by}".strip(), "link")
    if entry.action == "member_gone":
        return Moment(entry.at, "The member in Nexudus is gone", str(said.get("reason", "")), "mark", "stop")
    return Moment(entry.at, "To be looked for in Nexudus again", f"By {entry.actor}.", "again", "there")
