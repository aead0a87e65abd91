"""Commands of the plugin; they run the same services on the same rows as the pages and the workers."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from app.accounts.models import Account
from app.accounts.services import account_by_slug
from app.command import Busy, answers
from app.db import db, unit_of_work
from app.errors import Conflict, InvalidInput, Outside, Refused
from app.installations import services as installations
from app.installations.models import Installation
from plugins.mail_monitor import accounts, credentials, importing, pausing, scanning, testing
from plugins.mail_monitor.connection_test import LABELS, Steps, Trial
from plugins.mail_monitor.models import ConnectionTest
from plugins.mail_monitor.settings import AccountSettings, ServerSettings
from plugins.mail_monitor.settings_file import SettingsFile
from plugins.mail_monitor.turns import Tally, turn

PLUGIN = "mail_monitor"
BY = "command line"
SLICE_S = 40


@click.group("mail")
def commands() -> None:
    """Mail monitor: watched mailboxes."""


@commands.command("add")
@click.option("--account", "slug", required=True)
@click.option("--file", "path", required=True, type=click.Path(path_type=Path))
@click.option("--import-days", type=int, default=0, help="Also file what came in the last so many days, quietly.")
@answers
def add(slug: str, path: Path, import_days: int) -> dict[str, Any]:
    """Add the email account that a settings.json describes; an active one is tested first. Switches the plugin on."""
    account = account_by_slug(slug)
    settings = _settings(account, path)
    for name, sentence in accounts.check(account, settings, None):
        raise InvalidInput(f"{name}: {sentence}", name)
    with unit_of_work():
        installation_id = installations.switch(account_by_slug(slug), PLUGIN, on=True).id
    test_id = _tested(installation_id, settings) if settings.active else None
    with unit_of_work() as session:
        installation = session.get_one(Installation, installation_id)
        test = session.get_one(ConnectionTest, test_id) if test_id else None
        row = accounts.save(account_by_slug(slug), installation, settings, None, test, BY, agrees=True)
        if import_days:
            importing.start(row, import_days, BY)
        return {"email_account": row.id}


@commands.command("test")
@click.option("--account", "slug", required=True)
@click.option("--email-account", "email_account_id", required=True, type=int)
@answers
def test(slug: str, email_account_id: int) -> dict[str, Any]:
    """Test the connection of an email account, step by step; nothing is changed."""
    row = accounts.get(account_by_slug(slug).id, email_account_id)
    trial = Trial(row.account_id, accounts.settings_of(row), credentials.kept(row), _keep_nothing)
    db.session.rollback()
    trial.run(accounts.guard(), email_account_id)
    return {"steps": _steps(trial.steps)}


@commands.command("poll")
@click.option("--account", "slug", required=True)
@click.option("--email-account", "email_account_id", default=None, type=int, help="One account; else every active one.")
@answers
def poll(slug: str, email_account_id: int | None) -> dict[str, Any]:
    """Scan now, to the end, in the foreground. Of several accounts one that fails does not keep the others waiting."""
    account = account_by_slug(slug)
    tally, failed = Tally(), []
    if email_account_id:
        row = accounts.get(account.id, email_account_id)
        if not row.active:
            raise Conflict(f"{row.email_address} is inactive. It is scanned once it is watched.")
        db.session.rollback()
        _scan_to_the_end(email_account_id, tally)
        return asdict(tally)
    ids = [row.id for row in accounts.all_of(account.id) if row.active]
    db.session.rollback()
    for row_id in ids:
        try:
            _scan_to_the_end(row_id, tally)
        except (Outside, Busy) as error:
            failed.append({"email_account": row_id, "reason": error.sentence})
    return {**asdict(tally), "failed": failed}


def _scan_to_the_end(email_account_id: int, tally: Tally) -> None:
    while True:
        with turn(email_account_id, SLICE_S) as mine:
            if mine is None:
                raise Busy("Another run holds this mailbox. Try again when it is done.")
            try:
                all_done = scanning.work(mine)
            except Outside as error:
                pausing.pause(mine, error)
                raise
            pausing.rest(mine, all_done=all_done)
        tally.add(mine.tally)
        if all_done:
            return


def _tested(installation_id: int, settings: AccountSettings) -> int:
    """Test `settings` here and now; answers the id of the test that proves them, raises why they fail."""
    with unit_of_work() as session:
        installation = session.get_one(Installation, installation_id)
        test_id, account_id = testing.begin(installation, settings, None, BY, ring=False).id, installation.account_id
    trial = Trial(account_id, settings, credentials.typed(settings), _keep_nothing)
    passed = trial.run(accounts.guard())
    with unit_of_work() as session:
        row = session.get_one(ConnectionTest, test_id)
        testing.end(row, trial, passed=passed)
    if not passed:
        failed = next(step for step in trial.steps if step["state"] == "failed")
        raise Refused(f"{failed['label']}: {failed['reason']}", code=str(failed["key"]))
    return test_id


def _steps(steps: Steps) -> list[dict[str, Any]]:
    """The steps that were reached."""
    return [
        {
            "name": LABELS[step["key"]],
            "ok": step["state"] in {"passed", "warned"},
            "detail": step.get("reason") or step.get("detail", ""),
        }
        for step in steps
        if step["state"] in {"passed", "warned", "failed"}
    ]


def _keep_nothing(steps: Steps) -> None:
    """Nobody watches."""


def _settings(account: Account, path: Path) -> AccountSettings:
    """What a settings.json says; raises `InvalidInput` naming the key that cannot be taken."""
    try:
        typed = SettingsFile.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InvalidInput(f"{path.name} cannot be read: {error.strerror}.") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        if not key:
            raise InvalidInput(f"{path.name} cannot be read as settings: {first['msg']}.") from error
        if first["type"] == "extra_forbidden":
            raise InvalidInput(f"“{key}” is no setting of an email account.", key) from error
        raise InvalidInput(f"{key}: {first['msg']}.", key) from error
    values = typed.model_dump(exclude={"location", "incoming", "outgoing"})
    return AccountSettings(
        **{**values, "relays": tuple(typed.relays)},
        location_id=_location_id(account, typed.location),
        delete=typed.incoming.delete,
        reply_to=typed.outgoing.reply_to,
        incoming=ServerSettings(**typed.incoming.model_dump(exclude={"delete"})),
        outgoing=ServerSettings(**typed.outgoing.model_dump(exclude={"reply_to"})),
    ).tidied()


def _location_id(account: Account, name: object) -> int:
    """The location of this name (or id), the first one when none is named."""
    for location in account.locations:
        if name in {None, "", location.name, location.id}:
            return location.id
    raise InvalidInput(f"There is no location “{name}”.", "location")
