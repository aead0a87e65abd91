"""Passwords of email accounts and of tests: sealed where they are kept, opened for the call that needs them."""

from dataclasses import dataclass, field, replace
from typing import Protocol

from app import clock
from app.errors import SignInNeeded
from app.vault import Place, vault
from plugins.mail_monitor.imap_client import Server
from plugins.mail_monitor.models import EmailAccount
from plugins.mail_monitor.settings import AccountSettings


class Keeper(Protocol):
    """A row that keeps two sealed passwords."""

    __tablename__: str
    id: int
    account_id: int
    incoming_password: str | None
    outgoing_password: str | None


@dataclass(frozen=True, slots=True)
class Passwords:
    """In clear; "" where there is none."""

    incoming: str = field(default="", repr=False)
    outgoing: str = field(default="", repr=False)

    def fill(self, settings: AccountSettings) -> AccountSettings:
        """`settings` with these in place of the passwords that were left empty."""
        return replace(
            settings,
            incoming=replace(settings.incoming, password=settings.incoming.password or self.incoming),
            outgoing=replace(settings.outgoing, password=settings.outgoing.password or self.outgoing),
        )


def typed(settings: AccountSettings) -> Passwords:
    """The passwords that were typed."""
    return Passwords(settings.incoming.password, settings.outgoing.password)


def seal(row: Keeper, passwords: Passwords) -> bool:
    """Keep those of `passwords` that are not empty; answers whether any was. `row` must have its id."""
    if passwords.incoming:
        row.incoming_password = vault().seal(passwords.incoming, _place(row, "incoming_password"))
    if passwords.outgoing:
        row.outgoing_password = vault().seal(passwords.outgoing, _place(row, "outgoing_password"))
    if isinstance(row, EmailAccount) and (passwords.incoming or passwords.outgoing):
        row.passwords_at = clock.now()
    return bool(passwords.incoming or passwords.outgoing)


def kept(row: Keeper) -> Passwords:
    """What `row` keeps; `SignInNeeded` when the key to it is lost."""
    return Passwords(
        vault().open(row.incoming_password, _place(row, "incoming_password")) if row.incoming_password else "",
        vault().open(row.outgoing_password, _place(row, "outgoing_password")) if row.outgoing_password else "",
    )


def incoming_server(settings: AccountSettings, passwords: Passwords) -> Server:
    """Where the mailbox is and how to get in; `SignInNeeded` without a password."""
    if not passwords.incoming:
        raise SignInNeeded("No password is stored. Type it to go on.", code="credentials")
    server = settings.incoming
    return Server(server.host, server.port, server.encryption, server.user, passwords.incoming)


def outgoing_server(settings: AccountSettings, passwords: Passwords) -> Server:
    """Where answers are sent, with a sign-in of its own, or that of the mailbox."""
    server = settings.outgoing
    user = server.user or settings.incoming.user
    password = passwords.outgoing or passwords.incoming
    return Server(server.host, server.port, server.encryption, user, password)


def _place(row: Keeper, name: str) -> Place:
    return Place(row.__tablename__, row.id, row.account_id, name)
