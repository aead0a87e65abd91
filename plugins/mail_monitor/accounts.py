"""Email accounts: adding, changing, switching on and off, and how each one stands. Changes rows, never commits."""

from collections.abc import Sequence

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import joinedload

from app import audit, clock
from app.accounts.models import Account
from app.config import Settings
from app.db import db
from app.errors import Conflict, InvalidInput, NotFound
from app.installations import services as installations
from app.installations.models import Installation
from app.work import ring_after_commit
from plugins.mail_monitor import credentials, testing
from plugins.mail_monitor.address_lists import address_key, plain_key
from plugins.mail_monitor.egress import Guard
from plugins.mail_monitor.models import (
    ANOTHER,
    ConnectionTest,
    DeletePolicy,
    EmailAccount,
    Encryption,
    Folder,
    FolderKind,
    Trouble,
)
from plugins.mail_monitor.settings import AccountSettings, ServerSettings

JOB = "mail_monitor.work_on_account"


def guard() -> Guard:
    """What this installation allows mail connections to reach."""
    settings: Settings = current_app.config["SETTINGS"]
    return Guard(settings.mail_private_hosts, settings.mail_ca_file)


def all_of(account_id: int) -> Sequence[EmailAccount]:
    """The email accounts of an account, by name."""
    return db.session.scalars(
        sa.select(EmailAccount)
        .where(EmailAccount.account_id == account_id)
        .options(joinedload(EmailAccount.location))
        .order_by(EmailAccount.display_name, EmailAccount.id)
    ).all()


def get(account_id: int, email_account_id: int) -> EmailAccount:
    """One of them, or `NotFound`."""
    row = db.session.scalar(
        sa.select(EmailAccount).where(EmailAccount.account_id == account_id, EmailAccount.id == email_account_id)
    )
    if row is None:
        raise NotFound("There is no such email account.")
    return row


def settings_of(row: EmailAccount) -> AccountSettings:
    """Everything a person decided about it, without the passwords."""
    return AccountSettings(
        display_name=row.display_name,
        location_id=row.location_id,
        email_address=row.email_address,
        active=row.active,
        notification_email_address=row.notification_email_address,
        send_notifications=row.send_notifications,
        provider=row.provider,
        incoming=ServerSettings(row.incoming_host, row.incoming_port, row.incoming_encryption.value, row.incoming_user),
        delete=row.delete_policy.value,
        outgoing=ServerSettings(row.outgoing_host, row.outgoing_port, row.outgoing_encryption.value, row.outgoing_user),
        reply_to=row.reply_to,
        interval_minutes=row.interval_minutes,
        signature=row.signature,
        largest_mb=row.largest_mb,
        daily_mb=row.daily_mb,
        daily_messages=row.daily_messages,
        relays=tuple(row.relays),
        results_server=row.results_server,
    )


def check(account: Account, settings: AccountSettings, row: EmailAccount | None) -> list[tuple[str, str]]:
    """Sentences by form field about what cannot be taken; [] when all can."""
    privately = bool(current_app.config["SETTINGS"].mail_private_hosts)
    found = settings.problems(privately=privately)
    if settings.location_id not in {location.id for location in account.locations}:
        found.append(("location_id", "Choose one of your locations."))
    if not settings.incoming.password and (row is None or row.incoming_password is None):
        found.append(("incoming-password", "Type the password."))
    others = [one for one in all_of(account.id) if row is None or one.id != row.id]
    same = next((one for one in others if one.address_key == address_key(settings.email_address)), None)
    if same is not None:
        found.append(("email_address", f"{same.email_address} is watched already, as {same.display_name}."))
    named = plain_key(address_key(settings.email_address))
    teller = next((one for one in others if plain_key(address_key(one.notification_email_address)) == named), None)
    if teller is not None and named:
        found.append(
            ("email_address", f"Notices of {teller.display_name} go to this address; watching it, they would loop.")
        )
    told = plain_key(address_key(settings.notification_email_address))
    if told and told in {plain_key(one.address_key) for one in others}:
        found.append(
            ("notification_email_address", "This address is watched itself; the mail would go round in circles.")
        )
    return found


def save(
    account: Account,
    installation: Installation,
    settings: AccountSettings,
    row: EmailAccount | None = None,
    test: ConnectionTest | None = None,
    by: str = "",
    *,
    agrees: bool = False,
) -> EmailAccount:
    """Add an email account or change one, inside the unit of work around the caller.

    `settings` are as `check` wants them; passwords left empty stay what they are. To watch an account takes a `test`
    that proves these settings, unless it is watched with the same connection already. Deleting on the server takes
    somebody who `agrees` to what that does, once for each option.
    """
    proof = test if test is not None and testing.proves(test, settings) else None
    if proof is not None:
        settings = credentials.kept(proof).fill(settings)
    elif settings.active and not _is_watched_so(settings, row):
        raise InvalidInput(
            "Test the connection first: an account is watched once the test has passed. Or save it as inactive.",
            field="active",
        )
    newly_agreed = _newly_agreed(row, DeletePolicy(settings.delete), agrees=agrees)
    is_new = row is None
    if row is None:
        row = EmailAccount(account_id=account.id, installation_id=installation.id)
        db.session.add(row)
    other_connection = not is_new and settings.connection != settings_of(row).connection
    if other_connection:
        _doubt_numbers(row, settings.incoming)
    _fill(row, settings)
    _note_agreement(row, newly_agreed=newly_agreed)
    _flush(row)
    new_passwords = credentials.seal(row, credentials.typed(settings))
    if other_connection or new_passwords:
        row.trouble, row.failing_since, row.refusals, row.problem, row.attempts = None, None, 0, "", 0
    row.due_at, row.nudged_at = clock.now() if row.active else None, None
    if row.active:
        if proof is not None:
            _begin_watching(row, proof)
        ring_after_commit(JOB, row.id)
    installations.connected(installation)
    audit.record(
        "email_account_added" if is_new else "email_account_changed",
        row,
        actor=by or None,
        email_address=row.email_address,
        active=row.active,
        new_passwords=new_passwords,
        deletes=row.deletes.value,
    )
    return row


