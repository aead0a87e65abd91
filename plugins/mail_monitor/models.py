"""Email accounts and their upkeep: servers and sign-in, how far each folder was read, tests, imports."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app import clock
from app.accounts.models import Location
from app.db import Base, choice
from app.installations.models import Installation
from app.work import Due, Leased


class Encryption(StrEnum):
    """How a connection is encrypted; `NONE` only where the installation allows it."""

    TLS = "tls"
    STARTTLS = "starttls"
    NONE = "none"

    @property
    def label(self) -> str:
        return {"tls": "SSL/TLS", "starttls": "STARTTLS", "none": "none"}[self.value]


class DeletePolicy(StrEnum):
    """When a message is deleted on the server. Only filed messages ever are."""

    NEVER = "never"
    AFTER_FILING = "after_filing"
    WHEN_DELETED_HERE = "when_deleted_here"

    @property
    def label(self) -> str:
        return {"never": "Never", "after_filing": "After filing", "when_deleted_here": "When deleted here"}[self.value]

    @property
    def means(self) -> str:
        """What it does from the moment somebody agrees to it."""
        return {
            "never": "Nothing in the mailbox is ever deleted.",
            "after_filing": "From now on every received message that is filed here in full is deleted in the mailbox "
            "right after: moved to Trash at Gmail, gone for good elsewhere. Colleagues who read that mailbox do not "
            "see it any more. What is not filed stays.",
            "when_deleted_here": "From now on whoever deletes a message from the last record that holds it deletes it "
            "in the mailbox too, received or sent: moved to Trash at Gmail, gone for good elsewhere. Everything else "
            "stays.",
        }[self.value]


class Trouble(StrEnum):
    """What keeps an account from being scanned; each kind is waited out, or mended by a person, in its own way."""

    NETWORK = "network"  # no answer, a cut connection: tried again with growing pauses
    THROTTLED = "throttled"  # the server named a pause, or a day's volume is used up
    SIGN_IN = "sign_in"  # password refused: stops after two tries
    CLOSED = "closed"  # signed in, but the mailbox may not be opened
    CERTIFICATE = "certificate"
    SETTINGS = "settings"  # a server or folder that is not there

    @property
    def needs_a_person(self) -> bool:
        return self not in {Trouble.NETWORK, Trouble.THROTTLED}


class EmailAccount(Base, Due, Leased):
    """One mailbox being watched, with its credentials. The lease is its one connection."""

    __tablename__ = "mail_monitor_email_account"
    __table_args__ = (
        sa.UniqueConstraint("account_id", "address_key"),
        sa.CheckConstraint("NOT active OR outgoing_host != ''", name="active_can_send"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    installation_id: Mapped[int] = mapped_column(sa.ForeignKey("installation.id"))
    location_id: Mapped[int] = mapped_column(sa.ForeignKey("location.id"))
    display_name: Mapped[str] = mapped_column(sa.String(120))
    email_address: Mapped[str] = mapped_column(sa.String(254))
    address_key: Mapped[str] = mapped_column(sa.String(254))
    active: Mapped[bool] = mapped_column(default=False)
    provider: Mapped[str] = mapped_column(sa.String(24), default="")  # of the table of presets; "" is any other
    notification_email_address: Mapped[str] = mapped_column(sa.String(254), default="")
    send_notifications: Mapped[bool] = mapped_column(default=False)

    incoming_host: Mapped[str] = mapped_column(sa.String(253))
    incoming_port: Mapped[int]
    incoming_encryption: Mapped[Encryption] = mapped_column(choice(Encryption))
    incoming_user: Mapped[str] = mapped_column(sa.String(254))
    incoming_password: Mapped[str | None] = mapped_column(sa.Text, info={"sealed": True})
    delete_policy: Mapped[DeletePolicy] = mapped_column(choice(DeletePolicy), default=DeletePolicy.NEVER)
    # When a person was told what that option does and agreed; until then nothing is deleted on the server.
    delete_agreed_at: Mapped[datetime | None]

    outgoing_host: Mapped[str] = mapped_column(sa.String(253), default="")
    outgoing_port: Mapped[int] = mapped_column(default=0)
    outgoing_encryption: Mapped[Encryption] = mapped_column(choice(Encryption), default=Encryption.TLS)
    outgoing_user: Mapped[str] = mapped_column(sa.String(254), default="")
    outgoing_password: Mapped[str | None] = mapped_column(sa.Text, info={"sealed": True})
    reply_to: Mapped[str] = mapped_column(sa.String(254), default="")
    passwords_at: Mapped[datetime | None]

    interval_minutes: Mapped[int] = mapped_column(default=15)
    signature: Mapped[str] = mapped_column(sa.Text, default="")
    largest_mb: Mapped[int] = mapped_column(default=25)  # a larger message is filed without its attachments
    daily_mb: Mapped[int] = mapped_column(default=1024)
    daily_messages: Mapped[int] = mapped_column(default=20_000)
    # Addresses of our own web forms and relays: only from these a Reply-To says who wrote.
    relays: Mapped[list[Any]] = mapped_column(default=list)
    # Whose Authentication-Results are believed; "" believes those the provider is known for.
    results_server: Mapped[str] = mapped_column(sa.String(253), default="")

    trouble: Mapped[Trouble | None] = mapped_column(choice(Trouble))
    failing_since: Mapped[datetime | None]
    refusals: Mapped[int] = mapped_column(default=0)  # sign-ins refused in a row
    last_begun_at: Mapped[datetime | None]
    last_success_at: Mapped[datetime | None]
    # The newest thing worth knowing that needs nobody: a mailbox rebuilt on the server.
    note: Mapped[str] = mapped_column(sa.String(300), default="")
    noted_at: Mapped[datetime | None]
    # The folder of sent mail that a person named; "": none is read. None: it is found by its mark or its name.
    sent_folder: Mapped[str | None] = mapped_column(sa.String(500))
    sent_changed_at: Mapped[datetime | None]  # until a scan has done what the person wished
    sent_missing_since: Mapped[datetime | None]
    # What the mailbox has to choose from, as the server listed it last, and when a person asked for it anew.
    folder_list: Mapped[list[Any]] = mapped_column(default=list)
    folders_listed_at: Mapped[datetime | None]
    folders_asked_at: Mapped[datetime | None]
    # Until when nobody is told of single messages: too many came, so they are told of together.
    notices_rest_until: Mapped[datetime | None]
    counted_on: Mapped[date | None]
    bytes_today: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    messages_today: Mapped[int] = mapped_column(default=0)

    installation: Mapped[Installation] = relationship()
    location: Mapped[Location] = relationship()
    folders: Mapped[list["Folder"]] = relationship(back_populates="email_account", order_by="Folder.id")

    @property
    def signs_with(self) -> str:
        """What stands below its answers: its own signature, else its location's name and address, if it has one."""
        here = self.location
        if self.signature.strip() or not here.address.strip():
            return self.signature.strip()
        lines = (self.display_name, here.name, here.address, f"{here.postcode} {here.city}")
        return "\n".join(dict.fromkeys(line.strip() for line in lines if line.strip()))

    @property
    def is_scanning(self) -> bool:
        """Whether a worker holds the mailbox right now."""
        return self.lease_until is not None and self.lease_until > clock.now()

    @property
    def deletes(self) -> DeletePolicy:
        """When messages are deleted on the server: as chosen, once somebody agreed to what that does."""
        return self.delete_policy if self.delete_agreed_at is not None else DeletePolicy.NEVER

    @property
    def is_stopped(self) -> bool:
        """Whether nothing happens until a person does something."""
        return self.active and self.trouble is not None and self.trouble.needs_a_person


