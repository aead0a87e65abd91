"""Mailboxes over pymap's in-memory ones: each change is written down, so that they are the same after a restart."""

from collections.abc import Iterable
from datetime import UTC, datetime

from pymap.backend.dict import DictBackend
from pymap.backend.dict.filter import FilterSet
from pymap.backend.dict.mailbox import MailboxData, MailboxSet, Message
from pymap.flags import FlagOp
from pymap.interfaces.message import CachedMessage
from pymap.mime import MessageContent
from pymap.parsing.message import AppendMessage
from pymap.parsing.specials import ObjectId
from pymap.parsing.specials.flag import Flag

from plugins.mail_monitor.sandbox.store import Kept, Place, Store

FOLDERS = ("INBOX", "Sent", "Trash")


class KeptFolder(MailboxData):
    """A folder whose letters, flags and numbers are in the store as well."""

    def __init__(self, owner: "KeptMailbox", folder: str) -> None:
        super().__init__(owner.contents, owner.threads)
        self._store = owner.store
        self.place = Place(owner.name, folder)
        self._uid_validity, next_uid = self._store.numbers(self.place)
        self._max_uid = next_uid - 1
        for one in self._store.letters(self.place):
            content = MessageContent.parse(one.raw)
            self._messages[one.uid] = Message(
                one.uid,
                one.received_at,
                _flags(one.flags),
                email_id=self._content_cache.add(content),
                thread_id=self._thread_cache.add(content),
                content=content,
            )
        self._mod_sequences.update(list(self._messages))

    async def append(self, append_msg: AppendMessage, *, recent: bool = False) -> Message:
        message = await super().append(append_msg, recent=recent)
        when = append_msg.when or datetime.now(UTC)  # noqa: TID251  # a program of its own, whose clock nobody stops
        flags = _text(append_msg.flag_set)
        self._store.put(self.place, Kept(message.uid, when.astimezone(UTC), flags, bytes(append_msg.literal)))
        return message

    async def copy(self, uid: int, destination: MailboxData, *, recent: bool = False) -> int | None:
        given = await super().copy(uid, destination, recent=recent)
        self._put_into(destination, uid, given)
        return given

    async def move(self, uid: int, destination: MailboxData, *, recent: bool = False) -> int | None:
        given = await super().move(uid, destination, recent=recent)
        self._put_into(destination, uid, given)
        self._store.remove(self.place, uid)
        return given

    def _put_into(self, destination: MailboxData, uid: int, given: int | None) -> None:
        letter = self._store.letter(self.place, uid)
        if given is not None and letter is not None:
            assert isinstance(destination, KeptFolder)
            self._store.put(destination.place, Kept(given, letter.received_at, letter.flags, letter.raw))

    async def update(self, uid: int, cached_msg: CachedMessage, flag_set: frozenset[Flag], mode: FlagOp) -> Message:
        message = await super().update(uid, cached_msg, flag_set, mode)
        self._store.set_flags(self.place, uid, _text(message.permanent_flags))
        return message

    async def delete(self, uids: Iterable[int]) -> None:
        gone = list(uids)
        await super().delete(gone)
        for uid in gone:
            self._store.remove(self.place, uid)


class KeptMailbox(MailboxSet):
    """All folders of one mailbox."""

    def __init__(self, store: Store, name: str) -> None:
        super().__init__()
        self.store, self.name = store, name
        self.contents, self.threads = self._content_cache, self._thread_cache
        self._inbox = KeptFolder(self, "INBOX")
        for folder in dict.fromkeys([*FOLDERS, *store.folders(name)]):
            if folder != "INBOX":
                self._set[folder] = KeptFolder(self, folder)

    async def add_mailbox(self, name: str) -> ObjectId:
        if name in self._set:
            raise ValueError(name)
        self._set[name] = made = KeptFolder(self, name)
        return made.mailbox_id

    async def delete_mailbox(self, name: str) -> None:
        await super().delete_mailbox(name)
        self.store.drop_folder(Place(self.name, name))

    async def rename_mailbox(self, before: str, after: str) -> None:
        await super().rename_mailbox(before, after)
        for name, folder in self._set.items():
            if isinstance(folder, KeptFolder) and folder.place.folder != name:
                self.store.rename_folder(folder.place, name)
                folder.place = Place(self.name, name)


class Mailboxes:
    """The mailboxes of a backend: what comes in is put into them, also while somebody watches."""

    def __init__(self, store: Store, backend: DictBackend, names: Iterable[str]) -> None:
        self._store = store
        self._backend = backend
        self.names = tuple(names)
        self.open()

    def open(self) -> None:
        """Take what is in the store; connections that are open go on with what they had."""
        for name in self.names:
            self._backend.config.set_cache[name] = (KeptMailbox(self._store, name), FilterSet())

    async def deliver(
        self, mailbox: str, raw: bytes, folder: str = "INBOX", *, at: datetime | None = None, flags: str = ""
    ) -> int:
        """Put a letter into a folder, received `at` (now when None); its UID."""
        mailboxes, _ = self._backend.config.set_cache[mailbox]
        place = await mailboxes.get_mailbox(folder)
        message = await place.append(AppendMessage(raw, at, _flags(flags)), recent=True)
        return message.uid

    async def remove(self, mailbox: str, folder: str, uid: int) -> None:
        """Take a letter away for good."""
        mailboxes, _ = self._backend.config.set_cache[mailbox]
        await (await mailboxes.get_mailbox(folder)).delete([uid])


def _flags(written: str) -> frozenset[Flag]:
    return frozenset(Flag(one.encode("ascii")) for one in written.split())


def _text(flags: Iterable[Flag]) -> str:
    return " ".join(sorted(bytes(flag).decode("ascii") for flag in flags))
