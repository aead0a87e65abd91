"""Whatever arrives, vanishes, breaks or dies in between: in the end every message stands once, where it belongs."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, Literal

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from app.billing import customers
from app.db import db, unit_of_work
from app.errors import NotSent, Outside
from plugins.mail_monitor import customer_addresses
from plugins.mail_monitor.models import EmailAccount, Folder
from plugins.mail_monitor.records import Filing, Message, Sighting
from plugins.mail_monitor.settings import AccountSettings
from plugins.mail_monitor.turns import Tally
from plugins.mail_monitor.waiting import Choice, Quarantined, Stub
from tests import make
from tests.cast import Cast
from tests.fakes.mailbox import FakeFolder, FakeServer
from tests.plugins.mail_monitor.conftest import Watch
from tests.plugins.mail_monitor.letters import mail

Scan = Callable[[EmailAccount], Tally]
Kind = Literal["customer", "two", "stranger", "shared", "bomb", "no_id"]
FOLDERS = ("INBOX", "Sent")
BROKEN = NotSent("The connection broke off.", code="broken")
numbers = count(1)


class Killed(BaseException):
    """The worker dies here."""


@dataclass(frozen=True)
class Arrive:
    """`copies` of a message, in one chunk or two."""

    kind: Kind
    folder: str
    copies: int = 1


@dataclass(frozen=True)
class Vanish:
    """Somebody deletes one on the server."""

    folder: str
    which: int


@dataclass(frozen=True)
class Rebuild:
    """The server gives every message a new number."""

    folder: str


@dataclass(frozen=True)
class Scanned:
    """A scan in which the n-th command fails, the n-th commit is the last thing a worker did, or nothing happens."""

    breaks_at: int | None = None
    dies_at_command: int | None = None
    dies_at_commit: int | None = None


folders = st.sampled_from(FOLDERS)
moments = st.none() | st.integers(0, 14)
kinds: st.SearchStrategy[Kind] = st.sampled_from(["customer", "customer", "two", "stranger", "shared", "bomb", "no_id"])
steps = st.one_of(
    st.builds(Arrive, kinds, folders, st.sampled_from([1, 1, 2])),
    st.builds(Vanish, folders, st.integers(0, 5)),
    st.builds(Rebuild, folders),
    st.builds(Scanned, breaks_at=moments, dies_at_command=moments, dies_at_commit=moments),
)


@dataclass
class World:
    """A mailbox of its own, what was put there, and how it is scanned."""

    server: FakeServer
    row_id: int
    scan: Callable[[int], object]
    put: dict[str, Kind] = field(default_factory=dict)  # by a word that stands in the subject

    def do(self, step: Any) -> None:
        if isinstance(step, Arrive):
            self._arrive(step)
        elif isinstance(step, Vanish):
            there = self.server.folders[step.folder].messages
            for uid in sorted(there)[step.which : step.which + 1]:
                del there[uid]
        elif isinstance(step, Rebuild):
            self.server.folders[step.folder].rebuild()
        else:
            self._scan(step)

    def _arrive(self, step: Arrive) -> None:
        word = f"word{next(numbers)}x"
        self.put[word] = step.kind
        raw = letter(step.kind, word, outgoing=step.folder == "Sent")
        for _ in range(step.copies):
            self.server.folders[step.folder].put(raw)

    def _scan(self, step: Scanned) -> None:
        faults: list[Outside | BaseException | None] = [None] * 20
        if step.breaks_at is not None:
            faults[step.breaks_at] = BROKEN
        if step.dies_at_command is not None:
            faults[step.dies_at_command] = Killed()
        self.server.faults = faults  # type: ignore[assignment]  # a death is no fault of the server
        with killing_at_commit(step.dies_at_commit), suppress(Killed):
            self.scan(self.row_id)
        self.server.faults = []
        with unit_of_work() as session:  # time passes: what a dead worker held is free again
            session.get_one(EmailAccount, self.row_id).lease_until = None

    def settle(self) -> None:
        """Scan, with nothing in the way, until nothing moves."""
        for _ in range(6):
            self.scan(self.row_id)


@contextmanager
def killing_at_commit(number: int | None) -> Iterator[None]:
    """The worker dies right after its commit of this number; None lets it live."""
    commit = Session.commit
    seen = count()

    def commit_and_die(self: Session) -> None:
        commit(self)
        if next(seen) == number:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "commit", commit_and_die)
        yield


def letter(kind: Kind, word: str, *, outgoing: bool) -> bytes:
    """A mail of this kind, the same bytes every time."""
    people = {"stranger": "nadia@voss.example", "shared": "home@oxbow.example"}
    person = people.get(kind, "tamsin@quill.example")
    sender, to = ("desk@acme.example", person) if outgoing else (person, "desk@acme.example")
    headers = {"Cc": "ben@birch.example"} if kind == "two" else {}
    message_id = "" if kind == "no_id" else f"<{word}@quill.example>"
    raw = mail(sender, to, word, f"This is {word}.", message_id, **headers)
    if kind == "bomb":
        lines = [line for line in raw.split(b"\r\n\r\n")[0].split(b"\r\n") if not line.lower().startswith(b"content-")]
        raw = b"\r\n".join([*lines, b"Content-Type: multipart/mixed; boundary=b"]) + b"\r\n\r\n" + b"--b\r\n\r\n" * 600
    return raw


@pytest.fixture
def begin(cast: Cast, server: FakeServer, watch: Watch, settings: AccountSettings, scan: Scan) -> Callable[..., World]:
    """`begin(delete)`: an empty mailbox of its own for an account that knows four people."""
    make.customer(cast.acme, email="tamsin@quill.example")
    make.customer(cast.acme, email="ben@birch.example")
    for _ in range(2):
        one = make.customer(cast.acme)
        with unit_of_work():
            customer_addresses.add(customers.get(cast.acme, one.id), "home@oxbow.example")

    def world(delete: str = "never") -> World:
        server.folders, server.faults, server.deleted = {name: FakeFolder() for name in FOLDERS}, [], []
        own = replace(settings, email_address=f"desk{next(numbers)}@acme.example", delete=delete)
        return World(server, watch(own).id, lambda row_id: scan(db.session.get_one(EmailAccount, row_id)))

    return world


def check(world: World) -> None:
    """Nothing is lost, nothing is doubled, and nothing is left in hand."""
    db.session.rollback()
    for folder in db.session.scalars(sa.select(Folder).where(Folder.email_account_id == world.row_id)):
        there = world.server.folders[folder.name]
        assert (folder.in_hand, folder.owed, folder.relinking) == ([], {}, {})
        assert (folder.uidvalidity, folder.cursor) == (there.uidvalidity, there.uidnext - 1)
        for uid, stored in there.messages.items():
            check_one(folder, uid, world.put[word_in(stored.raw)], word_in(stored.raw))
    for word in world.put:
        assert messages_about(word) <= 1, f"{word} stands more than once"
    assert not doubled(Filing.message_id, Filing.customer_id)
    assert not doubled(Choice.message_id)


def check_one(folder: Folder, uid: int, kind: Kind, word: str) -> None:
    here = {"folder_id": folder.id, "uidvalidity": folder.uidvalidity, "uid": uid}
    if kind == "stranger":
        assert how_many(Stub, **here) == 1
        assert messages_about(word) == 0
        return
    if kind == "bomb":
        assert how_many(Quarantined, **here) == 1
        return
    seen = db.session.scalars(sa.select(Sighting).filter_by(**here)).one()
    assert seen.message.subject == word
    assert how_many(Filing, message_id=seen.message_id) == {"two": 2, "shared": 0}.get(kind, 1)
    assert how_many(Choice, message_id=seen.message_id) == (kind == "shared")


def word_in(raw: bytes) -> str:
    return raw.split(b"Subject: ", 1)[1].split(b"\r\n", 1)[0].decode()


def messages_about(word: str) -> int:
    return how_many(Message, subject=word)


def how_many(model: type, **values: Any) -> int:
    return db.session.scalar(sa.select(sa.func.count()).select_from(model).filter_by(**values)) or 0


def doubled(*columns: Any) -> list[Any]:
    counted = Counter(tuple(row) for row in db.session.execute(sa.select(*columns)))
    return [key for key, times in counted.items() if times > 1]


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@examples(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(history=st.lists(steps, max_size=14))
def test_every_message_stands_once_in_the_end(begin: Callable[..., World], history: list[Any]) -> None:
    world = begin()
    for step in history:
        world.do(step)
    world.settle()
    check(world)
    assert world.server.deleted == []


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@examples(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(history=st.lists(steps, max_size=14))
def test_after_filing_everything_filed_goes_and_nothing_else(begin: Callable[..., World], history: list[Any]) -> None:
    world = begin("after_filing")
    for step in history:
        world.do(step)
    world.settle()
    check(world)
    gone = [word_in(raw) for raw in world.server.deleted]
    for word in gone:
        assert world.put[word] in {"customer", "two", "no_id"}
        assert messages_about(word) == 1, f"{word} was deleted there and is not here"
    left = {world.put[word_in(one.raw)] for one in world.server.inbox.messages.values()}
    assert left <= {"stranger", "shared", "bomb"}