class FolderKind(StrEnum):
    INBOX = "inbox"
    SENT = "sent"


# In place of a UIDVALIDITY: what lies under this name now is another folder than the one that was read.
ANOTHER = -1
OFTEN = 3  # rebuilt within a day: from then on messages are recognised by what they are alone


class Folder(Base):
    """One watched folder and how far it was read. Every UID up to `cursor` is settled, except those in `owed`."""

    __tablename__ = "mail_monitor_folder"
    __table_args__ = (sa.UniqueConstraint("email_account_id", "kind"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    email_account_id: Mapped[int] = mapped_column(sa.ForeignKey("mail_monitor_email_account.id"))
    kind: Mapped[FolderKind] = mapped_column(choice(FolderKind))
    name: Mapped[str] = mapped_column(sa.String(500))
    uidvalidity: Mapped[int] = mapped_column(sa.BigInteger)
    cursor: Mapped[int] = mapped_column(sa.BigInteger)
    # Holes below the cursor, as {uid: tries}: taken one at a time, because a message in their chunk went wrong.
    owed: Mapped[dict[str, Any]] = mapped_column(default=dict)
    # The chunk a worker has in hand: noted before it is fetched, so that a killed worker leaves a trace.
    in_hand: Mapped[list[Any]] = mapped_column(default=list)
    began_at: Mapped[datetime] = mapped_column(default=clock.now)
    # What arrived earlier is none of our business; an import moves this back.
    watched_from: Mapped[datetime] = mapped_column(default=clock.now)
    # While a rebuilt mailbox is linked anew: {"next": uid, "last": uid}. Nothing is deleted by UID meanwhile.
    relinking: Mapped[dict[str, Any]] = mapped_column(default=dict)
    rebuilt_at: Mapped[datetime | None]
    rebuilt_times: Mapped[int] = mapped_column(default=0)  # within the last day

    email_account: Mapped[EmailAccount] = relationship(back_populates="folders")

    @property
    def is_unstable(self) -> bool:
        """Whether its numbers say nothing: the server gives no validity, or another one again and again."""
        return not self.uidvalidity or self.rebuilt_times >= OFTEN


class ConnectionTestState(StrEnum):
    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"


class ConnectionTest(Base, Due, Leased):
    """A test of settings that need not be saved yet; a worker does it and notes each step for the page that asks."""

    __tablename__ = "mail_monitor_connection_test"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    installation_id: Mapped[int] = mapped_column(sa.ForeignKey("installation.id"))
    # Empty for an account that is being added.
    email_account_id: Mapped[int | None] = mapped_column(sa.ForeignKey("mail_monitor_email_account.id"), index=True)
    asked_by: Mapped[str] = mapped_column(sa.String(254))
    asked_at: Mapped[datetime] = mapped_column(default=clock.now, index=True)
    ended_at: Mapped[datetime | None]
    state: Mapped[ConnectionTestState] = mapped_column(choice(ConnectionTestState), default=ConnectionTestState.RUNNING)
    settings: Mapped[dict[str, Any]]  # everything that was typed, without the passwords
    incoming_password: Mapped[str | None] = mapped_column(sa.Text, info={"sealed": True})
    outgoing_password: Mapped[str | None] = mapped_column(sa.Text, info={"sealed": True})
    steps: Mapped[list[Any]] = mapped_column(default=list)
    # What of the newest messages would be filed: rows of who, subject and why.
    sample: Mapped[list[Any]] = mapped_column(default=list)
    looked_at: Mapped[int] = mapped_column(default=0)  # how many messages the sample was taken from
    # Where watching begins if these settings are saved: [{"kind", "name", "uidvalidity", "uidnext"}].
    begins_at: Mapped[list[Any]] = mapped_column(default=list)
    waiting: Mapped[int | None]  # messages that came since an account was last watched


class ImportRun(Base):
    """Older messages being filed on request: quietly, and in slices between the scans."""

    __tablename__ = "mail_monitor_import_run"
    __table_args__ = (
        sa.Index(
            "uq_mail_monitor_import_run_open",
            "email_account_id",
            unique=True,
            sqlite_where=sa.text("ended_at IS NULL"),
            postgresql_where=sa.text("ended_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    email_account_id: Mapped[int] = mapped_column(sa.ForeignKey("mail_monitor_email_account.id"))
    days: Mapped[int]
    since: Mapped[datetime]
    begun_at: Mapped[datetime] = mapped_column(default=clock.now)
    begun_by: Mapped[str] = mapped_column(sa.String(254), default="")
    ended_at: Mapped[datetime | None]
    # Per folder id, as [uidvalidity, uid]: how far it is; what is left is asked of the server in every slice.
    places: Mapped[dict[str, Any]] = mapped_column(default=dict)
    total: Mapped[int | None]
    done: Mapped[int] = mapped_column(default=0)
    counts: Mapped[dict[str, Any]] = mapped_column(default=dict)

    email_account: Mapped[EmailAccount] = relationship()