def asks_to_agree(row: EmailAccount | None, policy: DeletePolicy) -> bool:
    """Whether somebody has yet to agree to what this option does."""
    if policy is DeletePolicy.NEVER:
        return False
    return row is None or row.delete_policy is not policy or row.delete_agreed_at is None


def check_now(rows: Sequence[EmailAccount], by: str = "") -> int:
    """Ask for a scan of every active one of `rows` right now; answers how many that are."""
    active = [row for row in rows if row.active]
    for row in active:
        if row.trouble == Trouble.SIGN_IN:
            row.refusals = max(0, row.refusals - 1)  # a person asks for one more try
        row.due_at, row.nudged_at = clock.now(), None
        ring_after_commit(JOB, row.id)
        audit.record("check_now", row, actor=by or None)
    return len(active)


def forget_all(installation: Installation) -> None:
    """The plugin was switched off: nothing is watched, passwords are forgotten, everything filed stays."""
    for row in all_of(installation.account_id):
        row.active, row.due_at = False, None
        row.incoming_password = row.outgoing_password = row.passwords_at = None
    db.session.execute(sa.delete(ConnectionTest).where(ConnectionTest.account_id == installation.account_id))


def _is_watched_so(settings: AccountSettings, row: EmailAccount | None) -> bool:
    """Whether it is watched already with this connection, so that nothing has to be proven anew."""
    if row is None or not row.active or settings.incoming.password or settings.outgoing.password:
        return False
    return settings.connection == settings_of(row).connection


def _doubt_numbers(row: EmailAccount, incoming: ServerSettings) -> None:
    """Another mailbox may lie behind it now: the numbers of the one before say nothing about it, even if they fit."""
    if (incoming.host.lower(), incoming.user) != (row.incoming_host.lower(), row.incoming_user):
        for folder in row.folders:
            folder.uidvalidity = ANOTHER


def _newly_agreed(row: EmailAccount | None, policy: DeletePolicy, *, agrees: bool) -> bool:
    """Whether an option is agreed to with this very change; `InvalidInput` asks for it."""
    asks = asks_to_agree(row, policy)
    if asks and not agrees:
        raise InvalidInput(f"{policy.means} Tick this if that is what you want.", field="incoming-agreed")
    return asks


def _note_agreement(row: EmailAccount, *, newly_agreed: bool) -> None:
    if newly_agreed:
        row.delete_agreed_at = clock.now()
    elif row.delete_policy is DeletePolicy.NEVER:
        row.delete_agreed_at = None


def _fill(row: EmailAccount, settings: AccountSettings) -> None:
    for name in (
        *("display_name", "location_id", "email_address", "active", "provider", "reply_to", "interval_minutes"),
        *("notification_email_address", "send_notifications", "signature", "largest_mb", "daily_mb", "daily_messages"),
        "results_server",
    ):
        setattr(row, name, getattr(settings, name))
    row.address_key = address_key(settings.email_address)
    row.relays = list(settings.relays)
    row.delete_policy = DeletePolicy(settings.delete)
    for side, server in (("incoming", settings.incoming), ("outgoing", settings.outgoing)):
        setattr(row, f"{side}_host", server.host)
        setattr(row, f"{side}_port", server.port)
        setattr(row, f"{side}_encryption", Encryption(server.encryption))
        setattr(row, f"{side}_user", server.user)


def _begin_watching(row: EmailAccount, test: ConnectionTest) -> None:
    """Folders that are not watched yet begin where the test found them: with what comes from now on."""
    watched = {folder.kind for folder in row.folders}
    for found in test.begins_at:
        if FolderKind(found["kind"]) not in watched:
            db.session.add(
                Folder(
                    account_id=row.account_id,
                    email_account_id=row.id,
                    kind=FolderKind(found["kind"]),
                    name=found["name"],
                    uidvalidity=found["uidvalidity"],
                    cursor=max(0, found["uidnext"] - 1),
                    began_at=test.asked_at,
                    watched_from=test.asked_at,
                )
            )


def _flush(row: EmailAccount) -> None:
    try:
        db.session.flush()
    except IntegrityError as error:
        raise Conflict(f"{row.email_address} was added a moment ago by somebody else.") from error
