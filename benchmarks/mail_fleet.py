"""Many mailboxes at once: real workers over 200 email accounts, two of them on servers that never answer."""

import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import sqlalchemy as sa

from app import clock
from app.billing.models import Customer
from app.db import db, unit_of_work
from app.embedded import embedded_server
from benchmarks.mailroom import Mailroom, add_account, heavy_letter, letter, mailroom
from benchmarks.programs import environment, listening, program, stamped, wait
from benchmarks.stage import Sizes, Stage, Stages, customer_rows, email_of, insert
from benchmarks.table import Measured
from plugins.mail_monitor.models import EmailAccount, Folder, FolderKind
from plugins.mail_monitor.records import Filing
from tests import make

WORKERS = 2
HANGING = 2
NEW = 4
CUSTOMERS = 50


def measure(sizes: Sizes, stages: Stages) -> Iterator[Measured]:
    with mailroom() as room:
        yield _all_at_once(sizes, stages, room)


def _all_at_once(sizes: Sizes, stages: Stages, room: Mailroom) -> Measured:
    """Seconds until every account that can be scanned was scanned, and the memory that took."""
    chance = random.Random(4)  # the same letters in every run
    users = []
    for number in range(sizes.mailboxes):
        first = heavy_letter if number == sizes.mailboxes // 2 else letter
        makers = (first, *[letter] * (NEW - 1))
        users.append(room.put(make_one(chance, number, email_of(number % CUSTOMERS)) for make_one in makers))
    for user in users:
        room.read_uids(user)
    with stages() as stage, _silent_server() as silent, stamped():
        ids = _accounts(stage, room, users, silent)
        insert(Customer, customer_rows(stage.cast, CUSTOMERS))
        spent, peak = _until_scanned(stage, room, ids)
        filed = db.session.scalar(sa.select(sa.func.count(Filing.id)))
        db.session.rollback()
        assert filed == (sizes.mailboxes - HANGING) * NEW, filed
    what = f"mail: {sizes.mailboxes} accounts, {NEW} new each, {HANGING} hanging, {WORKERS} workers"
    note = f"at most 180 s; a worker with a 24 MiB message took {peak:.0f} MiB (at most 512)"
    return Measured(what, spent, "the bound", 180, sizes.mailboxes, note)


def _accounts(stage: Stage, room: Mailroom, users: list[str], silent: int) -> list[int]:
    """An email account per user, due now; the first ones are where nobody answers."""
    installation = make.installation(stage.cast.acme, "mail_monitor")
    ids = [add_account(stage.cast.acme, installation, room, user) for user in users]
    with unit_of_work() as session:
        for email_account_id, user in zip(ids, users, strict=True):
            row = session.get_one(EmailAccount, email_account_id)
            if email_account_id in ids[:HANGING]:
                row.incoming_port = silent
            else:
                with room.signed_in(user) as mailbox:
                    uidvalidity = mailbox.folder.status("INBOX", ["UIDVALIDITY"])["UIDVALIDITY"]
                place = {"account_id": row.account_id, "email_account_id": row.id, "name": "INBOX"}
                session.add(Folder(kind=FolderKind.INBOX, uidvalidity=uidvalidity, cursor=0, **place))
    return ids


def _until_scanned(stage: Stage, room: Mailroom, ids: list[int]) -> tuple[float, float]:
    """Start workers and sweep, wait; seconds from the moment that all are due, and MiB of the largest worker."""
    with ExitStack() as stack:
        redis = stack.enter_context(embedded_server())
        trust = {"SPHEREMAIL_MAIL_CA_FILE": str(room.dovecot.ca_file)}
        around = environment(stage, redis.url, SPHEREMAIL_MAIL_PRIVATE_HOSTS="127.0.0.0/8,localhost", **trust)
        workers = [stack.enter_context(program(around, "worker", "mail")) for _ in range(WORKERS)]
        wait(lambda: listening(redis.url) >= WORKERS)
        memory = stack.enter_context(_weighed([one.pid for one in workers]))
        with unit_of_work() as session:
            session.execute(sa.update(EmailAccount).values(due_at=clock.now(), nudged_at=None))
        begun = time.perf_counter()
        stack.enter_context(program(around, "sweep"))
        wait(lambda: _scanned(ids) == len(ids) - HANGING)
        return time.perf_counter() - begun, max(memory)


@contextmanager
def _silent_server() -> Iterator[int]:
    """A port where connections are taken and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        yield server.getsockname()[1]


@contextmanager
def _weighed(workers: list[int]) -> Iterator[list[float]]:
    """MiB of each worker with its children, as often as it can be asked; pages they share are counted once."""
    seen, ended = [0.0], threading.Event()

    def weigh() -> None:
        while not ended.wait(0.1):
            seen.extend(sum(map(_share_of, (worker, *_children(worker)))) for worker in workers)

    thread = threading.Thread(target=weigh)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


def _share_of(pid: int) -> float:
    with suppress(OSError):  # it ended meanwhile
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


def _children(pid: int) -> Iterator[int]:
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # as above
            for child in map(int, children.read_text().split()):
                yield child
                yield from _children(child)


def _scanned(ids: list[int]) -> int:
    found = db.session.scalar(
        sa.select(sa.func.count()).where(EmailAccount.id.in_(ids), EmailAccount.last_success_at.is_not(None))
    )
    db.session.rollback()
    return int(found or 0)
