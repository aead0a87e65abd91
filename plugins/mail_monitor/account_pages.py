"""What the pages of email accounts show, from stored rows."""

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from flask import g

from app import clock
from app.db import db
from plugins.mail_monitor import accounts, importing, notices, presets, quota, removals, watched_folders
from plugins.mail_monitor.forms import EmailAccountForm
from plugins.mail_monitor.health import Health, about_sent, health_of
from plugins.mail_monitor.models import (
    ConnectionTest,
    ConnectionTestState,
    DeletePolicy,
    EmailAccount,
    FolderKind,
    ImportRun,
)
from plugins.mail_monitor.records import Filing
from plugins.mail_monitor.waiting import Choice, Quarantined, QuarantineState


def overview(account_id: int) -> dict[str, Any]:
    """The list: every account with its health, what it filed today and what waits for a person."""
    rows = accounts.all_of(account_id)
    healths = {row.id: health_of(row) for row in rows}
    waiting = [row for row in rows if row.is_stopped]
    resting = [row for row in rows if healths[row.id].state == "resting"]
    return {
        "rows": rows,
        "healths": healths,
        "filed_today": _filed_since(account_id, _today()),
        "for_you": _for_you(account_id),
        "stopped": waiting,
        "resting": resting,
        "is_moving": any(
            health.state == "scanning" or _is_due(row) for row, health in zip(rows, healths.values(), strict=True)
        ),
        "next_line": _next_line(rows, healths),
        "room": quota.room_of(account_id) if rows else None,
    }


def about_account(row: EmailAccount | None) -> dict[str, Any]:
    """What the page of one account adds to its form: how it stands, and an import under way."""
    if row is None:
        return {"health": None, "run": None, "telling": "", "progress": None, "removals": [], "removals_waiting": 0}
    newest = db.session.scalar(
        sa.select(ImportRun).where(ImportRun.email_account_id == row.id).order_by(ImportRun.id.desc()).limit(1)
    )
    return {
        "health": health_of(row),
        "telling": notices.problem_of(row),
        "run": newest,
        "progress": importing.progress(newest) if newest else None,
        "removals": removals.latest(row.id),
        "removals_waiting": removals.count_waiting(row.id),
        **about_folders(row),
    }


def about_folders(row: EmailAccount) -> dict[str, Any]:
    """Which folders are read, which one could be the one of sent mail, and whether a worker is asked about them."""
    by_kind = {folder.kind: folder for folder in row.folders}
    sent = by_kind.get(FolderKind.SENT) if row.sent_folder != "" and row.sent_missing_since is None else None
    found = f"Found by itself ({sent.name})" if sent is not None and row.sent_folder is None else "Found by itself"
    return {
        "inbox": by_kind.get(FolderKind.INBOX),
        "sent": sent,
        "sent_choice": watched_folders.choice_of(row),
        "sent_choices": [
            (watched_folders.BY_ITSELF, found),
            (watched_folders.NONE, "None: read the inbox alone"),
            *((f"{watched_folders.IN}{name}", name) for name in row.folder_list),
        ],
        "sent_problem": about_sent(row) if row.sent_missing_since else "",
        "asks_folders": row.active and not row.is_stopped and bool(row.folders_asked_at or row.sent_changed_at),
    }


def about_servers(form: EmailAccountForm) -> dict[str, Any]:
    """The provider whose servers are shown as fixed, and the one that the address belongs to."""
    return {
        "preset": presets.preset(form.provider.data or ""),
        "of_address": presets.preset_for(form.email_address.data or ""),
        "help_of_others": presets.HELP_OF_OTHERS,
    }


def about_deletion(form: EmailAccountForm, row: EmailAccount | None) -> dict[str, Any]:
    """The option that somebody has yet to agree to, and a dry run of it; None where nothing is asked."""
    chosen = form.incoming.form.delete.data
    policy = DeletePolicy(chosen) if chosen in set(DeletePolicy) else DeletePolicy.NEVER
    asks = accounts.asks_to_agree(row, policy)
    return {"to_agree": policy if asks else None, "preview": removals.preview(row, policy) if asks and row else None}


def about_test(test: ConnectionTest | None) -> dict[str, Any]:
    """The panel beside the form: the steps so far, and what can be done next."""
    return {
        "test": test,
        "is_running": test is not None and test.state == ConnectionTestState.RUNNING,
        "would_file": sum(1 for one in test.sample if one["filed"]) if test else 0,
    }


def _filed_since(account_id: int, since: datetime) -> dict[int, int]:
    rows = db.session.execute(
        sa.select(Filing.email_account_id, sa.func.count(sa.distinct(Filing.message_id)))
        .where(Filing.account_id == account_id, Filing.filed_at >= since)
        .group_by(Filing.email_account_id)
    )
    return {email_account_id: count for email_account_id, count in rows if email_account_id is not None}


def _for_you(account_id: int) -> dict[int, int]:
    """How many messages of each email account wait for a person: choices and quarantine."""
    counts: dict[int, int] = {}
    choices = sa.select(Choice.email_account_id, sa.func.count()).where(
        Choice.account_id == account_id, Choice.decided_at.is_(None)
    )
    quarantined = sa.select(Quarantined.email_account_id, sa.func.count()).where(
        Quarantined.account_id == account_id, Quarantined.state == QuarantineState.OPEN
    )
    for query, column in ((choices, Choice.email_account_id), (quarantined, Quarantined.email_account_id)):
        for email_account_id, count in db.session.execute(query.group_by(column)):
            counts[email_account_id] = counts.get(email_account_id, 0) + count
    return counts


def _today() -> datetime:
    """The last midnight in the account's zone."""
    here = clock.local(clock.now(), g.account.timezone)
    return here.replace(hour=0, minute=0, second=0, microsecond=0)


def _is_due(row: EmailAccount) -> bool:
    """Whether it will be scanned at any moment: the page looks again soon."""
    return row.active and row.due_at is not None and row.due_at <= clock.now() + timedelta(seconds=5)


def _next_line(rows: Any, healths: dict[int, Health]) -> tuple[str, str]:
    """What happens next, and the kind of line it is."""
    waiting = [row for row in rows if row.is_stopped]
    coming = [health.next_at for health in healths.values() if health.state in {"fine", "resting"} and health.next_at]
    count = len(coming)
    if any(health.state == "scanning" for health in healths.values()):
        sentence = "Messages are being read right now."
    elif coming:
        local = clock.local(min(coming), g.account.timezone)
        word = "One account is" if count == 1 else f"{count} accounts are"
        sentence = f"{word} scanned {'now' if min(coming) <= clock.now() else f'from {local:%H:%M} on'}."
    elif waiting:
        sentence = "Nothing is scanned."
    else:
        sentence = "Nothing is scanned: no account is active."
    if waiting:
        names = "One waits" if len(waiting) == 1 else f"{len(waiting)} wait"
        return f"{sentence} {names} for you.", "stuck"
    return sentence, "next"
