"""A test of an email account's settings, step by step: each one ticks, or says what is wrong and what to do.

Nothing is stored, fetched whole or sent: the newest headers are read to show what would be filed, and a mail is begun
and taken back to see whether the outgoing server would take it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa

from app.billing.models import Customer
from app.db import db
from app.errors import NotSent, Outside, Refused
from plugins.mail_monitor import credentials, directory, presets
from plugins.mail_monitor.address_lists import address_key
from plugins.mail_monitor.credentials import Passwords
from plugins.mail_monitor.egress import Guard
from plugins.mail_monitor.folder_names import FolderName, sent_folder, trash_folder
from plugins.mail_monitor.letters import Envelope
from plugins.mail_monitor.mailbox import FolderState, Mailbox
from plugins.mail_monitor.models import DeletePolicy, EmailAccount, Encryption, Folder, FolderKind
from plugins.mail_monitor.parser import Parser
from plugins.mail_monitor.sender import Sender
from plugins.mail_monitor.senders import Doubtful, Filed, decide, keys_of
from plugins.mail_monitor.settings import AccountSettings
from plugins.mail_monitor.wishes import How, way_of_deleting

WHOLE_S = 30.0
SAMPLE = 20
LABELS = {
    "found": "Server found",
    "answers": "Server answers",
    "encrypted": "Encrypted",
    "speaks": "Speaks IMAP",
    "signed_in": "Signed in",
    "folders": "Folders",
    "deleting": "Deleting",
    "sample": "What would be filed",
    "sending": "Sending",
}
FAILED = {
    "found": "Server not found",
    "answers": "No answer",
    "encrypted": "Not safely encrypted",
    "signed_in": "Sign-in refused",
    "folders": "Folders cannot be read",
    "sample": "Messages cannot be read",
    "sending": "Sending refused",
}
# Which step an error is about, when it is not the one under way.
_ABOUT = {
    "not_found": "found",
    "port": "found",
    "no_answer": "answers",
    "certificate": "encrypted",
    "encryption": "encrypted",
    "credentials": "signed_in",
    "app_password": "signed_in",
    "closed": "signed_in",
}
NO_SENT = "No folder of sent mail was found"
CHOOSE_LATER = "Once the account is watched you choose one of its folders on its page."

Steps = list[dict[str, Any]]


@dataclass(slots=True)
class Found:
    """What a test that went well found out."""

    begins_at: list[dict[str, Any]] = field(default_factory=list)
    sample: list[dict[str, Any]] = field(default_factory=list)
    looked_at: int = 0
    waiting: int | None = None


class Trial:
    """One test. `keep` is told all steps whenever one of them changes, with no transaction open."""

    def __init__(
        self, account_id: int, settings: AccountSettings, passwords: Passwords, keep: Callable[[Steps], None]
    ) -> None:
        self._account_id = account_id
        self._settings = settings
        self._passwords = passwords
        self._keep = keep
        self.found = Found()
        keys = [key for key in LABELS if self._has(key)]
        self.steps: Steps = [{"key": key, "label": LABELS[key], "state": "todo"} for key in keys]

    def _has(self, key: str) -> bool:
        if key == "encrypted":
            return self._settings.incoming.encryption != Encryption.NONE
        if key == "sending":
            return self._settings.can_send
        return key != "deleting" or self._settings.delete != DeletePolicy.NEVER

    def run(self, guard: Guard, email_account_id: int | None = None) -> bool:
        """Do every step; answers whether all went well. `email_account_id` is the account that is being changed."""
        ends = time.monotonic() + WHOLE_S
        self._begin("found")
        try:
            server = credentials.incoming_server(self._settings, self._passwords)
            with Mailbox(server, guard, ends, self._tell) as mailbox:
                inbox = self._look_at_folders(mailbox, email_account_id)
                self._show_sample(mailbox, inbox)
            if self._settings.can_send:
                self._begin("sending")
                with Sender(
                    credentials.outgoing_server(self._settings, self._passwords), guard, ends, self._tell_sending
                ) as sender:
                    sender.would_take_mail_from(self._settings.email_address)
                self._end("sending", "passed", "would be accepted")
        except Outside as error:
            self._fail(error)
            return False
        return True

    def _look_at_folders(self, mailbox: Mailbox, email_account_id: int | None) -> FolderState:
        self._begin("folders")
        names = mailbox.folders()
        wished = _wished_sent(email_account_id)
        sent = sent_folder(names) if wished is None else next((one for one in names if one.name == wished), None)
        words = []
        if sent is not None:
            state = mailbox.examine(sent.name)
            self._note_beginning(FolderKind.SENT, sent.name, state)
            words = [f"{sent.name} {state.messages:,}"]
        inbox = mailbox.examine("INBOX")
        self._note_beginning(FolderKind.INBOX, "INBOX", inbox)
        self.found.waiting = _waiting(mailbox, email_account_id, inbox)
        detail = " · ".join([f"Inbox {inbox.messages:,}", *words])
        if sent is None and wished != "":
            gone = f"The folder {wished} that was chosen for sent mail is not there" if wished else NO_SENT
            self._end("folders", "warned", detail, f"{gone}, so what is written elsewhere is not seen. {CHOOSE_LATER}")
        else:
            self._end("folders", "passed", detail)
        if self._has("deleting"):
            self._say_how_it_deletes(mailbox, names)
        return inbox

    def _note_beginning(self, kind: FolderKind, name: str, state: FolderState) -> None:
        self.found.begins_at.append(
            {"kind": kind.value, "name": name, "uidvalidity": state.uidvalidity, "uidnext": state.uidnext}
        )

    def _say_how_it_deletes(self, mailbox: Mailbox, names: list[FolderName]) -> None:
        self._begin("deleting")
        trash = trash_folder(names)
        incoming = self._settings.incoming
        how = way_of_deleting(
            mailbox.capabilities(),
            has_trash=trash is not None,
            to_trash_first=presets.goes_to_trash(self._settings.provider, incoming.host),
        )
        if how is How.MARKED:
            reason = "This server only lets messages be marked as deleted; they go when a mail program tidies up."
            self._end("deleting", "warned", "", reason)
        else:
            moved = f"moves to {trash.name}" if trash is not None else ""
            self._end("deleting", "passed", moved if how is How.MOVED else "one message at a time")

    def _show_sample(self, mailbox: Mailbox, inbox: FolderState) -> None:
        self._begin("sample")
        newest = mailbox.newest(inbox, SAMPLE)
        with Parser() as parser:
            envelopes = parser.envelopes([one.bodies.get("HEADER", b"") for one in newest])
        self.found.looked_at = len(newest)
        self.found.sample = self._would_be_filed(envelopes[::-1])
        filed = sum(row["filed"] for row in self.found.sample)
        self._end("sample", "passed", f"{filed} of {len(newest)}" if newest else "no messages yet")

    def _would_be_filed(self, envelopes: list[Envelope]) -> list[dict[str, Any]]:
        """Who, subject and why of every message that would be filed, or would wait for a choice."""
        settings = self._settings
        keys = {key for envelope in envelopes for key in keys_of(envelope)}
        servers = presets.results_servers(settings.provider, settings.results_server)
        known = directory.known_for(self._account_id, keys, settings.relays, servers)
        known = replace(known, own=known.own | {address_key(settings.email_address)})
        decisions = [(envelope, decide(envelope, known, outgoing=False)) for envelope in envelopes]
        ids = {place.customer_id for _, one in decisions if isinstance(one, Filed) for place in one.places}
        chosen = sa.select(Customer.id, Customer.full_name).where(Customer.id.in_(ids))
        names = dict(db.session.execute(chosen).all())
        db.session.rollback()
        rows = []
        for envelope, decision in decisions:
            subject = envelope.subject[:120] or "(no subject)"
            if isinstance(decision, Filed):
                place = decision.places[0]
                rows.append({"filed": True, "who": names[place.customer_id], "subject": subject, "why": place.reason})
            elif isinstance(decision, Doubtful):
                rows.append({"filed": False, "who": "Needs a choice", "subject": subject, "why": decision.sentence})
        return rows

    def _tell(self, step: str, detail: str) -> None:
        """What the way in reports; the step after it begins."""
        self._end(step, "passed", detail)
        coming = next((one["key"] for one in self.steps if one["state"] == "todo"), None)
        if step != "signed_in" and coming is not None:
            self._begin(coming)

    def _tell_sending(self, step: str, detail: str) -> None:
        if step == "connected":
            self._change("sending", state="running", detail=detail)

    def _fail(self, error: Outside) -> None:
        code = getattr(error, "code", "") or str(error.details.get("code", ""))
        current = next((one["key"] for one in self.steps if one["state"] == "running"), "sending")
        blamed = current if current in {"sending", "folders", "sample"} else _ABOUT.get(code, current)
        if blamed not in {one["key"] for one in self.steps}:
            blamed = current
        for one in self.steps:
            if one["key"] == blamed:
                break
            if one["state"] != "passed" and one["state"] != "warned":
                one["state"] = "passed"
        for one in self.steps:
            if one["state"] == "running":
                one["state"] = "todo"
        reason = f"{error.sentence}{self._remedy(error, blamed)}"
        self._change(blamed, state="failed", label=FAILED.get(blamed, LABELS[blamed]), reason=reason, detail="")

    def _remedy(self, error: Outside, step: str) -> str:
        """What the provider wants, where it is a known one and that is what stands in the way."""
        preset = presets.preset(self._settings.provider)
        if preset is None or isinstance(error, NotSent | Refused) or step not in {"signed_in", "sending"}:
            return ""
        return f" {preset.title}: {preset.which_works} {preset.switch_on}"

    def _begin(self, key: str) -> None:
        self._change(key, state="running")

    def _end(self, key: str, state: str, detail: str = "", reason: str = "") -> None:
        self._change(key, state=state, detail=detail, reason=reason)

    def _change(self, key: str, **values: str) -> None:
        for one in self.steps:
            if one["key"] == key:
                one.update(values)
        self._keep([dict(one) for one in self.steps])


def _wished_sent(email_account_id: int | None) -> str | None:
    """The folder of sent mail that was chosen for the account; None when it is found by itself."""
    wished = db.session.scalar(sa.select(EmailAccount.sent_folder).where(EmailAccount.id == email_account_id))
    db.session.rollback()
    return wished


def _waiting(mailbox: Mailbox, email_account_id: int | None, inbox: FolderState) -> int | None:
    """How many messages came to the inbox since the account was last watched; None for a new one."""
    folder = db.session.scalar(
        sa.select(Folder).where(Folder.email_account_id == email_account_id, Folder.kind == FolderKind.INBOX)
    )
    where = (folder.uidvalidity, folder.cursor) if folder is not None else None
    db.session.rollback()
    if where is None or where[0] != inbox.uidvalidity:
        return None
    return len(mailbox.uids(where[1] + 1, inbox.uidnext - 1))
